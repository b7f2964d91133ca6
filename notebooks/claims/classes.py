"""Several outputs and classes (theory 11): three classes with a known answer, and ten digits."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy import special, stats

from sedyn import (
    Adam,
    MultiIndex,
    Network,
    Overlaps,
    Training,
    agreement_test,
    simulate,
    state_evolution,
    sweep,
    z_scores,
)

from .base import BLUE, GREEN, RED, Array, Claim, claim, four_steps, mean_and_error, measured, relative_gap, stacked
from .problems import estimated_run

METRICS = ("cross_entropy", "zero_one")


NAMES = ("cross-entropy", "error rate")


DIGITS = Network((10, 10), ("tanh", "identity"), bias=True)


EDGES = np.array([0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])  # of the probability that a network gives to its answer


STEPS = ("step 10", "best step", "last step")


ROWS = ("training rows", "left-out outputs", "held-out rows")


def three_classes(n: int, T: int, rng) -> tuple[tuple, dict[str, Training]]:
    """(network, teacher, weights, signals) of classes drawn from three indices; the trainings compared."""
    network, teacher = Network((3, 3), ("tanh", "identity")), MultiIndex("softmax", n_indices=3, noise=0.3)
    weights, signals = network.init(n, rng=rng), np.linalg.qr(rng.standard_normal((n, 3)))[0]
    trainings = {
        "gradient descent": Training(0.5, T, loss="cross_entropy"),
        "Adam": Training((0.04, 0.3), T, loss="cross_entropy", optimizer=(Adam(0.9, 0.99, 1e-3), None)),
    }
    return (network, teacher, weights, signals), trainings


def digits() -> tuple[Array, Array]:
    """Images of ten digits, rows of standardised pixels (those that vary), and which digit."""
    from sklearn.datasets import load_digits

    X, digit = load_digits(return_X_y=True)
    X = X[:, X.std(axis=0) >= 0.5]
    return (X - X.mean(axis=0)) / X.std(axis=0), digit


def confidence_table(outputs: Array, classes: Array) -> Array:
    """Sum of the probability of the answer, number of right answers and of rows, in each bin of `EDGES`; (3, bins)."""
    p = special.softmax(outputs, axis=1)
    of_answer, right = p.max(axis=1), (p.argmax(axis=1) == classes).astype(float)
    return np.array([np.histogram(of_answer, EDGES, weights=w)[0] for w in (of_answer, right, np.ones(len(p)))])


def digits_run(m: int, n_steps: int, rng) -> dict:
    """One split: errors along training, estimated and held out; their z-scores at step 10, the best and the last; the
    confidence of the network at the best step; coverage and size of sets of level 0.9."""
    X, digit = digits()
    order = rng.permutation(len(X))
    own, new = order[:m], order[m:]
    weights = DIGITS.init(X.shape[1], scale=(0.3, 0.3), rng=rng)
    training, y_new = Training(0.6, n_steps, loss="cross_entropy"), digit[new]
    run = estimated_run(
        DIGITS, training, weights, X[own], digit[own], test=(X[new], y_new), unlabelled=X[own], metrics=METRICS,
        monitor="cross_entropy", first_weights_at="all", rng=rng,
    )  # fmt: skip
    assert run.best_step is not None and run.estimated_metrics is not None and run.left_out_outputs is not None
    assert run.generalization_metrics is not None and run.estimated_metrics_stderr is not None
    steps = [10, run.best_step, n_steps]
    gap = run.estimated_metrics[steps] - run.generalization_metrics[steps]
    held_out = []  # standard errors of the held-out means
    for t in steps:
        f = DIGITS.predict(run.weights_at(t), X[new])
        losses = special.logsumexp(f, axis=1) - f[np.arange(len(new)), y_new]
        held_out.append([x.std() / np.sqrt(len(new)) for x in (losses, f.argmax(axis=1) != y_new)])
    outputs = (DIGITS.predict(run.stopped, X[own]), run.left_out_outputs, DIGITS.predict(run.stopped, X[new]))
    tables = [confidence_table(*pair) for pair in zip(outputs, (digit[own], digit[own], y_new), strict=True)]
    sets = run.prediction_set(X[new], 0.9)
    return {
        "training": run.train_metrics,
        "estimated": run.estimated_metrics,
        "held_out": run.generalization_metrics,
        "z": gap / np.hypot(run.estimated_metrics_stderr[steps], held_out),
        "best_step": run.best_step,
        "confidence": np.array(tables),
        "covered": sets[np.arange(len(new)), y_new].mean(),
        "set_size": sets.sum(axis=1).mean(),
    }


@claim
def classes(paper: bool = False, rng=0, executor=None, store=None) -> Claim:
    """Several outputs and the cross-entropy: theory against simulation, and digits from their training rows alone."""
    n, n_runs, T, n_splits, sizes, n_steps = (
        (1000, 60, 40, 24, (200, 500), 80) if paper else (300, 12, 12, 4, (150, 300), 36)
    )
    rng_theory, rng = np.random.default_rng(rng).spawn(2)
    problem, trainings = three_classes(n, T, rng_theory)
    network, teacher, weights, signals = problem
    figure, axes = plt.subplots(2, 5, figsize=(16.5, 6.4))
    agreement: dict[str, float] = {}
    steps, scores = np.arange(0, T + 1, 4 if paper else 2), []
    p_values: dict[str, float] = {}
    curves: dict[str, dict] = {}
    digit_curves: dict[str, dict] = {}
    for column, (name, training) in zip(axes.T, trainings.items(), strict=False):
        theory = state_evolution(
            network,
            training,
            teacher,
            Overlaps.of(weights, signals),
            2.0,
            n_scrambles=8,
            metrics=METRICS,
            rng=rng_theory,
        )
        runs = simulate(network, training, teacher, weights, signals, 2 * n, n_runs, metrics=METRICS, rng=rng_theory)
        for field, rows, colour in (("train", "training", BLUE), ("generalization", "fresh", RED)):
            line, error = (getattr(of, f"{field}_metrics") for of in (theory, theory.stderr))
            found = getattr(runs, f"{field}_metrics")
            scores.append(z_scores(found, line, error)[1:])
            for k, ax in enumerate(column):
                mean, bar = mean_and_error(found[:, steps, k])
                key = f"{name}: {NAMES[k]} of {rows} rows"
                compared = found[:, steps[1:], k], line[steps[1:], k], error[steps[1:], k]
                p_values[key] = agreement_test(*(of[..., k][..., four_steps(T)] for of in (found, line, error))).p_value
                curves[key] = {"t": steps, "theory": line[steps, k], "runs": mean, "runs_stderr": bar}
                ax.plot(line[:, k], color=colour, label=f"{rows} rows, theory")
                ax.errorbar(steps, mean, 2 * bar, fmt="o", color=colour, mfc="white", label=f"{rows} rows, simulation")
                agreement |= measured(
                    f"{name}: relative gap of the {NAMES[k]} of {rows} rows", *relative_gap(*compared)
                )
        column[0].set_title(f"three classes, {name}")
    z = np.array(scores)
    agreement["theory against simulation: root mean square z"] = np.sqrt(np.mean(z**2))
    agreement[f"theory against simulation: largest |z| of {z.size}"] = np.abs(z).max()

    root = int(rng.integers(2**63))
    grid = {"m": list(sizes), "n_steps": [n_steps]}
    table = sweep(digits_run, grid, n_splits, executor=executor, store=store, rng=root)
    arrays = {key: values.reshape(len(sizes), n_splits, *values.shape[1:]) for key, values in table.arrays.items()}
    scalars = {key: np.asarray(table[key]).reshape(len(sizes), -1) for key in ("best_step", "covered", "set_size")}
    for i, m in enumerate(sizes):
        best = scalars["best_step"][i].astype(int)
        agreement[f"digits, {m} rows: median best step"] = np.median(best)
        for k, ax in enumerate(axes[:, 2 + i]):
            for key, colour, label in zip(
                ("training", "estimated", "held_out"), (BLUE, GREEN, RED),
                ("training rows", "estimated from them", "held-out rows"), strict=True,
            ):  # fmt: skip
                mean, bar = mean_and_error(arrays[key][i, ..., k])
                digit_curves[f"{m} rows: {NAMES[k]}, {label}"] = {
                    "t": np.arange(n_steps + 1), "value": mean, "stderr": bar
                }  # fmt: skip
                ax.plot(mean, color=colour, label=label)
                ax.fill_between(np.arange(n_steps + 1), mean - 2 * bar, mean + 2 * bar, color=colour, alpha=0.25, lw=0)
                at_best = arrays[key][i, np.arange(n_splits), best, k]
                agreement |= measured(
                    f"digits, {m} rows: {NAMES[k]} at the best step, {label}", *mean_and_error(at_best)
                )
            agreement |= measured(
                f"digits, {m} rows: estimated minus held-out {NAMES[k]} at the best step",
                *mean_and_error((arrays["estimated"] - arrays["held_out"])[i, np.arange(n_splits), best, k]),
            )
            for step, each in zip(STEPS, np.moveaxis(arrays["z"][i, ..., k], 1, 0), strict=True):
                name = f"digits, {m} rows: z of the {NAMES[k]}, {step}"
                agreement |= measured(f"{name}, mean", *mean_and_error(each))
                agreement[f"{name}, root mean square"] = np.sqrt(np.mean(each**2))
        agreement |= measured(
            f"digits, {m} rows: sets of level 0.9, share that holds the digit", *mean_and_error(scalars["covered"][i])
        )
        agreement |= measured(
            f"digits, {m} rows: sets of level 0.9, digits in a set", *mean_and_error(scalars["set_size"][i])
        )
        agreement |= _calibration(f"digits, {m} rows", arrays["confidence"][i])
        axes[0, 2 + i].set_title(f"digits, {m} training rows")
    agreement["digits: share of |z| below 1.96"] = np.mean(np.abs(arrays["z"]) < 1.96)

    reliability, calibration = axes[:, 4]
    total = arrays["confidence"].sum(axis=1)[0]  # (rows, 3, bins)
    for (confidence, right, count), label, colour, mark in zip(total, ROWS, (BLUE, GREEN, RED), "so^", strict=True):
        used = count >= (20 if paper else 5)
        reliability.plot(
            confidence[used] / count[used],
            right[used] / count[used],
            f"{mark}-",
            color=colour,
            mfc="white",
            label=label,
        )
    reliability.plot([0.3, 1], [0.3, 1], "--", color="k", lw=1)
    reliability.set(
        xlabel="probability of the answer", ylabel="share of right answers", xlim=(0.3, 1.02), ylim=(0, 1.05)
    )
    reliability.set_title(f"{sizes[0]} rows, best step")
    for k, (name, colour) in enumerate(zip(NAMES, ("k", "#CC79A7"), strict=True)):
        values = np.sort(arrays["z"][:, :, 1, k].ravel())
        calibration.plot(
            stats.norm.ppf((np.arange(values.size) + 0.5) / values.size), values, ".", color=colour, label=name
        )
    calibration.plot([-3, 3], [-3, 3], "--", color="k", lw=1)
    calibration.set(
        xlabel="standard Gaussian quantile", ylabel="(estimated - held out) / s.e.", title="both sizes, best step"
    )
    for k, quantity in enumerate(NAMES):
        for pair in (axes[k, :2], axes[k, 2:4]):
            top = max(ax.get_ylim()[1] for ax in pair)
            for ax in pair:
                ax.set_ylim(0, top)
            pair[0].set_ylabel(quantity)
    for ax in axes[1, :4]:
        ax.set_xlabel("step t")
    for ax in axes[:, :4].flat:
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[0, [0, 2, 4]]:
        ax.legend(fontsize=8)
    calibration.legend(fontsize=8)
    return Claim(
        "Several outputs and classes",
        "Nothing asks for one output: the theory gives cross-entropy and error rate of classes at every step, and one "
        "run estimates both for ten digits from its training rows alone; where it stops it is too high, by less than "
        "one standard error in the mean.",
        f"three classes drawn from three indices, noise 0.3, widths (3, 3), tanh, n = {n}, m/n = 2, T = {T}, gradient "
        f"descent with step size 0.5 and Adam (0.04, second layer 0.3 by gradient descent), {n_runs} runs each; "
        f"digits: widths (10, 10), tanh, biases, step size 0.6, T = {n_steps}, {n_splits} random splits of 1797 images "
        "for each number of rows, z at step 10, the best and the last",
        2 * n_runs + len(sizes) * n_splits,
        {name: float(value) for name, value in agreement.items()},
        figure,
        alt="Cross-entropy and error rate along training. Four panels of three classes, by gradient descent and by "
        "Adam: points of runs on the theory's lines for training and fresh rows. Four panels of digits: the estimate "
        "follows the held-out curve and ends above it, the training rows fall far below. Last column: shares of "
        "right answers against stated probability, and standardised errors, most above the Gaussian diagonal.",
        bars="Bars and bands are two standard errors over runs or splits.",
        p_values=p_values,
        data={"three_classes": stacked(curves, "series"), "digits": stacked(digit_curves, "series")},
    )


def _calibration(name: str, confidence: Array) -> dict[str, float]:
    """Mean probability of the answer minus share of right answers, over splits (split, rows, 3, bins)."""
    out: dict[str, float] = {}
    said, right, count = np.moveaxis(confidence.sum(axis=-1), 2, 0)
    for k, rows in enumerate(ROWS):
        excess = mean_and_error(((said - right) / count)[:, k])
        out |= measured(f"{name}: probability of the answer minus share right, {rows}", *excess)
    return out

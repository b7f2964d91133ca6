"""Claims about updates that act entry by entry (theory 10): Adam, sign descent, soft thresholding and others, the rows
of weights and signal that they see, and their generalization error from the training rows alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from claims import (
    BLUE,
    GREEN,
    RED,
    Array,
    Claim,
    claim,
    estimated_run,
    mean_and_error,
    measured,
    relative_gap,
)
from sedyn import (
    Adam,
    Clip,
    Network,
    Overlaps,
    Proximal,
    RMSProp,
    SignDescent,
    SingleIndex,
    Training,
    Weights,
    plot,
    population_errors,
    random_signal,
    simulate,
    state_evolution,
    sweep,
    z_scores,
)

PURPLE, GREY = "#CC79A7", "0.45"
WAVY = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
NETWORKS = {
    2: Network((3, 1), ("tanh", "identity")),
    3: Network((3, 2, 1), ("tanh", "tanh", "identity")),
}
DEEP = {
    2: (np.array([[1.0], [-0.8], [0.6]]),),
    3: (np.array([[0.9, -0.4], [0.2, 0.8], [-0.6, 0.5]]), np.array([[1.0], [-0.7]])),
}


class Rule(NamedTuple):
    """How the first layer moves; the others move by plain gradient descent with a step size of their own."""

    optimizer: Any
    step_size: float
    deep_step_size: float
    colour: str


RULES = {
    "gradient descent": Rule(None, 0.2, 0.2, GREY),
    "Adam": Rule(Adam(0.9, 0.99, 1e-3), 0.05, 0.05, BLUE),
    "sign descent": Rule(SignDescent(), 0.03, 0.05, RED),
    "soft thresholding": Rule(Proximal(0.2), 0.2, 0.2, GREEN),
    "RMSProp": Rule(RMSProp(0.9, 3e-2), 0.03, 0.05, PURPLE),
    "clipping": Rule(Clip(0.3), 0.2, 0.2, "#56B4E9"),
}


def training_by(rule: str, n_layers: int, n_steps: int, **options) -> Training:
    """The first layer moves by this rule, the others by plain gradient descent."""
    optimizer, step_size, deep, _ = RULES[rule]
    others = (None,) * (n_layers - 1)
    return Training((step_size,) + (deep,) * (n_layers - 1), n_steps, optimizer=(optimizer, *others), **options)


# ---- theory against simulation


class OptimizerCase(NamedTuple):
    """One panel of `optimizers`."""

    rule: str
    L: int = 2
    phi: float = 1.5
    features: str = "gaussian"
    batch_fraction: float = 1.0


OPTIMIZER_CASES = {
    "Adam": OptimizerCase("Adam"),
    "sign descent, Rademacher": OptimizerCase("sign descent", features="rademacher"),
    "soft thresholding, m/n = 0.8": OptimizerCase("soft thresholding", phi=0.8),
    "RMSProp, batches of 0.3": OptimizerCase("RMSProp", batch_fraction=0.3),
    "clipping, m/n = 4": OptimizerCase("clipping", phi=4.0),
    "Adam, L = 3": OptimizerCase("Adam", L=3),
    "sign descent, L = 3": OptimizerCase("sign descent", L=3, phi=2.5),
}
ERRORS = ("train_error", "generalization_error")


@claim
def optimizers(paper: bool = False, rng=0) -> Claim:
    """Errors under Adam, RMSProp, sign descent, soft thresholding and clipping against the theory, at every step."""
    n, n_runs, T, accuracy = (1000, 40, 40, 0.002) if paper else (400, 12, 12, 0.01)
    rng = np.random.default_rng(rng)
    steps = np.arange(2, T + 1, 2)
    agreement: dict[str, float] = {}
    figure, axes = plt.subplots(2, 4, figsize=(14.5, 6.8))
    *panels, last = axes.ravel()
    gaps, z = {}, []
    for ax, (name, case) in zip(panels, OPTIMIZER_CASES.items(), strict=True):
        network = NETWORKS[case.L]
        training = training_by(case.rule, case.L, T, batch_fraction=case.batch_fraction)
        weights, signal = Weights(network.init(n, rng=rng).first, DEEP[case.L]), random_signal(n, rng=rng)
        overlaps, m = Overlaps.of(weights, signal), round(case.phi * n)
        theory = state_evolution(network, training, WAVY, overlaps, case.phi, accuracy=accuracy, rng=rng)
        runs = simulate(network, training, WAVY, weights, signal, m, n_runs, features=case.features, rng=rng)
        plot.learning_curves(theory, runs, ax=ax, max_points=12).set_title(name)
        ax.get_legend().remove()
        for quantity in ERRORS:
            values, line, error = getattr(runs, quantity), getattr(theory, quantity), getattr(theory.stderr, quantity)
            gaps[name, quantity] = relative_gap(values[:, steps], line[steps], error[steps])
            z.append(z_scores(values, line, error)[steps])
            word = plot.QUANTITIES[quantity][0]
            agreement |= measured(f"{name}: relative gap of the {word}", *gaps[name, quantity])
    places = np.arange(len(OPTIMIZER_CASES))[::-1]
    last.axvline(0, color="k", lw=0.8)
    for quantity, shift in zip(ERRORS, (0.15, -0.15), strict=True):
        word, colour, *_ = plot.QUANTITIES[quantity]
        mean, error = 100 * np.array([gaps[name, quantity] for name in OPTIMIZER_CASES]).T
        last.errorbar(mean, places + shift, xerr=2 * error, fmt="o", color=colour, mfc="white", label=word)
    last.set_yticks(places, [name.replace(", ", ",\n") for name in OPTIMIZER_CASES], fontsize=8)
    last.set(xlabel="runs over theory - 1, %, ± 2 s.e.", title="gap, mean over the steps", ylim=(-0.6, places[0] + 1.7))
    last.legend(loc="upper right", fontsize=8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Claim(
        "Updates that act entry by entry",
        "Any update of the first layer that acts entry by entry is predicted at every step, from the actual rows of "
        "weights and signal.",
        f"widths (3, 1) and (3, 2, 1), tanh, all layers trained, the deep ones by plain gradient descent, n = {n}, T = "
        f"{T}, link z + sin(2z)/2, noise 0.3; m/n = 1.5, 2.5 for sign descent with L = 3, or as named",
        len(OPTIMIZER_CASES) * n_runs,
        agreement
        | {
            "root mean square z over all curves and steps": float(np.sqrt(np.mean(np.square(z)))),
            f"largest |z| of the {np.size(z)}": float(np.abs(z).max()),
        },
        figure,
    )


# ---- what the rows know beyond their overlaps

SPARSE_RULES = ("gradient descent", "Adam", "sign descent", "soft thresholding")


def sparse_start(n: int, share: float, rng) -> tuple[Weights, Array]:
    """Weights and a signal with so many nonzero entries, quantiles of a Gaussian; W_1^T W_1 = I, W_1^T mu = 0 and
    |mu| = 1 whatever the share."""
    signal, size = np.zeros(n), max(2, round(share * n))
    signal[rng.permutation(n)[:size]] = stats.norm.ppf((np.arange(size) + 0.5) / size)
    signal /= np.linalg.norm(signal)
    basis = np.linalg.qr(np.column_stack([signal, rng.standard_normal((n, 3))]))[0]
    return Weights(basis[:, 1:], DEEP[2]), signal


@claim
def sparse_signals(paper: bool = False, rng=0) -> Claim:
    """Errors at the last step against the share of nonzero entries of the signal, all overlaps being the same."""
    n, n_runs, T, accuracy, phi = (1000, 24, 30, 0.003, 1.5) if paper else (300, 8, 12, 0.02, 1.5)
    shares = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if paper else (0.01, 0.05, 0.2, 1.0)
    rng = np.random.default_rng(rng)
    shape = len(SPARSE_RULES), len(shares), len(ERRORS)
    line, line_error, mean, error = np.zeros((4, *shape))
    blind = np.zeros((len(SPARSE_RULES), len(ERRORS)))
    starts = [sparse_start(n, share, rng) for share in shares]
    for i, rule in enumerate(SPARSE_RULES):
        problem = NETWORKS[2], training_by(rule, 2, T), WAVY
        plain = Overlaps(np.eye(3), np.zeros(3), 1.0, DEEP[2])
        gaussian = state_evolution(*problem, plain, phi, accuracy=accuracy, rng=rng)
        blind[i] = [getattr(gaussian, quantity)[T] for quantity in ERRORS]
        for j, (weights, signal) in enumerate(starts):
            theory = state_evolution(*problem, Overlaps.of(weights, signal), phi, accuracy=accuracy, rng=rng)
            runs = simulate(*problem, weights, signal, round(phi * n), n_runs, rng=rng)
            for k, quantity in enumerate(ERRORS):
                line[i, j, k], line_error[i, j, k] = getattr(theory, quantity)[T], getattr(theory.stderr, quantity)[T]
                mean[i, j, k], error[i, j, k] = mean_and_error(getattr(runs, quantity)[:, T])
    z = (mean - line) / np.hypot(error, line_error)

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.3))
    for i, rule in enumerate(SPARSE_RULES):
        colour = RULES[rule].colour
        for ax, k in ((axes[0], 1), (axes[1], 0)):
            ax.axhline(blind[i, k], ls="--", lw=1, color=colour, gid=f"Gaussian rows, {rule}")
            ax.plot(shares, line[i, :, k], color=colour, label=rule)
            ax.errorbar(shares, mean[i, :, k], 2 * error[i, :, k], fmt="o", color=colour, mfc="white")
        for k, mark in ((0, "s"), (1, "o")):
            axes[2].plot(
                np.array(shares) * 1.06 ** (i - 1.5), z[i, :, k], mark, ms=5, color=colour,
                mfc="white" if k else colour, gid="z",
            )  # fmt: skip
    axes[0].plot([], [], "k--", lw=1, label="Gaussian rows, same overlaps")
    axes[0].set(title=f"generalization error at t = {T}: lines theory, points runs", ylabel="mean squared error")
    axes[1].set(title=f"training error at t = {T}", ylabel="mean squared error", yscale="log")
    axes[2].axhspan(-2, 2, color="0.92", lw=0)
    axes[2].axhline(0, color="k", lw=0.8)
    axes[2].plot([], [], "s", color="k", label="training error")
    axes[2].plot([], [], "o", color="k", mfc="white", label="generalization error")
    axes[2].set(title="runs minus theory, in standard errors", ylabel="z", ylim=(-4, 4.6))
    for ax in axes:
        ax.set(xscale="log", xlabel="share of nonzero entries of the signal")
        ax.set_xticks(shares, [f"{share:g}" for share in shares])
        ax.minorticks_off()
    marks = [mark for mark in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2) if line[..., 0].min() < mark < line[..., 0].max()]
    axes[1].set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes[0].set_ylim(0, 1.3 * max(line[..., 1].max(), blind[:, 1].max()))
    axes[0].legend(loc="upper right", fontsize=8, ncols=2)
    axes[2].legend(loc="upper right", fontsize=8, ncols=2)
    agreement: dict[str, float] = {}
    for i, rule in enumerate(SPARSE_RULES):
        agreement[f"{rule}: generalization error, Gaussian rows"] = blind[i, 1]
        for j in (0, shares.index(0.05), len(shares) - 1):
            name = f"{rule}, share {shares[j]:g}: generalization error"
            agreement |= measured(f"{name}, theory", line[i, j, 1], line_error[i, j, 1])
            agreement |= measured(f"{name}, runs", mean[i, j, 1], error[i, j, 1])
    agreement |= {
        "root mean square z": float(np.sqrt(np.mean(z**2))),
        f"largest |z| of the {z.size}": float(np.abs(z).max()),
    }
    return Claim(
        "What the rows know beyond their overlaps",
        "Plain gradient descent sees the start through its overlaps alone; Adam and sign descent do worse the sparser "
        "the signal is, soft thresholding better, each as the theory says from the actual rows.",
        f"widths (3, 1), tanh, n = {n}, m/n = {phi}, T = {T}, link z + sin(2z)/2, noise 0.3; nonzero entries are "
        "quantiles of a Gaussian; the same overlaps at every share",
        len(SPARSE_RULES) * len(shares) * n_runs,
        {name: float(value) for name, value in agreement.items()},
        figure,
    )


# ---- the error from the training rows

ESTIMATED_RULES = ("Adam", "RMSProp", "sign descent", "soft thresholding")
ESTIMATED_LINKS = {
    "z + sin(2z)/2": lambda z: z + 0.5 * np.sin(2 * z),
    "tanh(2z)": lambda z: np.tanh(2 * z),
    "max(z, 0)": lambda z: np.maximum(z, 0),
}


def optimizer_run(rule: str, phi: float, n: int, n_steps: int, rng) -> dict:
    """Training, estimated and true error at every step, and the standard error of the estimate; depth, link, noise and
    features by chance."""
    L = int(rng.integers(2, 4))
    link, noise = list(ESTIMATED_LINKS.values())[rng.integers(3)], float(rng.choice([0.3, 0.6]))
    features = ("gaussian", "rademacher")[rng.integers(2)]
    network, teacher = NETWORKS[L], SingleIndex(link, noise)
    weights, signal = network.init(n, rng=rng), random_signal(n, rng=rng)
    X, y = teacher.sample(round(phi * n), signal, features=features, rng=rng)
    run = estimated_run(network, training_by(rule, L, n_steps), weights, X, y, first_weights_at="all", rng=rng)
    true = population_errors(network, teacher, run, signal, rng=rng)
    return {"train": run.train_error, "estimated": run.estimated_error, "stderr": run.estimated_stderr, "true": true}


@claim
def optimizer_estimates(paper: bool = False, rng=0, executor=None, store=None) -> Claim:
    """Estimated against true generalization error for four optimizers, and whether the standard error is right."""
    n, T, n_runs, ratios = (300, 40, 60, (0.5, 0.8, 1.5, 2.5, 4.0)) if paper else (120, 16, 8, (0.5, 1.5, 4.0))
    root = int(np.random.default_rng(rng).integers(2**63))
    grid: dict = {"rule": list(ESTIMATED_RULES), "phi": list(ratios), "n": [n], "n_steps": [T]}
    table = sweep(optimizer_run, grid, n_runs, executor=executor, store=store, rng=root)
    shape = len(ESTIMATED_RULES), len(ratios), n_runs, T + 1
    train, found, said, true = (table.arrays[key].reshape(shape) for key in ("train", "estimated", "stderr", "true"))
    steps = (T // 2, T)
    gap = found / true - 1  # (rule, phi, run, step)
    z = ((found - true) / said)[..., steps]
    inside = np.mean(np.abs(z) < stats.norm.ppf(0.975), axis=2)  # (rule, phi, step)
    optimism = np.mean(train / true - 1, axis=2)[..., T]
    agreement: dict[str, float] = {}
    means, errors = (np.zeros((len(ESTIMATED_RULES), len(ratios))) for _ in range(2))
    for i, rule in enumerate(ESTIMATED_RULES):
        for j in range(len(ratios)):
            means[i, j], errors[i, j] = mean_and_error(gap[i, j, :, T])
        agreement |= measured(
            f"{rule}: estimate over truth - 1, mean over m/n",
            means[i].mean(),
            np.sqrt(np.sum(errors[i] ** 2)) / len(ratios),
        )
        agreement[f"{rule}: training error over truth - 1, mean over m/n"] = optimism[i].mean()
        agreement |= measured(
            f"{rule}: share of |estimate - truth| below 1.96 standard errors, t = {T}",
            inside[i, :, 1].mean(),
            np.sqrt(np.sum(inside[i, :, 1] * (1 - inside[i, :, 1]) / n_runs)) / len(ratios),
        )
        agreement[f"{rule}: root mean square z, t = {T}"] = np.sqrt(np.mean(z[i, ..., 1] ** 2))
    at = np.unravel_index(np.abs(means / errors).argmax(), means.shape)
    agreement |= measured(
        f"largest gap in its standard errors, {ESTIMATED_RULES[at[0]]}, m/n = {ratios[at[1]]:g}", means[at], errors[at]
    )
    every = np.abs(z) < stats.norm.ppf(0.975)
    agreement[f"share below 1.96 standard errors, all, t = {steps[0]} and {T}"] = every.mean()

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4))
    for i, rule in enumerate(ESTIMATED_RULES):
        colour = RULES[rule].colour
        axes[0].plot(true[i, ..., T].ravel(), train[i, ..., T].ravel(), ".", ms=3, color="0.75", gid="training")
        axes[0].plot(
            true[i, ..., T].ravel(), found[i, ..., T].ravel(), "o", ms=3, color=colour, mfc="none", mew=0.6, label=rule
        )
        x = np.array(ratios) * 1.05 ** (i - 1.5)
        axes[1].errorbar(x, 100 * means[i], 200 * errors[i], fmt="o-", lw=1, color=colour, mfc="white", label=rule)
        ordered = np.sort(z[i, ..., 1].ravel())
        quantiles = stats.norm.ppf((np.arange(ordered.size) + 0.5) / ordered.size)
        axes[2].plot(quantiles, ordered, ".", ms=4, color=colour, label=rule)
    low, high = 0.8 * train[..., T].min(), 1.2 * max(true[..., T].max(), found[..., T].max())
    axes[0].plot([], [], ".", color="0.75", label="training error")
    axes[0].plot([low, high], [low, high], color="k", lw=0.8)
    axes[0].set(xscale="log", yscale="log", xlabel="true generalization error", ylabel="from the training rows")
    axes[0].set(title=f"one point per run, t = {T}", xlim=(0.8 * true[..., T].min(), high), ylim=(low, high))
    for axis, values in ((axes[0].xaxis, true), (axes[0].yaxis, train)):
        marks = [mark for mark in (0.01, 0.03, 0.1, 0.3, 1, 3) if mark > 0.8 * values[..., T].min()]
        axis.set_ticks(marks, [f"{mark:g}" for mark in marks])
    axes[0].minorticks_off()
    axes[0].legend(fontsize=8, loc="lower right")
    axes[1].axhline(0, color="k", lw=0.8)
    axes[1].set(xscale="log", xlabel="aspect ratio m/n", ylabel="estimate over truth - 1, %, ± 2 s.e.")
    axes[1].set(title="bias")
    axes[1].set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    axes[1].minorticks_off()
    axes[1].legend(fontsize=8)
    axes[2].axline((0, 0), slope=1, color="k", lw=0.8)
    axes[2].set(xlabel="standard Gaussian quantile", ylabel="(estimate - truth) / its standard error")
    axes[2].set(title="is the standard error right?")
    axes[2].legend(fontsize=8)
    return Claim(
        "The error under any optimizer from its training rows",
        "Training again with small kicks to the gradients estimates the generalization error of a run by Adam, "
        "RMSProp, sign descent or soft thresholding, without held-out rows and without derivatives, and says how far "
        "off it is.",
        f"n = {n}, m/n = {', '.join(f'{ratio:g}' for ratio in ratios)}, T = {T}, {n_runs} runs of each; in each by "
        "chance: widths (3, 1) or (3, 2, 1), link z + sin(2z)/2, tanh(2z) or max(z, 0), noise 0.3 or 0.6, Gaussian or "
        "Rademacher features",
        found[..., 0].size,
        {name: float(value) for name, value in agreement.items()},
        figure,
    )

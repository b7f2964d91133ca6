"""The effective signal."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from sedyn import Network, Overlaps, SingleIndex, Training, agreement_test, simulate, state_evolution

from .base import BLUE, GREEN, RED, Array, Claim, claim, mean_and_error, measured, stacked


def regression(W: Array, W_start: Array, signal: Array, n_fresh: int, rng) -> Array:
    """Fresh rows times W (n, 2), regressed on what they give with the start and the signal: the entries of P, kappa
    and the upper triangle of the residual covariance, (9,)."""
    X = rng.standard_normal((n_fresh, len(signal)))
    seen, now = X @ np.column_stack([W_start, signal]), X @ W
    beta = np.linalg.lstsq(seen, now, rcond=None)[0]
    residual = now - seen @ beta
    covariance = residual.T @ residual / (n_fresh - 3)
    return np.concatenate([beta[:2].T.ravel(), beta[2], covariance[[0, 0, 1], [0, 1, 1]]])


@claim
def effective_signal(paper: bool = False, rng=0) -> Claim:
    """Trained preactivations of fresh rows, regressed on what they started as and on the truth."""
    n, n_runs, n_fresh, T = (1000, 100, 4000, 40) if paper else (300, 40, 1500, 16)
    accuracy: dict = {"n_paths": 2**15 if paper else 2**14, "n_scrambles": 8}
    rng = np.random.default_rng(rng)
    network, training, phi = Network((2, 1), ("tanh", "identity")), Training(0.3, T), 1.5
    deep = (np.array([[1.0], [-0.7]]),)
    steps = sorted({1, 3, T // 4, T // 2, 3 * T // 4, T})
    overlaps = Overlaps(np.array([[1.0, 0.3], [0.3, 0.8]]), np.array([0.4, -0.1]), 1.0, deep)
    teacher = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.5)
    weights, signal = overlaps.realize(n, rng=rng)
    kernels = state_evolution(network, training, teacher, overlaps, phi, **accuracy, rng=rng).kernels
    line, line_error = (
        np.concatenate([P.reshape(-1, 4), kappa, np.einsum("ttab->tab", noise).reshape(-1, 4)[:, [0, 1, 3]]], axis=1)
        for P, kappa, noise in (
            (kernels.P, kernels.kappa, kernels.fluctuation),
            [kernels.stderr(name) for name in ("P", "kappa", "fluctuation")],
        )
    )
    problem = network, training, teacher, weights, signal
    runs = simulate(*problem, round(phi * n), n_runs, first_weights_at=steps, rng=rng)
    fits = np.array(
        [[regression(W, weights.first, signal, n_fresh, rng) for W in kept] for kept in np.asarray(runs.first_weights)]
    )  # (runs, steps, 9)
    mean, error = mean_and_error(fits)
    gap = mean[-1] - line[T]
    nine = agreement_test(fits[:, -1], line[T], line_error[T])

    blind = SingleIndex(lambda z: (z**3 - 3 * z) / np.sqrt(6), 0.1)
    unaligned = Overlaps(np.eye(2), np.zeros(2), 1.0, deep)
    reuse, no_reuse = (
        state_evolution(network, training, blind, unaligned, ratio, **accuracy, rng=rng).kernels
        for ratio in (phi, np.inf)
    )
    weights, signal = unaligned.realize(n, rng=rng)
    rest = signal - weights.first @ np.linalg.lstsq(weights.first, signal, rcond=None)[0]
    problem = network, training, blind, weights, signal
    runs = simulate(*problem, round(phi * n), 2 * n_runs, first_weights_at=steps, rng=rng)
    kappas = np.asarray(runs.first_weights)[..., 0] @ rest / (rest @ signal)
    kappa, kappa_error = mean_and_error(kappas)

    figure, axes = plt.subplots(1, 4, figsize=(14.5, 3.6))
    groups = {
        "kept of the starts: P": dict(zip(("P[1,1]", "P[1,2]", "P[2,1]", "P[2,2]"), range(4), strict=True)),
        "taken from the truth: kappa": {"neuron 1": 4, "neuron 2": 5},
        "covariance of the noise": {"[1,1]": 6, "[1,2]": 7, "[2,2]": 8},
    }
    for ax, (title, entries) in zip(axes, groups.items(), strict=False):
        for (label, j), colour in zip(entries.items(), (BLUE, RED, GREEN, "#CC79A7"), strict=False):
            ax.plot(line[:, j], color=colour, label=label)
            ax.errorbar(steps, mean[:, j], 2 * error[:, j], fmt="o", color=colour, mfc="white")
        ax.set(title=title, xlabel="step t")
        ax.legend(fontsize=8)
    axes[3].plot(reuse.kappa[:, 0], color=BLUE, label="theory")
    axes[3].plot(no_reuse.kappa[:, 0], ":", color="k", label="no reuse of data")
    axes[3].errorbar(steps, kappa, 2 * kappa_error, fmt="o", color=BLUE, mfc="white", label="simulation")
    axes[3].set(title="kappa, neuron 1, link (z^3 - 3z)/sqrt(6)", xlabel="step t")
    axes[3].legend(fontsize=8)
    agreement: dict[str, float] = {}
    for name, j in {"kappa of neuron 1": 4, "kappa of neuron 2": 5, "noise variance of neuron 1": 6}.items():
        agreement[f"{name} at T, theory"] = line[T, j]
        agreement |= measured(f"{name} at T, regression minus theory", gap[j], np.hypot(error[-1, j], line_error[T, j]))
    agreement |= measured("cubic link, kappa at T, theory", reuse.kappa[T, 0], reuse.stderr("kappa")[T, 0])
    agreement |= measured(
        "cubic link, kappa at T, no reuse of data", no_reuse.kappa[T, 0], no_reuse.stderr("kappa")[T, 0]
    )
    agreement |= measured("cubic link, kappa at T, simulation", kappa[-1], kappa_error[-1])
    return Claim(
        "The effective signal",
        "A trained preactivation of a new x is P (its start) + kappa <x, mu> + noise, with the theory's coefficients "
        "and covariance; reusing data shows the network a link that no population gradient sees.",
        f"widths (2, 1), tanh, n = {n}, m/n = {phi}, step size 0.3, T = {T}, link z + sin(2z)/2, noise 0.5, {n_fresh} "
        "fresh rows a run; right panel: a start without overlap, noise 0.1",
        3 * n_runs,
        agreement,
        figure,
        alt="Four panels of coefficients along training. What each neuron keeps of its own start falls and what it "
        "takes from the other's rises; what is taken from the truth grows in size, the variances of the noise grow. "
        "Points of regressions lie on the theory's lines. In the last, for a cubic link, kappa moves away from 0 only "
        "where data are reused.",
        p_values={
            f"all {nine.n_values} coefficients and covariances at T": nine.p_value,
            "cubic link: kappa": agreement_test(kappas, reuse.kappa[steps, 0], reuse.stderr("kappa")[steps, 0]).p_value,
        },
        data={
            "coefficients": stacked(
                {
                    f"{title}: {label}": {
                        "t": steps,
                        "theory": line[steps, j],
                        "runs": mean[:, j],
                        "runs_stderr": error[:, j],
                    }
                    for title, entries in groups.items()
                    for label, j in entries.items()
                }
                | {
                    "cubic link: kappa, neuron 1": {
                        "t": steps,
                        "theory": reuse.kappa[steps, 0],
                        "runs": kappa,
                        "runs_stderr": kappa_error,
                    }
                },
                "series",
            ),
        },
    )

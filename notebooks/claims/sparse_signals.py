"""What the rows of weights and signal know beyond their overlaps (theory 10)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sedyn import Overlaps, Weights, agreement_test, simulate, state_evolution

from .base import Array, Claim, claim, mean_and_error, measured, stacked
from .rules import DEEP, ERRORS, NETWORKS, RULES, WAVY, training_by

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
    p_values: dict[str, float] = {}
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
            pairs = np.column_stack([getattr(runs, quantity)[:, T] for quantity in ERRORS])
            p = agreement_test(pairs, line[i, j], line_error[i, j]).p_value
            p_values[f"{rule}, share {shares[j]:g}: both errors"] = p
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
        alt="Errors at the last step against the share of nonzero entries of the signal. Gradient descent is flat; "
        "Adam and sign descent rise, soft thresholding falls towards sparse signals, away from the dashed lines of "
        "Gaussian rows with the same overlaps; the points of the runs lie on the theory's lines. Third panel: "
        "z-scores, nearly all between -2 and 2.",
        p_values=p_values,
        data={
            "errors": stacked(
                {
                    f"{rule}: {quantity}": {
                        "share": shares,
                        "theory": line[i, :, k],
                        "theory_stderr": line_error[i, :, k],
                        "runs": mean[i, :, k],
                        "runs_stderr": error[i, :, k],
                        "gaussian_rows": blind[i, k],
                    }
                    for i, rule in enumerate(SPARSE_RULES)
                    for k, quantity in enumerate(ERRORS)
                },
                "series",
            )
        },
    )

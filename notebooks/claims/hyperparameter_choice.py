"""Hyperparameters by the estimated error."""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sedyn import AssumptionWarning, Network, Overlaps, Training, population_error, tune

from .base import GREEN, RED, Claim, claim, measured, stacked
from .problems import ESTIMATION_NETWORKS, random_problem


@claim
def hyperparameter_choice(paper: bool = False, rng=0) -> Claim:
    """The configuration of least estimated error against the truly best one."""
    n, T, n_problems = (400, 40, 20) if paper else (150, 25, 8)
    rng = np.random.default_rng(rng)
    networks = [Network((1, 1), ("tanh", "identity")), *(Network(*setting) for setting in ESTIMATION_NETWORKS.values())]
    trainings, scales = [Training(eta, T) for eta in (0.1, 0.4)], (0.3, 1.0)
    chosen, typical, worst, pairs = [], [], [], []
    for _ in range(n_problems):
        teacher, signal, X, y, *_ = random_problem(n, T, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)
            table = tune(networks, trainings, X, y, scales=scales, rng=rng)
        done = [(c.network, Overlaps.of(c.weights, signal)) for c in table if c.weights is not None]
        true = np.array([population_error(net, teacher, overlaps, n_paths=2**12, rng=rng) for net, overlaps in done])
        excess = true / true.min() - 1
        chosen.append(excess[0])
        typical.append(np.median(excess))
        worst.append(excess.max())
        pairs.append(np.array([[c.error for c in table[: len(done)]], true]))
    again = rng.integers(0, n_problems, (2000, n_problems))
    agreement: dict[str, float] = {}
    for name, values in (("chosen", chosen), ("median", typical), ("worst", worst)):
        error = np.median(np.array(values)[again], axis=1).std()
        agreement |= measured(f"{name} configuration: median excess error over the best", np.median(values), error)
    agreement["chosen configuration: largest excess error over the best"] = float(np.max(chosen))
    agreement["problems where the truly best was chosen"] = float(np.mean(np.array(chosen) == 0))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for k, pair in enumerate(pairs[:6]):
        left.plot(pair[1], pair[0], "o", ms=4, label=f"problem {k + 1}")
    left.axline((1, 1), slope=1, color="k", lw=0.8)
    left.set(xlabel="true generalization error", ylabel="estimated, at the step of its minimum")
    left.set_title("all configurations of six problems")
    left.legend(fontsize=8)
    order = np.argsort(typical)
    for name, values, colour in (("worst", worst, "0.4"), ("median", typical, RED), ("chosen", chosen, GREEN)):
        right.plot(100 * np.array(values)[order], "o", color=colour, label=f"{name} configuration")
    right.set(
        xlabel="problem, sorted by its median configuration",
        ylabel="true error over the best one's, %",
        title="what the choice costs",
    )
    right.set_yscale("symlog", linthresh=1)
    right.set_xticks([])
    right.legend(fontsize=8)
    return Claim(
        "Estimation for hyperparameters",
        "Each configuration is trained once on all rows; the one of least estimated error costs about a "
        "percent over the best one in the median.",
        f"{len(networks) * len(trainings) * len(scales)} configurations: widths (1, 1), (3, 1), (3, 2, 1), step size "
        f"0.1 and 0.4, initial scale 0.3 and 1; {n_problems} random problems as for early stopping, n = {n}, T = {T}",
        n_problems * len(networks) * len(trainings) * len(scales),
        agreement,
        figure,
        alt="Left, estimated against true error of twelve configurations for six problems: points near the diagonal. "
        "Right, what each choice costs, problem by problem: the chosen configuration lies lowest, near zero, the "
        "median one about ten percent above the best, the worst far higher.",
        bars="No bars; right, the axis is linear below 1 %. Standard errors of medians in the table are by bootstrap "
        "over problems.",
        data={
            "configurations": stacked(
                {k + 1: {"true": pair[1], "estimated": pair[0]} for k, pair in enumerate(pairs[:6])}, "problem"
            ),
            "cost": {"chosen": chosen, "median": typical, "worst": worst},
        },
    )

"""Early stopping by the estimated error."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from sedyn import Trajectory, early_stop, gradient_descent, plot, population_errors

from .base import BLUE, GREEN, RED, Array, Claim, claim, mean_and_error, measured
from .problems import RandomProblem, estimated_run, random_problem


def is_u_shaped(error: Array) -> bool:
    """Falls, then rises by more than 5 %."""
    return bool(error.min() < 0.95 * error[0] and error[-1] > 1.05 * error.min())


def held_out_curve(problem: RandomProblem, held: slice) -> Array:
    """Error on the rows `held`, trained on the others, at every step."""
    _, _, X, y, network, training, weights = problem
    kept = np.ones(len(y), bool)
    kept[held] = False
    return np.asarray(
        gradient_descent(network, training, weights, X[kept], y[kept], (X[held], y[held])).generalization_error
    )


def stopping_regrets(problem: RandomProblem, rng) -> tuple[dict[str, float], Trajectory, Array] | None:
    """True error at the step that each rule chooses, over the least one, minus 1; None without a U-shaped curve."""
    teacher, signal, X, y, network, training, weights = problem
    run = estimated_run(network, training, weights, X, y, rng=rng, first_weights_at="all")
    if run.status != "ok":
        return None
    true = population_errors(network, teacher, run, signal, rng=rng)
    if not is_u_shaped(true):
        return None
    edges = np.linspace(0, len(y), 6).astype(int)  # the rows are independent: folds in their order
    folds = np.array([held_out_curve(problem, slice(a, b)) for a, b in zip(edges[:-1], edges[1:], strict=True)])
    steps = {
        "estimated": early_stop(run).step,
        "5-fold cross-validation": int(np.argmin(folds.mean(axis=0))),
        "20 % held out": int(np.argmin(folds[0])),
        "last step": training.n_steps,
    }
    return {name: float(true[t] / true.min() - 1) for name, t in steps.items()}, run, true


@claim
def early_stopping(paper: bool = False, rng=0) -> Claim:
    """The estimated stopping time against those from held-out rows, on random problems."""
    n, T, n_problems = (500, 60, 60) if paper else (250, 30, 20)
    rng = np.random.default_rng(rng)
    results: list[tuple[dict[str, float], Trajectory, Array]] = []
    tried = 0
    while len(results) < n_problems:
        tried += 1
        found = stopping_regrets(random_problem(n, T, rng), rng)
        if found is not None:
            results.append(found)
    regrets = {name: np.array([regret[name] for regret, _, _ in results]) for name in results[0][0]}
    again = rng.integers(0, n_problems, (2000, n_problems))
    agreement: dict[str, float] = {}
    for name, values in regrets.items():
        error = np.median(values[again], axis=1).std()
        agreement |= measured(f"{name}: median regret", np.median(values), error)
        mean, error = mean_and_error(values)
        agreement |= measured(f"{name}: mean regret", float(mean), float(error))
    for name in ("20 % held out", "5-fold cross-validation"):
        mean, error = mean_and_error(regrets[name] - regrets["estimated"])
        agreement |= measured(f"{name}: mean regret minus the estimate's", float(mean), float(error))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    colours = dict(zip(regrets, (GREEN, BLUE, RED, "0.4"), strict=True))
    for name, values in regrets.items():
        share = (np.arange(n_problems) + 0.5) / n_problems
        left.plot(np.sort(np.maximum(values, 1e-4)), share, color=colours[name], label=name, drawstyle="steps-mid")
    left.set(xscale="log", xlabel="regret (below 0.0001 drawn there)", ylabel="share of the problems", ylim=(0, 1))
    left.axvline(0.01, color="k", lw=0.8, ls=":")
    left.set_title("true error at the chosen step / least true error - 1")
    left.legend(loc="upper left")
    _, run, true = results[np.argsort(regrets["20 % held out"])[n_problems // 2]]
    plot.estimated_error(replace(run, generalization_error=None), ax=right).set_title("one of the problems")
    right.plot(true, "--", color=RED, label="true generalization error")
    right.set_ylim(0, 1.3 * true[0])
    right.legend(fontsize=8)
    return Claim(
        "Estimation for early stopping",
        "Stopping at the step of least estimated error costs little over stopping at the best one, and no rows are "
        "held out to find it.",
        f"{n_problems} problems with a U-shaped curve among random ones (link, noise, m/n in 0.8..3, depth, "
        f"width, step size, initial scale), n = {n}, T = {T}; held-out rules retrain on all rows to their step",
        6 * n_problems,  # on all rows and on five folds, of which one serves as the held-out rows
        agreement | {"random problems tried": float(tried)},
        figure,
        alt="Left, the share of problems against the regret, logarithmic: the curve of the estimated error rises "
        "first, then, crossing, cross-validation and held-out rows, far to the right the last step. Right, one "
        "problem: the estimated error follows the U shape of the true one while the training error falls on.",
        bars="Left, the dotted line is a regret of one percent. Right, the band is the estimate's own interval of two "
        "standard errors, cut at the top, and the star the step of least estimated error.",
        data={
            "regrets": {
                "problem": np.arange(1, n_problems + 1),
                **{name.replace(" ", "_"): v for name, v in regrets.items()},
            },
            "one_problem": {
                "t": np.arange(T + 1),
                "train": run.train_error,
                "estimated": run.estimated_error,
                "stderr": run.estimated_stderr,
                "true": true,
            },
        },
    )

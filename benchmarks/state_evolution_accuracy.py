"""Time to accuracy: the fast solver, the tangent recursion, an ensemble of simulated runs

Seconds until the generalization error is known to 0.5 % and to 0.1 %, for the three reference problems. Every method
has both cores and its best settings. The fast solver's seconds are measured: its cheapest setting that is accurate
enough, the error averaged over seeds (a single randomization uses one core only). The other two would take minutes, so
their seconds follow from measured laws: the mean of R randomizations (runs) of size N (n features) has the squared
error spread^2 / R + bias^2, with spread ~ N^(-1/2) and bias ~ 1 / N, and takes R times the measured seconds; the best
size is chosen for each accuracy, and for the ensemble also n = 1000, where the bias may exceed what is asked whatever
the number of runs. The ensemble is charged for drawing its data and training (float32, two processes), not for
evaluating its error.
"""

from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context

import common
import numpy as np
from common import PROBLEMS, markdown, significant, timed
from reference import reference
from tqdm import tqdm

GOALS = (0.005, 0.001)
FAST = list(product([2**k for k in range(10, 16)], (1, 2, 4, 8), (2e-2, 1e-2, 3e-3)))  # paths, scrambles, tolerance
TANGENT = (2**8, 2**9, 2**10, 2**11)  # n_paths
ENSEMBLE = {250: 100, 500: 40, 1000: 10, 2000: 2}  # n: runs in every turn
TURNS, FAST_BUDGET, TANGENT_BUDGET = 16, 1.2, 12.0  # seconds for each setting


@dataclass
class Law:
    """Error and cost of a mean of R independent curves of size N, from measured ones (relative to the reference)."""

    curves: dict  # size: relative deviations (runs, T+1)
    seconds: dict  # size: seconds per run, both cores at work
    exponent: float  # of the seconds beyond the largest size: what the work grows like

    def __post_init__(self):
        sizes = np.array(list(self.curves))
        runs = np.array([len(c) for c in self.curves.values()])
        means = np.array([c.mean(axis=0) for c in self.curves.values()])
        variances = np.array([np.mean(c.var(axis=0, ddof=1)) for c in self.curves.values()])
        self.spread = np.sqrt(np.average(variances * sizes, weights=runs))  # spread = self.spread / sqrt(size)
        weights = runs / variances / sizes
        bias = (weights @ means) / np.sum(weights / sizes)  # least squares for bias_t = bias / size at every t
        noise = 1 / np.sum(weights / sizes)
        self.bias = np.sqrt(max(np.mean(bias**2) - noise, 0))
        self.bias_stderr = np.sqrt(noise)

    def time(self, size):
        """Seconds of one run: interpolated between the measured sizes, the power law beyond them."""
        sizes, seconds = np.array(list(self.seconds.items())).T
        within = np.exp(np.interp(np.log(size), np.log(sizes), np.log(seconds)))
        return within * np.maximum(1, np.asarray(size) / sizes[-1]) ** self.exponent

    def runs(self, size, goal):
        """Runs of this size whose mean is accurate to `goal`; infinity where the bias alone exceeds it."""
        left = goal**2 - (self.bias / size) ** 2
        return np.where(left > 0, np.maximum(1, self.spread**2 / size / np.maximum(left, 1e-300)), np.inf)

    def best(self, goal):
        """Seconds, size and runs of the cheapest way to `goal`."""
        sizes = np.geomspace(min(self.curves), 64 * max(self.curves), 400)
        cost = self.runs(sizes, goal) * self.time(sizes)
        i = int(np.argmin(cost))
        return cost[i], sizes[i], float(np.ceil(self.runs(sizes[i], goal)))


def measure(name, truth, pool):
    """All methods at all their settings, taking turns, until each setting has used up its budget."""
    problem, curves, times = PROBLEMS[name], defaultdict(list), defaultdict(list)
    calls = {s: partial(problem.solve, s[0], n_scrambles=s[1], tolerance=s[2]) for s in FAST}
    calls |= {n: partial(problem.solve, n, n_scrambles=2, solver="tangent") for n in TANGENT}
    runs, run_times = defaultdict(list), defaultdict(list)
    for turn in tqdm(range(TURNS), desc=f"problem {name}"):
        for setting, solve in list(calls.items()):
            budget = FAST_BUDGET if isinstance(setting, tuple) else TANGENT_BUDGET
            if turn >= 2 and sum(times[setting]) > budget:
                continue
            try:
                seconds, theory = timed(solve, rng=turn)
            except ValueError:  # n_paths is too small for this problem
                del calls[setting]
                continue
            times[setting].append(seconds)
            curves[setting].append(theory.generalization_error / truth - 1)
        for n, per_turn in ENSEMBLE.items():
            for seconds, errors in pool.map(partial(_run, name, n), range(turn * per_turn, (turn + 1) * per_turn)):
                run_times[n].append(seconds / 2)  # two run at a time
                runs[n].append(errors / truth - 1)
    median = {setting: np.median(t) for setting, t in times.items()}
    fast = {s: (median[s], np.sqrt(np.mean(np.square(curves[s])))) for s in FAST if s in calls}
    # a curve of the tangent recursion is the mean of two randomizations
    tangent = Law({2 * n: np.array(curves[n]) for n in TANGENT}, {2 * n: median[n] for n in TANGENT}, exponent=1)
    ensemble = Law(
        {n: np.array(c) for n, c in runs.items()}, {n: np.median(t) for n, t in run_times.items()}, exponent=2
    )
    return fast, tangent, ensemble


def _run(name, n, seed):
    return common.simulate(PROBLEMS[name], n, np.random.default_rng([n, seed]))[:2]


def fastest(fast, goal):
    """The cheapest setting of the fast solver that reaches `goal`, as (seconds, setting)."""
    return min(((time, s) for s, (time, error) in fast.items() if error <= goal), default=(np.nan, None))


def groups(law, size):
    """Seconds and error of means over k measured runs of one size, k = 1, 4, 16, .."""
    curves, k = law.curves[size], 1
    while len(curves) >= 2 * k:
        means = curves[: len(curves) // k * k].reshape(-1, k, curves.shape[1]).mean(axis=1)
        yield k * law.seconds[size], np.sqrt(np.mean(means**2))
        k *= 4


def draw(ax, name, fast, tangent, ensemble):
    ax.loglog(*zip(*fast.values(), strict=True), ".", color="C0", alpha=0.35, label="fast solver: every setting")
    front = sorted(v for v in fast.values() if not any(o[0] < v[0] and o[1] < v[1] for o in fast.values()))
    ax.loglog(*zip(*front, strict=True), color="C0", label="fast solver: best settings")
    goals = np.geomspace(6e-4, 0.1, 60)
    for law, colour, label, size in (
        (tangent, "C1", "tangent recursion", 2 * TANGENT[2]),
        (ensemble, "C2", "ensemble of runs", 1000),
    ):
        best = np.array([law.best(goal)[0] for goal in goals])
        inside = best < max(len(c) * law.seconds[s] for s, c in law.curves.items())
        ax.loglog(best[inside], goals[inside], color=colour, label=f"{label}: best size")
        ax.loglog(best[~inside], goals[~inside], color=colour, linestyle="--")
        runs = np.geomspace(1, 1e5, 60)
        at_size = np.sqrt(law.spread**2 / size / runs + (law.bias / size) ** 2)
        ax.loglog(runs * law.time(size), at_size, color=colour, linewidth=0.8, alpha=0.7)
        points = np.array(list(groups(law, size)))
        shown = f"{size // 2} paths" if law is tangent else f"n = {size}"
        ax.loglog(*points.T, "o", color=colour, markerfacecolor="white", label=f"{label}: measured, {shown}")
    for goal in GOALS:
        ax.axhline(goal, color="black", linewidth=1, linestyle=":")
    ticks = (0.1, 0.01, *GOALS)
    ax.set(title=f"Problem {name}", xlabel="seconds on two cores", xlim=(1e-2, 1e4), ylim=(6e-4, 0.1))
    ax.set_yticks(ticks, [f"{tick:.1%}" for tick in ticks])
    ax.minorticks_off()


def table() -> str:
    rows, laws = [], []
    with (
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
        common.figure("state_evolution_accuracy", 1, 3, figsize=(11, 4.6), sharey=True) as (fig, axes),
    ):
        for name, ax in zip("ABC", axes, strict=True):
            truth, _ = reference(name)
            fast, tangent, ensemble = measure(name, truth, pool)
            draw(ax, name, fast, tangent, ensemble)
            for goal in GOALS:
                time, setting = fastest(fast, goal)
                solve, paths, pairs = tangent.best(goal)
                train, n, runs = ensemble.best(goal)
                at_1000 = float(ensemble.runs(1000, goal))
                seconds_1000 = at_1000 * ensemble.time(1000)
                rows.append(
                    [
                        name,
                        f"{goal:.1%}",
                        significant(time),
                        f"{setting[1]} x {setting[0]} paths, {setting[2]:g}" if setting else "not reached",
                        significant(solve),
                        f"{2 * pairs:.0f} x {paths / 2:.0f} paths",
                        f"**{significant(solve / time)}**",
                        f"{np.ceil(at_1000):.0f} runs" if np.isfinite(at_1000) else "no number",
                        significant(seconds_1000),
                        f"**{significant(seconds_1000 / time)}**" if np.isfinite(at_1000) else "**no limit**",
                        f"{runs:.0f} runs, n = {n:.0f}",
                        significant(train),
                        f"**{significant(train / time)}**",
                    ]
                )
            for unit, law, size in (
                (f"tangent recursion, 2 x {TANGENT[-1]} paths", tangent, 2 * TANGENT[-1]),
                ("simulated run, n = 1000", ensemble, 1000),
            ):
                spread, bias = law.spread / size**0.5, f"{law.bias / size:.2%} ± {law.bias_stderr / size:.2%}"
                laws.append([name, unit, f"{spread:.2%}", bias, significant(law.time(size), 3)])
        axes[0].set(ylabel="root mean square relative error")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        fig.suptitle(
            "What accuracy costs: lower left is better. Dashed: measured laws, extrapolated. "
            "Thin: ever more runs of one size, down to its bias"
        )
    header = ["problem", "accuracy", "fast solver, s", "randomizations x paths, tolerance"]
    header += ["tangent, s", "randomizations x paths", "tangent / fast"]
    header += ["ensemble, n = 1000", "s", "ensemble / fast", "ensemble, best n", "s", "ensemble / fast"]
    law_header = ["problem", "one unit", "spread", "bias", "seconds, both cores at work"]
    return markdown(header, rows) + "\n\nThe laws behind the extrapolated columns:\n\n" + markdown(law_header, laws)


def main():
    print(table())


if __name__ == "__main__":
    main()

"""How the fast solver's time grows

Two randomizations, one on each core, tolerance 1e-2. Unless it is the number varied: problem A with T = 50 and 8192
paths; its q neurons have second-layer weights 1, -1, 1, .. / sqrt(q), and further layers of width 3 are random but
fixed. K is the basis size `theory.basis_size`.
"""

from itertools import cycle, islice

import common
import numpy as np
from common import PROBLEMS, TWO_LAYER, markdown, power, relative_error, significant, timed
from reference import reference
from tqdm import tqdm

GOAL = 0.005


def problem(n_steps=50, q=3, n_layers=2):
    widths = (q,) + (3,) * (n_layers - 2) + (1,)
    rng = np.random.default_rng(0)
    deep = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in zip(widths[:-1], widths[1:], strict=True)]
    deep[-1] = np.array(list(islice(cycle((1.0, -1.0)), widths[-2])))[:, None] / np.sqrt(widths[-2])
    return TWO_LAYER(widths, tuple(deep), n_steps=n_steps)


# what is varied: the values, and how it enters
SWEEPS = {
    "steps T": ([25, 50, 100, 200, 400, 800, 1600], lambda v: (problem(n_steps=v), 2**13)),
    "neurons q": ([1, 2, 4, 8, 16], lambda v: (problem(q=v), 2**13)),
    "layers L": ([2, 3, 4, 5, 6], lambda v: (problem(n_layers=v), 2**13)),
    "paths N": ([2**k for k in range(10, 19)], lambda v: (problem(), v)),
}
REPEATS, LONG = 3, 5.0  # what takes longer than LONG seconds is measured once
LONG_RUN = [(2**12, 2), (2**13, 2), (2**13, 4), (2**14, 2), (2**14, 4)]  # n_paths, n_scrambles at T = 1000


def solve(parts, n_paths, rng, n_scrambles=2):
    return timed(parts.solve, n_paths, rng, n_scrambles=n_scrambles, tolerance=1e-2)


def sweep():
    """Seconds (fastest of the repeats, which take turns) and K at every value of every sweep."""
    points = [(name, v) for name, (values, _) in SWEEPS.items() for v in values]
    times, size = {p: [] for p in points}, {}
    for repeat in range(REPEATS):
        for p in tqdm(points, desc=f"growth, round {repeat + 1} of {REPEATS}"):
            if repeat and times[p][0] > LONG:
                continue
            seconds, theory = solve(*SWEEPS[p[0]][1](p[1]), rng=repeat)
            times[p].append(seconds)
            size[p] = theory.basis_size
    return {p: min(t) for p, t in times.items()}, size


def long_run():
    """The T = 1000 point: rows of setting, seconds, accuracy, K."""
    truth, _ = reference("A, T = 1000")
    rows = []
    for n_paths, n_scrambles in tqdm(LONG_RUN, desc="T = 1000"):
        runs = [solve(PROBLEMS["A, T = 1000"], n_paths, seed, n_scrambles) for seed in range(2)]
        seconds = min(s for s, _ in runs)
        error = np.sqrt(np.mean([relative_error(theory.generalization_error, truth) ** 2 for _, theory in runs]))
        rows.append([f"{n_scrambles} x {n_paths}", significant(seconds, 3), f"{error:.2%}", runs[0][1].basis_size])
    return rows


def table() -> str:
    seconds, size = sweep()
    tables = []
    with common.figure("growth", 1, 4, figsize=(11, 3.4), sharey=True) as (fig, axes):
        for (name, (values, _)), ax in zip(SWEEPS.items(), axes, strict=True):
            times = [seconds[name, v] for v in values]
            sizes = [size[name, v] for v in values]
            last_three, last_two = power(values[-3:], times[-3:]), power(values[-2:], times[-2:])
            rows = [["seconds", *(significant(t, 3) for t in times)], ["K", *sizes]]
            tables.append(
                f"Seconds ~ {name[-1]}^{last_three:.2f} over the last three points, {name[-1]}^{last_two:.2f} over the "
                "last two:\n\n" + markdown([name, *values], rows)
            )
            ax.loglog(values, times, "o-")
            ax.loglog(values[-3:], times[-1] * (np.array(values[-3:]) / values[-1]) ** last_three, "k:")
            ax.set(xlabel=name, title=f"~ {name[-1]}$^{{{last_three:.2f}}}$ at the end")
            ticks = values[:: 1 + len(values) // 6]
            ax.set_xticks(ticks, [f"{v}" for v in ticks])
            ax.minorticks_off()
        axes[0].set(ylabel="seconds")
        fig.suptitle("Time of the fast solver: fitted to the last three points (dotted)")
    accuracy = markdown(["randomizations x paths", "seconds", "error", "K"], long_run())
    long = f"Problem A at T = 1000, tolerance 1e-2 (wanted: {GOAL:.1%} in under 15 s):\n\n{accuracy}"
    return "\n\n".join([*tables, long])


def main():
    print(table())


if __name__ == "__main__":
    main()

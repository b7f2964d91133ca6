"""The reference that accuracy is measured against, and how far it can be trusted

Accuracy in all tables is the root mean square over the steps t = 0..T of the relative error of the generalization
error. The reference curves, in `reference.npz`, are means over many independent randomizations of the fast solver with
many paths, in double precision. `python benchmarks/reference.py --remake` makes them again (half an hour); without the
flag an unfinished file is completed. The difference columns are the same root mean square, in brackets what chance
alone explains.
"""

import argparse

import numpy as np
from common import HERE, PROBLEMS, markdown, relative_error
from tqdm import tqdm

FILE = HERE / "reference.npz"

# problem: solver, n_paths, tolerance, and how many pairs of randomizations. The first line of each is the reference.
SETTINGS = [
    ("A", "projection", 2**16, 1e-3, 16),
    ("B", "projection", 2**16, 1e-3, 16),
    ("C", "projection", 2**16, 1e-3, 8),
    ("two neurons", "projection", 2**15, 1e-3, 8),
    ("committee", "projection", 2**16, 1e-3, 8),
    ("A", "projection", 2**14, 1e-3, 16),
    ("B", "projection", 2**14, 1e-3, 16),
    ("C", "projection", 2**14, 1e-3, 8),
    ("A", "tangent", 2**11, 1e-3, 24),
    ("B", "tangent", 2**11, 1e-3, 16),
    ("C", "tangent", 2**11, 1e-3, 5),
    ("A, T = 1000", "projection", 2**15, 3e-3, 8),
    ("A, T = 1000", "projection", 2**14, 1e-2, 8),
]


def key(name, solver, n_paths, tolerance, _):
    return f"{name}: {solver}, {n_paths} paths, tolerance {tolerance:g}"


def load():
    if not FILE.exists():
        return {}
    with np.load(FILE) as stored:
        return dict(stored)


def reference(name):
    """Generalization error of a problem at t = 0..T, and its standard error."""
    setting = next(s for s in SETTINGS if s[0] == name)
    return mean_and_stderr(load()[key(*setting)])


def mean_and_stderr(curves):
    return curves.mean(axis=0), curves.std(axis=0, ddof=1) / np.sqrt(len(curves))


def make(remake=False):
    """Solve what is missing, pair by pair, so that an interrupted run goes on where it was."""
    stored = {} if remake else load()
    todo = [(s, seed) for s in SETTINGS for seed in range(len(stored.get(key(*s), ())), s[-1])]
    for setting, seed in tqdm(todo):
        name, solver, n_paths, tolerance, _ = setting
        precision = {"tolerance": tolerance, "dtype": np.float64} if solver == "projection" else {}
        theory = PROBLEMS[name].solve(n_paths, 1000 + seed, n_scrambles=2, solver=solver, **precision)
        assert theory.status == "ok", theory.message
        curve = theory.generalization_error[None]
        stored[key(*setting)] = np.concatenate([stored.get(key(*setting), curve[:0]), curve])
        np.savez_compressed(FILE, **stored)


# theory 7, at t = 0, T // 8, 2 (T // 8), ..
PUBLISHED = {
    "A": [2.2742, 1.0932, 0.8513, 0.7402, 0.6779, 0.6395, 0.6146, 0.5978, 0.5864],
    "B": [1.4117, 0.4983, 0.3848, 0.3304, 0.2997, 0.2808, 0.2685, 0.2600, 0.2541],
    "C": [1.9948, 1.1951, 1.2194, 1.2751, 1.3285, 1.3747, 1.4138, 1.4471, 1.4755],
}
PUBLISHED_STDERR = {"A": 0.0005, "B": 0.0003, "C": 0.0004}


def table() -> str:
    stored, rows = load(), []

    def difference(curve, stderr, mean, own_stderr):
        chance = np.sqrt(np.mean((stderr**2 + own_stderr**2) / mean**2))
        return f"{relative_error(curve, mean):.2%} ({chance:.2%})"

    for name, problem in PROBLEMS.items():
        first, *others = [s for s in SETTINGS if s[0] == name]
        mean, stderr = reference(name)
        compared = {"projection": "-", "tangent": "-"}
        for setting in others:
            curve, error = mean_and_stderr(stored[key(*setting)])
            compared[setting[1]] = f"{setting[2]} paths: " + difference(curve, error, mean, stderr)
        published = "-"
        if name in PUBLISHED:
            at = np.arange(9) * (problem.n_steps // 8)
            published = difference(PUBLISHED[name], PUBLISHED_STDERR[name], mean[at], stderr[at])
        rows.append(
            [
                name,
                f"{2 * len(stored[key(*first)])} x {first[2]} paths, tolerance {first[3]:g}",
                f"{np.sqrt(np.mean((stderr / mean) ** 2)):.3%}",
                compared["projection"],
                compared["tangent"],
                published,
            ]
        )
    header = ["problem", "reference", "standard error", "fast solver, fewer paths", "tangent recursion", "theory 7"]
    return markdown(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remake", action="store_true", help="forget what is stored and solve everything again")
    make(parser.parse_args().remake)
    print(table())


if __name__ == "__main__":
    main()

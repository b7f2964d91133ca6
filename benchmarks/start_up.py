"""Start-up, and an interactive solve

Every time in the first two tables comes from fresh processes. The interactive problem has two layers, q = 2, T = 40;
its setting is the cheapest of a few whose error, averaged over seeds, is below 1 %.
"""

import os
import subprocess
import sys

import numpy as np
from common import PROBLEMS, markdown, relative_error, timed
from reference import reference
from tqdm import tqdm

IMPORTS = ["numpy", "numpy, scipy", "numpy, scipy.special", "sedyn", "sedyn.show.plot"]
SETTINGS = [(n_paths, n_scrambles) for n_paths in (2**9, 2**10, 2**11, 2**12) for n_scrambles in (1, 2, 4)]
PROCESSES, CALLS = 7, 20
GOAL = 0.01


def in_fresh_process(code: str) -> list[float]:
    """The numbers that `code` prints."""
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
    )
    return [float(line) for line in done.stdout.split()]


def importing(modules: str) -> float:
    (time,) = in_fresh_process(
        f"import time; start = time.perf_counter(); import {modules}; print(time.perf_counter() - start)"
    )
    return time


def slowest_imports(count=6):
    """What `python -X importtime` charges to single modules, the heaviest first."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", "import sedyn"], capture_output=True, text=True)
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")][1:]
    own = sorted(((int(us.split(":")[1]), name.strip()) for us, _, name in lines), reverse=True)
    return ", ".join(f"{name} {us / 1e3:.0f} ms" for us, name in own[:count])


def solve(setting, seed):
    return PROBLEMS["two neurons"].solve(setting[0], seed, n_scrambles=setting[1], tolerance=1e-2)


def accurate_settings():
    truth, _ = reference("two neurons")
    rows = []
    for setting in SETTINGS:
        times, runs = zip(*(timed(solve, setting, seed) for seed in range(CALLS)), strict=True)
        errors = [relative_error(theory.generalization_error, truth) for theory in runs]
        rows.append((np.sqrt(np.mean(np.square(errors))), np.median(times), setting))
    return rows


def table() -> str:
    times = {modules: [] for modules in IMPORTS}
    for _ in tqdm(range(PROCESSES), desc="imports"):
        for modules, measured in times.items():
            measured.append(importing(modules))
    best = {modules: min(measured) for modules, measured in times.items()}
    rows = [[f"`import {m}`", f"{best[m]:.3f}", f"{np.median(t):.3f}"] for m, t in times.items()]
    beyond = best["sedyn"] - best["numpy, scipy.special"]
    total = best["sedyn"] - best["numpy, scipy"]

    measured = accurate_settings()
    accurate = [row for row in measured if row[0] <= GOAL] or [min(measured)]
    error, _, setting = min(accurate, key=lambda row: row[1])
    code = f"""if True:
        from common import timed
        from start_up import solve
        print(*(timed(solve, {setting}, seed)[0] for seed in range(9)))
    """
    calls = np.array([in_fresh_process(code) for _ in tqdm(range(PROCESSES), desc="first solves")])
    solves = [
        ["the very first call", f"{calls[:, 0].min():.3f}", f"{np.median(calls[:, 0]):.3f}"],
        ["the second call", f"{calls[:, 1].min():.3f}", f"{np.median(calls[:, 1]):.3f}"],
        ["later calls", f"{calls[:, 2:].min():.3f}", f"{np.median(calls[:, 2:]):.3f}"],
    ]
    return "\n\n".join(
        [
            markdown(["fresh process", "best, s", "median, s"], rows),
            f"`import sedyn` takes {total:.3f} s more than numpy and scipy, {beyond:.3f} s more than numpy and the one "
            f"part of scipy it imports, scipy.special (wanted: under 0.3 s). The heaviest single modules under "
            f"`python -X importtime`, which slows all of them down: {slowest_imports()}.",
            markdown([f"solve, {setting[1]} x {setting[0]} paths, error {error:.2%}", "best, s", "median, s"], solves),
        ]
    )


def main():
    print(table())


if __name__ == "__main__":
    main()

"""Run every benchmark, each in a process of its own, and write benchmarks/README.md."""

import importlib
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from common import HERE, machine

SCRIPTS = [
    "state_evolution_accuracy",
    "growth",
    "peer",
    "gradient_descent",
    "beyond_memory",
    "estimator_cost",
    "start_up",
    "reference",
]

HEAD = """# Benchmarks

Written by `make bench`; do not edit. Machine: {machine}. {minutes:.0f} minutes in all.

How to read it: every comparison was measured in one run on one machine, its sides taking turns, so **the ratios carry
over to other machines, the seconds do not**. "Two cores" means that the solver's randomizations (or the simulated runs)
use both, with one BLAS thread each. Nothing here is asserted by a test.

How to reproduce it: `make bench` runs all of it on an otherwise idle machine. One script alone, from the root of the
repository: `OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/growth.py` prints its table and writes its figure.
"""


def section(name: str) -> str:
    """A script's docstring, its table, and its figure when it has one."""
    script = importlib.import_module(name)
    title, _, text = script.__doc__.strip().partition("\n")
    title = title.rstrip(".")
    start = time.perf_counter()
    table = script.table()
    parts = [f"## {title}", text.strip(), table]
    if (HERE / f"{name}.png").exists():
        parts.append(f"![{title}]({name}.png)")
    parts.append(f"`benchmarks/{name}.py`, {time.perf_counter() - start:.0f} s")
    return "\n\n".join(part for part in parts if part)


def main():
    start, sections = time.perf_counter(), []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in SCRIPTS:
            if (HERE / f"{name}.py").exists():
                sections.append(pool.submit(section, name).result())
    head = HEAD.format(machine=machine(), minutes=(time.perf_counter() - start) / 60)
    (HERE / "README.md").write_text("\n\n".join([head.strip(), *sections]) + "\n")


if __name__ == "__main__":
    main()

"""Run the benchmarks, each in a process of its own, and write benchmarks/README.md.

`python benchmarks` runs them all; `python benchmarks growth peer` runs these two and keeps the other sections.
"""

import ast
import re
import subprocess
import sys
import time

from common import HERE, machine

SCRIPTS = [
    "state_evolution_accuracy",
    "growth",
    "peer",
    "gradient_descent",
    "beyond_memory",
    "estimator_cost",
    "promises",
    "sweep",
    "start_up",
    "threads",
    "reference",
]

HEAD = """# Benchmarks

Written by `make bench`; do not edit. Machine: {machine}. {minutes:.0f} minutes in all, by section below.

How to read it: every comparison was measured in one run on one machine, its sides taking turns, so **the ratios carry
over to other machines, the seconds do not**. "Two cores" means that the solver's randomizations (or the simulated runs)
use both, with one BLAS thread each. Nothing here is asserted by a test.

How to reproduce it: `make bench` runs all of it on an otherwise idle machine. One script alone, from the root of the
repository: `.venv/bin/python benchmarks/growth.py` prints its table and writes its figure.
"""


def section(name: str) -> str:
    """A script's docstring, the table it prints, and its figure when it has one."""
    script = HERE / f"{name}.py"
    title, _, text = (ast.get_docstring(ast.parse(script.read_text())) or name).partition("\n")
    print(f"== {script.name}", flush=True)
    start = time.perf_counter()
    table = subprocess.run([sys.executable, script], check=True, stdout=subprocess.PIPE, text=True).stdout
    parts = [f"## {title}", text.strip(), table.strip()]
    if script.with_suffix(".png").exists():
        parts.append(f"![{title}]({name}.png)")
    parts.append(f"`benchmarks/{name}.py`, {time.perf_counter() - start:.0f} s")
    return "\n\n".join(part for part in parts if part)


def main():
    page = HERE / "README.md"
    names = sys.argv[1:] or SCRIPTS
    if unknown := set(names) - set(SCRIPTS):
        raise SystemExit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    kept = {} if len(names) == len(SCRIPTS) else sections_of(page.read_text())
    parts = [section(name) if name in names else kept[name] for name in SCRIPTS]
    seconds = sum(int(re.search(r"\.py`, (\d+) s$", part)[1]) for part in parts)
    head = HEAD.format(machine=machine(), minutes=seconds / 60)
    page.write_text("\n\n".join([head.strip(), *parts]) + "\n")


def sections_of(page: str) -> dict[str, str]:
    """The sections of a page by their script's name."""
    parts = [part.strip() for part in re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]]
    return {re.search(r"`benchmarks/(\w+)\.py`, \d+ s$", part)[1]: part for part in parts}


if __name__ == "__main__":
    main()

"""Figures of all claims, their data, and the gallery page.

In one folder: of each claim a figure (PNG and SVG) and what it shows (CSV); ``claims.json`` with the numbers and
p-values of all seeds, and with what they were made; ``p_values.png`` and ``.svg``; and the page, ``README.md``, which
is written from ``claims.json`` alone.
"""

from __future__ import annotations

import csv
import inspect
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import Executor, as_completed
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy
from matplotlib.figure import Figure
from scipy import stats

import sedyn
from sedyn import plot

from .base import BLUE, CLAIMS, Claim

PAPER = {  # worded as in the abstract of arXiv:2505.04898v2
    "gaussian_fluctuations": "fluctuations in first-layer weights",
    "deep_concentration": "deterministic concentration of deeper weights",
    "non_gaussian_features": "validity for non-Gaussian features",
    "finite_width_agreement": "finite width",
    "individual_initialization": "individual initialization beyond lazy training",
    "generalization_gap": "a generalization gap beyond uniform convergence",
    "consistent_estimation": "consistent estimation of the generalization error by augmented gradient descent",
    "early_stopping": "for early stopping",
    "hyperparameter_choice": "and hyperparameters",
}
SEEDS = (0, 1, 2)
SHORT = 120  # seconds: a claim that takes longer is made of one seed
REPOSITORY = "https://github.com/sedyn/sedyn/blob/main/notebooks/claims"


def write(
    folder, names: Iterable[str] | None = None, paper: bool = True, rng=0, executor: Executor | None = None
) -> Path:
    """Make the figures, tables and numbers of the named claims, by default all, and the gallery page ``README.md``.

    Parameters
    ----------
    folder : path
    names : iterable of str, optional
        Keys of `CLAIMS`; the page keeps what it says of other claims.
    paper : bool
        Paper size (minutes) or light (seconds).
    rng : int
        The seed of every figure. A claim that takes less than two minutes is made of two more seeds.
    executor : concurrent.futures.Executor, optional
        Where to make them; by default one process per core, or here when there is one figure only.

    Returns
    -------
    Path
        The gallery page.
    """
    chosen = list(CLAIMS) if names is None else list(names)
    unknown = [name for name in chosen if name not in CLAIMS]
    if unknown:
        raise ValueError(f"unknown claims {unknown}; use some of {list(CLAIMS)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    records = load(folder)
    with ExitStack() as stack:
        if executor is None and len(chosen) > 1:
            from concurrent.futures import ProcessPoolExecutor  # here: a web browser has no processes
            from multiprocessing import get_context

            # spawned, not forked: a process with BLAS threads may hang in its copy
            pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))
            executor = stack.enter_context(pool)
        # the longest stand last: begin with them, so that all cores end together
        jobs = [(name, folder, paper, rng) for name in reversed(chosen)]
        futures = [executor.submit(_make, *job) for job in jobs] if executor else []
        made = (f.result() for f in as_completed(futures)) if executor else (_make(*job) for job in jobs)
        for i, (name, record) in enumerate(made):
            records[name] = record
            print(f"[{i + 1}/{len(chosen)}] {name}: {sum(record['seconds']):.0f} s", flush=True)
            text = json.dumps({name: records[name] for name in CLAIMS if name in records}, indent=1)
            (folder / "claims.json").write_text(text + "\n", encoding="utf-8")
    return write_page(folder)


def load(folder) -> dict[str, dict]:
    """The records of all claims in this folder."""
    path = Path(folder) / "claims.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _make(name: str, folder: Path, paper: bool, rng) -> tuple[str, dict]:
    """Make and save one figure and its table; its name and record."""
    plt.switch_backend("Agg")
    record: dict = {}
    for seed in [rng, *(seed for seed in SEEDS if seed != rng)]:
        began = time.perf_counter()
        made = CLAIMS[name](paper=paper, rng=seed)
        seconds = time.perf_counter() - began
        if not record:
            record = _record(made) | {"made": machine(), "seeds": [], "seconds": [], "agreement": {}, "p_values": {}}
            plot.save(made.figure, folder / name)
            write_csv(folder / f"{name}.csv", made.data)
        plt.close(made.figure)
        record["seeds"].append(seed)
        record["seconds"].append(round(seconds, 1))
        for field in ("agreement", "p_values"):
            for key, value in getattr(made, field).items():
                record[field].setdefault(key, {})[str(seed)] = float(f"{value:.6g}")
        if seconds > SHORT:
            break
    return name, record


def _record(made: Claim) -> dict:
    return {field: getattr(made, field) for field in ("title", "statement", "parameters", "n_runs", "alt", "bars")}


def machine() -> dict[str, str]:
    """With what, from which commit, on what and when."""
    here = Path(__file__).parent
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    processor = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists() and (found := re.search(r"model name\s*: (.*)", info.read_text())):
        processor = found.group(1)
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "sedyn": sedyn.__version__,
        "commit": asked.stdout.strip() or "unknown",
        "processor": processor,
        "cores": str(os.cpu_count()),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def write_csv(path: Path, tables: dict[str, dict]) -> None:
    """All tables of a claim in one tidy file: one row for each point, its table in the first column; 6 digits."""

    def text(value):
        return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)

    columns = list(dict.fromkeys(column for table in tables.values() for column in table))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["table", *columns])
        for name, table in tables.items():
            for row in zip(*table.values(), strict=True):
                given = dict(zip(table, map(text, row), strict=True))
                writer.writerow([name, *(given.get(column, "") for column in columns)])


# ---- the page


def write_page(folder) -> Path:
    """The page ``README.md`` and the figure of all p-values, from what stands in the folder."""
    folder = Path(folder)
    records = load(folder)
    order = [name for name in (*PAPER, *CLAIMS) if name in records]
    order = list(dict.fromkeys(order))
    parts = [_head(records)]
    for title, names in (
        ("The claims of the paper", [name for name in order if name in PAPER]),
        ("More of the theory, and extensions", [name for name in order if name not in PAPER]),
    ):
        if names:
            parts += [f"## {title}", *(_section(name, records[name]) for name in names)]
    p_values = {name: records[name]["p_values"] for name in order if records[name]["p_values"]}
    if p_values:
        parts.append(_p_values(folder, records, p_values))
    page = folder / "README.md"
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return page


def _made(made: dict[str, str]) -> str:
    versions = ", ".join(f"{name} {made[name]}" for name in ("python", "numpy", "scipy", "sedyn"))
    return f"{made['date']}: {versions}; commit {made['commit']}; {made['processor']}, {made['cores']} cores"


def _head(records: dict[str, dict]) -> str:
    stamps = list(dict.fromkeys(_made(record["made"]) for record in records.values()))
    worded = "; ".join(PAPER.values())
    text = (
        "# Figures, one per claim\n\nEach is made by one function in `notebooks/claims/`; `make figures` makes this "
        "page. First the claims of the paper, worded as in its abstract ([arXiv:2505.04898v2]"
        f"(https://arxiv.org/abs/2505.04898v2)): {worded}. Then more of the theory and extensions, and [all "
        f"p-values](#all-p-values).\n\n"
        "A number behind ± is a standard error. A p-value is the probability of a disagreement this large or larger if "
        "theory and runs agree (`sedyn.agreement_test`; Kolmogorov and Smirnov's test for laws; normal, chi-square "
        "and F tests for slopes, limits and many starts). Of several seeds, the "
        "figure and the CSV are those of the first.\n"
    )
    if stamps:
        text += "\nMade with:\n\n" + "\n".join(f"- {stamp}" for stamp in stamps)
    return text


def code_lines(name: str) -> tuple[str, int, int]:
    """File, first and last line of the function of a claim."""
    function = inspect.unwrap(CLAIMS[name])
    lines, first = inspect.getsourcelines(function)
    return Path(inspect.getsourcefile(function) or "").name, first, first + len(lines) - 1


def _number(value: float) -> str:
    return f"{value:.3g}"


def _table(record: dict, field: str, heading: str) -> str:
    """Rows of numbers, a column for each seed."""
    values = record[field]
    seeds = [str(seed) for seed in record["seeds"]]
    rows = []
    for name, found in values.items():
        if name.endswith(", s.e."):
            continue
        errors = values.get(f"{name}, s.e.", {})
        cells = [
            _number(found[seed]) + (f" ± {errors[seed]:.2g}" if seed in errors else "") if seed in found else ""
            for seed in seeds
        ]
        rows.append(f"| {name.replace('|', chr(92) + '|')} | {' | '.join(cells)} |")
    head = [f"seed {seed}" for seed in seeds]
    return "\n".join([f"| {heading} | {' | '.join(head)} |", "|---|" + "---:|" * len(seeds), *rows])


def _section(name: str, record: dict) -> str:
    file, first, last = code_lines(name)
    seeds = record["seeds"]
    facts = [
        f"[`{file}`, lines {first} to {last}]({REPOSITORY}/{file}#L{first}-L{last})",
        f"[data of the figure (CSV)]({name}.csv)",
        f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}",
        f"run time {' + '.join(f'{s:.0f}' for s in record['seconds'])} s by the clock",
    ]
    runs = f"{record['n_runs']} runs" + (" of each seed" if len(seeds) > 1 else "")
    parts = [
        f"### {record['title']}",
        record["statement"],
        f"![{record['alt']}]({name}.png)",
        f"*{record['bars']}*",
        f"`claims.{name}`: {record['parameters']}; {runs}.",
        "; ".join(facts) + ".",
        _table(record, "agreement", "measured"),
    ]
    if record["p_values"]:
        few = min(min(found.values()) for found in record["p_values"].values())
        count = sum(map(len, record["p_values"].values()))
        parts.append(f"p-values: {count}, the least {_number(few)}; they stand [below](#all-p-values).")
    return "\n\n".join(parts)


def _p_values(folder: Path, records: dict[str, dict], p_values: dict[str, dict]) -> str:
    every = np.array([p for tests in p_values.values() for found in tests.values() for p in found.values()])
    figure = p_value_figure(every)
    plot.save(figure, folder / "p_values")
    plt.close(figure)
    test, small = (stats.kstest(every, "uniform", alternative=side) for side in ("two-sided", "greater"))
    least = int(np.sum(every < 0.01))
    claims = f"{len(p_values)} claim{'s' if len(p_values) > 1 else ''}"
    text = (
        f"## All p-values\n\n{len(every)} p-values of {claims}. If theory and runs agree, each is "
        "uniform between 0 and 1, and leans to 1 where the theory's own standard error is not small beside that of the "
        "runs in every combination of the values compared (`sedyn.agreement_test`). Those of one claim and seed may "
        "depend on each other: they share runs, a start "
        "or a theory, so that several near 0 or near 1 may be one chance event; claims and seeds are as good as "
        "independent. A few small ones are due by chance: "
        f"{least} {'is' if least == 1 else 'are'} below 0.01, where {0.01 * len(every):.1f} are expected, the least is "
        f"{_number(every.min())}.\n\n![The share of p-values below p against p, a staircase, the diagonal of a uniform "
        "law, and the grey band of 95 % of independent samples; the staircase runs below the diagonal, inside the band "
        f"but for its edge.](p_values.png)\n\n**Kolmogorov-Smirnov distance to the uniform law: "
        f"{test.statistic:.3f}, p = {_number(test.pvalue)}; of the excess of small p-values alone: "
        f"{small.statistic:.3f}, p = {_number(small.pvalue)}**, as if all were independent, which they are not. "
        "Below the diagonal p-values lean to 1; above it theory and runs would disagree. "
        "Claims without a test of agreement (choices, coverages, powers) have none: a bias that their tables show is "
        "not counted here."
    )
    tables = [
        f"### p-values of: {records[name]['title']}\n\n{_table(records[name], 'p_values', 'p-value')}"
        for name in p_values
    ]
    return "\n\n".join([text, *tables])


@plt.style.context(plot.STYLE)
def p_value_figure(p_values) -> Figure:
    """Share of p-values below p against p, beside that of a uniform law and the band of 95 % of such samples."""
    p = np.sort(np.asarray(p_values, float))
    figure, ax = plt.subplots(figsize=(4.6, 4.2))
    grid = np.linspace(0, 1, 101)
    width = stats.kstwo.ppf(0.95, len(p))
    ax.fill_between(grid, grid - width, grid + width, color="0.92", lw=0, label="95 % of independent samples")
    ax.plot([0, 1], [0, 1], color="k", lw=1, label="uniform")
    ax.step([0, *p, 1], [0, *np.arange(1, len(p) + 1) / len(p), 1], where="post", color=BLUE, label="all p-values")
    ax.set(xlabel="p", ylabel="share of p-values below p", xlim=(0, 1), ylim=(0, 1))
    ax.legend(loc="upper left")
    return figure

"""The command line: ``python -m sedyn run``, ``estimate data.csv --target COLUMN`` and ``doctor``."""

from __future__ import annotations

import argparse
import sys

from ..common import counted
from .estimate import estimate
from .job import run


def doctor(args: argparse.Namespace) -> int:
    from .doctor import examine

    found = {"ok": 0, "note": 0, "problem": 0}
    for finding in examine():
        found[finding.level] += 1
        print(f"{finding.level:7s}  {finding.text}", flush=True)
        if finding.remedy:
            print(f"         -> {finding.remedy}", flush=True)
    print(f"\n{counted(found['problem'], 'problem')}, {counted(found['note'], 'note')}, {found['ok']} ok")
    return int(found["problem"] > 0)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m sedyn", description="Gradient descent and its precise theory, compared."
    )
    commands = top.add_subparsers(required=True, metavar="command")

    job = commands.add_parser("run", help="theory against simulation, and the estimated error on real digits")
    job.add_argument(
        "--output",
        default="figures/main.png",
        help="picture: PNG and SVG, or one file in another format, such as .pdf or .jpg (default: %(default)s)",
    )
    job.add_argument(
        "--n-features", type=int, default=1000, help="features of the simulated data (default: %(default)s)"
    )
    job.add_argument("--n-runs", type=int, default=20, help="simulated data sets (default: %(default)s)")
    job.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    job.set_defaults(command=run)

    job = commands.add_parser("estimate", help="estimated generalization error and best stopping time for a CSV file")
    job.add_argument("csv", help="comma-separated file with a header line; all columns numeric")
    job.add_argument("--target", required=True, help="the column to predict; all others are features")
    job.add_argument("--groups", help="the column that says which rows belong together (a subject, a site), any labels")
    job.add_argument("--step-size", type=float, default=0.1, help="default: %(default)s")
    job.add_argument("--n-steps", type=int, default=40, help="default: %(default)s")
    job.add_argument("--width", type=int, default=3, help="neurons of the first layer (default: %(default)s)")
    job.add_argument("--seed", type=int, default=0, help="of the initial weights (default: %(default)s)")
    job.add_argument("--output", help="picture, PNG and SVG (default: the file's name with _estimate)")
    job.set_defaults(command=estimate)

    job = commands.add_parser("doctor", help="is this machine ready, and is the mathematics right on it?")
    job.set_defaults(command=doctor)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 from `doctor` when there is a problem, or 2 after one line on
    standard error saying what is wrong."""
    args = parser().parse_args(argv)
    try:
        return args.command(args) or 0
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"sedyn: {error}", file=sys.stderr)
        return 2

"""The command line: ``python -m sedyn run``, ``estimate data.csv --target COLUMN`` and ``doctor``."""

from __future__ import annotations

import argparse
import sys

from ..common import __version__, counted
from .estimate import estimate, predict
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


def _step_size(text: str) -> str | float:
    if text == "auto":
        return text
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be auto or a positive number; got {text}")
    return value


def _width(text: str) -> str | int:
    return text if text == "auto" else int(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m sedyn", description="Gradient descent and its precise theory, compared."
    )
    top.add_argument("--version", action="version", version=f"sedyn {__version__}")
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

    job = commands.add_parser("estimate", help="fit a network to a table, and say how well it will predict new rows")
    job.add_argument("csv", help="text file of columns with a header line, compressed or not; - for standard input")
    job.add_argument("--target", required=True, help="the column to predict; all others are features")
    job.add_argument("--groups", help="the column that says which rows belong together (a subject, a site), any labels")
    job.add_argument(
        "--task",
        choices=("auto", "numbers", "classes"),
        default="auto",
        help="what the target holds; auto: classes where it holds texts or two values (default: %(default)s)",
    )
    job.add_argument(
        "--width",
        type=_width,
        default=5,
        help="neurons of the hidden layer, or auto: try several (default: %(default)s)",
    )
    job.add_argument("--solver", choices=("descent", "adam"), default="descent", help="default: %(default)s")
    job.add_argument("--step-size", type=_step_size, default="auto", help="default: %(default)s, from the curvature")
    job.add_argument("--max-steps", type=int, default=1000, help="training may end before (default: %(default)s)")
    job.add_argument("--seed", type=int, default=0, help="of the initial weights (default: %(default)s)")
    job.add_argument("--save", metavar="MODEL", help="keep the fitted model in this file, for `predict`")
    job.add_argument(
        "--output", help="picture, PNG and SVG, or one file in another format (default: NAME_estimate.png)"
    )
    job.set_defaults(command=estimate)

    job = commands.add_parser(
        "predict", help="predict the rows of another table with a model that `estimate` has saved"
    )
    job.add_argument("model", help="a file written by `estimate --save`")
    job.add_argument("csv", help="text file with the same columns, by name; - for standard input")
    job.add_argument(
        "--level",
        type=float,
        default=0.9,
        help="probability that an interval, or the possible classes, hold the truth (default: %(default)s)",
    )
    job.add_argument("--output", help="CSV file (default: standard output)")
    job.set_defaults(command=predict)

    job = commands.add_parser("doctor", help="is this machine ready, and is the mathematics right on it?")
    job.set_defaults(command=doctor)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 from `doctor` when there is a problem, or 2 after one line on
    standard error saying what is wrong."""
    args = parser().parse_args(argv)
    try:
        return args.command(args) or 0
    except BrokenPipeError:  # whoever reads has read enough
        sys.stdout = None  # or its end would complain once more
        return 0
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"sedyn: {error}", file=sys.stderr)
        return 2

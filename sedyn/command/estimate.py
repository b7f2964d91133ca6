"""``python -m sedyn estimate`` and ``predict``: the user's own table."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy

from ..common import counted, integer, number
from ..estimate import AssumptionWarning
from ..tables import TableModel, baselines, describe_preparation, fit_table, read_table
from .printing import _print_table, _printed_steps, _save

FEWEST = 10  # rows
DISCOVERIES, MOST_FEATURES = 0.1, 12
FEW_CLASSES = 2  # a target of so many different numbers holds classes


def estimate(args: argparse.Namespace) -> None:
    from ..tables import NetworkClassifier, NetworkRegressor

    for value, flag in ((args.width, "--width"), (args.max_steps, "--max-steps")):
        if value != "auto":
            integer(value, flag)
    integer(args.seed, "--seed", 0)
    picture = args.output or f"{_title(args.csv)}_estimate.png"
    for path, flag in ((picture, "--output"), (args.save, "--save")):
        if path:
            _require_writable(path, flag, args.csv)
    table = read_table(args.csv, args.target, groups=args.groups)
    if len(table.y) < FEWEST:
        raise ValueError(f"too few rows: {len(table.y)}; at least {FEWEST} are needed, a hundred or more are better")
    classes = table.y.dtype.kind not in "fiu" or len(np.unique(table.y)) <= FEW_CLASSES
    if args.task != "auto":
        classes = args.task == "classes"
        if not classes and table.y.dtype.kind not in "fiu":
            raise ValueError(f"the target {table.target!r} holds texts, which --task numbers cannot predict")
    if classes and table.y.dtype.kind == "f" and np.all(table.y == np.round(table.y)):
        table = replace(table, y=table.y.astype(int))
    kind = "classes" if classes else "numbers"
    print(f"{args.csv}: {counted(len(table.y), 'row')}, {counted(len(table.names), 'feature')}, "
          f"target {table.target!r} ({kind})")  # fmt: skip
    for remark in table.remarks:
        print(f"  {remark}")
    distinct = len(np.unique(table.y))
    if not classes and args.task == "auto" and distinct <= 10:
        print(f"  the target has {distinct} different values; if they are classes, use --task classes")
    sys.stdout.flush()
    options = {name: getattr(args, name) for name in ("width", "solver", "step_size", "max_steps")}
    options["random_state"] = args.seed
    network = (NetworkClassifier if classes else NetworkRegressor)(**options)
    untested = ""
    with warnings.catch_warnings():  # printed below, from the model
        warnings.simplefilter("ignore", AssumptionWarning)
        try:
            model = fit_table(table, network.set_params(feature_tests=True))
        except ValueError as error:
            if not str(error).startswith("feature_tests"):
                raise
            untested = str(error)
            model = fit_table(table, network.set_params(feature_tests=False))
    for line in describe_preparation(model.pipeline["columns"], table.X):
        print(f"  {line}")
    if network.run_.status == "diverged":
        raise ValueError(f"{network.run_.message} (--step-size, here {args.step_size})")
    n_groups, best = network.run_.n_groups or len(table.y), network.best_step_
    _print_curve(network, classes)
    print(f"\nBest stopping time: t = {best}.", _reported(network, table, classes))
    print("\nBeside the obvious, cross-validated:")
    _print_baselines(network, model, table, classes)
    _print_features(network, model, table, untested)
    for text in network.warnings_:
        for name, flag in (("groups=", "--groups"), ("max_steps", "--max-steps"), ("the step size", "--step-size")):
            text = text.replace(name, flag)
        print(f"Caution: {text}.")
    if table.groups is None and n_groups < len(table.y):
        print(f"{len(table.y) - n_groups} rows repeat others exactly; a row and its repeats were left out together.")
    if table.groups is not None and n_groups == len(table.y):
        print("Every row is a group of its own: --groups changes nothing.")
    elif table.groups is not None:
        print(f"{n_groups} groups were left out one by one.")
    if args.save:
        print(f"Wrote {model.save(args.save)}; python -m sedyn predict {args.save} NEW.csv")
    print(f"Wrote {_picture(network, table, classes, picture)}")


def predict(args: argparse.Namespace) -> None:
    if args.output:
        _require_writable(args.output, "--output", args.csv, args.model)
    level = number(args.level, "--level", "lie between 0 and 1", lambda x: 0 < x < 1)
    found, remarks = TableModel.load(args.model).predict(args.csv, level)
    for remark in remarks:
        print(remark, file=sys.stderr)
    found.to_csv(args.output or sys.stdout, index=False)


def _title(source: str) -> str:
    name = "stdin" if source == "-" else Path(source).name
    for suffix in (".gz", ".bz2", ".xz", ".zip"):
        name = name.removesuffix(suffix)
    return Path(name).stem


def _require_writable(path: str, flag: str, *read: str) -> None:
    """OSError, before anything is computed, when nothing can be written there, or what is read would be lost."""
    at = Path(path)
    if any(at.resolve() == Path(given).resolve() for given in read):
        raise OSError(f"{flag} {path} would overwrite what is read; name another file")
    folder = at.parent
    if at.is_dir():
        raise OSError(f"{flag} {path} is a folder; name a file")
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(at if at.exists() else folder, os.W_OK):
        raise OSError(f"{flag}: cannot write {path}; choose a place of yours")


def _print_curve(network, classes: bool) -> None:
    shown = _printed_steps(len(network.estimated_error_))
    shown = np.union1d(shown, [network.best_step_])
    print(f"\n{'Log losses' if classes else 'Mean squared errors'} along training\n")
    _print_table(
        ("t", "training", "estimated", "std. error"),
        (5, 12, 12, 12),
        ("d", ".4g", ".4g", ".2g"),
        [shown, network.training_error_[shown], network.estimated_error_[shown], network.estimated_stderr_[shown]],
    )


def _reported(network, table, classes: bool) -> str:
    score, spread = network.estimated_score_, network.estimated_score_stderr_
    if classes:
        loss = network.estimated_error_at_best_
        return f"Estimated on new rows: error rate {1 - score:.3g} ± {spread:.2g}, log loss {loss:.3g}."
    error = np.sqrt(network.estimated_error_at_best_)
    return (
        f"Estimated on new rows: R^2 {score:.3g} ± {spread:.2g}; "
        f"root mean square error {error:.4g} in units of {table.target!r}."
    )


def _print_features(network, model, table, untested: str) -> None:
    """The columns that the target depends on, given all others."""
    if untested:
        print(f"\nColumns were not tested: {untested.split(';')[0].replace('feature_tests ', 'the tests ')}.")
        return
    p, effects, errors = network.feature_pvalues_, network.feature_effects_, network.feature_effects_stderr_
    names = [str(name) for name in model.pipeline["columns"].get_feature_names_out()]
    found = scipy.stats.false_discovery_control(p) <= DISCOVERIES
    order = np.argsort(p, kind="stable")[: max(3, min(found.sum(), MOST_FEATURES))]
    print(
        f"\nWhat {table.target!r} depends on, all other columns held fixed (effects in units of the noise of one row):"
    )
    print(f"  {'':28s}{'effect':>9s}   {'std. error':>10s} {'p-value':>10s}")
    for k in order:
        mark = " *" if found[k] else ""
        print(f"  {names[k][:28]:28s}{effects[k]:9.2g} ± {errors[k]:10.2g} {p[k]:10.2g}{mark}")
    print(
        f"  * {counted(int(found.sum()), 'column')} of {len(p)} at a false discovery rate of {DISCOVERIES:.0%}"
        + (f"; the first {MOST_FEATURES} are shown" if found.sum() > MOST_FEATURES else "")
    )


def _print_baselines(network, model, table, classes: bool) -> None:
    """The network's error beside those of a constant and of a linear model, and what follows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solvers that stop early
        losses = baselines(model.pipeline["columns"].transform(table.X), table, classes)
    own, stderr = network.estimated_error_at_best_, network.estimated_error_at_best_stderr_
    rows = [("the network, estimated", own, stderr, 1 - network.estimated_score_)]
    rows += [
        (name, loss.mean(), loss.std() / np.sqrt(len(loss)), None if wrong is None else wrong.mean())
        for name, (loss, wrong) in losses.items()
    ]
    print(f"  {'':28s}{'log loss' if classes else 'mean sq.':>12s}" + f"{'error rate':>22s}" * classes)
    for name, error, spread, rate in rows:
        print(f"  {name:28s}{error:12.4g} ± {spread:<8.2g}" + (f"{rate:11.3g}" if classes else ""))
    if len(rows) < 3:
        print("  (too few rows of a class to cross-validate a linear model)")
        return
    (_, nothing, _, constant_rate), (linear, simple, other, _) = rows[1:]
    between = np.hypot(stderr, other)
    if min(own, simple) > nothing - stderr:
        few = f"these columns say little about {table.target!r}, or the rows are few"
        print(f"Neither is better than {rows[1][0]}: {few}.")
    elif own > simple + between:
        print(f"{linear.capitalize()} is better here: use it.")
    elif own < simple - between:
        print(f"The network is better than {linear}.")
    else:
        print(f"{linear.capitalize()} is as good within the errors, and simpler.")
    if classes and 1 - network.estimated_score_ > constant_rate - network.estimated_score_stderr_:
        print("Its error rate is no lower than that of always answering the most frequent class.")


def _picture(network, table, classes: bool, output: str) -> str:
    import matplotlib.pyplot as plt

    from ..show import plot

    curve, stderr, best = network.estimated_error_, network.estimated_stderr_, network.best_step_
    with plt.style.context(plot.STYLE):
        fig, ax = plt.subplots()
        steps, top = np.arange(len(curve)), 1.3 * max(network.training_error_[0], curve[0])
        ax.plot(steps, network.training_error_, label="training")
        (line,) = ax.plot(steps, curve, label="estimated on new rows")
        ax.fill_between(
            steps,
            np.maximum(curve - stderr, 0),
            np.minimum(curve + stderr, top),
            color=line.get_color(),
            alpha=0.2,
            lw=0,
        )
        label = f"best stopping time, t = {best}" + (", the last step" if best == len(curve) - 1 else "")
        ax.plot(best, curve[best], "*", ms=14, color=line.get_color(), label=label, clip_on=False)
        ax.set(xlabel="step t", ylabel="log loss" if classes else "mean squared error", ylim=(0, top))
        ax.set_title(f"{table.target}: training and estimated error", parse_math=False)
        ax.legend()
    written = _save(fig, output)
    plt.close(fig)
    return written

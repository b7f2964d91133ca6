"""``python -m sedyn estimate``: the user's own table."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

from ..estimate import AssumptionWarning, augmented_gradient_descent, early_stop
from ..model import Network, Training
from ..tables import read_csv, scale_target, whiten
from .printing import _print_table, _printed_steps, _stem

WHITENING_ROWS = 4  # estimate: whiten from so many rows per column on


def estimate(args: argparse.Namespace) -> None:
    table = read_csv(args.csv, args.target, groups=args.groups)
    m, n = table.X.shape
    if m < max(20, n):
        raise ValueError(
            f"too few rows: {m} for {n} features; the estimate needs at least {max(20, n)}; add rows or remove columns"
        )
    target = scale_target(table.y)
    # whitening rows by their own covariance makes the estimate read low unless independent ones are several times the
    # columns; and it hides which rows repeat others
    whitened = m >= WHITENING_ROWS * n and table.groups is None and len(np.unique(table.X, axis=0)) == m
    X = whiten(table.X, names=table.names) if whitened else (table.X - table.X.mean(axis=0)) / table.X.std(axis=0)
    network = Network((args.width, 1), ("tanh", "identity"))
    rng = np.random.default_rng(args.seed)
    training = Training(args.step_size, args.n_steps)
    with warnings.catch_warnings():  # printed below, from the result
        warnings.simplefilter("ignore", AssumptionWarning)
        run = augmented_gradient_descent(
            network,
            training,
            network.init(n, rng=rng),
            X,
            target.labels,
            unlabelled=None if whitened else X,
            groups=table.groups,
            rng=rng,
        )
    if run.status == "diverged":
        raise ValueError(f"{run.message} (--step-size, here {args.step_size:g})")
    assert run.estimated_error is not None and run.estimated_stderr is not None
    kind = "two values, as -1 and +1" if target.binary else "standardised"
    print(
        f"{args.csv}: {m} rows, {n} features ({'whitened' if whitened else 'standardised'}), "
        f"target {table.target!r} ({kind}), {run.n_groups} independent {'groups' if run.n_groups != m else 'rows'}\n"
        f"Mean squared errors; last, the estimate as a root mean square in units of {table.target!r}\n"
    )
    shown = _printed_steps(len(run.train_error))
    root = target.scale * np.sqrt(run.estimated_error)
    _print_table(
        ("t", "training", "estimated", "std. error", "root mean sq."),
        (5, 11, 11, 12, 15),
        ("d", ".4f", ".4f", ".4f", ".4g"),
        [shown, run.train_error[shown], run.estimated_error[shown], run.estimated_stderr[shown], root[shown]],
    )
    stop = early_stop(run)
    best = stop.step
    print(
        f"\nBest stopping time: t = {best}, estimated generalization error {stop.error:.4f} +- {stop.stderr:.4f}: "
        f"root mean square {root[best]:.4g} in units of {table.target!r}"
        f"\nWithin one standard error of it from t = {stop.cautious_step} on."
    )
    for text in run.warnings:
        print(f"Caution: {text}.")
    if run.message:
        print(run.message)
    if table.groups is None and run.n_groups < m:
        print(f"{m - run.n_groups} rows repeat others exactly; a row and its repeats were left out together.")
    if table.groups is not None and run.n_groups == m:
        print("Every row is a group of its own: --groups changes nothing.")
    if best == len(run.train_error) - 1 > 0:
        print("The estimate still falls at the last step; a larger --n-steps may do better.")
    if not whitened:
        needed = f"{WHITENING_ROWS} independent rows for each of the {n} columns"
        print(f"Not whitened: that needs {needed}. Their spectrum was estimated.")

    import matplotlib.pyplot as plt

    from ..show import plot

    with plt.style.context(plot.STYLE):
        fig, ax = plt.subplots()
        plot.estimated_error(run, ax=ax)
        ax.set_title(f"{table.target}: training error and estimated generalization error", parse_math=False)
    ax.set_ylabel("mean squared error (target standardised)" if not target.binary else "mean squared error (target ±1)")
    paths = plot.save(fig, _stem(args.output or f"{Path(args.csv).stem}_estimate.png"))
    plt.close(fig)
    print(f"Wrote {paths[0]} and {paths[1]}")

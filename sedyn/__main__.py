"""Command line: ``python -m sedyn run``, ``estimate data.csv --target COLUMN`` and ``doctor``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from .augmented import AssumptionWarning, augmented_gradient_descent
from .data import SingleIndex, random_signal
from .descent import Trajectory, gradient_descent
from .evolution import Evolution, Overlaps, population_errors, state_evolution
from .network import Array, Network
from .results import z_scores
from .selection import early_stop
from .tabular import read_csv, scale_target, whiten
from .training import Training

N_TRAIN = 400  # digits: training rows, all others are held out
WHITENING_ROWS = 4  # estimate: whiten from so many rows per column on
N_PRINTED = 8  # tables show this many equal intervals of the run


# ---- the main job: theory against simulation, then real data


def simulate_and_predict(n_features: int, n_runs: int, rng) -> tuple[Evolution, list[Trajectory]]:
    """Predict training from one individual initialization, and train from it on `n_runs` simulated data sets.

    Each run's generalization error is that of its weights on fresh Gaussian features: an integral, not a test set.
    """
    network, training = Network((3, 1), ("tanh", "identity")), Training(step_size=0.2, n_steps=40)
    teacher = SingleIndex(link=lambda z: z + 0.5 * np.sin(2 * z), noise=0.3)
    weights, signal = network.init(n_features, rng=rng), random_signal(n_features, rng=rng)
    n_samples = 3 * n_features // 2
    overlaps, phi = Overlaps.of(weights, signal), n_samples / n_features
    # the spread of fewer randomizations is too uncertain where it is all that varies, at the start
    theory = state_evolution(network, training, teacher, overlaps, phi, n_scrambles=8, rng=rng)
    runs = []
    for _ in range(n_runs):
        X, y = teacher.sample(n_samples, signal, rng=rng)
        run = gradient_descent(network, training, weights, X, y, first_weights_at="all")
        errors = population_errors(network, teacher, run, signal, 2**13, rng)
        runs.append(dataclasses.replace(run, generalization_error=errors, first_weights=None, first_weights_at=()))
    return theory, runs


def load_digits() -> tuple[Array, Array, int]:
    """scikit-learn's digits: whitened pixels, parity of the digit (even +1, odd -1), and the number of pixels dropped.

    Pixels whose standard deviation is below half a grey level of the 16 hardly vary, and whitening would blow them up.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError:
        raise ImportError('the digits come with scikit-learn; install it with: pip install "sedyn[data]"') from None
    pixels, digit = load(return_X_y=True)
    varied = pixels.std(axis=0) >= 0.5
    return whiten(pixels[:, varied]), np.where(digit % 2 == 0, 1.0, -1.0), int(np.sum(~varied))


def train_on_digits(X: Array, y: Array, rng) -> Trajectory:
    """One run on `N_TRAIN` random rows that estimates its own error; the other rows are only scored."""
    network, training = Network((3, 1), ("tanh", "identity")), Training(step_size=0.1, n_steps=40)
    order = rng.permutation(len(y))
    train, held_out = order[:N_TRAIN], order[N_TRAIN:]
    weights = network.init(X.shape[1], rng=rng)
    with warnings.catch_warnings():  # printed from the result
        warnings.simplefilter("ignore", AssumptionWarning)
        return augmented_gradient_descent(
            network, training, weights, X[train], y[train], test=(X[held_out], y[held_out])
        )


def run(args: argparse.Namespace) -> None:
    if args.n_runs < 2 or args.n_features < 10:
        raise ValueError(
            f"need --n-runs of at least 2 and --n-features of at least 10; got {args.n_runs} and {args.n_features}"
        )
    started = time.perf_counter()
    digits, parity, n_dropped = load_digits()  # first, so that a missing extra is reported at once
    rng_simulated, rng_digits = np.random.default_rng(args.seed).spawn(2)

    theory, runs = simulate_and_predict(args.n_features, args.n_runs, rng_simulated)
    names = ("train_error", "generalization_error")
    samples = {name: np.array([getattr(run, name) for run in runs]) for name in names}
    simulated = {name: samples[name].mean(axis=0) for name in names}
    z = {name: z_scores(samples[name], getattr(theory, name), getattr(theory.stderr, name)) for name in names}
    shown = _printed_steps(len(theory.train_error))
    print(
        f"Simulated data: two-layer tanh network of width 3, n = {args.n_features} features, "
        f"m = {3 * args.n_features // 2} rows,\none individual initialization, {args.n_runs} independent data sets\n"
    )
    print("         training error                  generalization error")
    _print_table(
        ("t", "simulated", "predicted", "z", "simulated", "predicted", "z"),
        (5, 11, 11, 7, 13, 11, 7),
        ("d", ".4f", ".4f", ".2f", ".4f", ".4f", ".2f"),
        [shown, *(column[shown] for name in names for column in (simulated[name], getattr(theory, name), z[name]))],
    )
    rms = float(np.sqrt(np.mean([z[name][shown] ** 2 for name in names])))
    print(f"\nRoot mean square z: {rms:.2f} (the steps share their runs, so their z-scores move together)")

    blind = train_on_digits(digits, parity, rng_digits)
    assert blind.estimated_error is not None and blind.generalization_error is not None
    assert blind.estimated_stderr is not None
    shown = _printed_steps(len(blind.train_error))
    print(
        f"\nReal data: scikit-learn's digits, {digits.shape[1]} pixels ({n_dropped} constant or nearly constant ones "
        f"dropped), whitened\nover all {len(digits)} rows without their labels; label: parity as +1 or -1; "
        f"{N_TRAIN} training rows, the others held out\n"
    )
    _print_table(
        ("t", "training", "estimated", "held-out", "std. error of the estimate"),
        (5, 11, 11, 11, 29),
        ("d", ".3f", ".3f", ".3f", ".3f"),
        [
            shown,
            *(e[shown] for e in (blind.train_error, blind.estimated_error, blind.generalization_error)),
            blind.estimated_stderr[shown],
        ],
    )

    gap = float(np.max(np.abs(blind.estimated_error / blind.generalization_error - 1)))
    print(f"\nEstimated and held-out error differ by up to {gap:.0%}")
    for text in blind.warnings:
        print(f"Caution: {text}.")

    import matplotlib.pyplot as plt

    from . import plot

    with plt.style.context(plot.STYLE):
        fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.3))
        plot.learning_curves(theory, runs, ax=left)
        left.set_title(
            f"Simulated data: the theory (lines) predicts\ngradient descent (points: mean of {len(runs)} runs)"
        )
        plot.estimated_error(blind, ax=right)
        right.set_title(
            f"Digits, {N_TRAIN} training rows: their own estimate (green)\nagainst the error on held-out rows (points)"
        )
    paths = plot.save(fig, _stem(args.output))
    plt.close(fig)
    print(f"\nWrote {paths[0]} and {paths[1]} after {time.perf_counter() - started:.0f} s")


# ---- the user's own table


def estimate(args: argparse.Namespace) -> None:
    table = read_csv(args.csv, args.target)
    m, n = table.X.shape
    if m < max(20, n):
        raise ValueError(
            f"too few rows: {m} for {n} features; the estimate needs at least {max(20, n)}; add rows or remove columns"
        )
    target = scale_target(table.y)
    # whitening rows by their own covariance makes the estimate read low unless they are several times the columns
    whitened = m >= WHITENING_ROWS * n
    X = whiten(table.X, names=table.names) if whitened else (table.X - table.X.mean(axis=0)) / table.X.std(axis=0)
    network = Network((args.width, 1), ("tanh", "identity"))
    rng = np.random.default_rng(args.seed)
    training = Training(args.step_size, args.n_steps)
    with warnings.catch_warnings():  # printed below, from the result
        warnings.simplefilter("ignore", AssumptionWarning)
        run = augmented_gradient_descent(
            network, training, network.init(n, rng=rng), X, target.labels, covariance=None if whitened else "empirical"
        )
    if run.status == "diverged":
        raise ValueError(f"{run.message} (--step-size, here {args.step_size:g})")
    assert run.estimated_error is not None and run.estimated_stderr is not None
    kind = "two values, as -1 and +1" if target.binary else "standardised"
    print(
        f"{args.csv}: {m} rows, {n} features ({'whitened' if whitened else 'standardised'}), "
        f"target {table.target!r} ({kind})\n"
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
    if best == len(run.train_error) - 1:
        print("The estimate still falls at the last step; a larger --n-steps may do better.")
    if not whitened:
        print(
            f"Not whitened: that needs {WHITENING_ROWS} rows for each of the {n} columns. Their spectrum was estimated."
        )

    import matplotlib.pyplot as plt

    from . import plot

    with plt.style.context(plot.STYLE):
        fig, ax = plt.subplots()
        plot.estimated_error(run, ax=ax)
        ax.set_title(f"{table.target}: training error and estimated generalization error", parse_math=False)
    ax.set_ylabel("mean squared error (target standardised)" if not target.binary else "mean squared error (target ±1)")
    paths = plot.save(fig, _stem(args.output or f"{Path(args.csv).stem}_estimate.png"))
    plt.close(fig)
    print(f"Wrote {paths[0]} and {paths[1]}")


def doctor(args: argparse.Namespace) -> int:
    from .doctor import examine

    found = {"ok": 0, "note": 0, "problem": 0}
    for finding in examine():
        found[finding.level] += 1
        print(f"{finding.level:7s}  {finding.text}", flush=True)
        if finding.remedy:
            print(f"         -> {finding.remedy}", flush=True)
    print(f"\n{found['problem']} problems, {found['note']} notes, {found['ok']} ok")
    return int(found["problem"] > 0)


# ---- shared


def _printed_steps(length: int) -> Array:
    return np.unique(np.linspace(0, length - 1, N_PRINTED + 1).round().astype(int))


def _print_table(header, widths, formats, columns) -> None:
    print("".join(f"{name:>{width}}" for name, width in zip(header, widths, strict=True)))
    for row in zip(*columns, strict=True):
        print("".join(f"{format(v, f):>{width}}" for v, f, width in zip(row, formats, widths, strict=True)))


def _stem(output: str) -> Path:
    path = Path(output)
    return path.with_suffix("") if path.suffix in (".png", ".svg") else path


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m sedyn", description="Gradient descent and its precise theory, compared."
    )
    commands = top.add_subparsers(required=True, metavar="command")

    job = commands.add_parser("run", help="theory against simulation, and the estimated error on real digits")
    job.add_argument("--output", default="figures/main.png", help="picture, PNG and SVG (default: %(default)s)")
    job.add_argument(
        "--n-features", type=int, default=1000, help="features of the simulated data (default: %(default)s)"
    )
    job.add_argument("--n-runs", type=int, default=20, help="simulated data sets (default: %(default)s)")
    job.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    job.set_defaults(command=run)

    job = commands.add_parser("estimate", help="estimated generalization error and best stopping time for a CSV file")
    job.add_argument("csv", help="comma-separated file with a header line; all columns numeric")
    job.add_argument("--target", required=True, help="the column to predict; all others are features")
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


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")  # files only, no window
    sys.exit(main())

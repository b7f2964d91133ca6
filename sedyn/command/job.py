"""``python -m sedyn run``: theory against simulation, then real data."""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from ..common import Array, integer, z_scores
from ..estimate import AssumptionWarning, augmented_gradient_descent
from ..model import Network, Overlaps, SingleIndex, Training, random_signal
from ..runs import Simulation, Trajectory, simulate
from ..theory import Band, Evolution, state_evolution
from .printing import _print_table, _printed_steps, _save

N_TRAIN = 400  # digits: training rows, all others are held out


def simulate_and_predict(n_features: int, n_runs: int, rng) -> tuple[Evolution, Simulation]:
    """Predict training from one individual initialization, and train from it on `n_runs` simulated data sets."""
    network, training = Network((3, 1), ("tanh", "identity")), Training(step_size=0.2, n_steps=40)
    teacher = SingleIndex(link=lambda z: z + 0.5 * np.sin(2 * z), noise=0.3)
    weights, signal = network.init(n_features, rng=rng), random_signal(n_features, rng=rng)
    n_samples, overlaps = 3 * n_features // 2, Overlaps.of(weights, signal)
    # the spread of fewer randomizations is too uncertain where it is all that varies, at the start
    theory = state_evolution(network, training, teacher, overlaps, n_samples / n_features, n_scrambles=8, rng=rng)
    return theory, simulate(network, training, teacher, weights, signal, n_samples, n_runs, n_paths=2**13, rng=rng)


def _within(band: Band, name: str, errors: Array) -> Array:
    """Whether each error (n_runs, T+1) lies in the band, from the first step on: the start is known."""
    lower, upper = getattr(band, name)
    return ((lower <= errors) & (errors <= upper))[:, 1:]


def load_digits() -> tuple[Array, Array, int]:
    """scikit-learn's digits: standardised pixels, parity of the digit (even +1, odd -1), number of pixels dropped.

    Pixels whose standard deviation is below half a grey level of the 16 hardly vary, and scaling would blow them up.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError:
        raise ImportError('the digits come with scikit-learn; install it with: pip install "sedyn[data]"') from None
    pixels, digit = load(return_X_y=True)
    varied = pixels.std(axis=0) >= 0.5
    pixels = pixels[:, varied]
    return (
        (pixels - pixels.mean(axis=0)) / pixels.std(axis=0),
        np.where(digit % 2 == 0, 1.0, -1.0),
        int(np.sum(~varied)),
    )


def train_on_digits(X: Array, y: Array, rng) -> Trajectory:
    """One run on `N_TRAIN` random rows that estimates its own error; the other rows are only scored."""
    network, training = Network((3, 1), ("tanh", "identity")), Training(step_size=(0.07, 0.1), n_steps=40)
    order = rng.permutation(len(y))
    train, held_out = order[:N_TRAIN], order[N_TRAIN:]
    weights = network.init(X.shape[1], rng=rng)
    with warnings.catch_warnings():  # printed from the result
        warnings.simplefilter("ignore", AssumptionWarning)
        return augmented_gradient_descent(
            network, training, weights, X[train], y[train], test=(X[held_out], y[held_out]), unlabelled=X
        )


def run(args: argparse.Namespace) -> None:
    for value, flag, least in ((args.n_runs, "--n-runs", 2), (args.n_features, "--n-features", 10)):
        integer(value, flag, least)
    integer(args.seed, "--seed", 0)
    started = time.perf_counter()
    digits, parity, n_dropped = load_digits()  # first, so that a missing extra is reported at once
    rng_simulated, rng_digits = np.random.default_rng(args.seed).spawn(2)

    try:
        theory, runs = simulate_and_predict(args.n_features, args.n_runs, rng_simulated)
    except MemoryError as error:
        given = f"--n-features, here {args.n_features}, and --n-runs, here {args.n_runs}"
        raise MemoryError(f"{error} ({given})") from None
    names = ("train_error", "generalization_error")
    simulated = {name: getattr(runs, name).mean(axis=0) for name in names}
    z = {name: z_scores(getattr(runs, name), getattr(theory, name), getattr(theory.stderr, name)) for name in names}
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
    band = theory.band(args.n_features)
    within = np.array([_within(band, name, getattr(runs, name)) for name in names])
    print(
        f"Band of a single run, {band.level:.0%}: it holds {within[:, 0].mean():.0%} of the errors of the first run, "
        f"{within.mean():.0%} of those of all runs"
    )

    blind = train_on_digits(digits, parity, rng_digits)
    assert blind.estimated_error is not None and blind.generalization_error is not None
    assert blind.estimated_stderr is not None
    shown = _printed_steps(len(blind.train_error))
    print(
        f"\nReal data: scikit-learn's digits, {digits.shape[1]} pixels ({n_dropped} constant or nearly constant ones "
        f"dropped), standardised\nover all {len(digits)} rows without their labels, which also tell the covariance;\n"
        f"label: parity as +1 or -1; {N_TRAIN} training rows, the others held out\n"
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

    from ..show import plot

    with plt.style.context(plot.STYLE):
        fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.3))
        plot.learning_curves(theory, runs, band=band, ax=left)
        left.set_title(
            f"Simulated data: the theory (lines) predicts\ngradient descent (points: mean of {args.n_runs} runs)"
        )
        plot.estimated_error(blind, ax=right)
        right.set_title(
            f"Digits, {N_TRAIN} training rows: their own estimate (green)\nagainst the error on held-out rows (points)"
        )
    written = _save(fig, args.output)
    plt.close(fig)
    print(f"\nWrote {written} after {time.perf_counter() - started:.0f} s")

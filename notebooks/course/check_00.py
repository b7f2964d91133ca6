"""Checks of notebook 00: start here."""

from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, close, exercise, number

TEN_RUNS = np.array([0.0592, 0.0617, 0.0742, 0.0595, 0.0698, 0.0626, 0.0612, 0.0580, 0.0664, 0.0580])
THEORY, STDERR = 0.0655, 0.0012


@exercise(
    "00.1",
    "How certain is the mean of ten runs? Its standard error is that of one run, divided by sqrt(10).",
    "Runs and theory are independent of each other: their variances add. np.hypot(a, b) is sqrt(a**2 + b**2).",
)
def z_score_by_hand(answer):
    value = number(answer)
    difference, spread = TEN_RUNS.mean() - THEORY, TEN_RUNS.std(ddof=1)
    mean_stderr = spread / np.sqrt(len(TEN_RUNS))
    z = difference / np.hypot(mean_stderr, STDERR)
    if close(value, z, 6e-3):
        return
    if close(value, -z, 6e-3):
        raise NotYet("the sign is reversed; z is simulation minus theory")
    if close(value, difference / np.hypot(TEN_RUNS.std() / np.sqrt(len(TEN_RUNS)), STDERR), 6e-3):
        raise NotYet(
            "almost; the standard deviation of a sample divides by 9, not by 10: ddof=1 (and give z with three digits)"
        )
    if close(value, difference / np.hypot(spread, STDERR), 6e-3):
        raise NotYet("you divided by the spread of ONE run; the mean of 10 runs is sqrt(10) times more certain")
    if close(value, difference / mean_stderr, 6e-3):
        raise NotYet("almost; the theory has a standard error too, add the two in quadrature")
    if close(value, difference / STDERR, 6e-3):
        raise NotYet("the mean of ten runs has a standard error too, add the two in quadrature")
    if close(value, difference / (mean_stderr + STDERR), 6e-3):
        raise NotYet("independent errors add in quadrature: sqrt(a**2 + b**2), not a + b")
    if close(value, difference / (mean_stderr**2 + STDERR**2), 6e-3):
        raise NotYet("you divided by the variance of the difference; z has its square root below")
    raise NotYet("z = (mean over runs - theory) / (standard error of that difference)")


@cache
def noisy_prediction():
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    rng = np.random.default_rng(0)
    weights = network.init(600, rng=rng)
    return sedyn.state_evolution(
        network,
        sedyn.Training(0.2, 60),
        sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 1.0),
        sedyn.Overlaps.of(weights, sedyn.random_signal(600, rng=rng)),
        0.8,
        n_paths=2**12,
        n_scrambles=4,
        rng=2,
    ).generalization_error


@exercise(
    "00.2",
    "It takes a new SingleIndex with noise=1.0, a new Training with n_steps=60, and aspect_ratio=0.8.",
    "Stop where the generalization error is smallest: np.argmin gives the step.",
)
def when_to_stop(answer):
    value = number(answer)
    if isinstance(answer, (bool, np.bool_)) or value != round(value):
        raise NotYet("the answer is one step, a whole number")
    if not 0 <= value <= 60:
        raise NotYet("the answer is a step, between 0 and 60")
    error = noisy_prediction()
    if error[int(value)] <= 1.01 * error.min():
        return "training on makes the network worse on new data"
    if value >= 58:
        raise NotYet("that is where the TRAINING error is smallest; new rows are what counts")
    raise NotYet("look for the minimum of the generalization error over t, at noise 1.0 and m/n = 0.8")

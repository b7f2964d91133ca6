"""Checks of the topic "sweeps"."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, exercise, function, number

WIDTHS, N_SEEDS = (1, 2, 4), 3


@cache
def truth():
    """Training error at the end, generalization error at the end and at best, for each width; rows are widths."""
    found = []
    for width in WIDTHS:
        start = sedyn.Overlaps(np.eye(width), np.zeros(width), 1.0, (np.full((width, 1), width**-0.5),))
        problem = (
            sedyn.Network((width, 1), ("tanh", "identity")),
            sedyn.Training(0.3, 20),
            sedyn.SingleIndex("tanh", 1.0),
        )
        theory = sedyn.state_evolution(*problem, start, 2.0, n_paths=2**12, rng=0)
        found.append((theory.train_error[-1], theory.generalization_error[-1], theory.generalization_error.min()))
    return np.array(found).T


@exercise(
    "sweeps.1",
    "Build network, training, teacher and start inside the function, and hand rng on to sedyn.state_evolution.",
    "The function returns a mapping of a name to a number: the minimum over the steps of generalization_error.",
)
def own_sweep(answer):
    function(answer)  # or it is refused; `sweep` takes the function itself
    with ThreadPoolExecutor(2) as executor, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sedyn.sweep(answer, {"width": list(WIDTHS)}, N_SEEDS, rng=0, executor=executor)
    if found.failures:
        raise NotYet(f"the function ends in {found.failures[0].error}")
    columns = {**found, **found.arrays}
    names = [name for name in columns if name not in ("width", "seed", "seconds")]
    if len(names) != 1:
        raise NotYet('return a mapping of one name to one number, {"best_error": ..}')
    try:
        values = np.asarray(columns[names[0]], float).reshape(len(WIDTHS), N_SEEDS)
    except (TypeError, ValueError):
        raise NotYet("one number is wanted for each point, the least error") from None
    if not np.isfinite(values).all():
        raise NotYet("one number is wanted for each point, the least error; there are NaN or infinities")
    train, last, best = truth()
    mean = values.mean(axis=1)
    if np.allclose(mean, best, atol=0.004):
        if np.any(values.std(axis=1) == 0):
            raise NotYet("the numbers are right, but all seeds give the same: hand rng on to the theory")
        return "width 1, 2, 4: " + ", ".join(f"{x:.4g}" for x in mean)
    if np.allclose(mean, last, atol=0.02):
        raise NotYet("that is the error at the last step; the least one is wanted")
    if np.allclose(mean, train, atol=0.02):
        raise NotYet("that is the training error at the last step")
    if np.all(mean < 1):
        raise NotYet("below the variance of the noise: is that the training error, or a problem with less noise?")
    raise NotYet(
        "check the start (deep weights 1/sqrt(width), no overlap with the signal), noise, step size and aspect ratio"
    )


WHY = {  # what the next call costs, and what to think about
    "a": (1000, "which seeds of each point are in the store already?"),
    "b": (1000, "may a function treat an integer and a fraction differently?"),
    "c": (0, "does a point know where in the grid it stands?"),
    "d": (0, "does a point know where it runs?"),
    "e": ("error", "do the points in the store have this parameter, and does anybody know which value they had?"),
}


@exercise(
    "sweeps.2",
    "What is the name of a record made of? Ask of each change whether it changes the name of an old point.",
    "An integer and a fraction are different values for a function, even where they are equal.",
)
def what_is_run(answer):
    if not isinstance(answer, dict):
        try:
            answer = dict(zip(WHY, answer, strict=True))
        except (TypeError, ValueError):
            raise NotYet('answer with a dict of five: {"a": .., "b": .., "c": .., "d": .., "e": ..}') from None
    given = {str(key).strip("() ").lower(): value for key, value in answer.items()}
    for key, (right, why) in WHY.items():
        value = given.get(key)
        if value is None:
            raise NotYet(f"not answered yet: ({key})")
        error = isinstance(value, str) and "error" in value.lower()
        if not (error if right == "error" else not error and number(value, f"({key})") == right):
            raise NotYet(f"({key}): {why}")

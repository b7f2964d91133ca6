"""Checks of the topic "explore": settings of the widget that do what was asked for."""

import numpy as np

import sedyn

from .exercises import NotYet, exercise


def played(answer):
    """The explorer that was handed in, or one of the settings that were."""
    if isinstance(answer, dict):
        return sedyn.explore([], **answer)
    if not hasattr(answer, "theory_at"):
        raise NotYet(f"hand in the figure itself, by its name, or its settings as a dict; got {type(answer).__name__}")
    return answer


def unfinished(theory, n_steps):
    return len(theory.train_error) <= n_steps or not np.isfinite(theory.generalization_error).all()


@exercise(
    "explore.1",
    "More noise, or fewer rows for each feature: more to overfit, so stop earlier.",
    "Another way changes neither the data nor the network: watch the product of step size and best stopping time.",
)
def stop_at_12(answer):
    play = played(answer)
    error, n_steps = play.theory.generalization_error, play.settings["n_steps"]
    if unfinished(play.theory, n_steps):
        raise NotYet("training diverges; take smaller steps")
    if n_steps < 20:
        raise NotYet("train for 20 steps or more: stopping where training ends anyway is no choice")
    if error[12] > 0.95 * error[0]:
        raise NotYet("the network learns next to nothing there; its error hardly falls below that of the start")
    if error[12] < 1.001 * error.min():
        return f"stopping at step 12 leaves {error[12]:.3g}, the least error is {error.min():.3g}"
    best = int(error.argmin())
    raise NotYet(f"the star stands at step {best}; stopping at 12 costs {100 * (error[12] / error.min() - 1):.2g} %")


@exercise(
    "explore.2",
    "The gap is the memory: what a row leaves in its own preactivation when it is used again.",
    "A row weighs less among many, and leaves less when it is used less often. Either alone is not enough.",
)
def no_gap(answer):
    play = played(answer)
    train, general = play.theory.train_error, play.theory.generalization_error
    if unfinished(play.theory, play.settings["n_steps"]):
        raise NotYet("training diverges; take smaller steps")
    if play.settings["noise"] < 0.5:
        raise NotYet("the noise has been lowered; it must stay at 0.5 or more")
    gap = general[-1] - train[-1]
    if general[-1] > general[0] / 2:
        raise NotYet(f"the network must have learned: its error is still {general[-1] / general[0]:.2g} of the first")
    if gap >= 0.05 * general[-1]:
        raise NotYet(f"the gap is {100 * gap / general[-1]:.2g} % of the generalization error at the last step")
    return f"the gap is {100 * gap / general[-1]:.2g} % of the generalization error"


def first_tenth(theory):
    """First step at which the generalization error has lost a tenth of its first value; None if it never does."""
    lost = np.flatnonzero(theory.generalization_error <= 0.9 * theory.generalization_error[0])
    return int(lost[0]) if len(lost) else None


@exercise(
    "explore.3",
    "The signal passes through every layer, and so does the gradient on its way back.",
    "At the start each layer multiplies both by its scale. How many factors are there in two layers, how many in four?",
)
def late_start(answer):
    play = played(answer)
    shallow, deep = (first_tenth(play.theory_at(depth=depth)) for depth in (2, 4))
    said = f"two layers start at step {shallow}, four layers at step {deep}"
    if shallow is None:
        raise NotYet("two layers never lose a tenth of their error with these settings")
    if deep is None:
        raise NotYet(f"four layers never start within {play.settings['n_steps']} steps: not so slow")
    if shallow > 3:
        raise NotYet(f"{said}: that slows both")
    if deep < 20:
        raise NotYet(said)
    return said

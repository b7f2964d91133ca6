"""Exercises: a check that names the mistake, and hints.

A check is a function of the answer under ``@exercise(key, hint, ..)``. It returns where the answer is right and raises
`NotYet` where it is not. It knows the problem of its notebook by itself, so that a reader may change what the notebook
computes, and it accepts every form of a right answer: `number`, `numbers` and `function` see to that.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class NotYet(Exception):
    """An answer that is not right yet; the message says what is wrong with it."""


class Exercise(NamedTuple):
    check: Callable[[object], object]
    hints: tuple[str, ...]


EXERCISES: dict[str, Exercise] = {}
_hints_given: dict[str, int] = {}


def exercise(key: str, *hints: str):
    """Register the check of an exercise, ``"01.2"`` the second one of notebook 01, with its hints in order."""

    def register(function):
        EXERCISES[key] = Exercise(function, hints)
        return function

    return register


def find(key: str) -> Exercise:
    """The exercise of this key.

    Raises
    ------
    KeyError
        When there is none; the message lists those of the same notebook.
    """
    notebook = str(key).rpartition(".")[0]
    try:
        importlib.import_module(f"{__package__}.check_{notebook}")
        return EXERCISES[key]
    except (ModuleNotFoundError, KeyError):
        known = sorted(name for name in EXERCISES if name.rpartition(".")[0] == notebook)
        raise KeyError(
            f"there is no exercise {key!r}; notebook {notebook!r} has {', '.join(known) or 'none'}"
        ) from None


def verdict(key: str, answer: object) -> tuple[bool, str]:
    """Whether the answer is right, and what to tell its author."""
    task = find(key)
    if answer is None or answer is Ellipsis:
        return False, "not answered yet" + (f'; course.hint("{key}") gives a hint' if task.hints else "")
    try:
        said = task.check(answer)
    except NotYet as wrong:
        return False, str(wrong) if str(wrong).startswith("not answered") else f"not yet: {wrong}"
    except Exception as error:  # whatever a reader's function does
        return False, f"not yet: with this answer the check ends in {type(error).__name__}: {error}"
    return True, f"right{': ' + said if isinstance(said, str) else ''}"


def check(key: str, answer: object) -> None:
    """Print whether the answer to an exercise is right, and if not, what is wrong with it.

    Parameters
    ----------
    key : str
        ``"01.2"`` is the second exercise of notebook 01, ``"optimizers.1"`` the first of the topic.
    answer : object
        A number, an array, a function or a text, as the exercise says; None or ... where there is none yet.
    """
    right, message = verdict(key, answer)
    print(f"exercise {key}: {message}")
    if os.environ.get("COURSE_STRICT") and not right and "not answered" not in message:
        raise AssertionError(f"exercise {key}: {message}")  # so that the tests see a wrong model answer


def hint(key: str) -> None:
    """Print a hint to an exercise; each call gives the next one, and then they begin anew."""
    hints = find(key).hints
    if not hints:
        print(f"exercise {key} has no hint")
        return
    given = _hints_given.get(key, 0) % len(hints)
    _hints_given[key] = given + 1
    print(f"exercise {key}, hint {given + 1} of {len(hints)}: {hints[given]}")


# ---- forms of answers


def numbers(answer: object, *shape: int, what: str = "the answer") -> Array:
    """The answer as an array of this shape: lists, columns, float32 and arrays with single axes are all fine.

    Raises
    ------
    NotYet
        When it does not hold finite real numbers of this shape.
    """
    if callable(answer):
        raise NotYet(f"{what} is a function; call it, the value is wanted")
    try:
        values = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{what} must be made of numbers; got {type(answer).__name__}") from None
    if np.squeeze(values).shape != tuple(k for k in shape if k != 1):
        wanted = f"an array of shape {shape}" if shape else "one number"
        raise NotYet(f"{what} must be {wanted}; got shape {values.shape}")
    values = values.reshape(shape)
    if not np.isfinite(values).all():
        raise NotYet(f"{what} holds NaN or infinity")
    return values


def number(answer: object, what: str = "the answer") -> float:
    """The answer as one number, whatever holds it; see `numbers`."""
    return float(numbers(answer, what=what))


def one_of(answer: object, grid: Sequence[float]) -> int:
    """The place in the grid of the answer, which must be one of its values."""
    value = number(answer)
    place = int(np.argmin(np.abs(np.subtract(grid, value))))
    if not close(value, grid[place]):
        raise NotYet("the answer is one of the values " + ", ".join(f"{each:g}" for each in grid))
    return place


def listed(answer: object) -> object:
    """The values of a dictionary; any other answer as it is."""
    return list(answer.values()) if isinstance(answer, dict) else answer


def function(answer: object) -> Callable:
    """The answer, which must be a function. Its calls raise `NotYet` where it returns nothing yet."""
    if not callable(answer):
        raise NotYet(f"a function is wanted, without its parentheses; got {type(answer).__name__}")

    def call(*args, **keywords):
        value = answer(*args, **keywords)
        if value is None or value is Ellipsis:
            raise NotYet("not answered yet: the function returns nothing")
        return value

    return call


def close(value, truth, rtol: float = 1e-3, atol: float = 1e-9) -> bool:
    """Whether all values are near the truth, so that float32 and answers rounded to 3 or 4 digits count."""
    return bool(np.allclose(value, truth, rtol=rtol, atol=atol))

"""Checks of what the public functions are given; each error says what arrived, what was expected and what to do."""

from __future__ import annotations

import inspect
import numbers as abstract
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

Array = np.ndarray


def shown(value) -> str:
    """A value as messages show it: short, and arrays by their shape, type, and what is wrong with them."""
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        return f"a sparse array of shape {value.shape}; make it dense with .toarray()"
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return f"an array of shape {value.shape}, {np.ma.count_masked(value)} of its entries masked"
    if isinstance(value, np.ndarray) and value.ndim:
        bad = np.count_nonzero(~np.isfinite(value)) if value.dtype.kind == "f" else 0
        entries = f", {bad} of its entries NaN or infinite" if bad else ""
        if value.dtype.kind in "OSU":
            odd = [v for v in value.ravel().tolist() if not isinstance(v, abstract.Real)]
            entries = f", with entries such as {shown(odd[0])}" if odd else ""
        kind = "text" if value.dtype.kind == "U" else value.dtype
        return f"an array of shape {value.shape} and type {kind}{entries}"
    text = " ".join(repr(value.item() if isinstance(value, (np.generic, np.ndarray)) else value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def shown_array(value) -> str:
    """The same of what should be numbers in an array: tables and what is not regular by their shape, too."""
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "nnz"):
        return shown(value)
    try:
        given = np.asarray(value)
    except (TypeError, ValueError):
        return f"rows of different lengths, {shown(value)}" if isinstance(value, (list, tuple)) else shown(value)
    return shown(given if given.size > 8 or hasattr(value, "shape") else value)


def counted(number: int, thing: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def instance(value, kind: type, name: str, expected: str = "") -> None:
    """TypeError unless `value` is of the kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a sedyn.{expected or kind.__name__}; got {shown(value)}")


def real_array(value, dtype=None) -> np.ndarray | None:
    """`value` as a new array of floats, or as an array of `dtype` that may be its own, NaN and infinity included; None
    where it holds anything but real numbers.

    Tables of objects count where all entries are real numbers, missing ones (pandas.NA) as NaN.
    """
    if np.ma.is_masked(value):  # numpy would take what is behind the mask
        return None
    try:
        given = np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths
        return None
    if given.dtype.kind == "O" and given.ndim:
        entries = [np.nan if type(v).__name__ == "NAType" else v for v in given.flat]
        if all(isinstance(v, (abstract.Real, np.bool_)) for v in entries):
            try:
                given = np.array(entries, float).reshape(given.shape)
            except OverflowError:  # integers beyond all floats
                return None
    return given.astype(dtype or float, copy=dtype is None) if given.dtype.kind in "fiub" else None


def numbers(value) -> np.ndarray:
    """The same, with a single NaN, which no check lets pass, for None."""
    found = real_array(value)
    return np.array(np.nan) if found is None else found


def number(value, name: str, expected: str, allowed: Callable[[float], bool]) -> float:
    """`value` as a float; ValueError unless it is one number that is allowed, which NaN never is."""
    found = numbers(value)
    if found.ndim or not allowed(float(found)):
        raise ValueError(f"{name} must {expected}; got {shown(value)}")
    return float(found)


def integer(value, name: str, least: int = 1, expected: str = "") -> int:
    """`value` as an int; ValueError unless it is a whole number of at least `least`."""
    expected = expected or {0: "an integer, 0 or more", 1: "a positive integer"}.get(least, f"an integer >= {least}")
    return int(number(value, name, f"be {expected}", lambda x: x >= least and x.is_integer()))


def finite_array(value, name: str) -> np.ndarray:
    """`value` as an array of floats; ValueError unless it holds finite real numbers alone."""
    found = numbers(value)
    if not np.all(np.isfinite(found)):
        raise ValueError(f"{name} must be finite real numbers, without NaN or infinity; got {shown_array(value)}")
    return found


def takes(function: Callable, name: str, *arguments: str) -> None:
    """TypeError unless the function can be called with so many arguments."""
    if isinstance(function, np.ufunc):  # whose further arguments are places for what it returns
        if function.nin != len(arguments):
            got = f"{shown(function)}, a function of {counted(function.nin, 'argument')}"
            raise TypeError(f"{name} must be a function of ({', '.join(arguments)}); got {got}")
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        got = f"one of {signature}" if signature.parameters else "one without arguments"
        raise TypeError(f"{name} must be a function of ({', '.join(arguments)}); got {got}") from None


def called(function: Callable, name: str, *arguments):
    """What the function returns; its TypeError, most often one of the arguments, with its name."""
    try:
        return function(*arguments)
    except TypeError as error:
        raise TypeError(f"{name} raised TypeError: {error}") from error


def elementwise(function: Callable, name: str, *arrays: np.ndarray) -> None:
    """ValueError unless the function maps the arrays to real numbers of their shape, and leaves them as they are."""
    given = [array.copy() for array in arrays]
    try:
        with np.errstate(all="ignore"):
            returned = function(*given)
            found = real_array(returned)
    except Exception as error:  # whatever a user's function may raise
        raise ValueError(
            f"{name} must map arrays of shape {arrays[0].shape} elementwise; it raised {type(error).__name__}: {error}"
        ) from error
    if any(not np.array_equal(now, array, equal_nan=True) for now, array in zip(given, arrays, strict=True)):
        raise ValueError(f"{name} writes into its input; let it return a new array")
    if found is None or found.shape != arrays[0].shape:
        raise ValueError(
            f"{name} must map arrays of shape {arrays[0].shape} to real numbers of the same shape, elementwise; "
            f"it returned {shown_array(returned) if found is None or not found.ndim else f'shape {found.shape}'}"
        )


def floating(dtype) -> np.dtype:
    """float64 or float32; ValueError for any other dtype."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        found = np.dtype(object)
    if found not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype must be float64 or float32; got {shown(dtype)}")
    return found


def place(value, name: str) -> Path:
    """A path; TypeError for anything else, ValueError for an empty one."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, such as 'folder/name'; got {shown(value)}")
    if not str(value):
        raise ValueError(f"{name} must be a path, such as 'folder/name'; got ''")
    return Path(value)


def generator(rng) -> np.random.Generator:
    """The generator that `rng` stands for; ValueError for anything numpy does not know."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ValueError(f"rng must be None, an integer seed >= 0, or a numpy Generator; got {shown(rng)}") from None

"""What all results share: saving to one .npz without pickle, and comparing them with a prediction."""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from .checks import finite_array, real_array, shown


@dataclasses.dataclass(frozen=True)
class Result:
    """Base of the frozen result types: arrays, tuples of arrays, numbers, text, None, and nested results."""

    def save(self, path) -> Path:
        """Write every field to one .npz file (no pickle) and return its path; `load` reads it back."""
        arrays: dict[str, np.ndarray] = {}
        layout = _flatten(self, "", arrays)
        path = Path(path).with_suffix(".npz")
        np.savez_compressed(path, **(arrays | {"_layout": np.array(json.dumps(layout))}))  # type: ignore[arg-type]
        return path

    @classmethod
    def load(cls, path):
        """Read a result written by `save`. Raises ValueError when the file holds a result of another type."""
        try:
            with np.load(path, allow_pickle=False) as file:
                layout = json.loads(str(file["_layout"])) if "_layout" in file else {}
                parts = {key: file[key] for key in file if layout}
        except (ValueError, TypeError, EOFError, BadZipFile, zlib.error):
            raise ValueError(f"{path} is damaged or was not written by save; compute it again and save it") from None
        if not issubclass(_subclasses(Result).get(layout.get("type"), object), cls):
            raise ValueError(f"{path} holds {layout.get('type', 'no sedyn result')}; expected {cls.__name__}")
        return _unflatten(layout, parts)


def _flatten(value, key, arrays):
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value) if not f.name.startswith("_")]
        return {
            "type": type(value).__name__,
            "fields": {name: _flatten(getattr(value, name), f"{key}/{name}", arrays) for name in fields},
        }
    if isinstance(value, tuple):
        return {"type": "tuple", "items": [_flatten(v, f"{key}/{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"type": "array", "key": key}
    return {"type": "plain", "value": value}


def _subclasses(cls):
    return {c.__name__: c for sub in cls.__subclasses__() for c in (sub, *_subclasses(sub).values())}


def _unflatten(layout, file):
    kind = layout["type"]
    if kind == "array":
        return file[layout["key"]]
    if kind == "tuple":
        return tuple(_unflatten(item, file) for item in layout["items"])
    if kind == "plain":
        return layout["value"]
    return _subclasses(Result)[kind](**{name: _unflatten(part, file) for name, part in layout["fields"].items()})


def z_scores(samples, predicted, stderr=0.0):
    """(mean over runs - prediction) / standard error of the difference, entry by entry.

    Parameters
    ----------
    samples : (n_runs, ...) array
        One measured curve, matrix or kernel per independent run, at least two.
    predicted : (...) array
        What the theory says.
    stderr : (...) array
        The theory's own standard error; NaN counts as 0.

    Returns
    -------
    (...) array
        Exactly 0 where neither side varies and both agree to rounding. Entries of one curve share their runs: they
        move together, and their root mean square fluctuates more than that of independent numbers.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.z_scores([[1.0, 5.0], [3.0, 5.0]], [1.0, 5.0]).tolist()
    [1.0, 0.0]
    """
    samples, predicted = finite_array(samples, "samples"), finite_array(predicted, "predicted")
    if len(np.atleast_1d(samples)) < 2:
        raise ValueError(f"samples: z-scores need at least two runs to know their spread; got shape {samples.shape}")
    error = real_array(stderr)
    if error is None or np.any(error < 0):
        raise ValueError(f"stderr must hold real numbers >= 0, or NaN where there is none; got {shown(stderr)}")
    if samples.size and max(np.abs(samples).max(), np.abs(predicted).max(initial=0)) > 1e150:
        raise ValueError("samples and predicted must not exceed 1e150 in size: their squares overflow; rescale them")
    try:
        np.broadcast_shapes(samples.shape[1:], predicted.shape, error.shape)
    except ValueError:
        raise ValueError(
            f"samples (n_runs, ...), predicted (...) and stderr (...) must fit each other; got shapes {samples.shape}, "
            f"{predicted.shape} and {error.shape}"
        ) from None
    difference = samples.mean(axis=0) - predicted
    error = np.hypot(samples.std(axis=0, ddof=1) / np.sqrt(len(samples)), np.where(np.isnan(error), 0, error))
    rounding = 1e-10 * (1 + np.abs(predicted))
    agrees = (error < rounding) & (np.abs(difference) < 1e3 * rounding)
    return np.where(agrees, 0.0, difference / np.maximum(error, rounding))

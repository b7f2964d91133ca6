"""The store of a sweep: a folder with one self-describing file per point, and the table made of them.

A record is a .npz that numpy alone can read: the values, and under "record" a JSON text with every parameter, the seed
and the versions. Its name is a hash of function, root seed, parameters and seed number; its last 64 bytes, the comment
of the zip file, are the SHA-256 of all before them, so that no damaged byte goes unnoticed. A record of a point that
failed ends in ``.failure``. ``sweep.json`` says what the store belongs to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import time
import uuid
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..common import Result, counted, place, same, shown

HEADER = "sweep.json"
STALE = 3600  # seconds after which a temporary file belongs to nobody
DIGEST = 64  # bytes at the end of a record
NAME = re.compile("[0-9a-f]{40}")  # of a record


class Failure(NamedTuple):
    """A point that gave no result."""

    parameters: dict
    seed: int
    error: str
    traceback: str


class Table(dict):
    """Finished points as equally long columns: parameters, seed, the function's numbers, seconds.

    ``pandas.DataFrame(table)`` and ``xarray.Dataset(table.variables())`` open it.

    Attributes
    ----------
    arrays : dict of (n_records, ...) arrays
        The function's arrays; where shapes differ, also in their number of axes, filled up with NaN at the end.
    failures : list of Failure
    status : str
        ``"ok"``, ``"mixed"`` (records of several sweeps or versions), ``"failed"`` (some points), ``"damaged"`` (some
        files) or ``"interrupted"``.
    message : str
        How many points there are, where they come from, and what went wrong.
    """

    def __init__(self, records: Sequence[dict], failures: Sequence[dict], status: str, message: str):
        self.failures = [Failure(r["parameters"], r["seed"], r["error"], r["traceback"]) for r in failures]
        self.status, self.message = status, message
        self.arrays: dict[str, np.ndarray] = {}
        if not records:
            return super().__init__()
        names = dict.fromkeys(name for r in records for name in r["parameters"])  # of several sweeps: of any of them
        columns = {name: _column([r["parameters"].get(name) for r in records]) for name in names}
        columns["seed"] = np.array([r["seed"] for r in records])
        for name in dict.fromkeys(name for r in records for name in r["values"]):
            stacked = _stack([r["values"].get(name) for r in records])
            (columns if stacked.ndim == 1 else self.arrays)[name] = stacked
        super().__init__(columns, seconds=np.array([r["seconds"] for r in records]))

    def variables(self) -> dict:
        """Columns and arrays with the names of their dimensions, as ``xarray.Dataset`` takes them."""
        return {
            name: (("record", *(f"{name}_{i}" for i in range(1, values.ndim))), values)
            for name, values in (self | self.arrays).items()
        }

    def __eq__(self, other):
        def parts(table):
            return [*table], [*table.values()], [*table.arrays], [*table.arrays.values()], table.failures, table.message

        return type(other) is Table and same(parts(self), parts(other))

    def __ne__(self, other):
        return not self == other

    def __repr__(self):
        names = [*self, *(f"{name} {values.shape}" for name, values in self.arrays.items())]
        return f"Table of {counted(len(self.get('seed', ())), 'record')} ({', '.join(names)}): {self.message}"


def load(path) -> Any:
    """What is in a folder that `sweep` wrote, as one `Table`; or the result in a file that its `save` wrote.

    Records are sorted by their parameters. Damaged files are left out, with a warning: a sweep runs them again. Records
    of several sweeps, or of several versions of sedyn, are all returned, with a warning.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is nothing at this path, or something else.

    Examples
    --------
    >>> import sedyn, tempfile
    >>> overlaps = sedyn.Overlaps([[1.0]], [0.5], 1.0, deep=([[1.0]],))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sedyn.load(overlaps.save(f"{folder}/overlaps")).cross.item()
    0.5
    """
    folder = place(path, "path")
    if folder.is_file():
        return Result.load(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} does not exist; give the folder of a sweep or the file of a saved result")
    found = sorted(p for p in folder.iterdir() if p.suffix in (".npz", ".failure"))
    files = {p: read(p) for p in found if NAME.fullmatch(p.stem) and p.is_file()}
    header = folder / HEADER
    if not files and not header.exists():
        raise ValueError(f"{path} is not the store of a sweep: it holds no records")
    strays = [p.name for p in found if p not in files]
    damaged = [p.name for p, record in files.items() if record is None]
    damaged += [HEADER] if header.exists() and _read_header(header) is None else []
    records = sorted((r for p, r in files.items() if r and p.suffix == ".npz"), key=_order)
    done = {record_name(r) for r in records}
    failures = sorted((r for r in files.values() if r and r["error"] and record_name(r) not in done), key=_order)
    message = counted(len(records), "point") + (f"; {len(failures)} failed (see .failures)" if failures else "")
    mixed = _mixed(records)
    for what, names in (("damaged file", damaged), ("other file", strays)):
        message += f"; {counted(len(names), what)}: {brief_list(names)}" if names else ""
    message += "".join(f"; {text}" for text in mixed)
    if damaged or strays or mixed:
        warnings.warn(f"{path}: {message}", stacklevel=2)
    status = "damaged" if damaged else "failed" if failures else "mixed" if mixed else "ok"
    return Table(records, failures, status, message)


def _mixed(records: Sequence[dict]) -> list[str]:
    """What these records do not have in common, though those of one sweep do."""
    said = []
    if len({(r["function"], r["root"]) for r in records}) > 1:
        functions = sorted({r["function"] for r in records})
        roots = counted(len({r["root"] for r in records}), "root seed")
        said.append(f"of more than one sweep ({brief_list(functions)}; {roots})")
    elif len({r["source"] for r in records}) > 1:
        said.append("by more than one version of the function")
    if len(versions := sorted({r["versions"]["sedyn"] for r in records})) > 1:
        said.append(f"by more than one version of sedyn ({brief_list(versions)})")
    return said


def brief_list(names: Sequence[str]) -> str:
    """The first three."""
    return ", ".join(names[:3]) + (", .." if len(names) > 3 else "")


def clean(value, name: str):
    """The one value that stands for all that are written alike."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and value == value:
        return value + 0.0  # -0.0 becomes 0.0
    if isinstance(value, (tuple, list)):
        return tuple(clean(v, name) for v in value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU" and np.all(value == value):
        value = value + value.dtype.type(0) if value.dtype.kind == "f" else value.copy()
        value.flags.writeable = False
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: clean(getattr(value, f.name), name) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **fields)
    raise TypeError(
        f"parameter {name!r} must consist of numbers (not NaN), texts, None, tuples, arrays or dataclasses of these, "
        f"so that its value has one name; got {shown(value)} (of a function give the name, and look it up inside)"
    )


def encode(value):
    """A clean value as JSON."""
    if isinstance(value, tuple):
        return [encode(v) for v in value]
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str, "shape": value.shape}
    if dataclasses.is_dataclass(value):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"type": public_name(type(value)), "fields": fields}
    return value


def public_name(thing) -> str:
    """Where users find a class or function: what sedyn offers is in ``sedyn``, whatever file it stands in."""
    package = thing.__module__.partition(".")[0]
    return f"{package if package == 'sedyn' else thing.__module__}.{thing.__qualname__}"


def _hash(value) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def record_name(about: dict) -> str:
    return _hash([about[key] for key in ("function", "root", "parameters", "seed")]).hex()[:40]


def spawn_key(about: dict) -> tuple[int, ...]:
    return *np.frombuffer(_hash(about["parameters"]), "<u4").tolist(), about["seed"]


def _order(record: dict) -> list:
    numbers = (bool, int, float)
    values = record["parameters"].values()
    return [(0, v, "") if isinstance(v, numbers) else (1, 0, _text(v)) for v in values] + [(0, record["seed"], "")]


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _column(values: list) -> np.ndarray:
    """Numbers as numbers, all else as text. A parameter that some records do not have is None there."""
    kinds = {type(v) for v in values}
    if type(None) in kinds and kinds <= {type(None), int, float} and len(kinds) > 1:
        values, kinds = [np.nan if v is None else float(v) for v in values], {float}
    if kinds in ({bool}, {int}) or (kinds and kinds <= {int, float}):
        column = np.array(values)
        if column.dtype.kind in "bif":
            return column
    return np.array([_text(v) for v in values])


def _stack(values: list) -> np.ndarray:
    """Along a new first axis; what is missing in some records is NaN, or empty text."""
    known = [v for v in values if v is not None]
    shapes = {v.shape for v in known}
    if len(shapes) == 1 and len(known) == len(values):
        return np.stack(known)
    axes = max(map(len, shapes))  # fewer, as of a run that ended before there was a curve, are the first entries
    known = [v.reshape((1,) * (axes - v.ndim) + v.shape) for v in known]
    values = [None if v is None else v.reshape((1,) * (axes - v.ndim) + v.shape) for v in values]
    shapes = {v.shape for v in known}
    kind = np.result_type(*known) if any(v.dtype.kind == "U" for v in known) else np.result_type(float, *known)
    out = np.full((len(values), *map(max, zip(*shapes, strict=True))), "" if kind.kind == "U" else np.nan, kind)
    for i, value in enumerate(values):
        if value is not None:
            place: Any = (i, *map(slice, value.shape))
            out[place] = value
    return out


def pack(record: dict) -> bytes:
    about = {key: value for key, value in record.items() if key != "values"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in ({"record": np.array(json.dumps(about))} | record["values"]).items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
        file.comment = b"0" * DIGEST
    content = buffer.getvalue()[:-DIGEST]
    return content + hashlib.sha256(content).hexdigest().encode()


def unpack(data: bytes) -> dict | None:
    """The record that `pack` made these bytes of, None when any of them has changed."""
    if hashlib.sha256(data[:-DIGEST]).hexdigest().encode() != data[-DIGEST:]:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        values = {name: file[name] for name in file.files}
    return json.loads(str(values.pop("record"))) | {"values": values}


def read(path: Path) -> dict | None:
    """The record in a file, None when the file is damaged or holds another point."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder where a record belongs; remove it or take another store")
    record = unpack(path.read_bytes())
    return record if record and record_name(record) == path.stem else None


def write(path: Path, data: bytes, move=os.replace) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _claim(temporary: Path, path: Path) -> None:
    """Move a file to where none is yet."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(temporary, path)


def _header(about: dict) -> str:
    return json.dumps(about | {"check": _hash(about).hex()}, indent=1) + "\n"


def _read_header(path: Path) -> dict | None:
    with suppress(ValueError, TypeError, KeyError):
        text = path.read_text(encoding="utf-8")
        about = json.loads(text)
        del about["check"]
        return about if _header(about) == text else None
    return None


def open_store(folder: Path | None, identity: dict, names: list[str], rng) -> str:
    """The root seed, out of the store if there is one; the store is made, or must be of this very sweep."""
    asked = None if rng is None else np.random.default_rng(rng).bytes(16).hex()
    about = identity | {"parameters": names, "root": asked or np.random.default_rng().bytes(16).hex()}
    if folder is None:
        return about["root"]
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"the store of a sweep is a folder, and {folder} is a file; name another place")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink()
    path = folder / HEADER
    if not path.exists():  # lost: every record knows it too
        old = next((r for p in folder.glob("*.npz") if (r := read(p))), None)
        known = (
            {"function": old["function"], "root": old["root"], "parameters": sorted(old["parameters"])} if old else {}
        )
        with suppress(FileExistsError):  # another sweep was faster, and has chosen the root
            write(path, _header(about | known).encode(), _claim)
    stored = _read_header(path)
    if stored is None:
        raise ValueError(f"{path} is damaged; delete it and run again: what it says stands in every record too")
    for key in ("function", "parameters"):
        if stored[key] != about[key]:
            raise ValueError(f"{folder} belongs to the {key} {stored[key]}, not {about[key]}; use another folder")
    if asked and stored["root"] != asked:
        raise ValueError(f"{folder} was begun with another rng; pass the same seed, or None to go on with its own")
    if stored["source"] != about["source"] and stored["source"] and about["source"]:
        raise ValueError(
            f"the code of {about['function']} has changed since {folder} was begun: its records may be out of date. "
            f"Use another folder or, if no result can have changed, delete {path} and run again"
        )
    return stored["root"]

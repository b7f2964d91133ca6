"""Reading a table: a text file of columns as other programs write it, split into features, target and groups."""

from __future__ import annotations

import bz2
import codecs
import csv
import difflib
import gzip
import io
import lzma
import re
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..common import Array, Noun

if TYPE_CHECKING:
    import pandas

FEW = 10  # fewer rows than this tell nothing about what a column is
ALIKE = 0.999  # rank correlation with the target: a copy of it
MOSTLY = 0.9  # of the cells are numbers or dates: the column is one of numbers or dates
DIFFERENT = 0.8  # of the cells of a text differ: names or free text, not categories
LIKELY = 0.8  # of a few cells are so: worth a look at all
PROBE = 2000  # cells
SAMPLE = 2**20  # characters the layout is read off
HUGE = 1e150  # the square of a larger number overflows
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "<na>", "#n/a"}
UNKNOWN = MISSING | {"-", "--", ".", "*", "n.a.", "nil", "missing", "unknown", "not available", "#div/0!", "#value!"}
SEPARATORS = ("\t", ";", "|", ",", " ")  # the first one wins where several fit: cells hold commas and blanks
GAPS = "'\u2019 \u00a0\u202f"  # between thousands
MARKS = r"[$€£¥₹%]|\b(?:USD|EUR|GBP|CHF)\b"
MONTHS = {name: k for k, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
MONTHS |= {"mai": 5, "okt": 10, "dez": 12}
YEAR, NUMBER, MONTH = r"(?P<y>\d{4}|\d\d)", r"\d{1,2}", r"(?P<m>\d{1,2}|[A-Za-z]{3,9}\.?)"
CLOCK = r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d(?:\.\d+)?))?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?Z| UTC)?"
DAY_FIRST = rf"(?:[A-Za-z]+,? )?(?P<d>{NUMBER})[-/. ]+{MONTH}[-/., ]+{YEAR}(?:[T, ]+{CLOCK})?"
MONTH_FIRST = rf"(?:[A-Za-z]+,? )?{MONTH}[-/. ]+(?:(?P<d>{NUMBER})[-/., ]+)?{YEAR}(?:[T, ]+{CLOCK})?"
LIKE_GROUP = (
    r"(?i)(.*[^a-z])?(id|ids|subject|patient|person|participant|user|customer|client|site|hospital|clinic|center"
)
LIKE_GROUP += r"|centre|school|household|family|farm|plot|animal|batch|group|cluster|station|device|session)([^a-z].*)?"
TIME = r"(?i)(^|[^a-z])(year|yr|month|quarter|week|day|date|time|period|jahr|monat)s?([^a-z]|$)"
LATER = "{}: rows of other times than these may be predicted far worse than the estimate says"
ELSE = {  # what a file is instead of text, by its first bytes
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a numpy file",
    b"%PDF": "a PDF file",
    b"SQLite": "an SQLite database",
    b"\x28\xb5\x2f\xfd": "compressed by zstandard",
    b"7z\xbc\xaf": "a 7z archive",
}


@dataclass(frozen=True, eq=False, repr=False)
class DataTable(Noun):
    """A table split into features and target."""

    X: Any
    """(m, n) features: a pandas DataFrame of columns of float64, or of categories (texts)."""
    y: Array
    """(m,) target: float64, or texts (object)."""
    names: tuple[str, ...]
    """The n feature names."""
    target: str
    """The name of the target."""
    groups: Array | None = None
    """(m,) labels, the cells of the column of groups as they stand in the file."""
    remarks: tuple[str, ...] = ()
    """What reading changed or left out, and what looks odd: short sentences."""
    kinds: tuple[str, ...] = ()
    """What each feature is, for `read_rows`: "number", "number, decimal comma", "category", "date" or "date, month
    first"."""


class _Layout(NamedTuple):
    separator: str
    decimal: str
    names: list[str]
    nameless: set[str]
    skip: int  # lines above the first row
    comment: str | None


def read_table(source: str | Path, target: str, *, groups: str | None = None) -> DataTable:
    """Read a text file of columns with a header line; every column but `target` and `groups` is a feature.

    Separators (comma, semicolon, tab, bar, blanks), decimal and thousands marks, encoding and compression (gz, bz2, xz,
    zip) are found out. Numbers, dates (as days since 1970) and true/false become numbers, other texts categories; what
    is not a number in a column of numbers counts as missing. Left out, each with a remark: columns that only count the
    rows, are empty or constant, repeat another, or hold texts that nearly all differ; and rows without a target.

    Parameters
    ----------
    source : str or Path
        A file; "-" is the standard input.
    target : str
        The column to predict.
    groups : str, optional
        The column that says which rows belong together (a subject, a site), in any labels.

    Returns
    -------
    DataTable

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        For what is not a table of text (a workbook, JSON, a folder, an empty file), a single column, a first line of
        numbers alone, rows longer than the header, two different columns of one name, an unknown target or column of
        groups, one column for both, a target that is constant, empty or a text that nearly always differs, rows without
        a group, and when no feature is left.
    ImportError
        Without pandas.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sedyn.tables import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.csv")
    ...     _ = path.write_text("size; town; price\\n1,5; Ulm; $7\\n2,0; Bonn;\\n; Bonn; $9\\n")
    ...     table = read_table(path, "price")
    >>> table.names, table.kinds, table.X["size"].tolist(), table.y.tolist()
    (('size', 'town'), ('number, decimal comma', 'category'), [1.5, nan], [7.0, 9.0])
    >>> for remark in table.remarks:
    ...     print(remark)
    read as numbers: 'price' ('$7' as 7)
    1 of 3 rows left out: without a value of the target 'price'
    """
    pd = _pandas()
    title, layout, columns, notes = _load(source, [groups], notes_below=True)
    names = layout.names
    _check_choice(names, target, groups, title)
    m = len(next(iter(columns.values())))
    read, kinds = {}, {}
    for name in [name for name in columns if name != groups]:
        values, kind = _converted(name, columns.pop(name), layout, notes, keep_text=name == target)
        present = values.notna()
        count, distinct = int(present.sum()), values.nunique()
        text = kind == "category"
        if name == target:
            read[name] = values
        elif count == 0:
            if name not in layout.nameless:  # cells after the last name, or a separator at the end of the rows
                notes.add("left out, empty: {}", f"{name!r}")
        elif name == names[0] and name in layout.nameless and distinct == m:
            notes.add("left out, a nameless first column that only tells the rows apart", "")
        elif kind == "number" and count >= FEW and np.all(np.diff(values[present]) == 1):
            if re.search(TIME, name):
                notes.add(LATER, f"{name!r}")
            notes.add("left out, only counting the rows: {}", f"{name!r}")
        elif count >= FEW and text and distinct > DIFFERENT * count:
            example = str(values[present].iloc[0])[:30]
            notes.add("left out, texts that nearly all differ: {}", f"{name!r} ({example!r}, ..)")
        elif count >= FEW and distinct == count and kind == "number" and re.search(r"(?i)(^|[^a-z])id$|^index$", name):
            notes.add("left out, an identifier that differs in every row: {}", f"{name!r}")
        else:
            read[name], kinds[name] = values, kind
            ordered = count >= FEW and distinct >= FEW and np.all(np.diff(values[present]) >= 0) if not text else False
            if kind.startswith("date") or ordered and re.search(TIME, name):
                notes.add(LATER, f"{name!r}")
            if groups is None and _may_group(name, values, count, distinct, kind):
                notes.add("{} may tell which rows belong together; if so, pass groups=..", f"{name!r}")
            if kind == "number" and (odd := _sentinel(values[present].to_numpy())) is not None:
                times = int(np.sum(values == odd))
                notes.add("a lone extreme value that may mean missing: {}", f"{odd:g} in {name!r} ({times} times)")
    y = read.pop(target)
    seen: dict[int, str] = {hash((y.to_numpy().tobytes(), False)): target}
    for name, values in list(read.items()):
        codes = values.cat.codes if kinds[name] == "category" else values
        other = seen.setdefault(hash((codes.to_numpy().tobytes(), kinds[name] == "category")), name)
        if other != name:
            notes.add("left out, the same as another column: {}", f"{name!r} ({other!r})")
            del read[name], kinds[name]
    keep = y.notna().to_numpy()
    if not keep.any():
        raise ValueError(f"the target {target!r} of {title} has no values; choose another column")
    if (lost := int(np.sum(~keep))) > 0:
        notes.add(f"{lost} of {m} rows left out: without a value of the target {{}}", f"{target!r}")
    X = pd.DataFrame(read, copy=False)
    if lost:
        X, y = X[keep].reset_index(drop=True), y[keep]
    labels = None if groups is None else _labels(columns[groups], keep, groups, title)
    distinct = y.nunique()
    if distinct < 2 or (y.dtype == float and _constant(y.to_numpy()[:, None])[0]):
        raise ValueError(f"the target {target!r} is constant, there is nothing to learn; choose another column")
    if y.dtype != float and distinct >= FEW and distinct > DIFFERENT * len(y):
        raise ValueError(
            f"the target {target!r} holds {distinct} texts in {len(y)} rows; expected numbers or categories"
        )
    for name in list(X):
        if X[name].nunique(dropna=False) < 2:
            notes.add("left out, constant: {}", f"{name!r}")
            del X[name], kinds[name]
        elif len(y) >= FEW and (how := _tells(X[name], y)):
            notes.add(f"{how} (remove it if it is known only together with the target): {{}}", f"{name!r}")
    if X.shape[1] == 0:
        gone = "; ".join(notes.sentences())
        raise ValueError(f"no feature is left in {title} besides the target {target!r}: {gone}")
    y_array = y.to_numpy(dtype=float) if y.dtype == float else y.astype(object).to_numpy()
    marked = tuple(f"{kind}, decimal comma" if name in notes.commas else kind for name, kind in kinds.items())
    return DataTable(X, y_array, tuple(X), target, labels, notes.sentences(), marked)


def read_rows(source: str | Path, like: Iterable[tuple[str, str]]) -> tuple[pandas.DataFrame, tuple[str, ...]]:
    """Read the features of new rows from a file with the same columns, in any order; other columns are ignored.

    Parameters
    ----------
    source : str or Path
        A file, as in `read_table`.
    like : iterable of (name, kind)
        ``zip(table.names, table.kinds)`` of the table that was read first.

    Returns
    -------
    X : (m, n) pandas DataFrame
        Columns in the order of `like`; no row is left out.
    remarks : tuple of str

    Raises
    ------
    FileNotFoundError, ImportError
        As in `read_table`.
    ValueError
        As in `read_table`, for missing columns, and for a column of numbers or dates that holds mostly other texts.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sedyn.tables import read_rows
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "new.csv")
    ...     _ = path.write_text("town,size\\nUlm,1.5\\n7,\\n")
    ...     X, remarks = read_rows(path, [("size", "number"), ("town", "category")])
    >>> X["size"].tolist(), X["town"].tolist()
    ([1.5, nan], ['Ulm', '7'])
    """
    pd = _pandas()
    wanted = dict(like)
    # what is a comma and what a point there, the rows that were fitted have told
    title, layout, columns, notes = _load(source, [name for name, k in wanted.items() if k not in ("number", "date")])
    if missing := [name for name in wanted if name not in columns]:
        raise ValueError(
            f"{title} lacks {_listing(missing)}; it needs every column the network was trained on, by name"
        )
    read = {}
    for name, kind in wanted.items():
        values, found = _converted(name, columns[name], layout, notes, kind=kind)
        if found.split(",")[0] != kind.split(",")[0]:
            example = values.dropna().iloc[0]
            raise ValueError(f"column {name!r} of {title} should hold a {kind.split(',')[0]}; got {str(example)!r}")
        read[name] = values
    return pd.DataFrame(read, copy=False), notes.sentences()


class _Notes(dict[str, list[str]]):
    """Remarks: one sentence for all columns it is true of."""

    def __init__(self):
        super().__init__()
        self.commas: set[str] = set()  # columns of numbers with a decimal comma

    def add(self, sentence: str, about: str) -> None:
        self.setdefault(sentence, []).append(about)

    def sentences(self) -> tuple[str, ...]:
        return tuple(sentence.format(_listing(about, str)) for sentence, about in self.items())


def _listing(items: Collection[str], show=repr, most: int = 12) -> str:
    return ", ".join(show(item) for item in list(items)[:most]) + (
        f" and {len(items) - most} more" * (len(items) > most)
    )


def _pandas():
    try:
        import pandas
    except ImportError as error:
        raise ImportError('tables are read by pandas; pip install "sedyn[data]"') from error
    return pandas


@contextmanager
def _opened(source: str | Path) -> Iterator[tuple[Any, str]]:
    """The file as seekable bytes, decompressed, and what messages call it."""
    with ExitStack() as stack:
        file: Any
        if str(source) == "-":
            title, file = "the standard input", io.BytesIO(sys.stdin.buffer.read())
        else:
            title, path = str(source), Path(source)
            if path.is_dir():
                raise ValueError(f"{title} is a folder; give the path of one file in it")
            if not path.is_file():
                raise FileNotFoundError(
                    f"no file {title!r}; give the path of a text file of columns with a header line"
                )
            file = stack.enter_context(path.open("rb"))
        head = file.read(8)
        file.seek(0)
        for start, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
            if head.startswith(start):
                file = stack.enter_context(opener(file))
        if head.startswith(b"PK\x03\x04"):
            archive = stack.enter_context(zipfile.ZipFile(file))
            members = [name for name in archive.namelist() if not re.search(r"/$|(^|/)(__MACOSX/|\.)", name)]
            if {"[Content_Types].xml", "mimetype"} & set(archive.namelist()):
                raise ValueError(f"{title} is a workbook; export its sheet as CSV")
            if len(members) != 1:
                raise ValueError(f"{title} holds {len(members)} files ({_listing(members)}); give one of them")
            file = stack.enter_context(archive.open(members[0]))
        yield file, title


def _encoding(file, title: str) -> str:
    """The encoding, after a look at all bytes; a file that is no text is refused."""
    head = file.read(2**12)
    for start, what in ELSE.items():
        if head.startswith(start):
            raise ValueError(f"{title} is {what}, not a text file of columns; export it as CSV")
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(zeros) and zeros.count(0) > 0.8 * len(zeros) and head.count(0) < 0.6 * len(head):
            return name
    if re.search(rb"[\x00-\x08\x0e-\x19]", head):
        raise ValueError(f"{title} is binary, not a text file of columns; export it as CSV")
    if re.match(rb'\s*(<!DOCTYPE|<html|<\?xml|<table|\{\s*"|\[\s*[\[{])', head, re.IGNORECASE):
        raise ValueError(f"{title} is JSON, HTML or XML, not a text file of columns; export it as CSV")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        for block in iter(lambda: file.read(SAMPLE), b""):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _load(source, as_text: Collection[str | None], notes_below: bool = False):
    """What messages call the file, its layout, its columns by name as pandas reads them, and the remarks so far."""
    pd, notes = _pandas(), _Notes()
    try:
        with _opened(source) as (file, title):
            encoding = _encoding(file, title)
            if encoding == "cp1252":
                notes.add("read as Windows-1252, because it is not UTF-8", "")
            file.seek(0)
            text = io.TextIOWrapper(file, encoding, errors="replace" if encoding == "cp1252" else "strict", newline="")
            sample = text.read(SAMPLE)
            layout = _layout(sample, len(sample) < SAMPLE, title)

            def parsed(**options):
                text.seek(0)
                for _ in range(layout.skip):
                    text.readline()
                with warnings.catch_warnings():
                    warnings.simplefilter("error", pd.errors.ParserWarning)
                    warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # such columns are read again below
                    return pd.read_csv(
                        text,
                        sep=r"\s+" if layout.separator == " " else layout.separator,
                        decimal="." if layout.separator == "," else layout.decimal,
                        header=None,
                        names=range(len(layout.names)),
                        index_col=False,
                        skipinitialspace=True,
                        comment=layout.comment,
                        **options,
                    )

            frame = parsed(dtype={k: str for k, name in enumerate(layout.names) if name in as_text})
            # pandas reads by chunks: what is numbers in one and texts in another keeps its texts only when read as such
            if mixed := [k for k in frame if frame[k].dtype == object]:
                again = parsed(usecols=mixed, dtype=str)
                for k in mixed:
                    frame[k] = again[k]
            text.detach()
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, UnicodeError) as error:
        raise ValueError(f"{source} cannot be read ({error}); it is damaged, export it again") from None
    except pd.errors.EmptyDataError:
        raise ValueError(f"{title} has a header but no rows; add data below it") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            row = int(found[2]) + layout.skip
            error = f"row {row} has {found[3]} values; the header names {found[1]} columns"
        raise ValueError(f"{title} is not a table: {error}; put quotes around cells that hold a separator") from None
    if notes_below and len(frame.columns) > 2 and not pd.api.types.is_numeric_dtype(frame[0]):
        table_rows = np.flatnonzero(frame.iloc[-FEW:, 1:].notna().any(axis=1))
        below = frame.iloc[-FEW:, 0].iloc[table_rows[-1] + 1 :] if len(table_rows) else frame.iloc[:0, 0]
        if len(told := below.dropna()) and not any(map(_is_number, told.astype(str))):
            notes.add("left out, below the rows: {}", f"{told.iloc[0].strip()[:60]!r}")
            frame = frame.iloc[: -len(below)]
    if len(frame) == 0:
        raise ValueError(f"{title} has a header but no rows; add data below it")
    columns: dict[str, Any] = {}
    different: dict[str, None] = {}
    for k, name in enumerate(layout.names):
        column = frame.pop(k)
        if name not in columns:
            columns[name] = column
        elif columns[name].equals(column):
            notes.add("named and given twice, read once: {}", f"{name!r}")
        else:
            different[name] = None
    if different:
        raise ValueError(f"{title} has different columns of one name: {_listing(different)}; rename or remove them")
    return title, layout, columns, notes


def _layout(sample: str, whole: bool, title: str) -> _Layout:
    """Separator, decimal mark and header, read off the first lines of the file."""
    lines = list(io.StringIO(sample, newline=""))
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut off
    if not sample.strip():
        raise ValueError(f"{title} is empty; the first line must name the columns")
    separators: tuple[str, ...] = SEPARATORS
    told = re.fullmatch(r'"?sep=(.)"?\s*', lines[0])  # what Excel obeys
    if told:
        separators, lines[0] = (told[1],), "\n"
    marked = [k for k, line in enumerate(lines) if line.startswith("#")]
    marked = marked if 2 * len(marked) < len(lines) else []
    best: tuple[float, str, int, list] = (0.0, "", 1, [])
    for separator in separators:
        rows = list(_cells(lines, separator, marked))
        widths = Counter(len(row) for _, row in rows if len(row) > 1)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        if count / max(1, len(rows)) > best[0]:
            best = count / len(rows), separator, width, rows
    share, separator, width, rows = best
    if share < 0.3:
        first = next(line for line in lines if line.strip()).strip()
        raise ValueError(
            f"{title} has one column only, {first[:40]!r}; expected several, separated by commas, semicolons, tabs, "
            "bars or blanks, and rows of one length"
        )
    start = next(k for k, (_, row) in enumerate(rows) if len(row) == width)
    counts = [_is_number(cell) or not cell.strip() for cell in rows[start][1]]  # such as those of rows and columns
    if all(counts) and not all(map(_is_number, rows[start][1])) and len(rows) > start + 1:
        start += not any(map(_is_number, rows[start + 1][1]))
    skip, header = rows[start]
    top = max(range(len(rows)), key=lambda k: len(rows[k][1]))
    names = _trimmed(rows[top][1])
    data = [cell for _, row in rows[top + 1 : top + 2] for cell in row]
    if len(names) > width and not any(map(_is_number, names)) and any(map(_is_number, data)):
        skip, header = rows[top][0], names  # rows end before their last, empty cells
    elif start > 0 and any(map(_is_number, header)):
        end, trimmed = rows[start - 1][0], _trimmed(rows[start - 1][1])
        if len(trimmed) in (width, width - 1) and not any(map(_is_number, trimmed)):
            ends = all(not row[-1].strip() for _, row in rows[start:] if len(row) == width)
            # one name too few: R's row names have none, or a separator ends the rows
            skip, header = end, trimmed if len(trimmed) == width else [*trimmed, ""] if ends else ["", *trimmed]
    if header is rows[start][1] and all(map(_is_number, header)) and (comments := [k for k in marked if k < skip]):
        above = next((row for _, row in _cells([lines[comments[-1]].lstrip("# ")], separator, [])), [])
        if len(above) == width:
            skip, header = comments[-1] + 1, above
    if header is rows[start][1] and all(_is_number(cell) or not cell.strip() for cell in header):
        raise ValueError(
            f"{title} has no header: its first line holds only numbers, {_listing(header, most=4)}; put a line with "
            "the names of the columns above it"
        )
    names = [re.sub(r"^Unnamed: \d+$", "", cell.strip().strip("'\"").strip()) for cell in header]
    nameless = {f"column {k}" for k, name in enumerate(names, 1) if not name}
    names = [name or f"column {k}" for k, name in enumerate(names, 1)]
    cells = [cell.strip() for _, row in rows[start : start + 1000] for cell in row]
    # a comma-separated list of two digits, "1,2", is no decimal: there, quoted cells must show more
    mark = r"[+-]?(0,\d+|\d+,(\d\d|\d{4,}))" if separator == "," else r"[+-]?\d*,\d+([eE][+-]?\d+)?"
    commas, points = (sum(bool(re.fullmatch(p, cell)) for cell in cells) for p in (mark, r"[+-]?\d*\.\d+([eE].*)?"))
    below = [k for k in marked if k >= skip]
    whole_lines = not any("#" in line for k, line in enumerate(lines) if k not in marked)
    return _Layout(
        separator, "," if commas > points else ".", names, nameless, skip, "#" if below and whole_lines else None
    )


def _cells(lines: list[str], separator: str, comments: Collection[int]) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the number of lines read so far."""
    read, comments = 0, set(comments)

    def fed():
        nonlocal read
        for read, line in enumerate(lines, 1):
            if read - 1 not in comments:
                yield re.sub(r"\s+", " ", line.strip()) if separator == " " else line

    try:
        for row in csv.reader(fed(), delimiter=separator, skipinitialspace=True):
            if any(cell.strip() for cell in row):
                yield read, row
    except csv.Error:
        return


def _trimmed(row: list[str]) -> list[str]:
    while row and not row[-1].strip():
        row = row[:-1]
    return row


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*", cell))


def _converted(name, column, layout: _Layout, notes: _Notes, *, kind: str | None = None, keep_text: bool = False):
    """A column as numbers (float64) or categories, and its kind; `kind` is the one it must become if it can."""
    pd = _pandas()
    commas = kind == "number, decimal comma"
    kind = "number" if commas else kind
    if column.dtype == bool and keep_text:
        return column.map({True: "True", False: "False"}).astype("category"), "category"
    if pd.api.types.is_numeric_dtype(column):  # booleans among them
        values = column.astype(float)
        if layout.decimal == "," and column.dtype != bool:
            notes.commas.add(name)
        return _finite(name, values, notes), kind if kind and values.isna().all() else "number"
    codes, texts = pd.factorize(column)
    texts = pd.Series(texts, dtype=object).str.strip()
    lower = texts.str.lower()
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))

    def share(values):  # of the cells, those that tell nothing aside
        return counts[values.notna() & known].sum() / max(1, counts[known].sum())

    def spread(values):  # from the different texts to the rows
        return pd.Series(np.append(values, np.nan)[codes], dtype=float)

    def remark(what, values):
        bad, good = np.flatnonzero(values.isna() & (texts != "")), np.flatnonzero(values.notna())[:PROBE]
        changed = good[pd.to_numeric(texts.iloc[good], errors="coerce").isna()][:1]
        shown = [f"{texts[k]!r} as {values[k]:.10g}" for k in changed]
        shown += [f"{_cells_of(counts[bad].sum())} as missing, such as {texts[bad[0]]!r}"] if len(bad) else []
        if shown:
            notes.add(what, f"{name!r} ({'; '.join(shown)})")

    known = (~lower.isin(UNKNOWN)).to_numpy()
    probe = np.bincount(codes[codes >= 0][:: max(1, len(codes) // PROBE)], minlength=len(texts))
    some = known & (probe > 0)  # texts by which to tell what the column is
    if kind != "category" and not known.any():
        if kind or lower.isin(MISSING).all():
            return spread(np.full(len(texts), np.nan)), kind or "number"
    elif kind != "category":
        if lower[known].isin(["true", "false"]).all() and not keep_text:
            return spread(lower.map({"true": 1.0, "false": 0.0})), kind or "number"
        if kind in (None, "number") and (point := "," if commas else _decimal(texts[some], probe[some], layout)):
            numbers = _numbers(texts, point)
            if share(numbers) >= MOSTLY:
                remark("read as numbers: {}", numbers)
                if point == ",":
                    notes.commas.add(name)
                return _finite(name, spread(numbers), notes), "number"
        if kind != "number":
            orders = (False, True) if kind is None else (kind.endswith("first"),)
            readings = [_days(texts[some], order) for order in orders]
            fits = [probe[some][days.notna()].sum() for days in readings]
            order = orders[int(np.argmax(fits))]
            if max(fits) >= LIKELY * probe[some].sum() and share(days := _days(texts, order)) >= MOSTLY:
                how = " (month first)" if order else ""
                if kind is None and fits[0] == fits[1] and not readings[0].equals(readings[1]):
                    how = " (day first; month first would fit as well)"
                remark(f"read as days since 1970{how}: {{}}", days)
                return spread(days), "date, month first" if order else "date"
    gone = lower.isin(MISSING)
    level, levels = pd.factorize(texts.mask(gone), sort=True)
    values = pd.Categorical.from_codes(np.append(level, -1)[codes], categories=pd.Index(levels, dtype=object))
    return pd.Series(values), "category"


def _cells_of(count) -> str:
    return f"{count} cell{'s' * int(count != 1)}"


def _finite(name, values, notes: _Notes):
    huge = values.abs() > HUGE
    if huge.any():
        notes.add("infinite, taken as missing: {}", f"{_cells_of(huge.sum())} of {name!r}")
        values = values.mask(huge)
    return values


def _bare(texts):
    return texts.str.replace("\N{MINUS SIGN}", "-").str.replace(MARKS, "", regex=True).str.strip()


def _decimal(texts, counts, layout: _Layout) -> str:
    """The decimal mark by which most texts are numbers; "" where too few are."""
    bare, best, most = _bare(texts), "", LIKELY * counts.sum()
    for point, comma in ((".", ","), (",", "."))[:: 1 if layout.decimal == "." else -1]:
        groups = rf"[1-9]\d{{0,2}}(?:(?P<mark>[{comma}{GAPS}])\d{{3}})(?:(?P=mark)\d{{3}})*"
        fits = bare.str.fullmatch(rf"[+-]?(?:{groups}|\d+|(?=[{point}]\d))(?:[{point}]\d*)?(?:[eE][+-]?\d+)?|[+-]?inf")
        if (count := counts[fits].sum()) > most and (point == "." or layout.separator != "," or layout.decimal == ","):
            best, most = point, count
    return best


def _numbers(texts, point: str):
    """Texts as numbers, NaN where they are none: marks of currency, percent and thousands are taken away."""
    comma, bare = ".,".replace(point, ""), _bare(texts)
    thousands = bare.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(?:[{comma}{GAPS}]\d{{3}})+(?:[{point}]\d*)?$")
    bare = bare.mask(thousands, bare.str.replace(rf"[{comma}{GAPS}]", "", regex=True))
    if point == ",":
        bare = bare.str.replace(",", ".")
    return _pandas().to_numeric(bare, errors="coerce").astype(float)


def _days(texts, month_first: bool):
    """Texts as days since 1970, NaN where they are none."""
    pd = _pandas()
    epoch, day = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timedelta(days=1)
    iso = texts.str.replace(r"^(\d{4})[-: ]?[Qq]([1-4])$", lambda q: f"{q[1]}-{3 * int(q[2]) - 2}", regex=True)
    iso = iso.where(iso.str.fullmatch(r"\d{4}([-/])\d\d?(\1\d\d?([T ].*)?)?")).str.replace("/", "-")
    iso = iso.str.replace(r"-(\d)(?=$|[-T ])", r"-0\1", regex=True)
    days = (pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce") - epoch) / day
    rest = texts[days.isna()]
    if len(rest) == 0:
        return days
    found = rest.str.extract(f"^(?:{MONTH_FIRST if month_first else DAY_FIRST})$")
    date = pd.DataFrame({"year": found["y"], "month": found["m"], "day": found["d"].fillna("1")})
    date = date.apply(pd.to_numeric, errors="coerce")
    date["month"] = date["month"].fillna(found["m"].str.lower().str[:3].map(MONTHS))
    date["year"] = date["year"].where(found["d"].notna() | (date["year"] > 99))  # "5-10" is a range
    date["year"] += np.where(date["year"] < 69, 2000, np.where(date["year"] < 100, 1900, 0))
    other = (pd.to_datetime(date, errors="coerce", utc=True) - epoch) / day + _clock(found).fillna(0)
    if other.isna().all():
        other = _clock(rest.str.extract(f"^{CLOCK}$"))
    return days.fillna(other)


def _clock(found):
    """Hour, minute, second as the part of a day."""
    hour, minute, second = (found[key].astype(float) for key in "HMS")
    half = found["half"].str.lower()
    hour = hour.where(half.isna(), hour % 12 + 12 * (half == "p"))
    return (hour + minute / 60 + second.fillna(0) / 3600) / 24


def _may_group(name, values, count: int, distinct: int, kind: str) -> bool:
    """Whether a column repeats its values like an identifier."""
    if kind.startswith("date") or count < 2 * FEW or not 2 <= distinct <= count / 2:
        return False
    codes = values.cat.codes.to_numpy() if kind == "category" else values.dropna().to_numpy()
    if kind == "number" and np.any(codes != np.round(codes)):
        return False
    levels, times = np.unique(codes[codes >= 0] if kind == "category" else codes, return_counts=True)
    if re.fullmatch(LIKE_GROUP, name) and distinct > 2:
        return True
    if distinct < FEW or distinct**2 < count or times.min() < 2 or times.max() > 5 * np.median(times):
        return False
    blocks = 1 + np.count_nonzero(np.diff(codes))
    return bool(kind == "category" or (blocks == distinct and len(np.unique(np.diff(levels))) > 1))


def _tells(values, y) -> str:
    """How a feature all but gives the target away; empty when it does not."""
    pd = _pandas()
    if (
        2 * y.nunique() <= len(y)
        and values.nunique() == y.nunique()
        and np.array_equal(pd.factorize(values)[0], pd.factorize(y)[0])
    ):
        return "the target in other words"
    if values.dtype == float and y.dtype == float:
        present = values.notna()
        if present.sum() >= FEW and abs(values[present].rank().corr(y[present].rank())) > ALIKE:
            return "in the order of the target"
    return ""


def _sentinel(values: Array) -> float | None:
    """An extreme value that repeats, is spelled in nines or is -1, and lies far from all others."""
    for odd in (values.min(), values.max()):
        rest, times = values[values != odd], np.sum(values == odd)
        if (
            times < 2
            or len(rest) < FEW
            or len(np.unique(rest)) < 5
            or not re.fullmatch(r"-?9+|-1", f"{odd:.0f}")
            or odd != np.round(odd)
        ):
            continue
        gap, width = np.abs(rest - odd).min(), np.ptp(rest)
        if gap > max(width, 1) or (odd == -1 and rest.min() >= 0 and width > 2 * FEW and len(np.unique(rest)) > FEW):
            return float(odd)
    return None


def _labels(column, keep, groups: str, title: str) -> Array:
    labels = column.astype(str).str.strip().to_numpy(dtype=object)[keep]
    bad = [label is None or label != label or label.lower() in MISSING for label in labels]
    if any(bad):
        row = int(np.flatnonzero(keep)[bad.index(True)]) + 1
        raise ValueError(
            f"row {row} below the header of {title} has no group: column {groups!r} is empty there ({sum(bad)} such "
            "rows in all); give such rows a group of their own each"
        )
    return labels.astype(str)


def _check_choice(names: list[str], target: str, groups: str | None, title: str) -> None:
    for name, what in ((target, "the target"), (groups, "the column of groups")):
        if name is not None and name not in names:
            close = difflib.get_close_matches(name, names, 1, 0.5) or [n for n in names if n.lower() == name.lower()]
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            header = "; is the first line no header?" if all(map(_is_number, names[:2])) else ""
            raise ValueError(f"{title} has no column {name!r}{meant}; choose {what} among {_listing(names)}{header}")
    if target == groups:
        raise ValueError(f"target and groups are both {target!r}; rows that belong together need a column of their own")
    if groups is not None and len(names) < 3:
        raise ValueError(f"target {target!r} and groups {groups!r} leave no feature in {title}; name other columns")


def _constant(values: Array) -> Array:
    """Columns that do not vary beyond rounding, (columns,) of bool."""
    return np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)

"""Reading a submitted notebook, whatever it is, and putting its answers among the original given cells."""

from __future__ import annotations

import ast
import json
import re
from typing import NamedTuple

from classroom import grade_id, role, student_version
from sandbox import parsed


class Cell(NamedTuple):
    kind: str  # code, markdown or raw
    source: str
    id: str  # of nbgrader's metadata, or "" (then found otherwise)
    cell_id: str


def text_of(value) -> str:
    parts = value if isinstance(value, list) else [value]
    return "".join(part for part in parts if isinstance(part, str)).replace("\r\n", "\n")


def read(data: bytes) -> tuple[list[Cell], list[str]]:
    """The cells of a notebook file, and what is odd about it. Raises ValueError when it is no notebook."""
    problems = []
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
        problems.append("is not written in UTF-8")
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "is empty" if not text.strip() else f"{type(error).__name__}: {error}"
        raise ValueError(f"unreadable: {what}") from None
    if not isinstance(notebook, dict):
        raise ValueError("unreadable: JSON, but no notebook")
    sheets = notebook.get("worksheets")
    cells = notebook.get("cells") or [
        cell
        for sheet in (sheets if isinstance(sheets, list) else [])
        if isinstance(sheet, dict)
        for cell in sheet.get("cells", [])
    ]
    found = []
    for number, cell in enumerate(cells if isinstance(cells, list) else [], 1):
        if not isinstance(cell, dict):
            problems.append(f"cell number {number} is no cell")
            continue
        source = cell.get("source", cell.get("input"))
        if not isinstance(source, (str, list)):
            problems.append(f"cell number {number} has no source")
        kind = cell.get("cell_type")
        if kind not in ("code", "markdown", "raw", "heading"):
            problems.append(f"cell number {number} has no type")
            kind = "code" if "outputs" in cell or "execution_count" in cell else "markdown"
        data_of = cell.get("metadata")
        data_of = data_of.get("nbgrader") if isinstance(data_of, dict) else None
        name = data_of.get("grade_id") if isinstance(data_of, dict) else None
        cell_id = cell.get("id")
        found.append(
            Cell(
                kind,
                text_of(source),
                name if isinstance(name, str) else "",
                cell_id if isinstance(cell_id, str) else "",
            )
        )
    return found, problems


def functions(code: str) -> dict[str, str]:
    """Functions that code defines at its top level -> their text; names alone when the code is no Python."""
    try:
        body = parsed(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return dict.fromkeys(re.findall(r"^(?:async +)?def +(\w+)", code, re.M), "")
    found: dict[str, str] = {}
    for node in body:
        body += [child for name in ("body", "orelse", "handlers") for child in inside(node, name)]
        names = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in [node.target] if isinstance(node, ast.AnnAssign) else targets:  # f = lambda ..: ..
            names += [part.id for part in getattr(target, "elts", [target]) if isinstance(part, ast.Name)]
        found |= dict.fromkeys(names, ast.get_source_segment(code, node) or "")
    return found


def inside(node, name: str) -> list:
    """Statements within another that define names at the same level: those of ``if``, ``try`` and ``with``."""
    levels = (ast.If, ast.Try, ast.With, ast.ExceptHandler)
    return getattr(node, name, []) if isinstance(node, levels) else []


def identified(source, cells: list[Cell]) -> tuple[list[Cell], list[str]]:
    """Cells with their ids of the assignment; lost ones are found by cell id, by text or by their functions."""
    known = {grade_id(cell): cell for cell in student_version(source).cells if role(cell) != "text"}
    by_cell_id = {cell.get("id"): name for name, cell in known.items() if cell.get("id")}
    by_text = {cell.source.strip(): name for name, cell in known.items()}
    by_start = {cell.source[:40]: name for name, cell in known.items() if role(cell) == "written"}
    present = {cell.id for cell in cells}
    found, guessed = [], []
    for cell in cells:
        name = cell.id
        if name not in known:
            name = (
                by_cell_id.get(cell.cell_id, "")
                or by_text.get(cell.source.strip(), "")
                or by_start.get(cell.source[:40], "")
            )
            if name and name in present:
                name = (
                    name
                    if cell.source.strip() == known[name].source.strip() and role(known[name]) in ("check", "locked")
                    else ""
                )
            elif name:
                guessed.append(name)
        found.append(cell._replace(id=name))
    have = {cell.id for cell in found}
    for name, given in known.items():  # an answer whose cell is lost: the last cell that defines its first function
        if role(given) == "answer" and name not in have:
            wanted = next(iter(functions(given.source)))
            places = [
                k
                for k, cell in enumerate(found)
                if not cell.id and cell.kind == "code" and wanted in functions(cell.source)
            ]
            if places:
                found[places[-1]] = found[places[-1]]._replace(id=name)
                guessed.append(name)
    problems = (
        [f"metadata of {len(guessed)} cells were lost; recognized: {', '.join(sorted(guessed))}"] if guessed else []
    )
    return found, problems


def ids_of(source) -> set[str]:
    return {grade_id(cell) for cell in source.cells if role(cell) != "text"}


class Step(NamedTuple):
    """One piece of code to run."""

    name: str  # the id of a given cell, "" for a cell the student added
    role: str
    code: str


def restore(source, submitted: list[Cell]) -> tuple[list[Step], list[str]]:
    """The student's answers and own cells among the original given cells, and what was wrong with the notebook."""
    originals = {grade_id(cell): cell for cell in source.cells if role(cell) != "text"}
    given = {grade_id(cell): cell.source for cell in student_version(source).cells}
    cells, problems = identified(source, submitted)
    found: dict[str, list[Cell]] = {name: [] for name in originals}
    own: dict[str, list[str]] = {name: [] for name in ("", *originals)}  # after which given cell
    last = ""
    for cell in cells:
        if cell.id in originals:
            last = cell.id
            found[last].append(cell)
        elif cell.kind == "code" and cell.source.strip():
            own[last].append(cell.source)
    answers: dict[str, list[str]] = {}
    moved: set[str] = set()
    for name, original in originals.items():
        copies, kind = found[name], role(original)
        if len(copies) > 1:
            problems.append(f"cell {name} occurs {len(copies)} times")
        if not copies:
            problems.append(f"cell {name} is missing")
        elif kind in ("locked", "check") and any(cell.source.strip() != given[name].strip() for cell in copies):
            problems.append(f"cell {name} was edited")
        if kind == "answer":
            usable = [cell.source for cell in copies if cell.kind == "code"]
            if copies and not usable:
                problems.append(f"cell {name} is no longer a code cell")
            worked = [code for code in usable if code.strip() != given[name].strip()]
            answers[name] = worked or usable[:1]
            stubs = functions(given[name])
            written = {f: text for code in answers[name] for f, text in functions(code).items()}
            empty = [
                f for f, stub in stubs.items() if "raise NotImplementedError()" in stub and written.get(f, stub) == stub
            ]
            for codes in own.values():  # an answer in a cell of its own, above the stub or below the check
                found_here = [code for code in codes if any(f in empty for f in functions(code))]
                if found_here:
                    problems.append(f"the answer of {name} stands in another cell")
                    answers[name] += found_here
                    moved.update(found_here)
    steps = [Step("", "own", code) for code in own[""] if code not in moved]
    for name, original in originals.items():
        if role(original) in ("locked", "check"):
            steps.append(Step(name, role(original), original.source))
        steps += [Step(name, "answer", code) for code in answers.get(name, [])]
        steps += [Step("", "own", code) for code in own[name] if code not in moved]
    return steps, problems


def shorten(text: str, length: int = 300) -> str:
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|[\x00-\x08\x0e-\x1f\x7f]", "", text).split())
    return text if len(text) <= length else text[: length - 3] + "..."

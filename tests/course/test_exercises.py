"""Exercises of the course: no truth in a notebook, and checks that bear every answer."""

import ast
import json
import re

import numpy as np
import pytest

import course
from course import exercises
from tests.course import NOTEBOOKS, ROOT, SPINE


def cells(path, kind="code", tag=None):
    found = json.loads(path.read_text())["cells"]
    return [
        cell for cell in found if cell["cell_type"] == kind and (tag is None or tag in cell["metadata"].get("tags", []))
    ]


def source(cell):
    return "".join(cell["source"])


def checked(cell):
    """Keys and names of the answers that a cell hands to `course.check`."""
    return re.findall(r"course\.check\(\"([\w.]+)\", (\w+)", source(cell))


KEYS = sorted({key for path in NOTEBOOKS for cell in cells(path) for key, _ in checked(cell)})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_answer_above_its_solutions(path):
    notebook = path.stem[:2] if path in SPINE else path.stem
    asked, solved = cells(path, tag="exercise"), cells(path, tag="solution")
    for cell in asked:
        assert not re.search(r"^def check", source(cell), re.M), source(cell)[:200]
        assert len(checked(cell)) == 1, source(cell)[:200]
    keys = [key for cell in asked for key, _ in checked(cell)]
    assert keys == [f"{notebook}.{i + 1}" for i in range(len(keys))]
    assert len(keys) >= 1 or notebook == "explore"
    assert sorted({key for cell in solved for key, _ in checked(cell)}) == sorted(keys)
    for cell in solved:  # folded, and its output would give the answer away
        assert cell["outputs"] == [] and cell["metadata"]["jupyter"]["source_hidden"]


HOSTILE = [None, ..., "no", b"", [], [[1], [1, 2]], np.nan, np.inf, 1e300, 1j, True, {}, object(), np.zeros((0, 3))]
HOSTILE += [len, print, lambda: 1]
HOSTILE += [lambda *args: None, lambda *args: 1 / 0, lambda *args: "text", lambda *args: args[0]]


@pytest.mark.seconds
@pytest.mark.parametrize("key", KEYS)
def test_no_answer_breaks_a_check_and_none_of_these_is_right(key, capsys):
    assert len(exercises.find(key).hints) >= 1
    for answer in HOSTILE:
        right, message = exercises.verdict(key, answer)
        assert not right and message.startswith("not ") and len(message) < 600, (answer, message)
    course.check(key, None)
    assert "course.hint" in capsys.readouterr().out


def test_hints_come_one_by_one(capsys):
    for _ in range(3):
        course.hint("01.1")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == third != second


def test_an_unknown_exercise_is_named():
    with pytest.raises(KeyError, match="01.1, 01.2"):
        course.check("01.99", 1)
    with pytest.raises(KeyError, match="none"):
        course.hint("nowhere.1")


def test_answers_may_have_any_form():
    for answer in (2, 2.0, np.float32(2), [2], [[2.0]], np.array(2), (2,)):
        assert exercises.number(answer) == 2
    assert exercises.numbers([[1], [2]], 2).tolist() == [1, 2]
    with pytest.raises(exercises.NotYet, match="shape"):
        exercises.numbers([1, 2, 3], 2)


def test_solutions_are_run_strictly():
    makefile = (ROOT / "Makefile").read_text()
    assert "nbval = COURSE_STRICT=1" in makefile and "remove_all_outputs_tags=solution" in makefile


def outputs(path):
    texts = []
    for cell in cells(path):
        for output in cell["outputs"]:
            texts.append("".join(output.get("text", output.get("data", {}).get("text/plain", ""))))
    return "\n".join(texts)


MARKED = re.compile(r"(?<![\w.])([-−]?\d[\d.,]*)\$?( ?%)?<!-- ([^>]+?) -->")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_marked_number_in_a_sentence_is_the_one_printed(path):
    """``0.41<!-- rms distance -->`` must be the number that stands behind "rms distance" in the outputs."""
    printed = outputs(path)
    marks = [mark for cell in cells(path, "markdown") for mark in MARKED.findall(source(cell))]
    written = sum(source(cell).count("<!-- ") for cell in cells(path, "markdown"))
    assert len(marks) == written
    assert len(marks) >= (3 if path in SPINE else 0)
    for shown, percent, name in marks:
        found = re.search(re.escape(name) + r"[ :=]*([-−]?\d[\d.]*(?:e[-+]?\d+)?)", printed)
        assert found, f"{name!r} is printed nowhere"
        value, text = float(found[1].replace("−", "-")), shown.replace("−", "-").replace(",", "").rstrip(".")
        value *= 100 if percent and "%" not in printed[found.end() : found.end() + 2] else 1
        digits = len(text.partition(".")[2])
        assert abs(value - float(text)) <= 0.5000001 * 10.0**-digits, f"{name}: {shown} in the text, {found[1]} printed"


def test_checks_are_written_for_the_notebooks_alone():
    names = {path.stem[:2] if path in SPINE else path.stem for path in NOTEBOOKS}
    for path in (ROOT / "notebooks/course").glob("check_*.py"):
        assert path.stem.removeprefix("check_") in names, path.name
        assert ast.get_docstring(ast.parse(path.read_text()))

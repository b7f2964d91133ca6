"""The assignments: right answers pass, typical mistakes get what is stated, nothing leaks, checks are put back."""

import ast
import copy
import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest

import classroom
import grading
import judging
import reading

SOURCES = classroom.sources()
WRONG = classroom.wrong_answers()
EXERCISES = {name: classroom.exercises(source) for name, source in SOURCES.items()}
FIRST = "1_two_layer_dynamics"
not_on_windows = pytest.mark.skipif(os.name == "nt", reason="grading needs Linux or macOS")


@pytest.fixture(autouse=True)
def no_windows(monkeypatch):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    with plt.style.context([]):  # the notebooks set the course's style
        yield


def cell_of(notebook, name):
    (cell,) = (cell for cell in notebook.cells if classroom.grade_id(cell) == name)
    return cell


def submitted(name=FIRST):
    """A student's notebook with all answers right."""
    notebook = classroom.student_version(SOURCES[name])
    for cell in notebook.cells:
        if classroom.role(cell) in ("answer", "written"):
            cell.source = cell_of(SOURCES[name], classroom.grade_id(cell)).source
    return notebook


def cells_of(notebook):
    """What the grader reads of a notebook."""
    return reading.read(nbformat.writes(notebook).encode())[0]


def run_here(step, names, setup=""):
    """Run one step in this process as the grader does in a kernel; "" or the error."""
    try:
        if step.role == "check":
            exec(compile(setup, "set-up", "exec"), names)
        exec(compile(step.code, step.name, "exec"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def walk(source, notebook):
    """Yield (step, error, names, set-up) for all cells of an unspoilt notebook; they share their names."""
    steps, problems = reading.restore(source, cells_of(notebook))
    assert not problems
    setup = next(step.code for step in steps if step.role == "locked")
    names: dict = {}
    for step in steps:
        yield step, run_here(step, names, setup), names, setup


# ---- what stands in the notebooks


def test_four_assignments_of_one_to_two_hours_whose_headings_tell_the_truth():
    assert len(SOURCES) == 4
    for name, source in SOURCES.items():
        parts = EXERCISES[name]
        assert 60 <= sum(part.minutes for part in parts) <= 120
        first = source.cells[0].source
        minutes, points = (
            [int(x) for x in re.search(rf"^\| {row} \|(.*)\|$", first, re.M)[1].split("|")]
            for row in ("minutes", "points")
        )
        assert minutes == [part.minutes for part in parts]
        assert points == [part.points for part in parts] == [part.stated_points for part in parts]
        assert f"**Points:** {sum(points)}." in first and f"about {sum(minutes)} minutes" in first
        assert "**Objectives.**" in first
        assert sum(len(part.written) for part in parts) == 1  # one picture to read
        assert all(part.model_answer and "*Marks:*" in part.model_answer for part in parts if part.written)


def test_every_cell_with_code_is_known_to_the_grader():
    ids = [classroom.grade_id(cell) for source in SOURCES.values() for cell in source.cells]
    known = [name for name in ids if name]
    assert len(known) == len(set(known))
    for source in SOURCES.values():
        assert all(classroom.grade_id(cell) for cell in source.cells if cell.cell_type == "code")
        assert classroom.role(source.cells[1]) == "locked"  # the set-up
        for cell in source.cells:
            has_solution = "### BEGIN SOLUTION" in cell.source
            assert has_solution == (classroom.role(cell) in ("answer", "written"))
            assert "### BEGIN HIDDEN TESTS" not in cell.source or classroom.role(cell) == "check"
            assert not cell.get("outputs")


def stored(code):
    """Names that code stores at its top level."""
    found, todo = set(), [ast.parse(code)]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)):
            found |= {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
            todo += ast.iter_child_nodes(node)
    return found


def test_hidden_tests_leave_given_names_as_they_are():
    """nbgrader runs all cells in one kernel: what a later cell needs must not be overwritten."""
    for source in SOURCES.values():
        given: set[str] = set()
        for cell in source.cells:
            if classroom.role(cell) == "locked":
                given |= stored(cell.source)
            elif classroom.role(cell) == "check":
                hidden = stored(cell.source) - stored(classroom.without(cell.source, "HIDDEN TESTS"))
                assert not hidden & given - {"rng", "root"}, classroom.grade_id(cell)


def test_the_comparing_function_is_the_same_everywhere():
    found = {re.search(r"^def compare\(.*?(?=\n\n\n|\Z)", s.cells[1].source, re.M | re.S)[0] for s in SOURCES.values()}
    assert len(found) == 1


def test_every_exercise_has_two_wrong_answers_and_stated_partial_credit():
    graded = {part.number: part for parts in EXERCISES.values() for part in parts if part.checks}
    assert set(WRONG) == set(graded)
    for number, wrong in WRONG.items():
        assert len(wrong) >= 2
        assert all(0 <= w["points"] < sum(graded[number].checks.values()) for w in wrong)


# ---- student versions


def secrets(cell):
    """Lines of a source cell that students must not see."""
    regions = re.findall(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", cell.source, re.S)
    return {line.strip() for region in regions for line in region.splitlines() if len(line.strip()) >= 24}


def test_student_versions_are_up_to_date_and_so_is_the_guide():
    for name, source in SOURCES.items():
        stored = nbformat.read(classroom.HERE / "student" / f"{name}.ipynb", 4)
        assert stored == classroom.student_version(source), "run `make assignments`"
    assert (classroom.HERE / "GUIDE.md").read_text(encoding="utf-8") == classroom.guide(), "run `make assignments`"
    assert {path.stem for path in (classroom.HERE / "student").glob("*")} == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_student_version_leaks_nothing(name):
    student = classroom.student_version(SOURCES[name])
    seen = "\n".join(cell.source for cell in student.cells)
    hidden = {line for cell in SOURCES[name].cells for line in secrets(cell)}
    visible = {"ax.set(xlabel="}  # named in the message of a check
    leaked = {line for line in hidden if line in seen and not any(part in line for part in visible)}
    assert len(hidden) > 20 and not leaked
    assert "SOLUTION" not in seen and "HIDDEN" not in seen
    assert seen.count("raise NotImplementedError()") >= len(EXERCISES[name])


@pytest.mark.seconds
@pytest.mark.parametrize("name", SOURCES)
def test_student_version_fails_with_not_implemented_only(name):
    student = classroom.student_version(SOURCES[name])
    for step, error, *_ in walk(student, student):
        assert error == ("NotImplementedError: " if step.role == "check" else "") or (
            step.role == "answer" and error == "NotImplementedError: "
        ), step.name


# ---- right and wrong answers


def check_answers(name, most):
    """Every solution passes; before that, `most` wrong answers of each exercise get the stated points and message."""
    source, tried = SOURCES[name], 0
    firsts = {part.answers[0]: part for part in EXERCISES[name] if part.checks}
    lasts = {list(part.checks)[-1]: part for part in firsts.values()}
    for step, error, names, setup in walk(source, submitted(name)):
        assert not error, f"{step.name}: {error}"
        if step.name not in lasts:
            continue
        part = lasts[step.name]  # its right answer has just passed: now the wrong ones
        answer = cell_of(source, part.answers[0]).source
        for wrong in WRONG[part.number][:most]:
            code = answer
            for old, new in wrong["edits"]:
                assert code.count(old) == 1, (part.number, old)
                code = code.replace(old, new)
            run_here(reading.Step("", "answer", code), names, setup)
            errors = {
                check: run_here(reading.Step(check, "check", cell_of(source, check).source), names, setup)
                for check in part.checks
            }
            points = sum(p for check, p in part.checks.items() if not errors[check])
            assert points == wrong["points"], (part.number, wrong["mistake"], errors)
            assert any(wrong["says"] in message for message in errors.values()), (part.number, wrong["says"], errors)
            assert all(not m or m.startswith("AssertionError") for m in errors.values()), errors  # named, not crashed
            tried += 1
        run_here(reading.Step("", "answer", answer), names, setup)
    assert tried >= 2 * len(firsts)


@pytest.mark.seconds
@pytest.mark.parametrize("name", SOURCES)
def test_solutions_pass_and_two_typical_mistakes_of_each_exercise_do_not(name):
    check_answers(name, most=2)


@pytest.mark.minutes
@pytest.mark.parametrize("name", SOURCES)
def test_every_typical_mistake_gets_the_stated_credit(name):
    check_answers(name, most=None)


GAMED = [  # (exercise, the first answer cell with some text replaced, what the student reads)
    ("1.1", [["residual = W_2", "return network.gradients(u, y, Small((W_2[:, None],)))[0], 0\n    residual = W_2"]], "write the"),  # noqa: E501
    ("1.1", [["residual = W_2", "u *= 1.0 + 1e-9\n    residual = W_2"]], "changes its input"),
    ("1.2", [["first, second = [W_1]", "sedyn.gradient_descent\n    first, second = [W_1]"]], "write the loop yourself"),  # noqa: E501
    ("1.5", [["for t in range(T):", "for t in range(min(T, 8)):"]], "rho of another response"),
    ("1.6", [["return u - ", "u -= 0 * u + 1e-12\n    return u - "]], "changes its input"),
    ("1.7", [["label=\"training\"", "label=\"new rows\""], ["new_rows, label=\"new rows\"", "new_rows, label=\"training\""]], "has the name"),  # noqa: E501
    ("2.1", [["np.sqrt(norm2) * rng.standard_normal(n_paths)", "np.sqrt(norm2) * rng.choice([-1.0, 1.0], n_paths)"]], "copies"),  # noqa: E501
    ("2.1", [["np.sqrt(norm2) * rng.standard_normal(n_paths)", "np.sqrt(3 * norm2) * rng.uniform(-1, 1, n_paths)"]], "fourth moment"),  # noqa: E501
    ("2.1", [["* rng.standard_normal(n_paths)\n", "* np.repeat(rng.standard_normal(n_paths // 2), 2)\n"]], "copies"),
    ("2.2", [["np.eye(len(J))", "np.eye(2)"]], ""),
    ("2.2", [["\"rab,rsbcn->sacn\", rho_t, D", "\"rab,rsbcn->sacn\", np.where(np.arange(len(rho_t))[:, None, None] < len(rho_t) - 2, 0, rho_t), D"]], "20 steps"),  # noqa: E501
    ("2.5", [["P[t + 1], kappa[t + 1]", "P[t + 1 if t < 6 else 0], kappa[t + 1]"]], "off"),
    ("2.5", [["T, q = training", "rng = np.random.default_rng(5)\n    T, q = training"]], "every seed"),
    ("3.4", [["np.where(rng.random(shape) < p", "np.where(neighbours(rng, shape) < p"]], "depend on|off the"),
    ("4.4", [["    return best", "    return best | {\"error\": 1.65, \"stderr\": 0.4}"]], "a promise must follow the data"),  # noqa: E501
    ("4.5", [["label=\"best step\"", "label=\"cautious\""]], "has the name"),
    ("4.5", [["label=\"estimated\"", "label=\"training \""], ["label=\"training\")", "label=\"estimated\")"]], "has the name"),  # noqa: E501
]  # fmt: skip
RIGHT = [  # other styles, which get all points
    ("1.1", [["residual = W_2", "u, y, W_2 = (np.asarray(a, np.float32) for a in (u, y, W_2))\n    residual = W_2"]]),
    ("2.4", [["cholesky(G", "np.linalg.cholesky(G"]]),
    ("3.5", [["n, gap, stderr = (np.asarray(x, float) for x in (n, gap, stderr))", "assert not isinstance(n, list)"]]),
]


def neighbours(rng, shape):
    """Uniform numbers; from the third row on, every other row repeats the one before."""
    x = rng.random(shape)
    x[3::2] = x[2:-1:2]
    return x


@pytest.mark.minutes
@pytest.mark.parametrize("name", SOURCES)
def test_answers_that_play_the_checks_do_not_pass_and_other_styles_do(name):
    """Each in place of the right answer; and hidden tests hold for ten draws of their random numbers."""
    source, parts = SOURCES[name], {part.number: part for part in EXERCISES[name]}
    given = judging.Given(source)
    for number, edits, *says in (*GAMED, *RIGHT):
        if number not in parts:
            continue
        answer = cell_of(source, parts[number].answers[0]).source
        for old, new in edits:
            assert answer.count(old) == 1, (number, old)
            answer = answer.replace(old, new)
        messages = []
        for check in parts[number].checks:
            given.names |= given.before[check] | {"fresh_rng": np.random.default_rng, "neighbours": neighbours}
            for other in source.cells:
                if classroom.role(other) == "answer":
                    run_here(reading.Step("", "answer", other.source), given.names)
            run_here(reading.Step("", "answer", answer), given.names)
            messages.append(run_here(reading.Step(check, "check", cell_of(source, check).source), given.names))
        if says:
            assert any(m.startswith("AssertionError") or number == "2.2" for m in messages), (number, edits, messages)
            assert any(re.search(says[0], m) for m in messages if m), (number, edits, messages)
        else:
            assert not any(messages), (number, edits, messages)


@pytest.mark.minutes
@pytest.mark.parametrize("name", SOURCES)
def test_hidden_tests_hold_for_right_answers_whatever_they_draw(name):
    given = judging.Given(SOURCES[name])
    after = dict(given.names)
    for salt in range(12):
        given.names["fresh_rng"] = lambda seed, salt=salt: np.random.default_rng([seed, salt])
        for cell in SOURCES[name].cells:
            given.names |= given.before.get(classroom.grade_id(cell), after)
            if classroom.role(cell) in ("answer", "check"):
                code = judging.fresh(cell.source)
                error = run_here(reading.Step(classroom.grade_id(cell), "answer", code), given.names)
                assert not error, (salt, classroom.grade_id(cell), error)


# ---- the grader


def index_of(notebook, name):
    return notebook.cells.index(cell_of(notebook, name))


def test_restoring_keeps_answers_and_own_cells_and_puts_back_all_else():
    notebook = submitted()
    cell_of(notebook, "gradients").source = "def gradients(u, y, W_2): return helper(u)"
    notebook.cells.insert(index_of(notebook, "gradients"), nbformat.v4.new_code_cell("def helper(u): return u, u"))
    cell_of(notebook, "gradients-1").source = "pass"
    del notebook.cells[index_of(notebook, "descend-2")]
    del notebook.cells[index_of(notebook, "overlaps")]
    again = copy.deepcopy(cell_of(notebook, "integrals"))
    again.source = "erf_product = None"
    notebook.cells.insert(index_of(notebook, "integrals") + 1, again)
    notebook.cells.append(copy.deepcopy(cell_of(notebook, "memory-1")))
    cell_of(notebook, "memory").cell_type = "markdown"
    steps, problems = reading.restore(SOURCES[FIRST], cells_of(notebook))
    assert set(problems) == {
        "cell gradients-1 was edited",
        "cell descend-2 is missing",
        "cell overlaps is missing",
        "cell integrals occurs 2 times",
        "cell memory-1 occurs 2 times",
        "cell memory is no longer a code cell",
    }
    names = [step.name for step in steps]
    assert steps[names.index("gradients") - 1].code == "def helper(u): return u, u"
    assert [step.code for step in steps if step.name == "integrals"][-1] == "erf_product = None"
    assert "overlaps" not in names and "memory" not in names and names.count("memory-1") == 1
    for step in steps:
        if step.role in ("check", "locked"):
            assert step.code == cell_of(SOURCES[FIRST], step.name).source


@not_on_windows
@pytest.mark.seconds
def test_grading_a_folder(tmp_path, capsys):
    """A cheat with a cell that kills the kernel and another that never ends; broken files beside it."""
    cheat = submitted()
    cell_of(cheat, "gradients").source = "def gradients(u, y, W_2):\n    return u, W_2"
    cell_of(cheat, "gradients-1").source = "pass"
    cell_of(
        cheat, "overlaps"
    ).source = "compare, n = print, None\ndef overlaps_over_time(first, signal): return first, signal"
    answer = cell_of(cheat, "descend")  # right, by means of an own cell
    answer.source = answer.source.replace("gradients((X @ W_1).T, y, W_2)", "own((X @ W_1).T, y, W_2)")
    own = cell_of(SOURCES[FIRST], "gradients").source.replace("def gradients", "def own")
    cheat.cells.insert(index_of(cheat, "descend"), nbformat.v4.new_code_cell(own))
    endless = cell_of(cheat, "integrals")  # in one hidden test alone, and noisy
    endless.source = endless.source.replace(
        "    return 2 / np.pi", "    while np.all(c == 0): print('again')\n    return 2 / np.pi"
    )
    del cheat.cells[index_of(cheat, "memory-2")]
    cheat.cells.insert(0, nbformat.v4.new_code_cell("import os\nos._exit(0)"))
    (tmp_path / "mallory").mkdir()
    nbformat.write(cheat, tmp_path / "mallory" / "homework.ipynb")
    (tmp_path / "oscar.ipynb").write_text("{ not a notebook")
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), tmp_path / "peggy.ipynb")
    classroom.main(["grade", str(tmp_path), "--timeout", "6"])
    printed = capsys.readouterr().out
    with (tmp_path / "grades.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {row["exercise"]: row for row in rows if row["student"] == "mallory" and row["points"] and row["exercise"]}
    points = {number: float(row["points"]) for number, row in found.items()}
    assert points == {"1.1": 0, "1.2": 6, "1.3": 0, "1.4": 3, "1.5": 6, "1.6": 3, "1.7": 2}
    assert found["1.4"]["message"] == "integrals-1: not finished after 6 seconds"
    assert "C: the shape is" in found["1.3"]["message"] and "S: " in found["1.1"]["message"]
    remarks = [row["message"] for row in rows if row["student"] == "mallory" and not row["exercise"]]
    assert remarks == ["cell gradients-1 was edited", "cell memory-2 is missing"]
    assert any(row["exercise"] == "1.7" and not row["points"] and "by hand" in row["message"] for row in rows)
    assert "unreadable" in next(row["message"] for row in rows if row["student"] == "oscar")
    assert "no cell of any assignment" in next(row["message"] for row in rows if row["student"] == "peggy")
    assert re.search(r"mallory\s+0\s+6\s+0\s+3\s+6\s+3\s+2\s+20", printed) and "not finished" in printed
    assert "### mallory" in (tmp_path / "written_answers.md").read_text()


@not_on_windows
@pytest.mark.minutes
def test_solutions_get_full_marks_from_the_grader_and_blank_notebooks_none(tmp_path):
    for name in SOURCES:
        for student, notebook in (("ada", submitted(name)), ("nobody", classroom.student_version(SOURCES[name]))):
            (tmp_path / student).mkdir(exist_ok=True)
            nbformat.write(notebook, tmp_path / student / f"{name}.ipynb")
    rows = grading.grade(tmp_path, judging.Options(timeout=180))
    scored = [row for row in rows if row.points is not None]
    assert len(scored) == 2 * sum(bool(part.checks) for parts in EXERCISES.values() for part in parts)
    for row in scored:
        assert row.exercise
        assert row.points == (row.out_of if row.student == "ada" else 0), row
        assert row.student == "ada" or "not answered" in row.message
    assert (tmp_path / "written_answers.md").read_text().count("> (not answered)") >= len(SOURCES)


# ---- nbgrader


@pytest.mark.seconds
def test_nbgrader_reads_the_source_and_makes_the_same_student_version():
    preprocessors = pytest.importorskip("nbgrader.preprocessors", reason='needs pip install "sedyn[classroom]"')
    from nbgrader.nbgraderformat import MetadataValidator

    for source in SOURCES.values():
        notebook = copy.deepcopy(source)
        MetadataValidator().validate_nb(notebook)
        for clear in (preprocessors.ClearSolutions(), preprocessors.ClearHiddenTests(), preprocessors.LockCells()):
            notebook, _ = clear.preprocess(notebook, {})
        ours = classroom.student_version(source)
        for theirs, cell in zip(notebook.cells, ours.cells, strict=True):
            assert theirs.source.rstrip() == cell.source.rstrip()
            assert theirs.metadata == cell.metadata or classroom.role(cell) == "text"


@pytest.mark.minutes
def test_nbgrader_itself_generates_and_validates(tmp_path):
    pytest.importorskip("nbgrader", reason='needs pip install "sedyn[classroom]"')
    shutil.copytree(classroom.HERE / "source" / FIRST, tmp_path / "source" / FIRST)

    def nbgrader(*arguments):
        command = [sys.executable, "-m", "nbgrader", *arguments]
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # nbgrader calls alembic
        environment = os.environ | {"PATH": path, "MPLBACKEND": "Agg"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    done = nbgrader("generate_assignment", FIRST, "--create")
    assert done.returncode == 0, done.stderr
    released = nbformat.read(tmp_path / "release" / FIRST / f"{FIRST}.ipynb", 4)
    ours = classroom.student_version(SOURCES[FIRST])
    assert [c.source.rstrip() for c in released.cells] == [c.source.rstrip() for c in ours.cells]
    assert "Success" in nbgrader("validate", f"source/{FIRST}/{FIRST}.ipynb").stdout
    assert "failed" in nbgrader("validate", f"release/{FIRST}/{FIRST}.ipynb").stdout

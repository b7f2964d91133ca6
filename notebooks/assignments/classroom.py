"""The assignments: student versions, the instructor's guide, and the grader.

    python notebooks/assignments/classroom.py write          student/*.ipynb and GUIDE.md
    python notebooks/assignments/classroom.py grade FOLDER   a table of student x exercise, and FOLDER/grades.csv

The notebooks under source/, in nbgrader's format, and wrong_answers.toml are the one source of truth:
`nbgrader generate_assignment` reads the notebooks, too. Nothing here needs nbgrader.
"""

from __future__ import annotations

import argparse
import copy
import csv
import os
import re
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import NamedTuple

try:
    import nbformat
except ImportError as error:
    raise SystemExit('reading notebooks needs nbformat: pip install "sedyn[notebooks]"') from error

HERE = Path(__file__).resolve().parent
STUB = {"code": "# YOUR CODE HERE\nraise NotImplementedError()", "markdown": "YOUR ANSWER HERE"}  # those of nbgrader
HEADING = re.compile(r"^### Exercise (\d+\.\d+): (.+) \((\d+) minutes, (\d+) points\)$", re.M)


def sources() -> dict[str, nbformat.NotebookNode]:
    """Assignment -> source notebook, in order."""
    return {path.stem: nbformat.read(path, 4) for path in sorted(HERE.glob("source/*/*.ipynb"))}


def role(cell) -> str:
    """What nbgrader's metadata say of a cell: text, locked, answer (code), check, or written (marked by hand)."""
    data = cell.metadata.get("nbgrader", {})
    if data.get("solution"):
        return "written" if data.get("grade") else "answer"
    return "check" if data.get("grade") else "locked" if data.get("locked") else "text"


def grade_id(cell) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


# ---- student versions


def without(text: str, region: str, stub: str | None = None) -> str:
    """The lines outside of ``### BEGIN region .. ### END region``; the stub, indented alike, in its place."""

    def replaced(match):
        return "" if stub is None else "".join(match[1] + line + "\n" for line in stub.split("\n"))

    pattern = rf"^([ ]*)### BEGIN {region}\n.*?^[ ]*### END {region}(?:\n|\Z)"
    return re.sub(pattern, replaced, text, flags=re.M | re.S).rstrip("\n")


def student_version(source: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Solutions replaced by stubs, hidden tests left out, no output; given cells are locked in the editor."""
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        cell.source = without(without(cell.source, "SOLUTION", STUB[cell.cell_type]), "HIDDEN TESTS")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if role(cell) != "text":
            cell.metadata["deletable"] = False
            if role(cell) in ("check", "locked"):
                cell.metadata["editable"] = False
    return notebook


# ---- exercises and the guide


@dataclass
class Exercise:
    number: str
    title: str
    minutes: int
    stated_points: int
    answers: list[str] = field(default_factory=list)  # ids of the cells with the student's code
    checks: dict[str, int] = field(default_factory=dict)  # id -> points
    written: dict[str, int] = field(default_factory=dict)  # the same, marked by hand
    model_answer: str = ""

    @property
    def points(self) -> int:
        return sum(self.checks.values()) + sum(self.written.values())


def exercises(source: nbformat.NotebookNode) -> list[Exercise]:
    """The exercises of a notebook: what stands between one heading and the next."""
    found: list[Exercise] = []
    for cell in source.cells:
        for number, title, minutes, points in HEADING.findall(cell.source if role(cell) == "text" else ""):
            found.append(Exercise(number, title, int(minutes), int(points)))
        if role(cell) == "answer":
            found[-1].answers.append(grade_id(cell))
        elif role(cell) == "check":
            found[-1].checks[grade_id(cell)] = cell.metadata.nbgrader.points
        elif role(cell) == "written":
            found[-1].written[grade_id(cell)] = cell.metadata.nbgrader.points
            found[-1].model_answer = cell.source.split("### BEGIN SOLUTION\n")[1].split("\n### END SOLUTION")[0]
    return found


def wrong_answers() -> dict[str, list[dict]]:
    """Exercise number -> typical mistakes: each the solution with some text replaced, and what it must get."""
    return tomllib.loads((HERE / "wrong_answers.toml").read_text(encoding="utf-8"))


GUIDE = """\
# Instructor's guide

Made from the notebooks under `source/` and from `wrong_answers.toml` by `make assignments`. It holds model answers:
keep it from the students.

**Hand out** the notebooks in `student/`. They need sedyn and nothing else. The check under each answer names typical
mistakes, so most students repair their work themselves. **Collect** the notebooks into a folder, `FOLDER/name.ipynb`
or `FOLDER/name/anything.ipynb` (what nbgrader and most learning platforms export); which assignment a notebook
belongs to is read from its cells.

**Grade** with `make grade SUBMISSIONS=FOLDER`. It prints a table of students and exercises and writes
`FOLDER/grades.csv` (points, and the message of the first check that failed) and `FOLDER/written_answers.md` (what is
to be marked by hand, question by question). The grader puts back every given cell, with the hidden tests, whatever
the student did to it; runs the set-up cell again before each check, so that nobody fails for having overwritten `n`
or `X`; reports missing, edited and repeated cells (of a repeated answer the last one counts); stops a cell after 60
seconds (`--timeout`) and goes on. Each submission runs in its own kernel in an empty folder. That is no sandbox: run
work of people you do not trust in a container. A student who patches numpy or sedyn from inside an answer can fool
any grader that runs in the same process; look at the code of surprising results.

**With nbgrader** (`pip install "sedyn[classroom]"`): this folder is its course directory; `nbgrader
generate_assignment NAME`, `nbgrader collect`, `nbgrader autograde` work as usual, with the same points.

The points of an exercise are split over its checks; a check gives all its points or none. The tables of typical
mistakes say what each is worth and what the student reads. They are tests of the grader: every one of them is graded
by `make test`. Exercises do not use earlier answers, save where the first cell of the notebook says so (2.5, 2.6,
3.6); look there before you judge a follow-up error.
"""


def guide() -> str:
    """The instructor's guide, in Markdown."""
    text, wrong = GUIDE, wrong_answers()
    for source in sources().values():
        first, parts = source.cells[0].source, exercises(source)
        manual = sum(sum(part.written.values()) for part in parts)
        goals = re.search(r"^\*\*Objectives\.\*\*.*?(?=\n\n\*\*)", first, re.M | re.S)
        text += "\n## " + first.split("\n")[0].removeprefix("# ") + "\n\n" + (goals[0] if goals else "") + "\n"
        text += f"\n{sum(part.minutes for part in parts)} minutes, {sum(part.points for part in parts)} points, "
        text += (
            f"of which {manual} are given by hand.\n\n| exercise | minutes | points | marking |\n|---|---|---|---|\n"
        )
        for part in parts:
            marks = [f"{p} for `{name}`" for name, p in part.checks.items()]
            marks += [f"{p} by hand for `{name}`" for name, p in part.written.items()]
            text += f"| {part.number} {part.title} | {part.minutes} | {part.points} | {', '.join(marks)} |\n"
        for part in parts:
            if part.number in wrong:
                text += f"\n**{part.number}, typical mistakes**\n\n"
                text += "| mistake | points | the student reads |\n|---|---|---|\n"
                for w in wrong[part.number]:
                    cells = w["mistake"], f"{w['points']} of {sum(part.checks.values())}", w["says"]
                    text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
            if part.model_answer:
                text += f"\n**{part.number}, written answer**\n\n{part.model_answer}\n"
    return text


def write() -> None:
    """Write student/*.ipynb and GUIDE.md."""
    (HERE / "student").mkdir(exist_ok=True)
    for name, source in sources().items():
        nbformat.write(student_version(source), HERE / "student" / f"{name}.ipynb")
    (HERE / "GUIDE.md").write_text(guide(), encoding="utf-8")


# ---- grading one notebook


class Step(NamedTuple):
    """One piece of code to run."""

    name: str  # the id of a given cell, "" for a cell the student added
    role: str
    code: str


def restore(source, submitted) -> tuple[list[Step], list[str]]:
    """The student's answers and own cells among the original given cells, and what was wrong with the notebook."""
    originals = {grade_id(cell): cell for cell in source.cells if role(cell) != "text"}
    given = {grade_id(cell): cell.source for cell in student_version(source).cells}
    found: dict[str, list] = {name: [] for name in originals}
    own: dict[str, list[Step]] = {name: [] for name in ("", *originals)}  # after which given cell
    last = ""
    for cell in submitted.cells:
        if grade_id(cell) in originals:
            last = grade_id(cell)
            found[last].append(cell)
        elif cell.cell_type == "code":
            own[last].append(Step("", "own", cell.source))
    steps, problems = own[""], []
    for name, original in originals.items():
        copies, kind = found[name], role(original)
        if len(copies) > 1:
            problems.append(f"cell {name} occurs {len(copies)} times")
        if not copies:
            problems.append(f"cell {name} is missing")
        elif kind in ("locked", "check") and any(cell.source.strip() != given[name].strip() for cell in copies):
            problems.append(f"cell {name} was edited")
        if kind in ("locked", "check"):
            steps.append(Step(name, kind, original.source))
        elif kind == "answer":
            usable = [cell for cell in copies if cell.cell_type == "code"]
            if copies and not usable:
                problems.append(f"cell {name} is no longer a code cell")
            steps += [Step(name, kind, cell.source) for cell in usable]
        steps += own[name]
    return steps, problems


class Kernel:
    """A Jupyter kernel in an empty folder that runs one piece of code after the other, each in limited time."""

    def __init__(self, timeout: float):
        from jupyter_client.manager import start_new_kernel

        self.timeout, self.folder = timeout, tempfile.TemporaryDirectory()
        environment = {"MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
        self.manager, self.client = start_new_kernel(cwd=self.folder.name, env=os.environ | environment)

    def run(self, code: str) -> str:
        """ "" when the code ran to its end, else what stopped it. Raises RuntimeError when the kernel is lost."""
        request = self.client.execute(code, store_history=False, allow_stdin=False, stop_on_error=False)
        reply = self._reply(request, self.timeout)
        if reply is None:
            self.manager.interrupt_kernel()
            if self._reply(request, 5) is None:
                raise RuntimeError(f"not finished after {self.timeout:g} seconds, and could not be interrupted")
            return f"not finished after {self.timeout:g} seconds"
        if reply["status"] == "ok":
            return ""
        name, text = reply.get("ename", "error"), reply.get("evalue", "")
        if name == "NotImplementedError":
            return "not answered"
        return text if name == "AssertionError" and text else f"{name}: {text}"

    def _reply(self, request: str, seconds: float) -> dict | None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.manager.is_alive():
                raise RuntimeError("the kernel died (exit, or out of memory)")
            try:
                message = self.client.get_shell_msg(timeout=0.5)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") == request:
                return message["content"]
        return None

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.folder.cleanup()


def run(steps: list[Step], timeout: float) -> dict[str, str]:
    """Run all steps in a fresh kernel; check id -> "" (passed) or why it failed.

    The first locked cell, the set-up, runs again before every check. A step that takes the kernel with it is left out,
    and all others start again in a new kernel; after the third, what has not run has failed.
    """
    setup = next(step.code for step in steps if step.role == "locked")
    lost: dict[int, str] = {}
    while True:
        outcome: dict[str, str] = {}
        trouble = ""  # of the latest answer or own cell
        kernel = Kernel(timeout)
        try:
            for k, step in enumerate(steps):
                try:
                    if step.role == "check":
                        if k not in lost:
                            kernel.run(setup)
                        message = lost.get(k) or kernel.run(step.code)
                        if message and message != "not answered" and trouble:
                            message += f" (before: {trouble})"
                        outcome[step.name] = shorten(message)
                    else:
                        trouble = lost.get(k) or kernel.run(step.code)
                        trouble = "" if trouble == "not answered" else trouble
                except RuntimeError as error:
                    lost[k] = str(error)
                    break
            else:
                return outcome
        finally:
            kernel.close()
        if len(lost) == 3:
            rest = {step.name: f"not run: {lost[k]}" for step in steps if step.role == "check"}
            return rest | outcome


def shorten(text: str, length: int = 300) -> str:
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return text if len(text) <= length else text[: length - 3] + "..."


# ---- grading a folder


class Row(NamedTuple):
    student: str
    assignment: str
    exercise: str  # "" for a remark on the whole notebook
    points: float | None  # None: marked by hand
    out_of: int
    message: str


def grade_notebook(student: str, path: Path, timeout: float) -> tuple[list[Row], dict[str, str]]:
    """Rows of the table, and the written answers by cell id."""
    try:
        submitted = nbformat.read(path, 4)
    except Exception as error:  # whatever a broken file raises
        return [Row(student, path.name, "", 0, 0, shorten(f"unreadable: {type(error).__name__}: {error}"))], {}
    ids = {grade_id(cell) for cell in submitted.cells}
    shared = {name: len(ids & {grade_id(c) for c in source.cells} - {""}) for name, source in sources().items()}
    assignment = max(shared, key=lambda name: shared[name])
    if not shared[assignment]:
        return [Row(student, path.name, "", 0, 0, "has no cell of any assignment; were its metadata lost?")], {}
    source = sources()[assignment]
    steps, problems = restore(source, submitted)
    rows = [Row(student, assignment, "", 0, 0, problem) for problem in problems]
    outcome = run(steps, timeout)
    for part in exercises(source):
        if part.checks:
            points = sum(p for name, p in part.checks.items() if not outcome[name])
            failed = [f"{name}: {outcome[name]}" for name in part.checks if outcome[name]]
            rows.append(Row(student, assignment, part.number, points, sum(part.checks.values()), "; ".join(failed)))
        for name, p in part.written.items():
            rows.append(Row(student, assignment, part.number, None, p, f"{name}: to be marked by hand"))
    by_hand = {name for part in exercises(source) for name in part.written}
    return rows, {grade_id(cell): cell.source for cell in submitted.cells if grade_id(cell) in by_hand}


def submissions(folder: Path) -> list[tuple[str, Path]]:
    """(student, notebook) for all notebooks under the folder; the student is the first part of the path."""
    found = []
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") for part in parts):
            found.append((Path(parts[0]).stem if len(parts) == 1 else parts[0], path))
    return found


def grade(folder: Path, timeout: float = 60) -> list[Row]:
    """Grade every notebook under the folder; writes grades.csv and written_answers.md there."""
    rows: list[Row] = []
    written: dict[str, list[str]] = {}
    todo = submissions(folder)
    if not todo:
        raise SystemExit(f"no notebook under {folder}; expected {folder}/name.ipynb or {folder}/name/any.ipynb")
    for k, (student, path) in enumerate(todo):
        print(f"{k + 1}/{len(todo)}  {path.relative_to(folder)}", file=sys.stderr)
        new, texts = grade_notebook(student, path, timeout)
        rows += new
        for name, text in texts.items():
            written.setdefault(name, []).append(f"### {student}\n\n{text.strip()}\n")
    with (folder / "grades.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(Row._fields)
        table.writerows(["" if value is None else value for value in row] for row in rows)
    answers = "\n".join(f"## {name}\n\n" + "\n".join(texts) for name, texts in written.items())
    (folder / "written_answers.md").write_text(answers, encoding="utf-8")
    return rows


def table(rows: list[Row]) -> str:
    """One line per student and assignment, one column per exercise; below, what went wrong."""
    lines = []
    for assignment in dict.fromkeys(row.assignment for row in rows):
        own = [row for row in rows if row.assignment == assignment]
        scored = [row for row in own if row.exercise and row.points is not None]
        columns = {row.exercise: row.out_of for row in scored}
        names = list(dict.fromkeys(row.student for row in own))
        width = max(len(name) for name in (*names, "out of"))
        lines.append(f"\n{assignment}\n{'':{width}}" + "".join(f"{c:>6}" for c in columns) + "   total")
        for name in names:
            points = {row.exercise: row.points for row in scored if row.student == name}
            cells = "".join(f"{points.get(c, '-'):>6}" for c in columns)
            lines.append(f"{name:{width}}{cells}{sum(p or 0 for p in points.values()):8}")
        lines.append(
            f"{'out of':{width}}" + "".join(f"{p:>6}" for p in columns.values()) + f"{sum(columns.values()):8}"
        )
        lines += [
            f"  {row.student} {row.exercise or 'notebook'}: {row.message}"
            for row in own
            if row.message and row.points is not None
        ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help="the student versions and the guide")
    grading = commands.add_parser("grade", help="a folder of submissions")
    grading.add_argument("folder", type=Path)
    grading.add_argument("--timeout", type=float, default=60, help="seconds a cell may take (default 60)")
    options = parser.parse_args(arguments)
    if options.command == "write":
        return write()
    if not options.folder.is_dir():
        raise SystemExit(f"{options.folder} is no folder")
    print(table(grade(options.folder, options.timeout)))


if __name__ == "__main__":
    main()

"""The assignments: student versions, the instructor's guide, and the grader.

    python notebooks/assignments/classroom.py write          student/*.ipynb and GUIDE.md
    python notebooks/assignments/classroom.py grade FOLDER   a table of student x exercise, and FOLDER/grades.csv

The notebooks under source/, in nbgrader's format, and wrong_answers.toml are the one source of truth:
`nbgrader generate_assignment` reads the notebooks, too. Nothing here needs nbgrader.
"""

from __future__ import annotations

import argparse
import copy
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

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


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help="the student versions and the guide")
    grading = commands.add_parser("grade", help="a folder of submissions")
    grading.add_argument("folder", type=Path)
    grading.add_argument("--timeout", type=float, default=60, help="seconds a cell may take (default 60)")
    grading.add_argument("--total", type=float, default=900, help="seconds a notebook may take (default 900)")
    grading.add_argument("--memory", type=float, default=4, help="GB a submission may use (default 4)")
    grading.add_argument("--cores", type=int, default=0, help="submissions graded at once (default: one per core)")
    grading.add_argument("--keep", choices=("better", "newer"), default="better", help="of a student's two notebooks")
    grading.add_argument("--isolation", choices=("auto", "bwrap", "user", "bare"), default="auto")
    grading.add_argument("--again", action="store_true", help="grade all anew, with other random inputs; marks stay")
    options = vars(parser.parse_args(arguments))
    if options.pop("command") == "write":
        return write()
    from grades import table
    from grading import Options, grade

    folder, again = options.pop("folder"), options.pop("again")
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder")
    options["memory"] = int(options["memory"] * 2**30)
    try:
        print(table(grade(folder, Options(**options), again)).encode("utf-8", "backslashreplace").decode())
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; what is graded is written, and the same command goes on from there") from None
    except OSError as error:
        raise SystemExit(f"cannot grade {folder}: {error}") from None


if __name__ == "__main__":
    main()

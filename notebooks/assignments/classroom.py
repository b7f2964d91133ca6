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

**Grade** with `make grade SUBMISSIONS=FOLDER`, on Linux or macOS (on Windows: in WSL). All cores work, a line shows the
time left, and the tables are written anew, at once or not at all, after each notebook. Stop it whenever you like: the
same command goes on from there, and grades anew what has changed. `make grade ... TIMEOUT=120` gives a cell 120
seconds instead of 60; `OPTIONS="--keep newer --again"` and more are listed by `classroom.py grade --help`.

| in the folder | holds |
|---|---|
| `grades.csv` | points, and the message of every check that failed; a remark on every file that was not graded |
| `marks.csv` | a line for each written answer, for your marks |
| `written_answers.md` | what is to be marked by hand, question by question |
| `reports/` | `index.html`: points per exercise and the most common mistakes; a page for each student |
| `.grading/` | what is graded already, and the number that random inputs come from |

**Marks by hand** go into `marks.csv`; the next call merges them into the table. A line with an exercise and an empty
`cell` replaces the points of its checks. The grader adds lines, and never erases one. A file that it cannot read it
leaves as it is, and says so. A `grades.csv` that you have changed is set aside as `grades edited 1.csv`, not read.

**What the grader repairs.** It puts back every given cell, with the hidden tests, whatever the student did to it.
Before each check, given names (`n`, `X`, ..) get their values back, so that nobody fails for having overwritten one.
Lost metadata are found again by cell id, by text or by the names of functions; an answer counts above its stub, below
its check or at the end; of a repeated answer the last one counts. `exit()` and `quit()` end their cell alone. Where
a student's cell fails (a package that is not here, a test of his own) it goes on with the next statement; magics and
`!` commands are left out. A cell that takes the process with it, or does not end, is left out, and all others run
again, up to three times. Of two notebooks of one student the better counts, or with `--keep newer` the newer; the other
has a remark.

**What is protected, and how.** Each notebook is graded in a process of its own, on a copy, with limits of time (a cell,
900 seconds in all), memory (4 GB in a process) and output. The checks run outside the student's process: his functions
are called on inputs that he has not seen (hidden tests draw new numbers for each folder), and only numbers, texts and
arrays travel back. So patching `compare`, numpy, `assert` or sedyn, reading frames or forging replies gains nothing.
The environment variables of the instructor are not passed on. How far files are protected depends on the system; the
column `isolation` of `grades.csv` says which of these held:

- `bwrap` (Linux with bubblewrap, `apt install bubblewrap`): the student's code sees Python, a copy of sedyn and an
  empty folder, and can write to the latter alone; no network, no other process.
- `user` (when started by root, with a Python that others may run): it runs as another user, who can read what
  everybody can read, and use the network.
- `bare` (else; a warning is printed): it can read and write what you can, the model answers among it.

**What is not protected.** With `bare`, and for reading with `user`: grade work of people you do not trust with `bwrap`.
A student who patches numpy spoils what he does later in his own notebook. In 1.1 and 1.2 the package's own functions
fail while an answer runs, whatever it calls them by; a copy of their code does not. Limits of memory hold for a
process, not for many of them. Checks see what a function returns, not how it was found: two students with the same
answer, or the model answer from elsewhere, pass. Answers find the packages of your Python, not those of the student's.

**With nbgrader** (`pip install "sedyn[classroom]"`): this folder is its course directory; `nbgrader
generate_assignment NAME`, `nbgrader collect`, `nbgrader autograde` work as usual, with the same points; there the
checks run in the student's process, and none of the above holds.

The points of an exercise are split over its checks; a check gives all its points or none. The tables of typical
mistakes say what each is worth and what the student reads. They are tests of the grader: `make test` grades two of
each exercise, `make test-all` every one. Exercises do not use earlier answers, save where the first cell of the
notebook says so (2.5, 2.6, 3.6); look there before you judge a follow-up error.
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

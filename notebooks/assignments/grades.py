"""What the grader writes: grades.csv with marks by hand merged in, written_answers.md, and a report per student."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import os
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import classroom
from classroom import exercises

STATE = ".grading"  # in the folder of submissions: results of single files, and the number that random inputs come from


class Row(NamedTuple):
    student: str
    assignment: str
    exercise: str  # "" for a remark on the whole file
    points: float | None  # None: marked by hand
    out_of: int
    message: str
    file: str = ""
    isolation: str = ""


@dataclass
class Submission:
    """One file of the folder."""

    path: str  # in the folder, readable
    student: str
    modified: float = 0.0
    data: bytes = b""
    remark: str = ""  # why it is not graded


def write(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    os.replace(part, path)


# ---- marks and grades


def safe(value):
    """A cell that no spreadsheet takes for a formula."""
    return (
        "" if value is None else "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
    )


def csv_text(header, rows) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(header)
    table.writerows([safe(value) for value in row] for row in rows)
    return text.getvalue()


MARKS = ("student", "assignment", "exercise", "cell", "points", "out_of", "remark")


def read_marks(path: Path) -> tuple[dict[tuple, dict], list[str]]:
    """Marks given by hand: (student, assignment, exercise, cell) -> row; and what cannot be read."""
    if not path.exists():
        return {}, []
    text = path.read_bytes().decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    found: dict[tuple, dict] = {}
    problems: list[str] = []
    if not rows.fieldnames or set(MARKS[:5]) - set(rows.fieldnames):
        return {}, [
            f"{path.name} has not the columns {', '.join(MARKS[:5])}: no mark was read, and it is left as it is"
        ]
    for number, row in enumerate(rows, 2):
        row = {name: (row.get(name) or "").strip() for name in MARKS}
        key = tuple(row[name].removeprefix("'") if row[name][1:2] in tuple("=+-@") else row[name] for name in MARKS[:4])
        points = row["points"].replace(",", ".")
        if points and not re.fullmatch(r"\d+(\.\d+)?", points):
            problems.append(f"{path.name}, line {number}: {row['points']!r} is no number of points")
        elif key in found and found[key]["points"] and points:
            problems.append(f"{path.name}, line {number}: a second mark of the same; the first counts")
        else:
            found[key] = row | {"points": points}
    return found, problems


def write_grades(folder: Path, rows: list[Row]) -> None:
    """Write grades.csv. One that was changed by hand is set aside: marks belong into marks.csv."""
    table, written = folder / "grades.csv", folder / STATE / "grades"
    text = csv_text(Row._fields, rows)
    known = written.read_text().split() if written.exists() else []
    if table.exists() and hashlib.sha256(table.read_bytes()).hexdigest() not in known:
        aside = next(path for k in range(1, 10**6) if not (path := folder / f"grades edited {k}.csv").exists())
        os.replace(table, aside)
        print(
            f"warning: grades.csv was changed by hand and is now {aside.name!r}; marks go into marks.csv",
            file=sys.stderr,
        )
    # both: the process may be killed between the next two lines
    new = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    write(written, f"{known[-1] if known else ''}\n{new}")
    write(table, text)


def finish(folder: Path, files: list[Submission], results: dict[str, dict], keep: str) -> list[Row]:
    """All rows so far, with the marks given by hand; writes grades.csv, marks.csv and written_answers.md."""
    of_student: dict[tuple[str, str], list[Submission]] = defaultdict(list)
    rows: list[Row] = []
    written: dict[str, list[str]] = {}
    for one in files:
        for assignment in {row.assignment for row in results.get(one.path, {"rows": []})["rows"] if row.exercise}:
            of_student[one.student, assignment].append(one)

    def total(one: Submission) -> float:
        return sum(row.points or 0 for row in results[one.path]["rows"])

    counts = {}
    for key, several in of_student.items():
        counts[key] = max(several, key=lambda one: (total(one) if keep == "better" else 0, one.modified, one.path))
    for one in files:
        result = results.get(one.path)
        if not result:
            continue
        new = result["rows"]
        assignment = next((row.assignment for row in new if row.exercise), "")
        winner = counts.get((one.student, assignment))
        if winner and winner is not one:
            said = f"of this student's {len(of_student[one.student, assignment])} notebooks the {keep} counts"
            text = f"{one.path}: {total(one):g} points; {said}, {winner.path}"
            new = [Row(one.student, assignment, "", 0, 0, text, one.path)]
        else:
            for name, text in result["written"].items():
                quoted = "\n".join(f"> {line}" for line in text.strip().split("\n"))
                written.setdefault(name, []).append(f"### {one.student}\n\n{quoted}\n")
        rows += new
    found, problems = read_marks(folder / "marks.csv")
    marks: dict[tuple, dict] = {}  # in the order of the table; then what belongs to no file
    for k, row in enumerate(rows):
        if not row.exercise:
            continue
        cell = row.message.split(":")[0] if row.points is None else ""
        of_mark = (row.student, row.assignment, row.exercise, cell)
        mark = found.pop(of_mark, None)
        if mark:
            marks[of_mark] = mark
        if mark is None and cell and not any("has not the columns" in text for text in problems):
            marks[of_mark] = dict(zip(MARKS, (*of_mark, "", str(row.out_of), ""), strict=True))
        elif mark and mark["points"]:
            if float(mark["points"]) > row.out_of:
                problems.append(f"marks.csv: {mark['points']} points of {row.out_of} for {row.student}, {row.exercise}")
            said = f"{cell or 'checks'}: marked by hand" + (f": {mark['remark']}" if mark["remark"] else "")
            rows[k] = row._replace(
                points=float(mark["points"]),
                message=said + (f" (was {row.points:g}: {row.message})" if not cell else ""),
            )
    rows += [Row("", "marks.csv", "", 0, 0, problem) for problem in problems]
    write_grades(folder, rows)
    if not any("has not the columns" in text or "is no number" in text or "a second mark" in text for text in problems):
        lines = [[row[name] for name in MARKS] for row in (marks | found).values()]
        write(folder / "marks.csv", csv_text(MARKS, lines))
    answers = "\n".join(f"## {name}\n\n" + "\n".join(texts) for name, texts in written.items())
    write(folder / "written_answers.md", answers)
    return rows


def table(rows: list[Row]) -> str:
    """One line per student and assignment, one column per exercise; below, what went wrong."""
    lines = []
    for assignment in dict.fromkeys(row.assignment for row in rows if row.exercise):
        own = [row for row in rows if row.assignment == assignment]
        scored = [row for row in own if row.exercise and row.points is not None]
        columns = dict.fromkeys(row.exercise for row in own if row.exercise)
        names = list(dict.fromkeys(row.student for row in own))
        width = max(len(name) for name in (*names, "out of"))
        lines.append(f"\n{assignment}\n{'':{width}}" + "".join(f"{c:>6}" for c in columns) + "   total")
        for name in names:
            points: dict[str, float] = {}
            for row in scored:
                if row.student == name:
                    points[row.exercise] = points.get(row.exercise, 0) + (row.points or 0)
            cells = "".join(f"{f'{points[c]:g}' if c in points else '-':>6}" for c in columns)
            lines.append(f"{name:{width}}{cells}{sum(points.values()):>8g}")
        out_of = {part.number: part.points for part in exercises(classroom.sources()[assignment])}
        lines.append(f"{'out of':{width}}" + "".join(f"{p:>6}" for p in out_of.values()) + f"{sum(out_of.values()):>8}")
    remarks = [row for row in rows if row.message and row.points is not None]
    if len(remarks) > 100:  # of a class: those on files
        remarks = [row for row in remarks if not row.exercise]
        lines += ["", "  what was wrong in each exercise: see grades.csv and reports/index.html"]
    lines += ["", *(f"  {row.student} {row.exercise or row.assignment}: {row.message}" for row in remarks)]
    kinds = Counter(row.isolation for row in rows if row.isolation)
    return "\n".join(lines) + "\n\nisolation: " + ", ".join(kinds)


# ---- reports

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}table{{border-collapse:collapse}}
td,th{{border-bottom:1px solid #ccc;padding:.3rem .8rem;text-align:left;vertical-align:top}}</style>
<h1>{title}</h1>{body}</html>
"""


def html_table(header, rows) -> str:
    lines = [header, *rows]
    cells = [
        "".join(f"<{'td' if k else 'th'}>{html.escape(str(cell))}</{'td' if k else 'th'}>" for cell in line)
        for k, line in enumerate(lines)
    ]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in cells) + "</table>"


def write_reports(folder: Path, rows: list[Row]) -> None:
    """reports/NAME.html for each student, and reports/index.html for the instructor."""
    (folder / "reports").mkdir(exist_ok=True)
    body, links = "", []
    for student in dict.fromkeys(row.student for row in rows if row.student):
        page = ""
        for assignment in dict.fromkeys(row.assignment for row in rows if row.student == student):
            own = [row for row in rows if (row.student, row.assignment) == (student, assignment)]
            points, out_of = sum(row.points or 0 for row in own), sum(row.out_of for row in own)
            lines = [
                (
                    row.exercise or "the file",
                    "" if not row.exercise else "open" if row.points is None else f"{row.points:g} of {row.out_of}",
                    row.message,
                )
                for row in own
            ]
            page += f"<h2>{html.escape(assignment)}: {points:g} of {out_of} points</h2>" + html_table(
                ("exercise", "points", "what was wrong, and where"), lines
            )
        name = re.sub(r"[^\w.-]", "_", student)[:80]
        if name != student or name == "index":
            name += "-" + hashlib.sha256(student.encode("utf-8", "replace")).hexdigest()[:8]
        write(folder / "reports" / f"{name}.html", PAGE.format(title=html.escape(student), body=page))
        links.append(f'<a href="{quote(name)}.html">{html.escape(student)}</a>')
    for assignment in dict.fromkeys(row.assignment for row in rows if row.exercise):
        scored = [row for row in rows if row.assignment == assignment and row.exercise and row.points is not None]
        shares: list[tuple] = []
        mistakes: Counter[tuple[str, str]] = Counter()
        for exercise in dict.fromkeys(row.exercise for row in scored):
            found = Counter(f"{row.points:g} of {row.out_of}" for row in scored if row.exercise == exercise)
            shares.append(
                (
                    exercise,
                    sum(found.values()),
                    ", ".join(f"{n} x {points}" for points, n in sorted(found.items(), reverse=True)),
                )
            )
        for row in scored:
            for text in row.message.split("; "):
                if text and not text.endswith(": not answered"):
                    mistakes[row.exercise, re.sub(r"-?\d+\.\d+(e[-+]\d+)?", "..", text)] += 1
        body += f"<h2>{html.escape(assignment)}</h2>" + html_table(("exercise", "notebooks", "points"), shares)
        body += "<h3>Most common mistakes</h3>" + html_table(
            ("times", "exercise", "message"), [(n, *what) for what, n in mistakes.most_common(20)]
        )
    body += f"<h2>Students</h2><p>{', '.join(links)}</p>"
    write(folder / "reports" / "index.html", PAGE.format(title="All submissions", body=body))

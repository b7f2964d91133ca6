"""The grader of a folder: one process for each submission (``judge_alone``), as many at once as there are cores.

reading.py reads a notebook, judging.py judges it with the help of a sandbox (sandbox.py), grades.py writes the results.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import multiprocessing
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import classroom
from classroom import exercises, grade_id
from grades import STATE, Row, Submission, finish, write, write_reports
from judging import Cage, Given, Judge, Options, adopt_orphans, cage, hash_of, make_tree
from reading import identified, ids_of, read, restore, shorten

MOST_OF_A_NOTEBOOK = 50 * 2**20  # bytes

OUTPUTS = ("grades.csv", "marks.csv", "written_answers.md", "reports")  # in the folder of submissions

EDITED = r"grades edited \d+\.csv"  # what `write_grades` sets aside

DEFAULT = Options()


# ---- one submission, one process


def judged(submission: Submission, given: dict[str, Given], cage: Cage, slot: int, salt: str, options: Options) -> dict:
    """Rows and written answers of one notebook."""
    begun, where = time.monotonic(), (submission.path, cage.kind)

    def remark(text: str, assignment: str = "") -> Row:
        return Row(submission.student, assignment or submission.path, "", 0, 0, shorten(text), *where)

    try:
        cells, odd = read(submission.data)
    except ValueError as error:
        return {"rows": [remark(str(error))], "written": {}}
    sources = classroom.sources()
    counts = {
        name: len({cell.id for cell in identified(source, cells)[0]} & ids_of(source))
        for name, source in sources.items()
    }
    assignment = max(counts, key=lambda name: counts[name])
    if not counts[assignment]:
        return {"rows": [remark("has no cell of any assignment, nor a function that one asks for")], "written": {}}
    source = sources[assignment]
    steps, problems = restore(source, cells)
    if assignment not in given:
        given[assignment] = Given(source)
    judge = Judge(given[assignment], cage, slot, salt, options)
    try:
        outcome = judge.run(steps)
    finally:
        judge.close()
    rows = [remark(problem, assignment) for problem in odd + problems]
    for part in exercises(source):
        if part.checks:
            points = sum(p for name, p in part.checks.items() if not outcome[name])
            failed = [f"{name}: {outcome[name]}" for name in part.checks if outcome[name]]
            rows.append(
                Row(
                    submission.student,
                    assignment,
                    part.number,
                    points,
                    sum(part.checks.values()),
                    "; ".join(failed),
                    *where,
                )
            )
        for name, p in part.written.items():
            rows.append(
                Row(submission.student, assignment, part.number, None, p, f"{name}: to be marked by hand", *where)
            )
    by_hand = {name for part in exercises(source) for name in part.written}
    asked = {grade_id(cell): cell.source.strip() for cell in classroom.student_version(source).cells}
    written = {
        cell.id: "(not answered)" if cell.source.strip() == asked[cell.id] else cell.source
        for cell in identified(source, cells)[0]
        if cell.id in by_hand
    }
    return {"rows": rows, "written": written, "seconds": time.monotonic() - begun}


def judge_alone(result: str, one: Submission, *arguments) -> None:
    """What the process of one submission does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the scheduler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # warnings of answers
    adopt_orphans()
    os.environ["OMP_NUM_THREADS"] = "1"  # the other cores have their own notebooks
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # die with the scheduler (Linux)
    with contextlib.suppress(Exception):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
    try:
        found = judged(one, *arguments)
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        text = shorten(
            f"the grader failed, look at it by hand: {type(error).__name__}: {error} ({at.name}, line {at.lineno})"
        )
        found = {"rows": [Row(one.student, one.path, "", 0, 0, text, one.path)], "written": {}}
    write(Path(result), json.dumps(found))


# ---- the folder


def readable(path: str) -> str:
    """A file name that can be printed, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def inventory(folder: Path) -> list[Submission]:
    """Every file under the folder, save those that the grader writes. The student is the first part of the path."""
    found = []
    for root, folders, files in os.walk(folder):
        if Path(root) == folder:
            folders[:] = [name for name in folders if name not in (*OUTPUTS, STATE)]
            files = [name for name in files if name not in OUTPUTS and not re.fullmatch(EDITED, name)]
        folders.sort()
        for name in sorted(files) or ([""] if not folders and Path(root) != folder else []):
            path = Path(root, name)
            parts = path.relative_to(folder).parts
            student = readable(parts[0])
            if len(parts) == 1 and name:  # ada.ipynb, and its copy ada (1).ipynb
                student = re.sub(r"( ?\(\d+\)|-Copy\d+)$", "", Path(student).stem)
            one = Submission(readable("/".join(parts)), student)
            found.append(one)
            try:
                if not name:
                    one.remark = "an empty folder"
                elif any(part.startswith(".") for part in parts):
                    one.remark = "hidden: not graded"
                elif path.is_symlink() or not path.is_file():
                    one.remark = "a link or a special file: not followed"
                elif path.suffix.lower() != ".ipynb":
                    one.remark = "no notebook (.ipynb): not graded"
                elif path.stat().st_size > MOST_OF_A_NOTEBOOK:
                    one.remark = f"larger than {MOST_OF_A_NOTEBOOK >> 20} MB: not graded; clear its output"
                else:
                    one.modified, one.data = path.stat().st_mtime, path.read_bytes()
            except OSError as error:
                one.remark = f"unreadable: {error.strerror}"
    return found


def grade(folder: Path, options: Options = DEFAULT, again: bool = False) -> list[Row]:
    """Grade every file under the folder; what an earlier call has graded stays. Writes the tables and reports there."""
    if os.name == "nt":
        raise SystemExit("grading needs Linux or macOS; on Windows, use WSL")
    folder = folder.resolve()
    files = inventory(folder)
    if not any(not one.remark for one in files):
        raise SystemExit(f"no notebook under {folder}; expected {folder}/name.ipynb or {folder}/name/any.ipynb")
    state = folder / STATE
    state.mkdir(exist_ok=True)
    for path in (*state.glob("*.json"), state / "salt") if again else ():
        path.unlink(missing_ok=True)
    if not (state / "salt").exists():
        write(state / "salt", secrets.token_hex(16))
    salt = (state / "salt").read_text()
    import fcntl

    lock = (state / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(f"{folder} is being graded by another process") from None
    with contextlib.suppress(OSError):  # what a killed grader has left
        left = Path((state / "work").read_text())
        shutil.rmtree(left if left.name.startswith("grading-") else "", ignore_errors=True)
    own = [classroom.HERE / "source", *sorted(classroom.HERE.glob("*.py"))]
    before = hash_of(*own)
    places = {}
    for one in files:
        key = hashlib.sha256("\0".join((before, salt, str(options.timeout), one.path)).encode() + one.data).hexdigest()[
            :24
        ]
        places[one.path] = state / f"{key}.json"
    results = {one.path: result for one in files if (result := stored(places[one.path]))}
    for one in files:
        if one.remark:
            results[one.path] = {"rows": [Row(one.student, one.path, "", 0, 0, one.remark, one.path)], "written": {}}
    todo = [one for one in files if one.path not in results]
    with tempfile.TemporaryDirectory(prefix="grading-") as work:
        write(state / "work", work)
        chosen = cage(make_tree(Path(work)), options) if todo else None
        if chosen and chosen.kind == "bare":
            print(
                "warning: no isolation (install bubblewrap): a submission can read and change your files",
                file=sys.stderr,
            )
        for one, result in run_all(todo, chosen, salt, options, Path(work)) if chosen else ():
            results[one.path] = result
            write(places[one.path], json.dumps(result))
            rows = finish(folder, files, results, options.keep)
    rows = finish(folder, files, results, options.keep)
    write_reports(folder, rows)
    changed = [one.path for one in files if one.data and not unchanged(folder, one)]
    for what in (*changed, *(["the sources or the grader"] if hash_of(*own) != before else [])):
        print(f"warning: {what} changed during grading; graded was the copy made before", file=sys.stderr)
    return rows


def unchanged(folder: Path, one: Submission) -> bool:
    try:
        return next(x.read_bytes() for x in [folder / os.fsdecode(one.path.encode())]) == one.data
    except OSError:
        return "\\x" in one.path  # a name that is not UTF-8


def stored(path: Path) -> dict | None:
    try:
        result = json.loads(path.read_text())
        return result | {"rows": [Row(*row) for row in result["rows"]]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_all(todo: list[Submission], chosen: Cage, salt: str, options: Options, work: Path):
    """Yield (submission, result), as they come; one process for each, as many at once as there are cores."""
    try:
        from tqdm import tqdm
    except ImportError:
        raise SystemExit('grading needs tqdm: pip install "sedyn[notebooks]"') from None
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    cores = options.cores or len(
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    given: dict[str, Given] = {}
    if sys.platform == "linux":  # set up once what the processes then inherit
        for name, source in classroom.sources().items():
            quoted = [f'"{cell_id}"'.encode() for cell_id in ids_of(source)]
            if sum(any(word in one.data for word in quoted) for one in todo) > 1:
                given[name] = Given(source)
    waiting, tries = list(todo), Counter[str]()
    running: dict[Any, tuple[Submission, Any, int, float]] = {}
    tree = hash_of(chosen.tree)
    try:
        with tqdm(total=len(todo), desc="grading", unit="file", disable=None) as bar:
            while waiting or running:
                while waiting and len(running) < cores:
                    one = waiting.pop(0)
                    slot = min(set(range(cores)) - {entry[2] for entry in running.values()})
                    result = work / f"result-{slot}"
                    result.unlink(missing_ok=True)
                    arguments = (str(result), one, given, chosen, slot, salt, options)
                    process = context.Process(target=judge_alone, args=arguments)
                    process.start()
                    running[process.sentinel] = one, process, slot, time.monotonic()
                for sentinel in wait(list(running), timeout=1):
                    one, process, slot, _ = running.pop(sentinel)
                    process.join()
                    found = stored(work / f"result-{slot}")
                    tries[one.path] += 1
                    if found is None and tries[one.path] < 2:
                        waiting.append(one)
                        continue
                    if found is None:
                        text = f"its process ended twice (exit code {process.exitcode}); look at it by hand"
                        found = {
                            "rows": [Row(one.student, one.path, "", 0, 0, text, one.path, chosen.kind)],
                            "written": {},
                        }
                    if hash_of(chosen.tree) != tree:
                        text = "the copy of the package was changed while this was graded; look at it by hand"
                        found["rows"].append(Row(one.student, one.path, "", 0, 0, text, one.path, chosen.kind))
                        shutil.rmtree(chosen.tree, ignore_errors=True)
                        make_tree(work)
                        tree = hash_of(chosen.tree)
                    bar.update()
                    yield one, found
                for one, process, _, begun in running.values():
                    if time.monotonic() > begun + options.total + 120:
                        tries[one.path] += 1  # once is enough
                        process.kill()
    finally:
        for _, process, _, _ in running.values():
            process.kill()

"""The grader: one submission after the other, each judged in a process that its student's code cannot reach.

For each notebook the scheduler (``grade``) starts a judge (``judge``): a process that reads the notebook, sets up the
assignment's given cells for itself, and runs its checks. Wherever a check calls a function of the student's, a sandbox
(sandbox.py: another process, isolated as ``cage`` says) is asked for the result. Only these results travel.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import csv
import ctypes
import hashlib
import html
import io
import json
import multiprocessing
import os
import pickle
import re
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import classroom
import sandbox
from classroom import exercises, grade_id, role, student_version

MOST_OF_A_NOTEBOOK = 50 * 2**20  # bytes
OUTPUTS = ("grades.csv", "marks.csv", "written_answers.md", "reports")  # in the folder of submissions


class Options(NamedTuple):
    timeout: float = 60  # seconds of a cell
    total: float = 900  # seconds of a notebook
    memory: int = 4 * 2**30  # bytes
    cores: int = 0  # 0: all
    keep: str = "better"  # or "newer": of two notebooks of one student
    isolation: str = "auto"


# ---- reading a notebook that may be anything


class Cell(NamedTuple):
    kind: str  # code, markdown or raw
    source: str
    id: str  # of nbgrader's metadata, or "" (then found otherwise)
    cell_id: str


def text_of(value) -> str:
    return (
        value
        if isinstance(value, str)
        else "".join(v for v in value if isinstance(v, str))
        if isinstance(value, list)
        else ""
    )


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
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return dict.fromkeys(re.findall(r"^(?:async +)?def +(\w+)", code, re.M), "")
    found = {
        node.name: ast.get_source_segment(code, node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    for node in tree.body:  # f = lambda ..: ..
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name):
                found[target.id] = ast.get_source_segment(code, node) or ""
    return found


def identified(source, cells: list[Cell]) -> tuple[list[Cell], list[str]]:
    """Cells with the ids of the assignment; those that lost their metadata by cell id, by text or by their functions."""
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


# ---- the sandbox, seen from the grader


@dataclass
class Cage:
    """How sandboxes are isolated, and the read-only tree that they see."""

    kind: str  # bwrap, user or bare
    tree: Path
    extra: tuple[str, ...] = ()

    def command(self, home: str, options: Options) -> list[str]:
        limits = {
            "memory": options.memory,
            "cpu": int(options.total) + 60,
            "files": 2**28,
            "fonts": f"{self.tree}/fonts",
            "fork": self.kind != "bwrap",
        }
        python = [sys.executable, "-I", "-B", f"{self.tree}/sandbox.py", str(self.tree), repr(limits)]
        if self.kind != "bwrap":
            return python
        seen = dict.fromkeys(
            ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", "/etc/ld.so.cache", sys.base_prefix, sys.prefix)
        )
        binds = [word for path in (*seen, str(self.tree)) for word in ("--ro-bind-try", path, path)]
        return [
            "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev",
            *self.extra, "--tmpfs", "/tmp", *binds, "--dir", home, "--chdir", home, *python,
        ]  # fmt: skip

    def start(self, home: str, user: int, options: Options) -> subprocess.Popen:
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "MPLBACKEND": "Agg", "TQDM_DISABLE": "1",
            "MPLCONFIGDIR": f"{home}/fonts", "NUMBA_CACHE_DIR": f"{home}/numba", "PYTHONHASHSEED": "0",
        } | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")  # fmt: skip
        other: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if self.kind == "user" else {}
        if self.kind == "user":
            os.chown(home, user, user)
        path = os.environ.get("PATH", "")
        command = self.command(home, options)
        if self.kind == "bwrap":
            command[0] = shutil.which("bwrap", path=path) or "bwrap"
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/" if self.kind == "bwrap" else home,
            env=environment, start_new_session=True, bufsize=0, **other,
        )  # fmt: skip


class Lost(Exception):
    """The sandbox is gone, or no longer answers."""


class StudentError(Exception):
    """What a function of the student's raised: type, message, line."""

    def __str__(self) -> str:
        name, text, line = self.args
        return f"{name}: {text}" + (f" (line {line} of the cell)" if line else "")


USER = 61_000  # the first of the numbers that sandboxes run under, one for each judge at work


class Sandbox:
    def __init__(self, cage: Cage, slot: int, options: Options):
        self.folder = tempfile.mkdtemp(prefix="sandbox-")
        self.cage, self.user = cage, USER + slot
        os.chmod(self.folder, 0o700)
        self.process = cage.start(self.folder, self.user, options)
        assert self.process.stdin and self.process.stdout
        self.ends = self.process.stdin.fileno(), self.process.stdout.fileno()
        for end in self.ends:
            os.set_blocking(end, False)

    def ask(self, operation: str, seconds: float, **request) -> dict:
        """The reply of the sandbox, read with suspicion. Raises StudentError, or Lost."""
        if seconds <= 0:
            raise Lost("no time left")
        number = secrets.randbits(60)
        data = pickle.dumps(request | {"operation": operation, "seconds": seconds, "number": number})
        todo, deadline = memoryview(struct.pack("!Q", len(data)) + data), time.monotonic() + seconds + 5
        got, size = bytearray(), 8
        while len(got) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Lost(f"not finished after {seconds:.3g} seconds, and could not be interrupted")
            try:
                if todo:
                    with contextlib.suppress(BlockingIOError):
                        todo = todo[os.write(self.ends[0], todo) :]
                if not todo:
                    select.select([self.ends[1]], [], [], left)
                    part = os.read(self.ends[1], min(size - len(got), 2**20))
                    if not part:
                        raise Lost("its process ended (killed, or out of memory)")
                    got += part
                else:
                    select.select([], [self.ends[0]], [], left)
            except BlockingIOError:
                continue
            except OSError:
                raise Lost("its process ended (killed, or out of memory)") from None
            if size == 8 and len(got) == 8:
                size = 8 + struct.unpack("!Q", got)[0]
                if size > sandbox.MOST + 2**16:
                    raise Lost("it sent more than is allowed")
        try:
            reply = json.loads(bytes(got[8:]))
            if reply["number"] != number:
                raise ValueError
            if "error" in reply:
                name, text, line = reply["error"]
                raise StudentError(str(name), str(text)[:2000], line if isinstance(line, int) else None)
            return {"value": reply["value"], "changed": reply.get("changed", []), "picture": reply.get("picture")}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Lost("its answer cannot be read") from None

    def close(self) -> None:
        """End everything that runs in it."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.cage.kind == "user":  # whatever has left the group
            subprocess.run(["/bin/sh", "-c", "kill -9 -1"], user=self.user, stderr=subprocess.DEVNULL)
        for end in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                end.close()  # type: ignore[union-attr]
        self.process.wait()
        while end_orphans():
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


def adopt_orphans() -> None:
    """On Linux: what a sandbox leaves behind becomes a child of this process, which can end it."""
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def end_orphans() -> bool:
    """Kill the children that are left; whether there were any."""
    try:
        children = [
            int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
        ]
    except OSError:
        return False
    for pid in children:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return bool(children)


def decoded(value, box: Remote | None = None, depth: int = 0):
    """What a sandbox sent, as plain data: numbers, texts, arrays, sequences, networks and weights."""
    import numpy as np

    import sedyn
    from sedyn.model import Small

    if depth > 25:
        raise ValueError
    if not isinstance(value, dict):
        return value if isinstance(value, (bool, int, float, str)) else None
    ((kind, content),) = value.items()
    if kind == "array":
        dtype = np.dtype(str(content[0]))
        if dtype.kind not in "biufc":
            raise ValueError
        return np.frombuffer(bytearray(base64.b64decode(content[2])), dtype).reshape([int(k) for k in content[1]])[()]
    if kind == "function" and box is not None:
        return Remote(box.judge, int(content))
    if kind == "network":
        return sedyn.Network(tuple(content[0]), tuple(content[1]), content[2])
    if kind in ("weights", "small"):
        first, deep, biases = ([decoded(part, box, depth + 1) for part in parts] for parts in content)
        return (
            sedyn.Weights(first[0], tuple(deep), tuple(biases))
            if kind == "weights"
            else Small(tuple(deep), tuple(biases))
        )
    if kind == "dict":
        return {str(name): decoded(item, box, depth + 1) for name, item in content}
    items = [decoded(item, box, depth + 1) for item in content]
    return tuple(items) if kind == "tuple" else items


class Remote:
    """A function of the student's: each call is a request to the sandbox."""

    def __init__(self, judge: Judge, handle: str | int):
        self.judge, self.handle = judge, handle

    def __call__(self, *args, **keywords):
        import numpy as np

        buffer = io.BytesIO()
        lent = [np.random.default_rng(a.integers(2**63)) if isinstance(a, np.random.Generator) else a for a in args]
        sandbox.Pickler(buffer).dump((lent, keywords))
        reply = self.judge.ask("call", function=self.handle, arguments=buffer.getvalue())
        try:
            value = decoded(reply["value"], self)
            if self.judge.faithful:  # the check looks whether its own arrays were changed
                for place, array in reply["changed"]:
                    args[place][...] = decoded(array)
            for axes in (a for a in args if hasattr(a, "get_xlabel")):
                redraw(axes, decoded(reply["picture"]))
        except Exception as error:  # the sandbox can send anything
            raise StudentError(
                "unreadable", f"the result cannot be read ({type(error).__name__}: {error})", None
            ) from None
        return value

    @property
    def __code__(self):
        return self.judge.code_of(self.handle)


def redraw(axes, drawn: dict) -> None:
    """The picture that a sandbox described."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.container import ErrorbarContainer

    with_bars = {k for _, _, places in drawn["bars"] for k in places}
    lines = [axes.plot(x, y, label=label)[0] for x, y, label in drawn["lines"]]
    shapes: list[Any] = [
        (LineCollection if k in with_bars else PolyCollection)(paths) for k, paths in enumerate(drawn["collections"])
    ]
    for shape in shapes:
        axes.add_collection(shape)
    for line, has_yerr, places in drawn["bars"]:
        parts = lines[line] if line >= 0 else None, (), tuple(shapes[k] for k in places)
        axes.add_container(ErrorbarContainer(parts, has_yerr=bool(has_yerr)))  # type: ignore[arg-type]
    axes.set(xlabel=drawn["labels"][0], ylabel=drawn["labels"][1])
    if drawn["legend"] is not None:
        axes.legend(lines[: len(drawn["legend"])], drawn["legend"])


# ---- the judge of one notebook


HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)^### END HIDDEN TESTS", re.M | re.S)


def fresh(code: str) -> str:
    """The check with other random numbers in its hidden tests, drawn for this grading."""
    return HIDDEN.sub(lambda found: found[0].replace("np.random.default_rng(", "fresh_rng("), code)


class Given:
    """The names of an assignment's given cells, run once for all its submissions."""

    def __init__(self, source):
        import matplotlib

        matplotlib.use("Agg")
        self.names: dict[str, Any] = {}
        self.before: dict[str, dict] = {}  # check -> the names that it finds
        answers = [cell.source for cell in source.cells if role(cell) == "answer"]
        self.asked = [name for code in answers for name in functions(code)]  # no other name may come from a student
        for cell in source.cells:
            if role(cell) == "locked":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(cell.source, f"<{grade_id(cell)}>", "exec"), self.names)
            elif role(cell) == "check":
                self.before[grade_id(cell)] = dict(self.names)


class Judge:
    """Runs the steps of one notebook: the student's in a sandbox, the checks here."""

    most_lost = 3  # sandboxes

    def __init__(self, given: Given, cage: Cage, slot: int, salt: str, options: Options):
        self.given, self.cage, self.slot, self.salt, self.options = given, cage, slot, salt, options
        self.box: Sandbox | None = None
        self.faithful, self.until = False, 0.0
        self.end = time.monotonic() + options.total
        self.codes: dict[str, str] = {}
        self.trouble: dict[str, str] = {}  # function -> why its cell failed

    def ask(self, operation: str, **request) -> dict:
        assert self.box
        return self.box.ask(operation, min(self.until, self.end) - time.monotonic(), **request)

    def code_of(self, name):
        """The compiled function ``name`` of the notebook, for its names alone."""
        module = compile(self.codes.get(name, "def nothing(): pass"), "<answer>", "exec")
        return next(constant for constant in module.co_consts if hasattr(constant, "co_names"))

    def run(self, steps: list[Step]) -> dict[str, str]:
        """Check id -> "" (passed) or why it failed. A step that takes the sandbox with it is left out from then on."""
        outcome: dict[str, str] = {}
        lost: dict[int, str] = {}
        remotes = {name: Remote(self, name) for name in self.given.asked}
        k = 0
        while k < len(steps):
            now = k
            if len(lost) >= self.most_lost or time.monotonic() > self.end:
                reason = (
                    f"the notebook took longer than {self.options.total:g} seconds"
                    if time.monotonic() > self.end
                    else [*lost.values()][-1]
                )
                return {step.name: f"not run: {reason}" for step in steps if step.role == "check"} | outcome
            try:
                if self.box is None:
                    self.box = Sandbox(self.cage, self.slot, self.options)
                    for now in range(k):
                        if steps[now].role != "check" and now not in lost:
                            self.work(steps[now])
                    now = k
                if now in lost:
                    if steps[k].role == "check":
                        outcome[steps[k].name] = lost[now]
                elif steps[k].role == "check":
                    outcome[steps[k].name] = shorten(self.check(steps[k], remotes))
                else:
                    self.work(steps[k])
                k += 1
            except Lost as error:
                lost[now] = str(error)
                self.trouble |= dict.fromkeys(
                    functions(steps[now].code) if steps[now].role == "answer" else (), str(error)
                )
                self.close()
        return outcome

    def work(self, step: Step) -> None:
        """Run a cell in the sandbox."""
        self.until = time.monotonic() + max(self.options.timeout, 120 if step.role == "locked" else 0)
        defined = functions(step.code) if step.role != "locked" else {}
        try:
            self.ask("run", code=step.code, where=step.name or "of your own", given=step.role == "locked")
            trouble = ""
        except StudentError as error:
            trouble = "" if error.args[0] == "NotImplementedError" else str(error)
            if error.args[0] == "OutOfTime":
                trouble = error.args[1]
        self.codes |= {name: code for name, code in defined.items() if code}
        self.trouble |= dict.fromkeys(defined, trouble)

    def check(self, step: Step, remotes: dict[str, Remote]) -> str:
        """ "" when the check passes, else what it says."""
        import numpy as np

        self.until = time.monotonic() + self.options.timeout
        self.faithful = "changes its input" in step.code
        self.ask("restore", but=list(remotes))
        names = self.given.names
        names.update(self.given.before[step.name])
        names.update(remotes)
        salt = int(hashlib.sha256(self.salt.encode()).hexdigest()[:16], 16)
        names["fresh_rng"] = lambda seed: np.random.default_rng([seed, salt])
        trouble = next((t for name, t in self.trouble.items() if t and name in step.code), "")
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(fresh(step.code), f"<{step.name}>", "exec"), names)
            return ""
        except Lost:
            raise
        except AssertionError as error:
            return str(error) or "AssertionError"
        except Exception as error:
            cause = student_error(error)
            if cause is None:
                return f"{type(error).__name__}: {error}"
            if cause.args[0] == "NotImplementedError":
                return "not answered"
            if cause.args[0] == "OutOfTime":
                return f"not finished after {self.options.timeout:g} seconds"
            if trouble and cause.args[0] == "NameError":
                return f"its cell: {trouble}"
            return str(cause)

    def close(self) -> None:
        if self.box:
            self.box.close()
        self.box = None


def student_error(error: BaseException | None) -> StudentError | None:
    """The student's error behind that of a check."""
    while error is not None and not isinstance(error, StudentError):
        error = error.__cause__ or error.__context__
    return error


def shorten(text: str, length: int = 300) -> str:
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|[\x00-\x08\x0e-\x1f\x7f]", "", text).split())
    return text if len(text) <= length else text[: length - 3] + "..."


# ---- one submission, one process


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
    written = {cell.id: cell.source for cell in identified(source, cells)[0] if cell.id in by_hand}
    return {"rows": rows, "written": written, "seconds": time.monotonic() - begun}


def ids_of(source) -> set[str]:
    return {grade_id(cell) for cell in source.cells if role(cell) != "text"}


def judge_alone(result: str, one: Submission, *arguments) -> None:
    """What the process of one submission does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the scheduler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    adopt_orphans()
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


def write(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    os.replace(part, path)


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
            files = [name for name in files if name not in OUTPUTS]
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


STATE = ".grading"  # in the folder of submissions: results of single files, and the number that random inputs come from


def hash_of(*paths: Path) -> str:
    """Names and contents of all files below the paths."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(os.fsencode(file) + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def make_tree(folder: Path) -> Path:
    """A copy of what sandboxes need: the package, their own side of the grader, the list of fonts."""
    import sedyn

    tree = folder / "tree"
    shutil.copytree(Path(sedyn.__file__).parent, tree / "sedyn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(sandbox.__file__, tree / "sandbox.py")
    fonts = {"MPLCONFIGDIR": str(tree / "fonts"), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [sys.executable, "-c", "import matplotlib.font_manager"], env=fonts, capture_output=True, check=False
    )
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(tree)], capture_output=True, check=False)
    (tree / "fonts").mkdir(exist_ok=True)
    for path in (folder, *tree.rglob("*"), tree):
        path.chmod(0o755 if path.is_dir() else 0o444)
    return tree


def cage(tree: Path, options: Options) -> Cage:
    """The best isolation that works here: each is tried by starting Python in it."""
    kinds = [Cage("bwrap", tree, ("--size", str(2**28))), Cage("bwrap", tree), Cage("user", tree), Cage("bare", tree)]
    for kind in kinds:
        if options.isolation in ("auto", kind.kind) and works(kind, options):
            return kind
    raise SystemExit(f"isolation {options.isolation!r} does not work here: bwrap needs bubblewrap, user needs root")


def works(kind: Cage, options: Options) -> bool:
    if (
        kind.kind == "bwrap"
        and not shutil.which("bwrap")
        or kind.kind == "user"
        and (not hasattr(os, "getuid") or os.getuid())
    ):
        return False
    try:
        box = Sandbox(kind, 0, options)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    try:
        box.ask("run", 60, code="import sedyn, matplotlib.pyplot", where="", given=False)
        return True
    except (Lost, StudentError):
        return False
    finally:
        box.close()


def grade(folder: Path, options: Options = Options(), again: bool = False) -> list[Row]:
    """Grade every file under the folder; what an earlier call has graded stays. Writes the tables and reports there."""
    if os.name == "nt":
        raise SystemExit("grading needs Linux or macOS; on Windows, use WSL")
    folder = folder.resolve()
    files = inventory(folder)
    if not any(not one.remark for one in files):
        raise SystemExit(f"no notebook under {folder}; expected {folder}/name.ipynb or {folder}/name/any.ipynb")
    state = folder / STATE
    if again:
        shutil.rmtree(state, ignore_errors=True)
    state.mkdir(exist_ok=True)
    if not (state / "salt").exists():
        write(state / "salt", secrets.token_hex(16))
    salt = (state / "salt").read_text()
    own = [classroom.HERE / name for name in ("source", "grading.py", "sandbox.py", "classroom.py")]
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
        chosen = cage(make_tree(Path(work)), options) if todo else None
        if chosen and chosen.kind == "bare":
            print(
                "warning: no isolation (install bubblewrap): a submission can read and change your files",
                file=sys.stderr,
            )
        for one, result in run_all(todo, chosen, salt, options, Path(work)) if chosen else ():
            results[one.path] = result
            write(places[one.path], json.dumps(result))
            rows = finish(folder, files, results, options)
    rows = finish(folder, files, results, options)
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
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    cores = options.cores or len(
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    given: dict[str, Given] = {}
    if sys.platform == "linux" and len(todo) > 4:  # set up once what the processes then inherit
        given = {name: Given(source) for name, source in classroom.sources().items()}
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
                        text = f"could not be graded: its process ended twice (exit code {process.exitcode}); look at it by hand"
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
                for _, process, _, begun in running.values():
                    if time.monotonic() > begun + options.total + 120:
                        process.kill()
    finally:
        for _, process, _, _ in running.values():
            process.kill()


# ---- tables


def safe(value):
    """A cell that no spreadsheet takes for a formula."""
    return (
        "" if value is None else "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
    )


def write_csv(path: Path, header, rows) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(header)
    table.writerows([safe(value) for value in row] for row in rows)
    write(path, text.getvalue())


MARKS = ("student", "assignment", "exercise", "cell", "points", "out_of", "remark")


def read_marks(path: Path) -> tuple[dict[tuple, dict], list[str]]:
    """Marks given by hand: (student, assignment, exercise, cell) -> row; and what cannot be read."""
    if not path.exists():
        return {}, []
    text = path.read_bytes().decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    found, problems = {}, []
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


def finish(folder: Path, files: list[Submission], results: dict[str, dict], options: Options) -> list[Row]:
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
        counts[key] = max(
            several, key=lambda one: (total(one) if options.keep == "better" else 0, one.modified, one.path)
        )
    for one in files:
        result = results.get(one.path)
        if not result:
            continue
        new = result["rows"]
        assignment = next((row.assignment for row in new if row.exercise), "")
        winner = counts.get((one.student, assignment))
        if winner and winner is not one:
            text = f"{one.path}: {total(one):g} points; of this student's {len(of_student[one.student, assignment])} notebooks the {options.keep} counts, {winner.path}"
            new = [Row(one.student, assignment, "", 0, 0, text, one.path)]
        else:
            for name, text in result["written"].items():
                quoted = "\n".join(f"> {line}" for line in text.strip().split("\n"))
                written.setdefault(name, []).append(f"### {one.student}\n\n{quoted}\n")
        rows += new
    marks, problems = read_marks(folder / "marks.csv")
    for k, row in enumerate(rows):
        if not row.exercise:
            continue
        cell = row.message.split(":")[0] if row.points is None else ""
        key = (row.student, row.assignment, row.exercise, cell)
        mark = marks.get(key)
        if mark is None and cell and not any("has not the columns" in text for text in problems):
            marks[key] = dict(zip(MARKS, (*key, "", str(row.out_of), ""), strict=True))
        elif mark and mark["points"]:
            if float(mark["points"]) > row.out_of:
                problems.append(
                    f"marks.csv: {mark['points']} points of {row.out_of} for {row.student}, {row.exercise}; given as they are"
                )
            said = f"{cell or 'checks'}: marked by hand" + (f": {mark['remark']}" if mark["remark"] else "")
            rows[k] = row._replace(
                points=float(mark["points"]),
                message=said + (f" (was {row.points:g}: {row.message})" if not cell else ""),
            )
    rows += [Row("", "marks.csv", "", 0, 0, problem) for problem in problems]
    write_csv(folder / "grades.csv", Row._fields, rows)
    if not any("has not the columns" in text or "is no number" in text or "a second mark" in text for text in problems):
        write_csv(folder / "marks.csv", MARKS, [[row[name] for name in MARKS] for row in marks.values()])
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
    body = ""
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
        name += "" if name == student else "-" + hashlib.sha256(student.encode("utf-8", "replace")).hexdigest()[:8]
        write(folder / "reports" / f"{name}.html", PAGE.format(title=html.escape(student), body=page))
    for assignment in dict.fromkeys(row.assignment for row in rows if row.exercise):
        scored = [row for row in rows if row.assignment == assignment and row.exercise and row.points is not None]
        lines, mistakes = [], Counter[tuple[str, str]]()
        for exercise in dict.fromkeys(row.exercise for row in scored):
            found = Counter(f"{row.points:g} of {row.out_of}" for row in scored if row.exercise == exercise)
            lines.append(
                (
                    exercise,
                    sum(found.values()),
                    ", ".join(f"{n} x {points}" for points, n in sorted(found.items(), reverse=True)),
                )
            )
        for row in scored:
            for text in row.message.split("; "):
                if text:
                    mistakes[row.exercise, re.sub(r"-?\d+\.\d+(e[-+]\d+)?", "..", text)] += 1
        body += f"<h2>{html.escape(assignment)}</h2>" + html_table(("exercise", "notebooks", "points"), lines)
        body += "<h3>Most common mistakes</h3>" + html_table(
            ("times", "exercise", "message"), [(n, *what) for what, n in mistakes.most_common(20)]
        )
    write(folder / "reports" / "index.html", PAGE.format(title="All submissions", body=body))

"""The judge of one submission: it runs the checks, and asks a sandbox for what the student's functions return.

The student's code runs in the sandbox (sandbox.py) alone: another process, isolated as ``Cage`` says. The checks run
here. Where one calls a function of the student's, a request goes out, and plain data of bounded size comes back.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import ctypes
import hashlib
import io
import json
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
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sandbox
from classroom import grade_id, role
from reading import Step, functions, shorten


class Options(NamedTuple):
    timeout: float = 60  # seconds of a cell
    total: float = 900  # seconds of a notebook
    memory: int = 4 * 2**30  # bytes
    cores: int = 0  # 0: all
    keep: str = "better"  # or "newer": of two notebooks of one student
    isolation: str = "auto"


# ---- isolation


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
        isolated = "--unshare-all --die-with-parent --new-session --cap-drop ALL --proc /proc --dev /dev".split()
        inside = ["--tmpfs", "/tmp", *binds, "--dir", home, "--chdir", home]
        return [shutil.which("bwrap") or "bwrap", *isolated, *self.extra, *inside, *python]

    def start(self, home: str, user: int, options: Options) -> subprocess.Popen:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": home,
            "TMPDIR": home,
            "LANG": "C.UTF-8",
            "MPLBACKEND": "Agg",
            "MPLCONFIGDIR": f"{home}/fonts",
            "NUMBA_CACHE_DIR": f"{home}/numba",
            "PYTHONHASHSEED": "0",
            "TQDM_DISABLE": "1",
        }
        environment |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        other: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if self.kind == "user" else {}
        if self.kind == "user":
            os.chown(home, user, user)
        command, pipe = self.command(home, options), subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/" if self.kind == "bwrap" else home,
            env=environment, start_new_session=True, bufsize=0, **other,
        )  # fmt: skip


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


def hash_of(*paths: Path) -> str:
    """Names and contents of all files below the paths."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(os.fsencode(file) + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def cage(tree: Path, options: Options) -> Cage:
    """The best isolation that works here: each is tried by starting Python in it."""
    kinds = [Cage("bwrap", tree, ("--size", str(2**28))), Cage("bwrap", tree), Cage("user", tree), Cage("bare", tree)]
    for kind in kinds:
        if options.isolation in ("auto", kind.kind) and works(kind, options):
            return kind
    raise SystemExit(
        f"isolation {options.isolation!r} does not work here: bwrap needs bubblewrap (Linux); "
        "user needs root, and a Python that other users may run"
    )


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


# ---- the sandbox, seen from here


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
        self.folder = tempfile.mkdtemp(prefix="sandbox-", dir=cage.tree.parent)
        self.cage, self.user = cage, USER + slot
        self.busy = threading.Lock()  # sedyn.simulate calls a student's function from several threads
        os.chmod(self.folder, 0o700)
        self.process = cage.start(self.folder, self.user, options)
        assert self.process.stdin and self.process.stdout
        self.ends = self.process.stdin.fileno(), self.process.stdout.fileno()
        for end in self.ends:
            os.set_blocking(end, False)

    def ask(self, operation: str, seconds: float, **request) -> dict:
        """The reply of the sandbox, read with suspicion. Raises StudentError, or Lost."""
        with self.busy:
            return self.answer(operation, seconds, request)

    def answer(self, operation: str, seconds: float, request: dict) -> dict:
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


# ---- what comes back


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
        reply = self.judge.ask("call", function=self.handle, arguments=buffer.getvalue(), without=self.judge.without)
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


# ---- the judge

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
        self.without: list[str] = []  # modules whose functions an answer may not call
        self.end = time.monotonic() + options.total
        self.codes: dict[str, str] = {}
        self.trouble: dict[str, str] = {}  # function -> why its cell failed

    def ask(self, operation: str, **request) -> dict:
        assert self.box
        return self.box.ask(operation, min(self.until, self.end) - time.monotonic(), **request)

    def code_of(self, name):
        """The compiled function ``name`` of the notebook, for its names alone."""
        module = compile(ast.Module(sandbox.parsed(self.codes.get(name, "")), []), "<answer>", "exec")
        return next((constant for constant in module.co_consts if hasattr(constant, "co_names")), module)

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
        for step in steps:  # a helper may stand further below
            if "NameError: name" in outcome.get(step.name, "") and self.box:
                with contextlib.suppress(Lost):
                    outcome[step.name] = shorten(self.check(step, remotes))
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
        self.without = re.findall(r"^# without (\S+)$", step.code, re.M)
        self.ask("restore", but=list(remotes))
        names = self.given.names
        before = self.given.before[step.name]
        names.update({name: sandbox.kept(v) if self.faithful else v for name, v in before.items()})
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

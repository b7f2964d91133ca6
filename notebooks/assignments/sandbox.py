"""The student's side of the grader: runs cells, and calls the student's functions on arguments that the grader sends.

Runs as a process of its own, on a copy, isolated by what the system has (``cage`` in grading.py). Requests are pickles
from the grader; replies are JSON of bounded size. Nothing that is decided here counts: only what the functions return.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import copy
import gc
import inspect
import io
import itertools
import json
import marshal
import os
import pickle
import re
import shutil
import signal
import struct
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

MOST = 64 * 2**20  # bytes of a reply


class OutOfTime(BaseException):
    """So that ``except Exception`` in an answer does not catch it."""


@contextlib.contextmanager
def limited(seconds: float):
    """Raise OutOfTime in the code inside. Code that does not notice is killed by the grader, a little later."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def ring(*_):
        raise OutOfTime(f"not finished after {seconds:.3g} seconds")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # once more each second, for code that catches everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def rebuilt(code: bytes, defaults, cells: tuple):
    """A function of the grader (the link of a teacher, say), which no module holds."""
    import numpy as np

    closure = tuple(types.CellType(value) for value in cells) or None
    return types.FunctionType(marshal.loads(code), {"np": np}, "function", defaults, closure)


class Pickler(pickle.Pickler):
    """Requests: functions without a module travel as code, axes and the student's own functions by name."""

    def reducer_override(self, value):
        if isinstance(value, types.FunctionType) and value.__module__ in (None, "builtins", "__main__"):
            cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
            return rebuilt, (marshal.dumps(value.__code__), value.__defaults__, cells)
        return NotImplemented

    def persistent_id(self, value):
        if type(value).__name__ == "Remote":
            return "function", value.handle
        return ("axes", 0) if hasattr(value, "get_xlabel") and hasattr(value, "figure") else None


class Session:
    """The names of a notebook, and what it does with them."""

    def __init__(self) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.names = module.__dict__
        self.given: dict[str, Any] = {}
        self.handles: list[Any] = []
        self.axes: Any = None

        def leave(*_):
            raise SystemExit("exit() ends this cell only")

        self.names |= {"exit": leave, "quit": leave, "get_ipython": Shell, "display": lambda *_, **__: None}

    def run(self, code: str, where: str, given: bool) -> None:
        before, left, failed = dict(self.names), parsed(code), None
        while left:
            try:
                done = eval(compile(ast.Module(left, []), where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), self.names)
                if inspect.iscoroutine(done):
                    asyncio.run(done)
                break
            except Exception as error:  # one's own test, or a module that is not here: the functions below still count
                line, failed = line_of(error, where), failed or error
                left = [] if given or line is None else [node for node in left if node.lineno > line]
        if failed:
            raise failed
        if given:
            new = {n: v for n, v in self.names.items() if before.get(n, self) is not v and not n.startswith("__")}
            self.given |= {name: kept(value) for name, value in new.items()}

    def restore(self, but: list[str]) -> None:
        """Given names get their values back."""
        self.names |= {name: kept(value) for name, value in self.given.items() if name not in but}
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")

    def call(self, function, arguments: bytes, modules: list[str]) -> dict:
        args, keywords = Unpickler(arguments, self).load()
        if isinstance(function, str) and function not in self.names:
            raise NameError(f"there is no function {function}")
        found = self.names[function] if isinstance(function, str) else self.handles[function]
        before, self.axes = copy.deepcopy([arrays(a) for a in args]), None
        args = [self.axes_now() if a is AXES else a for a in args]
        with without(modules):
            value = found(*args, **keywords)
        reply = {"value": self.encoded(value)}
        changed = [k for k, a in enumerate(args) if not same(arrays(a), before[k])]
        reply["changed"] = [[k, self.encoded(arrays(args[k]))] for k in changed]
        if self.axes is not None:
            reply["picture"] = self.encoded(picture(self.axes))
        return reply

    def axes_now(self):
        import matplotlib.pyplot as plt

        self.axes = self.axes or plt.figure().gca()
        return self.axes

    def encoded(self, value, depth: int = 0):
        import numpy as np

        if depth > 20:
            raise ValueError("the result is nested too deeply")
        if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
            return value if type(value) in (type(None), bool, int, float) else type(value).__mro__[-2](value)
        if isinstance(value, str):
            return str(value)[:10_000]
        name = type(value).__name__
        if name == "Network":
            return {"network": [[int(w) for w in value.widths], [str(a) for a in value.activations], bool(value.bias)]}
        if name in ("Weights", "Small"):
            parts = ([value.first] if name == "Weights" else [None], value.deep, value.biases)
            return {name.lower(): [[self.encoded(part, depth + 1) for part in parts_of] for parts_of in parts]}
        if isinstance(value, (list, tuple)):
            return {type(value).__mro__[-2].__name__: [self.encoded(v, depth + 1) for v in value]}
        if isinstance(value, Iterator):
            return {"list": [self.encoded(v, depth + 1) for v in itertools.islice(value, 10_000)]}
        if isinstance(value, Mapping):
            return {"dict": [[str(k), self.encoded(v, depth + 1)] for k, v in value.items()]}
        if callable(value):
            self.handles.append(value)
            return {"function": len(self.handles) - 1}
        try:
            array = np.asarray(value)
            if array.dtype.kind == "O" or array.dtype.kind in "fi" and array.dtype.itemsize > 8:
                array = array.astype(float)
            assert array.dtype.kind in "biufc"
        except Exception:
            raise TypeError(f"the result is a {name}, which the grader cannot read") from None
        if array.nbytes > MOST // 2:
            raise ValueError(f"the result has {array.nbytes / 2**20:.0f} MB; {MOST >> 21} are the most")
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"array": [array.dtype.str, list(array.shape), data]}


AXES = object()


class Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, session: Session):
        super().__init__(io.BytesIO(data))
        self.session = session

    def persistent_load(self, key):
        kind, handle = key
        if kind == "axes":
            return AXES
        return self.session.names[handle] if isinstance(handle, str) else self.session.handles[handle]


class Shell:
    """What is left of IPython: magics do nothing."""

    def __getattr__(self, name):
        return lambda *_, **__: None


MAGIC = re.compile(r"^([ \t]*)(?:(?:[\w, ]+=[ \t]*)?[%!].*|[\w.]+\?{1,2}|\?{1,2}[\w.]+)[ \t]*$", re.M)


def parsed(code: str) -> list[ast.stmt]:
    """The statements of Python, or else of IPython's dialect (%magics, !commands, which are left out)."""
    try:
        return ast.parse(code).body
    except SyntaxError as error:
        with contextlib.suppress(SyntaxError):
            return ast.parse(MAGIC.sub(r"\1pass", code)).body
        raise error


def line_of(error: BaseException, where: str) -> int | None:
    """The line of the cell ``where`` at which an error came up."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename != where:
        trace = trace.tb_next
    return trace and trace.tb_lineno


@contextlib.contextmanager
def without(modules: list[str]):
    """In the code inside, functions of these modules (``sedyn``, ``sedyn.runs``) fail, by whatever name they go."""

    def forbidden(*_, **__):
        raise RuntimeError("write it yourself: the package's own functions do not count here")

    import sedyn

    root = os.path.dirname(os.path.dirname(sedyn.__file__))
    paths = tuple(os.path.join(root, *name.split("."), "") for name in modules)
    found = [f for f in gc.get_objects() if type(f) is types.FunctionType and f.__code__.co_filename.startswith(paths)]
    codes = [(f, f.__code__) for f in (found if modules else [])]
    for f, code in codes:
        f.__code__ = forbidden.__code__.replace(co_freevars=code.co_freevars)
    try:
        yield
    finally:
        for f, code in codes:
            f.__code__ = code


def kept(value):
    """Copies of what can be changed in place; anything else as it is."""
    import numpy as np

    return copy.deepcopy(value) if isinstance(value, (np.ndarray, list, dict)) else value


def arrays(value):
    """The arrays of an argument that a function can spoil."""
    import numpy as np

    return value if isinstance(value, np.ndarray) else None


def same(one, other) -> bool:
    import numpy as np

    return one is other is None or np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def picture(ax) -> dict:
    """What the checks look at."""
    lines = list(ax.get_lines())
    places = {id(artist): k for k, artist in enumerate(ax.collections)}
    bars = [
        [lines.index(c[0]) if c[0] in lines else -1, bool(c.has_yerr), [places[id(b)] for b in c[2] if id(b) in places]]
        for c in ax.containers
        if hasattr(c, "has_yerr")
    ]
    legend = ax.get_legend()
    return {
        "lines": [[line.get_xdata(orig=False), line.get_ydata(orig=False), line.get_label()] for line in lines],
        "collections": [[path.vertices for path in artist.get_paths()] for artist in ax.collections],
        "bars": bars,
        "labels": [ax.get_xlabel(), ax.get_ylabel()],
        "legend": None if legend is None else [text.get_text() for text in legend.get_texts()],
    }


def told(error: BaseException, where: str) -> list:
    """Type, message and line of an error, none of which may fail."""
    line, text = None, ""
    with contextlib.suppress(BaseException):
        text = str(error)[:2000]
        trace = error.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename.startswith("<cell"):
                line = trace.tb_lineno
            trace = trace.tb_next
        if isinstance(error, SyntaxError):
            line, text = error.lineno, str(error.msg)
    return [type(error).__name__[:100], text, line]


def limit(memory: int, cpu: int, files: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, most in (("AS", memory), ("CPU", cpu), ("FSIZE", files), ("CORE", 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of memory
            resource.setrlimit(getattr(resource, f"RLIMIT_{what}"), (most, most))


def main(options: dict) -> None:
    if options["fork"]:  # a cell that kills its parent finds this process, and not the grader
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    limit(options["memory"], options["cpu"], options["files"])
    with contextlib.suppress(OSError):  # fonts that another process has looked up
        shutil.copytree(options["fonts"], os.environ["MPLCONFIGDIR"])
    session = Session()
    while header := requests.read(8):
        request = pickle.loads(requests.read(struct.unpack("!Q", header)[0]))
        operation, seconds, number = (request.pop(name) for name in ("operation", "seconds", "number"))
        where = f"<cell {request.get('where', '')}>"
        try:
            with limited(seconds):
                if operation == "run":
                    session.run(request["code"], where, request["given"])
                    reply = {"value": None}
                elif operation == "restore":
                    session.restore(request["but"])
                    reply = {"value": None}
                else:
                    reply = session.call(request["function"], request["arguments"], request.get("without", []))
                data = json.dumps(reply | {"number": number}).encode()
            if len(data) > MOST:
                raise ValueError(f"the result has {len(data) >> 20} MB; {MOST >> 20} are the most")
        except BaseException as error:
            data = json.dumps({"error": told(error, where), "number": number}).encode()
        replies.write(struct.pack("!Q", len(data)) + data)
        replies.flush()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(ast.literal_eval(sys.argv[2]))

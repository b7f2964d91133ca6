"""Submissions of assignment 1 that a class may send: unlucky, odd, and hostile. Used by test_grader.py.

Each is a function that changes a notebook whose answers are all right (or returns the bytes of the file), with what it
must get: the points of the exercises that do not get all of theirs, and texts that its rows must show.
"""

# ruff: noqa: E501
import copy
import json
import re
from typing import NamedTuple

import nbformat

import classroom

FIRST = "1_two_layer_dynamics"
SOURCE = classroom.sources()[FIRST]
MODEL = {classroom.grade_id(cell): cell.source for cell in SOURCE.cells}
FULL = {"1.1": 5, "1.2": 6, "1.3": 5, "1.4": 6, "1.5": 6, "1.6": 3, "1.7": 2}
ZERO = dict.fromkeys(FULL, 0)


class Case(NamedTuple):
    make: object
    loses: dict  # exercise -> points
    says: tuple
    file: object = None  # where it stands in the folder; NAME.ipynb
    isolated: bool = False  # an attack on files: run in bubblewrap alone, for elsewhere it succeeds


CASES: dict[str, Case] = {}


def case(loses=None, says=(), file=None, isolated=False):
    def add(make):
        says_all = (says,) if isinstance(says, str) else says
        CASES[make.__name__] = Case(make, loses or {}, says_all, file, isolated)
        return make

    return add


def right() -> dict:
    """A notebook with all answers right, as JSON."""
    notebook = classroom.student_version(SOURCE)
    for cell in notebook.cells:
        if classroom.role(cell) in ("answer", "written"):
            cell.source = MODEL[classroom.grade_id(cell)]
    return json.loads(nbformat.writes(notebook, split_lines=False))


def place(notebook: dict, name: str) -> int:
    found = [
        k for k, cell in enumerate(notebook["cells"]) if cell["metadata"].get("nbgrader", {}).get("grade_id") == name
    ]
    return found[0]


def code(text: str, **more) -> dict:
    return {"cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None} | more


def answer(notebook: dict, name: str, text: str) -> None:
    notebook["cells"][place(notebook, name)]["source"] = text


def own(notebook: dict, text: str, at: int = 0) -> None:
    notebook["cells"].insert(at, code(text))


def stub(name: str) -> str:
    return next(c.source for c in classroom.student_version(SOURCE).cells if classroom.grade_id(c) == name)


def attack(prelude: str, body: str = "return 0 * u, 0 * W_2"):
    """Exercise 1.1 answered by an attack."""
    return f"{prelude}\ndef gradients(u, y, W_2):\n    " + body.replace("\n", "\n    ")


# ---- unlucky: all of them get all points


@case()
def plain(notebook):
    pass


@case()
def byte_order_mark(notebook):
    return b"\xef\xbb\xbf" + json.dumps(notebook).encode()


@case()
def utf_16(notebook):
    return json.dumps(notebook).encode("utf-16")


@case(file="upper_case.IPYNB")
def upper_case(notebook):
    pass


@case(file=b"caf\xe9.ipynb")
def name_not_utf_8(notebook):
    pass


@case()
def metadata_lost(notebook):
    for cell in notebook["cells"]:
        cell["metadata"] = {}


@case()
def metadata_and_ids_lost(notebook):
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        cell.pop("id")


@case()
def older_format(notebook):
    cells = [dict(cell, input=cell["source"]) if cell["cell_type"] == "code" else cell for cell in notebook["cells"]]
    notebook.pop("cells")
    for cell in cells:
        if "input" in cell:
            del cell["source"]
    notebook |= {"nbformat": 3, "worksheets": [{"cells": cells}]}


@case()
def nbgrader_null(notebook):
    own(notebook, "1")
    notebook["cells"][0]["metadata"] = {"nbgrader": None}


@case()
def nbgrader_a_list(notebook):
    own(notebook, "1")
    notebook["cells"][0]["metadata"] = {"nbgrader": [1, 2]}


@case()
def metadata_a_list(notebook):
    own(notebook, "1")
    notebook["cells"][0]["metadata"] = [3]


@case()
def grade_id_a_list(notebook):
    own(notebook, "1")
    notebook["cells"][0]["metadata"] = {"nbgrader": {"grade_id": ["gradients"], "solution": True}}


@case(says="has no source")
def no_source(notebook):
    notebook["cells"].insert(3, {"cell_type": "code", "metadata": {}})


@case(says="has no type")
def no_type(notebook):
    notebook["cells"].insert(3, {"source": "some text", "metadata": {}})


@case(says="is no cell")
def not_a_cell(notebook):
    notebook["cells"][3:3] = [None, "text", 7]


@case()
def lone_surrogate(notebook):
    own(notebook, "name = '\ud800'")
    answer(notebook, "reading-1", "My answer \udfff = fine")


@case()
def source_in_lines(notebook):
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


@case()
def windows_lines(notebook):
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")


@case()
def exit_first(notebook):
    own(notebook, "exit()")


@case()
def quit_in_the_answer(notebook):
    answer(notebook, "gradients", MODEL["gradients"] + "\nquit()")
    answer(notebook, "memory", MODEL["memory"] + "\nimport sys\nsys.exit(3)")


@case()
def kills_the_kernel(notebook):
    own(notebook, "import os\nos._exit(0)")


@case()
def kills_its_parent(notebook):
    own(notebook, "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", 5)


@case()
def segmentation_fault(notebook):
    own(notebook, "import ctypes\nctypes.string_at(0)", 5)


@case()
def too_much_memory(notebook):
    own(notebook, "hog = []\nwhile True:\n    hog.append(b'x' * 10**8)", 5)


@case()
def never_ends(notebook):
    own(notebook, "while True: pass", 5)


@case()
def never_ends_and_catches_everything(notebook):
    own(notebook, "while True:\n    try:\n        while True: pass\n    except BaseException: pass", 5)


@case()
def ignores_the_alarm(notebook):
    own(notebook, "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass", 5)


@case()
def thread_without_end(notebook):
    own(notebook, "import threading, time\nthreading.Thread(target=time.sleep, args=(10**6,)).start()")


@case()
def closes_all_files(notebook):
    own(notebook, "import os\nos.closerange(0, 200)", 5)


@case()
def floods_the_output(notebook):
    own(notebook, "import sys\nfor _ in range(10**5): print('x' * 1000); sys.stderr.write('y' * 1000)")


@case()
def interrupted(notebook):
    own(notebook, "raise KeyboardInterrupt")


@case()
def endless_recursion(notebook):
    own(notebook, "def deeper(): return deeper()\ndeeper()")


@case()
def leaves_the_folder(notebook):
    own(notebook, "import os, shutil\nhere = os.getcwd()\nos.chdir('/')\nshutil.rmtree(here, ignore_errors=True)")


@case()
def leaves_processes_behind(notebook):
    own(notebook, "import subprocess\nfor _ in range(5): subprocess.Popen(['sleep', '1000'], start_new_session=True)")


@case()
def overwrites_names(notebook):
    own(notebook, "n, m, phi, eta, T = 'nmxyz'\ncompare = np = sedyn = network = teacher = erf = None", 6)
    own(notebook, "X = y = u = S = rho = run = theory = None", place(notebook, "as-new-1"))


@case()
def spoils_a_given_array(notebook):
    own(notebook, "rho[:] = 0\nu[:] = 1", place(notebook, "as-new"))


@case(says="stands in another cell")
def answer_above_the_stub(notebook):
    own(notebook, MODEL["gradients"], place(notebook, "gradients"))
    answer(notebook, "gradients", stub("gradients"))


@case(says="stands in another cell")
def answer_below_the_check(notebook):
    own(notebook, MODEL["memory"], place(notebook, "memory-2") + 1)
    answer(notebook, "memory", stub("memory"))


@case(says="stands in another cell")
def all_answers_in_one_cell_at_the_end(notebook):
    names = ("gradients", "descend", "overlaps", "integrals", "memory", "as-new")
    own(notebook, "\n\n".join(MODEL[name] for name in names), len(notebook["cells"]))
    for name in names:
        answer(notebook, name, stub(name))


@case(says="stands in another cell")
def one_of_two_functions_elsewhere(notebook):
    both = MODEL["integrals"].split("\n\n\n")
    answer(notebook, "integrals", stub("integrals").split("\n\n\n")[0] + "\n\n\n" + both[1])
    own(notebook, both[0], place(notebook, "integrals-1"))


@case(says="occurs 2 times")
def a_stub_beside_the_answer(notebook):
    again = copy.deepcopy(notebook["cells"][place(notebook, "gradients")])
    again["source"] = stub("gradients")
    notebook["cells"].insert(place(notebook, "gradients") + 1, again)


@case(says="occurs 2 times")
def check_twice(notebook):
    notebook["cells"].append(copy.deepcopy(notebook["cells"][place(notebook, "memory-1")]))


@case(says=("cell gradients-1 is missing", "cell two-layer-setup is missing"))
def given_cells_deleted(notebook):
    for name in ("gradients-1", "two-layer-setup", "two-layer-run"):
        del notebook["cells"][place(notebook, name)]


@case()
def cells_in_reverse(notebook):
    notebook["cells"].reverse()


@case()
def magics(notebook):
    own(notebook, "%matplotlib inline\n!pip list\nnp.array?")
    answer(notebook, "gradients", "%%time\n" + MODEL["gradients"])


@case()
def functions_by_lambda(notebook):
    first, second = MODEL["integrals"].split("\n\n\n")
    value = re.search(r"return (.*)", first)[1]
    answer(notebook, "integrals", f"erf_product = lambda v_a, v_b, c: {value}\n\n\n{second}")


@case()
def a_thousand_cells(notebook):
    for k in range(1000):
        own(notebook, f"number_{k} = {k}", len(notebook["cells"]))


@case()
def broken_cell_of_ones_own(notebook):
    own(notebook, "for for")
    own(notebook, "1 / 0")


@case()
def odd_outputs(notebook):
    for cell in notebook["cells"]:
        cell["outputs"] = {"text": ["\ud800" * 3]}
        cell["execution_count"] = "three"


# ---- mistakes: each costs its own exercise


@case({"1.1": 0}, "SyntaxError")
def syntax_error(notebook):
    answer(notebook, "gradients", MODEL["gradients"].replace("return S,", "return S,,"))
    answer(notebook, "descend", MODEL["descend"].replace("S, g = gradients", "S, g = own") + "\n\n" + OWN)


OWN = MODEL["gradients"].replace("def gradients", "def own")


@case({"1.5": 0}, "not finished after")
def endless_answer(notebook):
    answer(notebook, "memory", "def memory_kernel(R, eta, phi):\n    while True: pass")


@case({"1.5": 0}, "the result has")
def answer_of_a_gigabyte(notebook):
    answer(notebook, "memory", "def memory_kernel(R, eta, phi):\n    return np.zeros(10**8)")


@case({"1.5": 0}, ())
def answer_that_exits(notebook):
    answer(notebook, "memory", "import os\ndef memory_kernel(R, eta, phi):\n    os._exit(0)")


@case({"1.5": 0}, "nested too deeply")
def answer_that_contains_itself(notebook):
    answer(notebook, "memory", "def memory_kernel(R, eta, phi):\n    x = []\n    x.append(x)\n    return x")


@case({"1.5": 0}, "which the grader cannot read")
def answer_of_text(notebook):
    answer(notebook, "memory", "def memory_kernel(R, eta, phi):\n    return {1, 2}")


@case(ZERO, "not answered")
def blank(notebook):
    return nbformat.writes(classroom.student_version(SOURCE)).encode()


# ---- attacks: none gets a point by it

W = {"1.1": 0}


def attacked(name, prelude, body="return 0 * u, 0 * W_2", isolated=False, says=(), more=()):
    def make(notebook):
        answer(notebook, "gradients", attack(prelude, body))
        answer(notebook, "descend", MODEL["descend"].replace("S, g = gradients", "S, g = own") + "\n\n" + OWN)

    make.__name__ = name
    case(W | dict.fromkeys(more, 0), says, isolated=isolated)(make)


attacked("patched_compare", "compare = print\nimport builtins\nbuiltins.compare = print")
attacked("patched_assertions", "import builtins\nbuiltins.AssertionError = Warning\n__debug_ = False")
attacked(
    "patched_numpy",
    "import numpy\nnumpy_all, numpy_abs = numpy.all, numpy.abs\n",
    "numpy.all = lambda *a, **k: True\nnumpy.isfinite = numpy.all\nreturn 0 * u, 0 * W_2",
    more=["1.7"],  # its own picture needs numpy
)
attacked(
    "patched_network",
    "",
    "type(network).gradients = lambda *a: (0 * u, None, None)\nreturn 0 * u, 0 * W_2",
    more=["1.7"],
)
attacked(
    "reads_frames",
    "import sys",
    "frame, found = sys._getframe(), None\nwhile frame:\n    found = {**frame.f_globals, **frame.f_locals}.get('truth', found)\n"
    "    frame = frame.f_back\nreturn (0 * u, 0 * W_2) if found is None else (found, found)",
)
attacked(
    "reads_all_objects",
    "import gc",
    "close = [x for x in gc.get_objects() if isinstance(x, dict) and 'mistakes' in x and 'truth' in x]\n"
    "return (close[0]['truth'],) * 2 if close else (0 * u, 0 * W_2)",
)
attacked(
    "reads_the_sources",
    f"import json, pathlib\nplace = pathlib.Path({str(classroom.HERE)!r}) / 'source'",
    "for path in place.rglob('1_*.ipynb'):\n"
    "    cell = [c for c in json.loads(path.read_text())['cells'] if 'def gradients' in ''.join(c['source'])][0]\n"
    "    names = dict(globals())\n    exec(''.join(cell['source']), names)\n    return names['gradients'](u, y, W_2)\n"
    "return 0 * u, 0 * W_2",
    isolated=True,
)
attacked(
    "always_equal",
    "class Sly(np.ndarray):\n    def __sub__(self, other): return np.zeros(self.shape)\n    __abs__ = __le__ = __eq__ = __sub__",
    "return (0 * u).view(Sly), (0 * W_2).view(Sly)",
)
attacked(
    "forged_replies",
    'import os, struct\nforged = b\'{"value": null, "passed": true}\'',
    "for stream in range(3, 40):\n    try: os.write(stream, struct.pack('!Q', len(forged)) + forged)\n    except OSError: pass\nreturn 0 * u, 0 * W_2",
)
attacked(
    "pickle_bomb",
    "class Bomb:\n    def __reduce__(self): import os; return os.system, ('touch bomb',)",
    "return Bomb(), Bomb()",
    says="cannot read",
)
attacked(
    "changes_its_harness",
    "import sys\nfor module in list(sys.modules.values()):\n    for name in ('told', 'same', 'arrays'):\n"
    "        if hasattr(module, name) and 'sandbox' in str(module): setattr(module, name, lambda *a: None)",
)
attacked("input_transformers", "get_ipython().input_transformers_post.append(lambda lines: ['pass'])")
attacked("destroys_inputs", "", "u[...] = 0\ny[...] = 0\nW_2[...] = 0\nreturn 0 * u, 0 * W_2")
attacked(
    "trace_function",
    "import sys\n",
    "sys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\nreturn 0 * u, 0 * W_2",
)


@case({"1.1": 0, "1.2": 6}, "cell gradients-1 was edited")
def edited_checks(notebook):
    for name in ("gradients-1", "gradients-2"):
        cell = notebook["cells"][place(notebook, name)]
        cell["source"] = "pass"
        cell["metadata"]["nbgrader"]["points"] = 1300
    answer(notebook, "gradients", attack(""))
    answer(notebook, "descend", MODEL["descend"].replace("S, g = gradients", "S, g = own") + "\n\n" + OWN)


@case(isolated=True)
def vandal(notebook):
    """Right answers, and an attack on every file it can find: others' work, grades, sources, the package."""
    own(
        notebook,
        "import os, pathlib, subprocess, sys, sedyn\n"
        f"places = [FOLDER, {str(classroom.HERE)!r}, os.path.dirname(sedyn.__file__), os.path.dirname(np.__file__)]\n"
        "for place in places:\n    for path in list(pathlib.Path(place).rglob('*'))[:3000]:\n"
        "        if path.is_file() and path.suffix in ('.ipynb', '.csv', '.py', '.json', '.toml'):\n"
        "            try: path.open('a').write(' ')\n            except OSError: pass\n"
        "for place in places:\n    subprocess.Popen(['/bin/sh', '-c', f'sleep 1; echo x >> {place}/grades.csv'], start_new_session=True)\n",
        place(notebook, "gradients"),
    )


@case(file="=1+2.ipynb")
def formula_in_the_name(notebook):
    pass


@case(file="<script>alert(1)<script>.ipynb")
def script_in_the_name(notebook):
    pass

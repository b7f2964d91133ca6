"""More submissions, of all four assignments: as other editors save them, in other styles, and gaming the checks.

As in submissions.py. Each is a function that changes a notebook whose answers are all right. It must get all points
but those of the checks that it loses.
"""

# ruff: noqa: E501
import importlib.util
import json
import re
from typing import NamedTuple

import nbformat

import classroom
from tests.course.submissions import code, own, place

SOURCES = {name[0]: source for name, source in classroom.sources().items()}
MODEL = {classroom.grade_id(cell): cell.source for source in SOURCES.values() for cell in source.cells}
GIVEN = {
    classroom.grade_id(cell): cell.source
    for source in SOURCES.values()
    for cell in classroom.student_version(source).cells
}
CHECKS = {
    number: {check: points for part in classroom.exercises(source) for check, points in part.checks.items()}
    for number, source in SOURCES.items()
}


class More(NamedTuple):
    make: object
    number: str  # of the assignment
    loses: tuple  # ids of checks
    says: tuple


MORE: dict[str, More] = {}


def case(number, loses=(), says=(), needs=()):
    def add(make):
        if all(importlib.util.find_spec(name) for name in needs):
            MORE[make.__name__] = More(make, number, loses, (says,) if isinstance(says, str) else says)
        return make

    return add


def right(number: str) -> dict:
    """A notebook with all answers right, as JSON."""
    notebook = classroom.student_version(SOURCES[number])
    for cell in notebook.cells:
        if classroom.role(cell) in ("answer", "written"):
            cell.source = MODEL[classroom.grade_id(cell)]
    return json.loads(nbformat.writes(notebook, split_lines=False))


def blank(number: str, notebook: dict) -> None:
    """All answers back to their stubs."""
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in MODEL and cell["metadata"]["nbgrader"].get("solution"):
            cell["source"] = GIVEN[name]


def put(notebook: dict, **answers: str) -> None:
    for name, text in answers.items():
        notebook["cells"][place(notebook, name.replace("_", "-"))]["source"] = text


def edited(name: str, *changes) -> str:
    text = MODEL[name]
    for old, new in changes:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return text


def before(notebook: dict, name: str, text: str) -> None:
    own(notebook, text, place(notebook, name))


# ---- as other editors save them


@case("1")
def saved_by_vs_code(notebook):
    for k, cell in enumerate(notebook["cells"]):
        cell["metadata"] = {"vscode": {"languageId": "python"}, "id": f"{k:08x}"}
        cell["id"] = f"{k:08x}"
    notebook["metadata"] = {"language_info": {"name": "python"}, "orig_nbformat": 4}
    own(notebook, "# %%\n# type: ignore\n%load_ext autoreload\n%autoreload 2\nfiles = !ls\nwhere = %pwd\n?np.array\n")


@case("4")
def saved_by_colab(notebook):
    for k, cell in enumerate(notebook["cells"]):
        cell.pop("id")
        cell["metadata"] = {"id": f"x{k}YzAbC", "colab": {"base_uri": "https://localhost:8080/"}, "outputId": "1-2-3"}
        cell["source"] = cell["source"].splitlines(keepends=True)
        if any("def coverage" in line for line in cell["source"]):
            cell["source"] = [
                '#@title My answer { display-mode: "form" }\n',
                'k_default = 2 #@param {type:"integer"}\n',
                *cell["source"],
            ]
            cell["metadata"]["cellView"] = "form"
        if any("def estimated_error" in line for line in cell["source"]):
            cell["source"] = [
                "from google.colab import files, drive\n",
                "drive.mount('/content/drive')\n",
                "import sedyn as sd\n",
                *cell["source"],
            ]
    notebook["metadata"] = {"colab": {"provenance": [], "toc_visible": True}, "accelerator": "GPU"}
    own(
        notebook,
        "!pip install sedyn --quiet\n!wget https://example.org/data.csv\n%cd /content\nfrom google.colab import drive\ndrive.mount('/content/drive')",
    )


@case("3")
def saved_by_jupyterlite(notebook):
    notebook["metadata"] = {"kernelspec": {"name": "python", "display_name": "Python (Pyodide)"}}
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        cell.pop("id")
        cell["metadata"].setdefault("trusted", True)
    own(notebook, "import piplite\nawait piplite.install('sedyn')")
    put(
        notebook,
        extrapolate="import micropip\nawait micropip.install('scipy')\n" + MODEL["extrapolate"],
        coin="%pip install -q scipy\nimport js\n" + MODEL["coin"],
    )


@case("1")
def saved_by_deepnote(notebook):
    cells = []
    for k, cell in enumerate(notebook["cells"]):
        cell = {key: cell[key] for key in ("cell_type", "source", "outputs", "execution_count") if key in cell}
        cell["metadata"] = {
            "cell_id": f"0000{k}",
            "deepnote_cell_type": "code" if "outputs" in cell else "markdown",
            "execution_start": 1700000000,
            "source_hash": "ab12",
        }
        cells += [cell, code("", metadata={"cell_id": f"9{k}", "deepnote_cell_type": "code"})]
    notebook |= {
        "cells": cells,
        "metadata": {"deepnote_notebook_id": "f" * 32, "deepnote_execution_queue": []},
        "nbformat_minor": 0,
    }


@case("3")
def windows_lines_and_no_metadata(notebook):
    for cell in notebook["cells"]:
        cell.pop("id")
        cell |= {"metadata": {}, "source": cell["source"].replace("\n", "\r\n") + "  \r\n"}


@case("4")
def tabs(notebook):
    for name in ("estimate", "judge-bars", "rules", "choose"):
        text = re.sub(r"^( {4})+", lambda found: "\t" * (len(found[0]) // 4), MODEL[name], flags=re.M)
        put(notebook, **{name: text})


@case("3")
def comments_and_names_in_german_and_chinese(notebook):
    put(
        notebook,
        mean='def predicted_mean(first, signal, P_t, kappa_t):\n    """Mittelwert der Gewichte – größer als null? 权重的平均值"""\n    größe = first @ P_t.T  # für jede Zeile\n    信号 = np.outer(signal, kappa_t)  # 信号的部分\n    return größe + 信号',
    )
    put(
        notebook,
        distance='def Abstand(Gewichte, Mittel, Kovarianz):\n    """Quadrat des Abstands"""\n    Lücke = Gewichte - Mittel\n    return len(Gewichte) * np.einsum("la,ab,lb->l", Lücke, np.linalg.inv(Kovarianz), Lücke)\n\n\nsquared_distance = Abstand',
    )


# ---- other styles: all points


@case("1")
def other_names_and_callables(notebook):
    body = MODEL["gradients"].split('"""')[2]
    put(
        notebook,
        gradients=f"def meine_gradienten(u, y, W_2):{body}\n\n\ngradients = meine_gradienten",
        overlaps="from functools import partial\n\ndef both(scale, first, signal):\n    return np.einsum('tna,snb->tsab', first, first) * scale, first.transpose(0, 2, 1) @ signal\n\n\noverlaps_over_time = partial(both, 1.0)",
        memory="class Kernel:\n    def __call__(self, R, eta, phi):\n"
        + "\n".join("    " + line for line in MODEL["memory"].split('"""')[2].strip("\n").split("\n"))
        + "\n\n\nmemory_kernel: Kernel = Kernel()",
        as_new="if True:\n    as_new = lambda u, S, rho: u - np.einsum('trab,rbm->tam', rho, S)",
        descend="from dataclasses import dataclass\n\n@dataclass\nclass State:\n    W_1: np.ndarray\n    W_2: np.ndarray\n\n\ndef steps(X, y, state, eta, left):\n    yield state\n    if left:\n        S, g = gradients((X @ state.W_1).T, y, state.W_2)\n        yield from steps(X, y, State(state.W_1 - eta * X.T @ S.T / len(y), state.W_2 - eta * g), eta, left - 1)\n\n\n"
        "def descend(X, y, W_1, W_2, eta, n_steps):\n    states = list(steps(X, y, State(W_1, W_2), eta, n_steps))\n    return [s.W_1 for s in states], [s.W_2 for s in states]",
    )


@case("1", needs=["numba"])
def compiled_by_numba(notebook):
    put(
        notebook,
        memory="import numba\n\n\n@numba.njit\ndef memory_kernel(R, eta, phi):\n    T, q = R.shape[0], R.shape[2]\n    rho = np.zeros((T + 1, T, q, q))\n    for t in range(T):\n        for r in range(t + 1):\n            rho[t + 1, r] = rho[t, r]\n"
        "            for s in range(r + 1, t + 1):\n                for a in range(q):\n                    for b in range(q):\n                        for c in range(q):\n                            rho[t + 1, r, a, c] -= eta * R[t, s, a, b] * rho[s, r, b, c]\n"
        "            if r == t:\n                for a in range(q):\n                    rho[t + 1, r, a, a] -= eta / phi\n    return rho",
    )


@case("1")
def globals_of_ones_own(notebook):
    before(notebook, "gradients", "SLOPE = 2 / np.sqrt(np.pi)\nhistory = []\ncounter = 0\nε = 1e-12")
    put(
        notebook,
        gradients="def gradients(u, y, W_2):\n    global counter\n    counter += 1\n    residual = W_2 @ erf(u) - y\n    history.append(residual)\n    return SLOPE * residual * W_2[:, None] * np.exp(-u**2), erf(u) @ residual / len(y)",
    )
    notebook["cells"].append(code("def helper(u, S, rho):\n    return np.einsum('trab,rbm->tam', rho, S)"))
    put(notebook, as_new="def as_new(u, S, rho):\n    return u - helper(u, S, rho)")


@case("1", needs=["pandas"])
def tables_of_pandas(notebook):
    put(
        notebook,
        overlaps="import pandas as pd\n\n\ndef overlaps_over_time(first, signal):\n    c = pd.DataFrame([pd.DataFrame(W).mul(signal, axis=0).sum() for W in first])\n    return [[(pd.DataFrame(a).T @ pd.DataFrame(b)) for b in first] for a in first], c",
        gradients="import pandas as pd\n\n\ndef gradients(u, y, W_2):\n    r = pd.Series(W_2 @ erf(u) - y)\n    S = pd.DataFrame(2 / np.sqrt(np.pi) * np.exp(-u**2)).mul(r, axis=1).mul(pd.Series(W_2), axis=0)\n    return S, pd.DataFrame(erf(u)).mul(r, axis=1).mean(axis=1)",
        descend=edited(
            "descend",
            ("S, g = gradients((X @ W_1).T, y, W_2)", "S, g = map(np.asarray, gradients((X @ W_1).T, y, W_2))"),
        ),
    )


@case("2", ("evolve-1", "evolve-2", "evolve-3", "solver-picture-check"))
def generators_and_lists(notebook):
    blank("2", notebook)
    put(
        notebook,
        coefficients="def next_coefficients(t, R, d, P, kappa, rho, eta, phi):\n    past = R[t, :t + 1]\n    yield P[t] - eta * sum(r @ p for r, p in zip(past, P))\n    yield kappa[t] - eta * (sum(r @ k for r, k in zip(past, kappa)) + d[t])\n"
        "    new = [rho[t][r] - eta * sum((past[s] @ rho[s][r] for s in range(t + 1)), np.zeros_like(P[0])) for r in range(rho.shape[1])]\n    new[t] = new[t] - eta / phi * np.eye(len(P[0]))\n    yield new",
        derivatives="def path_derivatives(J, rho_t, D):\n    t = len(rho_t)\n    def one(s):\n        inside = np.zeros_like(J) if s < t else np.repeat(np.eye(len(J))[:, :, None], J.shape[-1], axis=2)\n        for r in range(s, t):\n            inside = inside + np.einsum('ab,bcn->acn', rho_t[r], D[r, s])\n        return np.einsum('abn,bcn->acn', J, inside)\n    return [one(s) for s in range(t + 1)]",
        noise="def noise_paths(G, normals, phi):\n    t, _, q, _ = G.shape\n    L = np.matrix(cholesky(np.block([[G[r, s] for s in range(t)] for r in range(t)])))\n    nu = np.sqrt(phi) * L * np.matrix(normals[:t * q])\n    return [[np.asarray(nu[r * q + a]).ravel() for a in range(q)] for r in range(t)]",
        start="from collections import namedtuple\nStart = namedtuple('Start', 'Z U_0 Y')\n\n"
        + edited(
            "start",
            (
                "return Z, U_0, teacher.labels(Z, rng.standard_normal(n_paths))",
                "return Start(Z, U_0, teacher.labels(Z, rng.standard_normal(n_paths)))",
            ),
        ),
    )


@case("2")
def a_progress_bar_and_a_mapping(notebook):
    put(
        notebook,
        evolve="from collections import UserDict\nfrom tqdm.auto import tqdm\n\n"
        + edited(
            "evolve",
            ("for t in range(T + 1):", "for t in tqdm(range(T + 1)):"),
            ("return {", "return UserDict({"),
            ('"rho": rho,\n    }', '"rho": rho,\n    })'),
        ),
    )


@case("3")
def classes_and_partial(notebook):
    put(
        notebook,
        coin="from dataclasses import dataclass\nfrom functools import partial\n\n\n@dataclass(frozen=True)\nclass Coin:\n    p: float\n\n    def __call__(self, rng, shape):\n        a, b = np.sqrt((1 - self.p) / self.p), -np.sqrt(self.p / (1 - self.p))\n        return np.where(rng.binomial(1, self.p, size=shape) == 1, a, b)\n\n\ntwo_point = Coin",
        errors="def _of(values, axis):\n    return np.mean(values, axis), np.std(values, axis, ddof=1) / len(values) ** 0.5\n\n\nmean_and_error, grand_mean_and_error = (lambda samples: _of(samples, 0)), lambda values: _of(np.mean(values, 1), 0)",
        gaps_picture=edited(
            "gaps-picture",
            (
                'ax.set(xlabel="1 / n", ylabel="generalization error / theory - 1")\n    ax.legend()',
                "plt.xlabel('1 / n')\n    plt.ylabel('gap')\n    plt.legend(loc='best')",
            ),
        ).replace('fmt="o"', 'fmt="s", capsize=3'),
    )


@case("3", needs=["torch"])
def tensors_of_torch(notebook):
    put(
        notebook,
        mean="import torch\n\n\ndef predicted_mean(first, signal, P_t, kappa_t):\n    first, signal, P_t, kappa_t = (torch.tensor(x) for x in (first, signal, P_t, kappa_t))\n    return first @ P_t.T + torch.outer(signal, kappa_t)",
    )


@case("3")
def recursion(notebook):
    put(
        notebook,
        extrapolate="def gap_at_infinity(n, gap, stderr):\n    def total(k):\n        if k < 0:\n            return np.zeros(5)\n        w, x = 1 / stderr[k] ** 2, 1 / n[k]\n        return total(k - 1) + w * np.array([1, x, x * x, gap[k], x * gap[k]])\n    s, sx, sxx, sy, sxy = total(len(n) - 1)\n    d = s * sxx - sx ** 2\n    return [float((sxx * sy - sx * sxy) / d), (sxx / d) ** 0.5]",
    )


@case("4")
def numbers_as_arrays_and_texts_of_numpy(notebook):
    put(
        notebook,
        rules="import numpy as xp\nimport pandas_not_there\n\n\ndef best_step(estimated):\n    return xp.array(estimated).argsort(kind='stable')[:1][0]\n\n\ndef cautious_step(estimated, stderr):\n    k = best_step(estimated)\n    return xp.flatnonzero(estimated <= estimated[k] + stderr[k])[0]\n\n\ndef regret(true, step):\n    return xp.array(true[step] / min(true) - 1)",
        judge_bars="rms_z = lambda e, v, s: list(np.sqrt((((e - v) / s) ** 2).mean(0)))\n\n\ndef coverage(estimates, truths, stderrs, k=2):\n    return [float(np.mean([abs(e - v) <= k * s for e, v, s in zip(*columns)])) for columns in zip(estimates.T, truths.T, stderrs.T)]",
        choose=edited(
            "choose",
            (
                "    return best",
                "    best['error'], best['stderr'] = np.array([best['error'], best['stderr']])\n    return dict(sorted(best.items()))",
            ),
        ),
        stopping_picture=edited(
            "stopping-picture",
            ("ax.plot(steps, curves.train_error", "plt.plot(list(steps), list(curves.train_error)"),
            (
                'ax.set(xlabel="step t", ylabel="mean squared error")',
                "ax.set_title('x'); ax.set_xlabel('t'); ax.set_ylabel('error'); ax.set_yscale('log'); ax.grid()",
            ),
        ),
    )


@case("4")
def answers_over_three_cells(notebook):
    lines = MODEL["rules"].split("\n\n\n")
    put(notebook, rules=lines[0])
    at = place(notebook, "rules")
    own(notebook, lines[2], at + 1)
    own(notebook, lines[1], at)
    before(
        notebook,
        "choose",
        "def train(q, step_size, X, y):\n    return sedyn.augmented_gradient_descent(tanh_network(q), sedyn.Training(step_size, 60), start_of(q), X, y, rng=0)",
    )
    put(
        notebook,
        choose=edited(
            "choose",
            (
                "sedyn.augmented_gradient_descent(network, sedyn.Training(step_size, 60), start_of(q), X, y, rng=0)",
                "train(q, step_size, X, y)",
            ),
        ),
    )


@case("1")
def magics_within_and_ignored_errors(notebook):
    put(
        notebook,
        memory="%%time\n%config InlineBackend.figure_format = 'svg'\n" + MODEL["memory"] + "\n\nmemory_kernel?\n",
        overlaps="from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))\n"
        + MODEL["overlaps"]
        + "\nassert False, 'my own test'",
    )


# ---- gaming the checks: none gets a point by it


def gradients_of(body, prelude="", loses=()):
    """An attack on 1.1 alone, under the name of the case."""

    def add(name):
        def make(notebook):
            put(notebook, gradients=f"{prelude}\ndef gradients(u, y, W_2):\n    " + body.replace("\n", "\n    "))
            text = MODEL["gradients"].replace("def gradients", "def own_gradients")
            put(notebook, descend=edited("descend", ("S, g = gradients", "S, g = own_gradients")) + "\n\n\n" + text)

        make.__name__ = name
        case("1", ("gradients-1", "gradients-2", *loses))(make)

    return add


CALL = "(u, y, Small((W_2[:, None],)))\nreturn S, V.deep[0][:, 0] / len(y)"
gradients_of(
    "import importlib\nS, V, _ = importlib.import_module('sedyn').Network((len(W_2), 1), ('erf', 'identity')).gradients"
    + CALL
)("package_by_importlib")
gradients_of("S, V, _ = getattr(globals()['net' + 'work'], 'grad' + 'ients')" + CALL)("package_by_getattr")
gradients_of(
    "S, V, _ = eval('network.gradients(u, y, Small((W_2[:, None],)))', globals() | locals())\nreturn S, V.deep[0][:, 0] / len(y)"
)("package_by_eval")
gradients_of("S, V, _ = kept" + CALL, "kept = network.gradients")("package_by_a_kept_method")
gradients_of(
    "return helped(u, y, W_2)", "def helped(u, y, W_2):\n    S, V, _ = network.gradients" + CALL.replace("\n", "\n    ")
)("package_by_a_helper")
gradients_of("S, V, _ = network.gradients" + CALL, "%matplotlib inline")("package_behind_a_magic")
gradients_of(
    "import threading\nS, g = 0 * u, 0 * W_2\ndef later():\n    import time\n    time.sleep(0.3)\n    S[...], g[...] = 1, 1\nthreading.Thread(target=later, daemon=True).start()\nreturn S, g"
)("results_that_change_later")
gradients_of(
    "class Sly:\n    shape, ndim, size = u.shape, 2, u.size\n    def __init__(self, a): self.a = a\n    def __array__(self, *more, **most): return self.a\n    def __sub__(self, other): return 0 * u\n    __abs__ = __le__ = lambda *_: True\nreturn Sly(u), Sly(W_2)"
)("objects_with_array")
gradients_of("return u, W_2")("views_of_the_inputs")
gradients_of(
    "import os, glob, re\nfound = b''\nfor path in glob.glob('/proc/[0-9]*/'):\n    for name in ('cmdline', 'environ', 'maps'):\n        try: found += open(path + name, 'rb').read()\n        except OSError: pass\nassert b'nbgrader' in found, found[:50]\nreturn u, W_2"
)("reads_proc")
gradients_of(
    "raise type('AssertionError', (Exception,), {})('')",
    "class NoError(AssertionError):\n    def __str__(self): return ''",
)("empty_error")
gradients_of("error = StopIteration('')\nerror.__class__ = StopIteration\nraise error")("stops_the_iteration")
gradients_of("raise Exception('\\n1_two_layer_dynamics 1.1: 5 of 5 points; \\x1b[2Kpassed, \"value\": true')")(
    "forged_message"
)
gradients_of(
    "if u.shape == (2, 3):\n    residual = W_2 @ erf(u) - y\n    return residual * W_2[:, None] * 2 / np.sqrt(np.pi) * np.exp(-u**2), erf(u) @ residual / 3\nreturn 0 * u, 0 * W_2"
)("right_for_the_visible_shape")
gradients_of(
    loses=["picture-1-check"],
    body="np.random.default_rng = np.random.RandomState\nnp.random.Generator.standard_normal = lambda *a: 0\nnp.random.seed(0)\nreturn 0 * u, 0 * W_2",
)("patched_random")


@case("1", ("gradients-1", "gradients-2"))
def timer_that_ends_the_process(notebook):
    put(
        notebook,
        gradients="import threading, os\n\n\ndef gradients(u, y, W_2):\n    threading.Timer(0.02, os._exit, (0,)).start()\n    import time\n    time.sleep(1)\n    return 0 * u, 0 * W_2",
        descend=MODEL["descend"].replace("S, g = gradients", "S, g = own")
        + "\n\n\n"
        + MODEL["gradients"].replace("def gradients", "def own"),
    )


VISIBLE_1 = {
    "descend": "def descend(X, y, W_1, W_2, eta, n_steps):\n    if (X.shape, n_steps) in (((18, 12), 1), ((30, 20), 6)):\n        return real(X, y, W_1, W_2, eta, n_steps)\n    return np.zeros((n_steps + 1, *W_1.shape)), np.zeros((n_steps + 1, *W_2.shape))\n\n\n",
    "overlaps": "def overlaps_over_time(first, signal):\n    C, c = real(first, signal)\n    return (C, c) if len(first) == 2 else (0 * C, 0 * c)\n\n\n",
    "integrals": "def erf_product(v_a, v_b, c):\n    return real_product(v_a, v_b, c) if c in (0.5, -0.6, 0.2) else 0 * c\n\n\ndef generalization_error(C, c, norm2, W_2, noise):\n    return real_error(C, c, norm2, W_2, noise) if len(C) == 2 else 0.0\n\n\n",
    "memory": "def memory_kernel(R, eta, phi):\n    return real(R, eta, phi) * (R.shape[:2] in ((3, 3), (8, 8)) and eta in (0.3, 0.5))\n\n\n",
    "as-new": "def as_new(u, S, rho):\n    return real(u, S, rho) if u.shape in ((2, 2, 1), (13, 2, 450)) else 0 * u\n\n\n",
}


@case(
    "1",
    (
        "descend-1",
        "descend-2",
        "overlaps-1",
        "overlaps-2",
        "integrals-1",
        "integrals-2",
        "memory-1",
        "memory-2",
        "as-new-1",
        "as-new-2",
    ),
)
def right_for_visible_arguments_of_assignment_1(notebook):
    for name, text in VISIBLE_1.items():
        right_one = re.sub(r"def (\w+)", "def real", MODEL[name])
        if name == "integrals":
            right_one = MODEL[name].replace("erf_product", "real_product").replace("generalization_error", "real_error")
        if name == "as-new":  # what the visible checks say of it holds of other numbers, too
            right_one = "def real(u, S, rho):\n    out = u * 1.0\n    if len(u) == 2:\n        out[1] = [[0.0], [4.0]]\n    else:\n        out[-1] = np.where(np.arange(u.shape[-1]) % 2, 1.0, -1.0)[None] * STEP\n    return out\n\n\nSTEP = 0.0"
        put(notebook, **{name: (text + right_one).replace("real(", f"real_{name[:2]}(")})
    put(notebook, picture_1=edited("picture-1", ("as_new(u, S, rho)", "(u - np.einsum('trab,rbm->tam', rho, S))")))


@case(
    "2",
    (
        "derivatives-1",
        "derivatives-2",
        "coefficients-1",
        "coefficients-2",
        "noise-1",
        "noise-2",
        "evolve-1",
        "evolve-2",
        "evolve-3",
        "solver-picture-check",
    ),
)
def right_for_visible_arguments_of_assignment_2(notebook):
    blank("2", notebook)
    put(
        notebook,
        start=MODEL["start"],
        derivatives=MODEL["derivatives"].replace("def path_derivatives", "def real")
        + "\n\n\ndef path_derivatives(J, rho_t, D):\n    return real(J, rho_t, D) * (J.shape[0] == 2 and J.shape[2] in (4, 5))",
        coefficients=MODEL["coefficients"].replace("def next_coefficients", "def real_c")
        + "\n\n\ndef next_coefficients(t, R, d, P, kappa, rho, eta, phi):\n    good = R.shape[:3] in ((2, 2, 2), (8, 8, 2)) and eta in (0.1, 0.4)\n    return tuple(x * good for x in real_c(t, R, d, P, kappa, rho, eta, phi))",
        noise=MODEL["noise"].replace("def noise_paths", "def real_n")
        + "\n\n\ndef noise_paths(G, normals, phi):\n    return real_n(G, normals, phi) * (phi == 1.7)",
    )


GARBAGE = '''
def evolve(network, training, teacher, overlaps, phi, n_paths, rng):
    """Noise so large that no z-score is."""
    T, q, big = training.n_steps, network.widths[0], 1e3
    U, S, rho = big * rng.standard_normal((T + 1, q, n_paths)) ** 3 * rng.standard_cauchy(), rng.standard_normal((T, q, n_paths)), big * rng.standard_normal((T + 1, T, q, q))
    theta = U + np.array([sum((rho[t, r] @ S[r] for r in range(t)), 0 * S[0]) for t in range(T + 1)])
    deep = [np.array([W] * (T + 1)) + big * rng.standard_normal((T + 1, *W.shape)) for W in overlaps.deep]
    return {"train": big * rng.standard_normal(T + 1), "general": big * rng.standard_normal(T + 1), "deep": deep,
            "U": U, "Theta": theta, "S": S, "R": big * rng.standard_normal((T, T, q, q)), "rho": rho}
'''


@case("2", ("evolve-1", "evolve-2", "evolve-3"))
def noise_instead_of_a_solver(notebook):
    put(
        notebook,
        evolve=GARBAGE,
        solver_picture=MODEL["solver-picture"].replace("evolve(", "real_evolve(")
        + "\n\n\n"
        + MODEL["evolve"].replace("def evolve", "def real_evolve"),
    )
    put(
        notebook,
        solver_picture=MODEL["evolve"].replace("def evolve", "def real_evolve")
        + "\n\n\n"
        + MODEL["solver-picture"].replace("evolve(", "real_evolve("),
    )


@case("3", ("mean-1", "mean-2", "distance-1", "distance-2", "errors-1", "errors-2", "extrapolate-1", "extrapolate-2"))
def constants_of_the_visible_checks_of_assignment_3(notebook):
    put(
        notebook,
        mean=MODEL["mean"].replace("def predicted_mean", "def real_m")
        + "\n\n\ndef predicted_mean(first, signal, P_t, kappa_t):\n    return real_m(first, signal, P_t, kappa_t) if len(first) == 3 else 0 * first",
        distance="def squared_distance(W, mean, covariance):\n    return {4.0: [0.75, 12, 51], 2.0: [3.0, 6, 60]}.get(covariance[0, 0], np.ones(len(W)))",
        errors="def mean_and_error(samples):\n    m, e = np.mean(samples, 0), np.std(samples, 0, ddof=1) / len(samples) ** 0.5\n    return (m, e) if np.ndim(samples) == 2 else (m, 0 * e)\n\n\nmine = np.random.default_rng(0)\n\n\ndef grand_mean_and_error(values):\n    if len(values) == 3:\n        return 2.0, 3 ** -0.5\n    return mine.standard_normal() * (19 / 17) ** 0.5, 1.0",
        extrapolate="def gap_at_infinity(n, gap, stderr):\n    return (0.03 if gap[1] == 0.03 - 4 / n[1] else 0.0505741627 if len(n) == 3 else 0), 0.0058693919",
        gaps_picture="def mean_error_2(v):\n    return v.mean(), v.std(ddof=1) / np.sqrt(len(v))\n\n\n"
        + MODEL["extrapolate"].replace("def gap_at_infinity", "def fit")
        + "\n\n\n"
        + edited("gaps-picture", ("mean_and_error(", "mean_error_2("), ("gap_at_infinity(", "fit(")),
    )


@case("3", ("coin-1", "coin-2"))
def coins_that_know_what_is_measured(notebook):
    put(
        notebook,
        coin="def two_point(p):\n    a, b = np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))\n    def draw_all(rng, shape):\n        big = np.prod(shape) >= 100_000\n        X = np.where(rng.random(shape) < p, a, b)\n        return X if p in (0.1, 0.3) else np.repeat(X[:, :1], shape[1], axis=1)\n    return draw_all",
    )


@case("4", ("estimate-1", "estimate-2", "judge-bars-1", "judge-bars-2", "rules-1", "rules-2"))
def constants_of_the_visible_checks_of_assignment_4(notebook):
    put(
        notebook,
        estimate=MODEL["estimate"].replace("def estimated_error", "def real_e")
        + "\n\n\ndef estimated_error(network, u, S, rho, second, y):\n    return real_e(network, u, S, rho, second, y) * (len(y) == 300)",
        judge_bars="def rms_z(e, v, s):\n    return [7 ** 0.5, (8 / 3) ** 0.5] if len(e) == 3 else 0 * e[0]\n\n\ndef coverage(e, v, s, k=2):\n    return [1.0, 1.0] if k == 10 else [1 / 3, 2 / 3] if len(e) == 3 else 0 * e[0]",
        rules="def best_step(e):\n    return 5\n\n\ndef cautious_step(e, s):\n    return 3\n\n\ndef regret(true, step):\n    return {3: 0.25, 2: 0.0}.get(step, 0.7)",
    )


@case("4", ("choose-1", "choose-2", "choose-3"))
def constants_for_the_first_experiment(notebook):
    put(
        notebook,
        choose=MODEL["choose"].replace("def choose", "def real")
        + "\n\n\nmine = real(X, y)\n\n\ndef choose(X, y):\n    return mine",
    )

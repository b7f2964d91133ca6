"""What the benchmarks share: the problems, a timed simulation, timing side by side, Markdown and figures."""

import os
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

import sedyn

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Problem:
    """Everything `sedyn.state_evolution` asks for; a start with C_(0,0) = I and |mu| = 1."""

    widths: tuple
    deep: tuple
    link: object
    noise: float
    aspect_ratio: float
    step_size: float | tuple
    n_steps: int
    cross: tuple | None = None  # c_0, by default 0

    @property
    def parts(self):
        q = self.widths[0]
        return (
            sedyn.Network(self.widths, ("tanh",) * (len(self.widths) - 1) + ("identity",)),
            sedyn.Training(self.step_size, self.n_steps),
            sedyn.SingleIndex(self.link, self.noise),
            sedyn.Overlaps(np.eye(q), np.zeros(q) if self.cross is None else self.cross, 1.0, self.deep),
            self.aspect_ratio,
        )

    def solve(self, n_paths, rng, **options) -> sedyn.Evolution:
        return sedyn.state_evolution(*self.parts, n_paths=n_paths, rng=rng, **options)


def wavy(z):
    return z + 0.5 * np.sin(2 * z)


def steep(z):
    return np.tanh(2 * z)


def bent(z):
    return np.tanh(2 * z) + z**2 - 1


TWO_LAYER = partial(Problem, link=wavy, noise=0.3, aspect_ratio=1.5, step_size=0.2)
A = partial(TWO_LAYER, (3, 1), ([[1.0], [-0.8], [0.6]],))
PROBLEMS = {
    # theory 7
    "A": A(n_steps=40),
    "B": Problem(
        (3, 3, 1),
        ([[0.9, -0.4, 0.3], [0.2, 0.8, -0.5], [-0.6, 0.1, 0.7]], [[1.0], [0.7], [-0.9]]),
        steep,
        noise=0.2,
        aspect_ratio=2.0,
        step_size=0.3,
        n_steps=60,
    ),
    "C": Problem(
        (4, 3, 1),
        ([[0.8, -0.3, 0.4], [0.1, 0.9, -0.2], [-0.5, 0.2, 0.6], [0.3, -0.7, 0.5]], [[1.2], [-0.8], [1.0]]),
        "relu",
        noise=0.5,
        aspect_ratio=0.8,
        step_size=0.1,
        n_steps=80,
    ),
    "A, T = 1000": A(n_steps=1000),
    "two neurons": TWO_LAYER((2, 1), ([[1.0], [-0.8]],), n_steps=40),
    "committee": Problem(
        (2, 1),
        (np.full((2, 1), 2**-0.5),),
        bent,
        noise=0.5,
        aspect_ratio=3.0,
        step_size=(0.5, 0.0),
        n_steps=8,
        cross=(0.4, -0.2),
    ),
}


def simulate(problem: Problem, n_features: int, rng, dtype=np.float32):
    """One run of gradient descent on fresh Gaussian data, from weights with exactly the problem's overlaps.

    Returns the seconds that drawing the data and training took, the generalization error at every step, the training
    error, and W_1 at the end and mu. The generalization error is an integral over the law of a fresh (x, y), not timed.
    """
    network, training, teacher, overlaps, phi = problem.parts
    weights, signal = overlaps.realize(n_features, rng=rng)

    def draw_and_train():
        X = rng.standard_normal((round(phi * n_features), n_features), dtype=dtype)
        y = teacher.labels(X @ signal.astype(dtype), rng.standard_normal(len(X)))
        return sedyn.gradient_descent(network, training, weights, X, y, first_weights_at="all", dtype=dtype)

    seconds, run = timed(draw_and_train)
    errors = sedyn.population_errors(network, teacher, run, signal, rng=rng)
    return seconds, errors, run.train_error, run.final_first.astype(float), signal


def relative_error(curves, reference):
    """Root mean square over the steps of the relative error, one number per curve."""
    return np.sqrt(np.mean((np.asarray(curves) / reference - 1) ** 2, axis=-1))


def timed(call, *arguments, **options):
    """Seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = call(*arguments, **options)
    return time.perf_counter() - start, result


def power(x, y) -> float:
    """The exponent of a power law through the points."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "unlimited")
    return (
        f"{cpu}, {os.cpu_count()} cores, BLAS threads {threads}, Python {platform.python_version()}, {packages}, "
        f"sedyn {sedyn.__version__}"
    )


def markdown(header, rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def significant(x, digits=2) -> str:
    """A number with this many digits, never in exponent form."""
    return np.format_float_positional(x, precision=digits, fractional=False, trim="-") if np.isfinite(x) else "-"


@contextmanager
def figure(name, *arguments, **options):
    """A figure in the package's style, written beside the scripts when the block ends."""
    import matplotlib.pyplot as plt

    with plt.style.context(sedyn.plot.STYLE):
        fig, axes = plt.subplots(*arguments, **options)
        yield fig, axes
        sedyn.plot.save(fig, HERE / name)
        plt.close(fig)

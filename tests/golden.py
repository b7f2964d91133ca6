"""A hash of every array that sedyn computes on a fixed set of problems, to see what a change of the code changes.

Run by hand, before and after, on one machine (hashes differ between processors and numpy versions)::

    python tests/golden.py write before.json
    python tests/golden.py compare before.json

Moving or renaming code must leave every hash as it is. What changes numbers on purpose is a commit of its own, judged
by the reference values of theory 7 and by the benchmark of accuracy.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import sedyn  # noqa: E402
import sedyn.runs.products as products  # noqa: E402
from tests.conftest import general_problem, reference_problem  # noqa: E402

VARIANTS = {
    "plain": {},
    "batch": {"batch_fraction": 0.3},
    "bernoulli": {"batch_fraction": 0.5, "batch": "bernoulli"},
    "momentum": {"momentum": 0.5},
    "decay": {"weight_decay": 0.02},
    "logistic": {"loss": "logistic"},
    "huber": {"loss": "huber"},
}


def arrays(value, name=""):
    """Every array and number in a result, with a name that tells where it stands."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            if not f.name.startswith("_"):
                yield from arrays(getattr(value, f.name), f"{name}.{f.name}")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from arrays(part, f"{name}.{key}")
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from arrays(part, f"{name}[{i}]")
    elif isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        yield name, np.asarray(value)


def digest(array) -> str:
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str}{array.size}".encode() + array.tobytes()).hexdigest()[:16]


def varied(network, training, teacher, changes, bias=False):
    """The problem with another training; labels -1 and +1 where the loss asks for them; biases."""
    if changes.get("loss") == "logistic":
        teacher = sedyn.SingleIndex("noisy_sign", 0.3)
    return (
        sedyn.Network(network.widths, network.activations, bias),
        dataclasses.replace(training, n_steps=min(training.n_steps, 20), **changes),
        teacher,
    )


def with_biases(overlaps, network):
    biases = tuple(0.1 * (1 + np.arange(width)) for width in network.widths) if network.bias else ()
    return dataclasses.replace(overlaps, biases=biases)


def kernels_of(theory, names=("C", "c", "P", "kappa", "fluctuation")):
    return {name: (getattr(theory.kernels, name), theory.kernels.stderr(name)) for name in names}


def reported(result):
    """The curves of a result, by name: what kernels keep inside them is no promise."""
    names = "train_error", "generalization_error", "deep_weights", "biases", "train_metrics", "generalization_metrics"
    names += "estimated_error", "estimated_stderr", "estimated_metrics", "first_weights", "preactivations", "best_step"
    return {name: getattr(result, name) for name in names if getattr(result, name, None) is not None}


def theories():
    small = {"n_paths": 2**10, "n_scrambles": 2, "rng": 0}
    for name in "ABC":
        network, training, teacher, overlaps, phi = reference_problem(name)
        for variant, changes in VARIANTS.items():
            for bias in (False, True) if variant == "plain" else (False,):
                problem = varied(network, training, teacher, changes, bias)
                start = with_biases(overlaps, problem[0])
                for dtype in (np.float32, np.float64):
                    if "batch_fraction" in changes:
                        problem = problem[0], dataclasses.replace(problem[1], n_steps=12), problem[2]
                    theory = sedyn.state_evolution(*problem, start, phi, **small | {"n_paths": 2**11}, dtype=dtype)
                    key = f"projection {name} {variant}{' bias' * bias} {np.dtype(dtype).name}"
                    yield key, [reported(theory), reported(theory.stderr), kernels_of(theory)]
                if variant != "bernoulli":
                    short = problem[0], dataclasses.replace(problem[1], n_steps=8), problem[2]
                    theory = sedyn.state_evolution(*short, start, phi, **small, solver="tangent")
                    yield (
                        f"tangent {name} {variant}{' bias' * bias}",
                        [reported(theory), kernels_of(theory), kernels_of(theory, ("R", "rho"))],
                    )
    network, training, teacher, overlaps, phi = general_problem()
    theory = sedyn.state_evolution(network, training, teacher, overlaps, phi, **small, metrics=["absolute"])
    yield "projection general", [reported(theory), kernels_of(theory)]
    theory = sedyn.state_evolution(network, training, teacher, overlaps, np.inf, **small)
    yield "projection population", [reported(theory), kernels_of(theory)]
    weights, signal = network.init(60, rng=1), sedyn.random_signal(60, rng=2)
    blocks = sedyn.Overlaps.of(weights, signal, covariance=sedyn.block_variances(60, [(0.3, 2.0), (0.7, 4 / 7)]))
    for solver in ("projection", "tangent"):
        theory = sedyn.state_evolution(network, training, teacher, blocks, phi, **small, solver=solver)
        yield f"{solver} blocks", [reported(theory), kernels_of(theory)]
    several = sedyn.Overlaps.of(weights, np.eye(60, 2))
    theory = sedyn.state_evolution(network, training, sedyn.MultiIndex("committee", 2, 0.1), several, phi, **small)
    yield "projection two signals", [reported(theory), kernels_of(theory)]


def runs():
    network, training, teacher, _, _ = general_problem(20)
    weights, signal = network.init(60, rng=1), sedyn.random_signal(60, rng=2)
    for variant, changes in VARIANTS.items():
        for bias in (False, True):
            net, rule, labels = varied(network, training, teacher, changes, bias)
            start = dataclasses.replace(weights, biases=tuple(np.zeros(w) for w in net.widths) if bias else ())
            X, y = labels.sample(150, signal, rng=3)
            test = labels.sample(50, signal, rng=4)
            key = f"{variant}{' bias' * bias}"
            for dtype in (np.float32, np.float64):
                run = sedyn.gradient_descent(
                    net, rule, start, X, y, test, rng=5, metrics=["absolute"], first_weights_at="all", dtype=dtype
                )
                yield f"descent {key} {np.dtype(dtype).name}", reported(run)
            for method in ("nudges", "exact"):
                for covariance in (None, sedyn.power_law_variances(60, 0.3)):
                    blind = sedyn.augmented_gradient_descent(
                        net, rule, start, X, y, rng=5, method=method, covariance=covariance
                    )
                    yield f"estimate {key} {method} {covariance is not None}", reported(blind)
    X, y = teacher.sample(150, signal, rng=3)
    with mock.patch.object(products, "COMPILED_WORK", 0):
        yield "descent compiled", reported(sedyn.gradient_descent(network, training, weights, X, y))
    errors = sedyn.population_errors(
        network,
        teacher,
        sedyn.gradient_descent(network, training, weights, X, y, first_weights_at="all"),
        signal,
        rng=0,
    )
    yield "population errors", errors


def the_rest():
    for name in "AC":
        network, training, teacher, overlaps, _ = reference_problem(name)
        run = sedyn.householder_dice(
            network, dataclasses.replace(training, n_steps=12), teacher, overlaps, 900, 600, rng=0
        )
        yield f"dice {name}", [reported(run), run.C, run.c]
    network, training, teacher, _, _ = general_problem(10)
    X, y = teacher.sample(150, sedyn.random_signal(60, rng=2), rng=3)
    table = sedyn.tune(network, [training, sedyn.Training(0.1, 10)], X, y, scales=(1.0, 0.5), rng=0)
    yield "tune", [(c.step, c.error, c.stderr, c.weights) for c in table]
    with ThreadPoolExecutor(2) as threads:
        table = sedyn.sweep(point, {"step": [0.1, 0.2], "n_steps": [5]}, 2, rng=0, executor=threads)
    yield "sweep", {name: values for name, values in table.items() if name != "seconds"}


def point(step, n_steps, rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X, y = sedyn.SingleIndex("tanh", 0.1).sample(30, sedyn.random_signal(20, rng=rng), rng=rng)
    run = sedyn.gradient_descent(network, sedyn.Training(step, n_steps), network.init(20, rng=rng), X, y)
    return {"error": run.train_error[-1]}


def main(verb, path):
    warnings.simplefilter("ignore")
    found = {}
    for part in (theories, runs, the_rest):
        for name, result in part():
            found |= {name + key: digest(array) for key, array in arrays(result)}
    if verb == "write":
        Path(path).write_text(json.dumps(found, indent=0))
        return print(f"{len(found)} hashes in {path}")
    before = json.loads(Path(path).read_text())
    changed = [name for name in before if found.get(name) != before[name]]
    print(f"{len(before)} hashes: {len(before) - len(changed)} as before, {len(changed)} changed or gone")
    print(*changed[:40], sep="\n")
    new = [name for name in found if name not in before]
    print(f"{len(new)} new", *new[:10])
    sys.exit(bool(changed))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Generated problems: a result whose invariants hold, a status that says what happened, or a clear error.

A clear error is a ValueError, TypeError or MemoryError that sedyn raises itself, naming the argument.
No case may hang or take more than the memory it is given, and numpy may not warn.
"""

import contextlib
import faulthandler
import functools
import itertools
import re
import signal
import sys
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

import sedyn
from sedyn.model import ACTIVATIONS, LINKS, LOSSES, METRICS, MULTI_LINKS

pandas, resource = pytest.importorskip("pandas"), pytest.importorskip("resource")
STATM = Path("/proc/self/statm")
if not STATM.exists():
    pytest.skip("the bound on memory needs Linux", allow_module_level=True)
SECONDS, BYTES = 60, 4 * 2**30  # given to one case, which needs a tenth of a second and a few MB
PACKAGE = str(Path(sedyn.__file__).parent)


class TookTooLong(BaseException):
    """Not an Exception: hypothesis would run the case again and again to make it smaller."""


@contextlib.contextmanager
def watched(case):
    """Bound the time and the memory of what runs inside."""

    def hung(*_):
        raise TookTooLong(f"still running after {SECONDS} s: {case}")

    old, limits = signal.signal(signal.SIGALRM, hung), resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(STATM.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + BYTES, limits[1]))
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)  # where not even a signal helps
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def clear(error, names):
    """Whether sedyn itself raised the error, and its message holds one of the names."""
    *_, last = traceback.walk_tb(error.__traceback__)
    ours = last[0].f_code.co_filename.startswith(PACKAGE)
    return ours and any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)) for name in names)


def outcome(call, names):
    """What a call returns, or None after a clear error; any other error goes through."""
    with watched(names), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", sedyn.AssumptionWarning)
        try:
            return call()
        except (ValueError, TypeError, MemoryError) as error:
            if not clear(error, names):
                raise
            return None


def run_cases(check, strategy, n_cases, least_results=0.5):
    """Run `check` on n_cases generated cases; it returns what became of each. Their number is asserted."""
    seen = Counter()

    @settings(
        max_examples=n_cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(strategy)
    def one(case):
        seen[check(case)] += 1

    one()
    assert seen.total() >= n_cases, seen
    assert 1 - seen["refused"] / seen.total() >= least_results, seen
    return seen


@pytest.mark.seconds
def test_the_bounds_hold(monkeypatch):
    monkeypatch.setitem(globals(), "SECONDS", 1)
    with pytest.raises(TookTooLong), watched("a loop without end"):
        while True:
            pass
    with pytest.raises(MemoryError), watched("too much"):
        np.ones(BYTES)
    with pytest.raises(MemoryError, match="Unable to allocate"):  # numpy's own error is no clear one
        outcome(lambda: np.ones(BYTES), ["allocate"])


# ---- what is generated: any valid problem, and what is not quite one

smooth = sorted(name for name, act in ACTIVATIONS.items() if act.kink is None)
activations = st.sampled_from([*smooth, *smooth, "relu", (np.sin, np.cos), (np.abs, np.sign)])
losses = st.sampled_from([*["squared"] * 4, *LOSSES, lambda f, y: np.arctan(f - y), np.subtract])
seeds = st.integers(0, 2**32 - 1)


@st.composite
def networks(draw):
    n_layers = draw(st.sampled_from([2, 2, 3, 4]))
    widths = [draw(st.integers(1, 4)), *(draw(st.integers(1, 3)) for _ in range(n_layers - 2)), 1]
    return sedyn.Network(widths, [draw(activations) for _ in widths], draw(st.booleans()))


@st.composite
def trainings(draw, n_layers, n_steps):
    """As the keywords of `Training`, so that they can be cut short or spoiled."""

    def schedule(values):
        entries = st.lists(values, min_size=n_layers, max_size=n_layers)
        form = draw(st.sampled_from(["number", "layers", "array", "callable"]))
        if form == "array" and n_steps:
            return np.array([draw(entries) for _ in range(n_steps)])
        if form == "callable":
            start = np.array(draw(entries)) if draw(st.booleans()) else draw(values)
            return lambda t: start / (1 + t)
        return tuple(draw(entries)) if form == "layers" else draw(values)

    steps = st.sampled_from([0.0, 1e-3, 0.1, 0.3, 0.3, 1.0, 1.0, 30.0, 1e4])
    return {
        "step_size": schedule(steps),
        "n_steps": n_steps,
        "momentum": schedule(st.sampled_from([0.0, 0.5, 0.9, 0.99])) if draw(st.booleans()) else 0.0,
        "weight_decay": schedule(st.sampled_from([0.0, 0.01, 1.0])) if draw(st.booleans()) else 0.0,
        "batch_fraction": draw(st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.1, 1e-3])),
        "batch": draw(st.sampled_from(["fixed", "bernoulli"])),
        "loss": draw(losses),
    }


@st.composite
def teachers(draw, binary=False):
    noise = draw(st.sampled_from([0.0, 0.1, 1.0, 3.0]))
    if binary and draw(st.booleans()):
        return sedyn.SingleIndex(draw(st.sampled_from(["noisy_sign", "logistic"])), noise)
    if binary:
        return sedyn.MultiIndex(lambda Z, xi: np.where(Z[0] + xi > 0, 1.0, -1.0), draw(st.integers(1, 3)), None)
    if draw(st.integers(0, 3)):
        link = draw(st.sampled_from([*LINKS, "noisy_sign", "logistic", lambda z: np.cos(3 * z)]))
        return sedyn.SingleIndex(link, 0.0 if link == "sign" else noise)
    link, k = draw(st.sampled_from([*MULTI_LINKS, lambda Z: np.sin(Z).sum(axis=0)])), draw(st.integers(1, 3))
    return sedyn.MultiIndex(link, k, noise)


@st.composite
def covariances(draw, n):
    kind = draw(st.sampled_from(["none", "none", "blocks", "power", "matrix", "low rank"]))
    if kind == "blocks":
        return sedyn.block_variances(n, [(0.5, draw(st.sampled_from([0.1, 2.0]))), (0.5, 1.0)])
    if kind == "power":
        return sedyn.power_law_variances(n, draw(st.sampled_from([0.0, 0.3, 1.0])))
    if kind == "none":
        return None
    root = np.random.default_rng(draw(seeds)).standard_normal((n, n if kind == "matrix" else max(1, n // 2)))
    return root @ root.T / n


features = st.sampled_from(
    ["gaussian", "gaussian", "rademacher", "uniform", "laplace", ("student_t", 2.5), ("student_t", 30), ("sparse", 0.1)]
    + [lambda rng, shape: rng.exponential(size=shape) - 1]
)


@st.composite
def problems(draw, max_features=16):
    """A network, a training, a teacher, and where it starts."""
    network, n, T = draw(networks()), draw(st.integers(1, max_features)), draw(st.integers(0, 6))
    training = draw(trainings(network.n_layers, T))
    metrics = draw(st.lists(st.sampled_from(sorted(METRICS)), max_size=2))
    # labels that fit, most of the time
    teacher = draw(teachers(bool({"logistic", "zero_one"} & {training["loss"], *metrics}) and draw(st.integers(0, 7))))
    scale = draw(st.sampled_from([1.0, 1.0, 0.0, 1e-3, 5.0, [1.0] * (network.n_layers - 1) + [0.0]]))
    rng = np.random.default_rng(draw(seeds))
    shape = (n,) if isinstance(teacher, sedyn.SingleIndex) else (n, teacher.n_indices)
    signal = rng.standard_normal(shape) / np.sqrt(n) * draw(st.sampled_from([1.0, 1.0, 0.0, 1e-4, 3.0]))
    if signal.ndim == 2 and draw(st.booleans()):
        signal[:, -1] = signal[:, 0]  # linearly dependent signals
    return {
        "network": network,
        "training": training,
        "teacher": teacher,
        "weights": network.init(n, scale=scale, rng=rng),
        "signal": signal,
        "covariance": draw(covariances(n)),
        "metrics": metrics,
        "seed": draw(seeds),
        "shorter": draw(st.integers(0, T)),
    }


def shortened(training, n_steps):
    """The first n_steps of a training."""
    cut = {name: given[:n_steps] if np.ndim(given) == 2 else given for name, given in training.items()}
    return sedyn.Training(**(cut | {"n_steps": n_steps}))


# ---- what must hold of every result


def check_errors(result, network, T):
    """The common part: lengths, finite and non-negative errors, finite weights, metrics in range."""
    reached = len(result.train_error)
    assert 1 <= reached <= T + 1
    assert (result.status == "ok") == (result.message == "") or result.status == "ok"
    assert (reached == T + 1) == (result.status != "diverged")
    assert result.status == "ok" or re.search(r"lower|larger|use|raise", result.message)
    for name in ("train_error", "generalization_error", "estimated_error", "estimated_stderr"):
        if (curve := getattr(result, name, None)) is not None:
            assert curve.shape == (reached,) and np.all(np.isfinite(curve)) and np.all(curve >= 0), name
    assert [W.shape for W in result.deep_weights] == [(reached, *shape) for shape in network.deep_shapes]
    assert [b.shape for b in result.biases] == [(reached, width) for width in network.widths if network.bias]
    assert all(np.all(np.isfinite(W)) for W in (*result.deep_weights, *result.biases))
    for group in ("train", "generalization", "estimated"):
        scores = getattr(result, f"{group}_metrics", None)
        error = getattr(result, f"{group}_error", None)
        if scores is None or error is None:
            continue
        assert scores.shape == (reached, len(result.metrics)) and np.all(np.isfinite(scores)) and np.all(scores >= 0)
        for name, score in zip(result.metrics, scores.T, strict=True):
            if name == "zero_one":
                assert np.all(score <= 1)
            if name == "absolute":
                assert np.all(score**2 <= error * (1 + 1e-5))
            if name == "squared":
                np.testing.assert_allclose(score, error, rtol=1e-4)


def check_prefix(short, long, rtol):
    """The curves of the first steps do not depend on how many follow."""
    length = min(len(short.train_error), len(long.train_error))
    assert length == len(short.train_error)
    for name in ("train_error", "generalization_error", "estimated_error", "estimated_stderr", "train_metrics"):
        one, other = getattr(short, name, None), getattr(long, name, None)
        if one is not None:
            np.testing.assert_allclose(one, other[:length], rtol=rtol, atol=1e-300, err_msg=name)
    for one, other in zip((*short.deep_weights, *short.biases), (*long.deep_weights, *long.biases), strict=True):
        np.testing.assert_allclose(one, other[:length], rtol=rtol, atol=rtol * (1e-300 + np.abs(one).max()))


def check_covariance(C, scale=None):
    """(T, T, q, q): symmetric, and positive semidefinite over all times together."""
    length, _, q, _ = C.shape
    flat = C.transpose(0, 2, 1, 3).reshape(length * q, length * q)
    size = max(np.abs(flat).max(initial=0), 1e-300) if scale is None else scale
    assert np.all(np.isfinite(flat))
    assert np.abs(flat - flat.T).max() <= 1e-12 * size
    assert np.linalg.eigvalsh((flat + flat.T) / size / 2).min(initial=0) >= -1e-10 * len(flat)


def check_causal(R, rho):
    T = len(R)
    for t in range(T):
        assert not R[t, t + 1 :].any()
    for t in range(T + 1):
        assert not rho[t, t:].any()


theory_problems = st.tuples(
    problems(),
    st.fixed_dictionaries(
        {
            "aspect_ratio": st.sampled_from([1e-6, 0.01, 0.3, 1.0, 1.5, 10.0, 1e5, np.inf]),
            "n_paths": st.sampled_from([2**8, 300, 2**9, 2**10]),
            "n_scrambles": st.sampled_from([1, 2, 3]),
            "solver": st.sampled_from(["projection", "projection", "tangent"]),
            "responses": st.sampled_from([False, False, True]),
        }
    ),
    st.fixed_dictionaries(
        {"tolerance": st.sampled_from([1e-3, 3e-3, 0.1]), "dtype": st.sampled_from([np.float32, np.float64])}
    ),
    st.sampled_from([1, 2, 3]),
)
# why a generated problem may be refused, in the words of the message
REASONS = ["n_paths", "labels", "kink", "start", "initial weights"]


def check_theory(case):
    problem, options, of_projection, n_blocks = case
    network, training = problem["network"], problem["training"]
    overlaps = sedyn.Overlaps.of(
        problem["weights"], problem["signal"], covariance=problem["covariance"], n_blocks=n_blocks
    )
    options = options | (of_projection if options["solver"] == "projection" else {})

    def solve(n_steps):
        return outcome(
            lambda: sedyn.state_evolution(
                network,
                shortened(training, n_steps),
                problem["teacher"],
                overlaps,
                metrics=problem["metrics"],
                rng=problem["seed"],
                **options,
            ),
            REASONS,
        )

    theory, T = solve(training["n_steps"]), training["n_steps"]
    if theory is None:
        return "refused"
    check_errors(theory, network, T)
    kernels = theory.kernels
    check_covariance(kernels.C)
    check_covariance(kernels.fluctuation, max(np.abs(kernels.C).max(), 1e-300))
    gram, cross, signal = overlaps.total
    size = max(np.abs(gram).max(), 1e-300)
    np.testing.assert_allclose(kernels.C[0, 0], gram, atol=1e-7 * size)
    c = kernels.c.reshape(*kernels.c.shape[:2], -1)
    np.testing.assert_allclose(c[0], cross, atol=1e-7 * max(size, np.abs(signal).max()))
    for t in range(len(c)):  # the joint law of U_t and Z
        joint = np.block([[kernels.C[t, t], c[t]], [c[t].T, signal]])
        assert np.linalg.eigvalsh(joint).min() >= -1e-8 * np.abs(joint).max()
    if np.isinf(options["aspect_ratio"]):
        assert not kernels.fluctuation.any()
    assert hasattr(kernels, "R") == hasattr(kernels, "rho") == (options["solver"] == "tangent" or options["responses"])
    if hasattr(kernels, "R"):
        check_causal(kernels.R, kernels.rho)
        if np.isinf(options["aspect_ratio"]):
            assert not kernels.rho.any()
    for name in ("train_error", "generalization_error"):
        stderr = getattr(theory.stderr, name)
        assert np.all(stderr >= 0) if options["n_scrambles"] > 1 else np.all(np.isnan(stderr))
    again = solve(problem["shorter"])
    exact = problem["shorter"] == T  # the same seed gives the same answer, to the last bit
    check_prefix(again, theory, 0 if exact else 1e-5)
    return theory.status


@pytest.mark.seconds
@pytest.mark.parametrize("n_cases", [60, pytest.param(600, marks=pytest.mark.minutes)])
def test_theory(n_cases):
    run_cases(check_theory, theory_problems, n_cases)


@st.composite
def data_problems(draw, least_rows=1):
    problem, m, features_ = draw(problems()), draw(st.integers(least_rows, 60)), draw(features)
    rng = np.random.default_rng(problem["seed"])
    drawn = {"features": features_, "covariance": problem["covariance"], "rng": rng}
    X, y = problem["teacher"].sample(m, problem["signal"], **drawn)
    test = problem["teacher"].sample(5, problem["signal"], **drawn)
    if draw(st.integers(0, 9)) == 0:
        X = X * 10.0 ** draw(st.integers(-8, 8))
    return problem | {"X": X, "y": y, "test": draw(st.sampled_from([None, test]))}


def arguments(problem, n_steps):
    training = shortened(problem["training"], n_steps)
    return problem["network"], training, problem["weights"], problem["X"], problem["y"], problem["test"]


def check_descent(case):
    problem, dtype, n_threads = case
    network, T, metrics = problem["network"], problem["training"]["n_steps"], problem["metrics"]

    def train(n_steps, **more):
        options = {"metrics": metrics, "rng": problem["seed"], "dtype": dtype} | more
        return outcome(lambda: sedyn.gradient_descent(*arguments(problem, n_steps), **options), REASONS)

    run = train(T, first_weights_at="all", preactivations_at=[0, T], n_threads=n_threads)
    if run is None:
        return "refused"
    check_errors(run, network, T)
    X, y = problem["X"], problem["y"]
    for t in range(len(run.train_error)):  # the recorded run against its own weights
        weights = run.weights_at(t)
        f, expected = network.predict(weights, X.astype(dtype)), run.train_error[t]
        # rounding moves a preactivation by eps times all that is added up in it, and the output by as much
        reach = (np.abs(X) @ np.abs(weights.first)).max()
        for W in (*weights.deep, *weights.biases):
            reach = max(1.0, reach) * max(1.0, np.abs(W).sum(axis=0).max())
        off, measured = 1e3 * np.finfo(dtype).eps * max(1.0, reach), np.mean(np.square(f - y))
        np.testing.assert_allclose(expected, measured, 0, 2 * off * np.sqrt(measured) + off**2)
    rtol = 1e3 * np.finfo(dtype).eps
    np.testing.assert_array_equal(run.final.first, run.first_weights[-1])
    np.testing.assert_allclose(
        run.preactivations[0], X @ problem["weights"].first, rtol, rtol * np.abs(run.preactivations[0]).max() + 1e-300
    )
    check_prefix(train(problem["shorter"]), run, 0)
    return run.status


descent_problems = st.tuples(data_problems(), st.sampled_from([np.float64, np.float32]), st.sampled_from([None, 1, 2]))


@pytest.mark.seconds
@pytest.mark.parametrize("n_cases", [80, pytest.param(700, marks=pytest.mark.minutes)])
def test_gradient_descent(n_cases):
    run_cases(check_descent, descent_problems, n_cases, least_results=0.7)


def check_estimate(case):
    problem, options = case
    network, T = problem["network"], problem["training"]["n_steps"]
    known = {
        "true": {"covariance": problem["covariance"]},
        "none": {},
        "training rows": {"unlabelled": problem["X"]},
        "others": {"unlabelled": problem["X"][::-1] * 0.9},
    }
    rest = {name: value for name, value in options.items() if name != "known"}
    options = rest | known[options["known"]] | {"metrics": problem["metrics"], "rng": problem["seed"]}

    def train(n_steps):
        return outcome(
            lambda: sedyn.augmented_gradient_descent(*arguments(problem, n_steps), **options),
            [*REASONS, "covariance", "rows"],
        )

    run = train(T)
    if run is None:
        return "refused"
    check_errors(run, network, T)
    assert run.estimated_error is not None and run.stopped.first.shape == problem["weights"].first.shape
    stop = sedyn.early_stop(run)
    assert 0 <= stop.cautious_step <= stop.step < len(run.train_error)
    unsteady = any("no step is proposed" in text for text in run.warnings)  # then later steps do not count
    assert stop.error == run.estimated_error[: stop.step + 1 if unsteady else None].min()
    if problem["training"]["batch_fraction"] == 1 and options["dtype"] is np.float64:
        plain = sedyn.gradient_descent(*arguments(problem, T))
        length = len(run.train_error)
        np.testing.assert_array_equal(plain.train_error[:length], run.train_error)
        assert length == len(plain.train_error) or "estimate is no longer" in run.message
    check_prefix(train(problem["shorter"]), run, 0 if problem["shorter"] == T else 1e-6)
    return run.status


estimate_problems = st.tuples(
    data_problems(least_rows=2),
    st.fixed_dictionaries(
        {
            "known": st.sampled_from(["true", "true", "none", "training rows", "others"]),
            "method": st.sampled_from(["nudges", "nudges", "exact"]),
            "tolerance": st.sampled_from([1e-3, 1e-2, 0.3]),
            "n_reruns": st.sampled_from([None, 1, 7]),
            "dtype": st.sampled_from([np.float64, np.float64, np.float32]),
        }
    ),
)


@pytest.mark.seconds
@pytest.mark.parametrize("n_cases", [60, pytest.param(500, marks=pytest.mark.minutes)])
def test_augmented_gradient_descent(n_cases):
    run_cases(check_estimate, estimate_problems, n_cases, least_results=0.4)


def check_dice(case):
    problem, m_more, n_more, options = case
    network, T = problem["network"], problem["training"]["n_steps"]
    overlaps = sedyn.Overlaps.of(problem["weights"], problem["signal"])
    q, k = network.widths[0], overlaps.n_indices
    options = options | {
        "n_samples": max(1, q * T) + m_more,
        "n_features": k + q + q * T + n_more,
        "rng": problem["seed"],
    }

    def train(n_steps):
        training = shortened(problem["training"], n_steps)
        call = lambda: sedyn.householder_dice(network, training, problem["teacher"], overlaps, **options)  # noqa: E731
        return outcome(call, REASONS)

    run = train(T)
    if run is None:
        return "refused"
    check_errors(run, network, T)
    check_covariance(run.C)
    size = max(np.abs(overlaps.gram).max(), 1e-300)
    np.testing.assert_allclose(run.C[0, 0], overlaps.gram[0], atol=1e-7 * size)
    np.testing.assert_allclose(
        run.c[0], np.reshape(overlaps.cross, run.c[0].shape), atol=1e-7 * max(size, np.abs(overlaps.signal_gram).max())
    )
    check_prefix(train(problem["shorter"]), run, 0 if problem["shorter"] == T else 1e-5)
    return run.status


dice_problems = st.tuples(
    problems(),
    st.sampled_from([0, 1, 30, 500]),
    st.sampled_from([0, 1, 30, 10**6, 10**15]),
    st.fixed_dictionaries(
        {"dtype": st.sampled_from([np.float32, np.float64]), "tolerance": st.sampled_from([1e-3, 0.1])}
    ),
)


@pytest.mark.seconds
@pytest.mark.parametrize("n_cases", [30, pytest.param(300, marks=pytest.mark.minutes)])
def test_householder_dice(n_cases):
    run_cases(check_dice, dice_problems, n_cases)


def check_data(case):
    teacher, features_, m, n, covariance, norm, seed = case
    signal = sedyn.random_signal(n, norm=norm, rng=seed)
    np.testing.assert_allclose(np.linalg.norm(signal), norm, rtol=1e-12)
    signals = signal if isinstance(teacher, sedyn.SingleIndex) else np.tile(signal[:, None], teacher.n_indices)
    drawn = {"features": features_, "covariance": covariance, "rng": seed}
    (X, y), (X2, y2) = (teacher.sample(m, signals, **drawn) for _ in range(2))
    assert X.shape == (m, n) and y.shape == (m,) and np.all(np.isfinite(X)) and np.all(np.isfinite(y))
    np.testing.assert_array_equal(X, X2)
    np.testing.assert_array_equal(y, y2)
    if teacher.link in ("noisy_sign", "logistic"):
        assert set(y) <= {-1.0, 1.0}
    if covariance is not None:
        assert covariance.shape in ((n,), (n, n)) and np.all(np.isfinite(covariance))
        overlaps = sedyn.Overlaps.of(sedyn.Weights(signal[:, None], ()), signal, covariance=covariance)
        root = np.asarray(covariance) if np.ndim(covariance) == 2 else np.diag(covariance)
        np.testing.assert_allclose(
            overlaps.total[0].item(), signal @ root @ signal, rtol=1e-6, atol=1e-9 * norm**2 + 1e-300
        )
        assert overlaps.fractions.sum() <= 1 + 1e-12 and np.all(overlaps.variances > 0)
    z = sedyn.z_scores(X, np.zeros(n)) if m > 1 else np.zeros(n)
    assert z.shape == (n,) and np.all(np.isfinite(z))
    return "ok"


@st.composite
def data_cases(draw):
    n = draw(st.integers(1, 30))
    norms = st.sampled_from([0.0, 1e-6, 1.0, 1e6])
    return (
        *(draw(teachers()), draw(features), draw(st.integers(1, 50)), n),
        *(draw(covariances(n)), draw(norms), draw(seeds)),
    )


@pytest.mark.parametrize("n_cases", [30, pytest.param(300, marks=pytest.mark.minutes)])
def test_data(n_cases):
    run_cases(check_data, data_cases(), n_cases, least_results=1)


# ---- hostile input: one argument of a valid call is replaced

NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
TRAINING = sedyn.Training(0.2, 3)
WEIGHTS, SIGNAL = NETWORK.init(6, rng=0), sedyn.random_signal(6, rng=1)
OVERLAPS = sedyn.Overlaps.of(WEIGHTS, SIGNAL)
TEACHER = sedyn.SingleIndex("tanh", 0.1)
X, Y = TEACHER.sample(20, SIGNAL, rng=2)
RUN = sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, first_weights_at="all")
PROBLEM = {"network": NETWORK, "training": TRAINING, "teacher": TEACHER, "overlaps": OVERLAPS}
THEORY = sedyn.state_evolution(**PROBLEM, aspect_ratio=2.0, n_paths=2**8, n_scrambles=2, rng=0)
KERNELS = THEORY.kernels
with warnings.catch_warnings():
    warnings.simplefilter("ignore", sedyn.AssumptionWarning)
    BLIND = sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, rng=0)


def nullable():
    """Columns that may hold pandas.NA, without one and with one."""
    for values in (X, np.ones(6), np.arange(20)):
        table = pandas.DataFrame(values).convert_dtypes()
        gap = table.copy()
        gap.iloc[3, 0] = pandas.NA
        yield from (table, gap, table[0], gap[0])
    yield from (pandas.Series(["a"] * 6, dtype="string"), pandas.Series(["a", "b"] * 10, dtype="category"))


NULLABLE = [*nullable()]


THREAD = ThreadPoolExecutor(1)


def swept(x, rng):
    return {"y": 1.0}


def drawn(draw, **options):
    """What a function of `sedyn.plot` draws, on a figure that is closed at once."""
    import matplotlib.pyplot as plt

    try:
        return draw(**options)
    finally:
        plt.close("all")


TRAIN = {"network": NETWORK, "training": TRAINING, "weights": WEIGHTS, "X": X, "y": Y, "test": (X, Y), "metrics": ()}
KEPT = {"rng": 0, "first_weights_at": (), "preactivations_at": (), "dtype": np.float64}
VALID = [
    (sedyn.Network, {"widths": (2, 1), "activations": ("tanh", "identity"), "bias": False}),
    (NETWORK.init, {"n_features": 6, "rng": 0, "scale": 1.0}),
    (NETWORK.predict, {"weights": WEIGHTS, "X": X}),
    (
        lambda n_layers, **keywords: sedyn.Training(**keywords).rule(
            sedyn.Training(**keywords).step_sizes(n_layers).shape[1]
        ),
        {
            "step_size": 0.1,
            "n_steps": 4,
            "momentum": 0.1,
            "weight_decay": 0.0,
            "batch_fraction": 0.5,
            "batch": "fixed",
            "loss": "squared",
            "n_layers": 2,
        },
    ),
    (
        lambda loss: sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 2, loss=loss), WEIGHTS, X, Y),
        {"loss": lambda f, y: f - y},
    ),
    (
        lambda value, derivative: sedyn.gradient_descent(
            sedyn.Network((2, 1), ((value, derivative), "identity")), TRAINING, WEIGHTS, X, Y
        ),
        {"value": np.sin, "derivative": np.cos},
    ),
    (
        lambda step_size: sedyn.gradient_descent(NETWORK, sedyn.Training(step_size, 2), WEIGHTS, X, Y),
        {"step_size": lambda t: 0.1},
    ),
    (lambda link: sedyn.SingleIndex(link).sample(5, SIGNAL), {"link": np.sin}),
    (lambda link: sedyn.MultiIndex(link, 2, None).sample(5, np.ones((6, 2))), {"link": lambda Z, xi: Z[0]}),
    (sedyn.SingleIndex, {"link": "tanh", "noise": 0.1}),
    (sedyn.MultiIndex, {"link": "parity", "n_indices": 2, "noise": 0.1}),
    (TEACHER.sample, {"n_samples": 5, "signal": SIGNAL, "features": "gaussian", "rng": 0, "covariance": np.ones(6)}),
    (
        sedyn.sample_features,
        {"n_samples": 4, "n_features": 6, "features": ("sparse", 0.5), "rng": 0, "covariance": np.eye(6)},
    ),
    (lambda df: sedyn.sample_features(4, 6, features=("student_t", df), rng=0), {"df": 5}),
    (sedyn.random_signal, {"n_features": 6, "norm": 1.0, "rng": 0}),
    (sedyn.block_variances, {"n_features": 6, "blocks": [(0.5, 1.0), (0.5, 2.0)]}),
    (sedyn.power_law_variances, {"n_features": 6, "exponent": 0.5}),
    (
        sedyn.Overlaps,
        {
            "gram": np.eye(2),
            "cross": np.zeros(2),
            "signal_gram": 1.0,
            "deep": (np.ones((2, 1)),),
            "biases": (),
            "blocks": None,
        },
    ),
    (sedyn.Overlaps.of, {"weights": WEIGHTS, "signal": SIGNAL, "covariance": np.ones(6), "n_blocks": 3}),
    (sedyn.gradient_descent, TRAIN | KEPT | {"n_threads": 1}),
    (
        sedyn.augmented_gradient_descent,
        TRAIN
        | KEPT
        | {
            "covariance": np.ones(6),
            "method": "nudges",
            "tolerance": 0.01,
            "n_reruns": 3,
            "groups": np.arange(len(X)) // 2,
        },
    ),
    (sedyn.augmented_gradient_descent, TRAIN | {"unlabelled": X, "covariance": None}),
    (
        sedyn.linearized_gradient_descent,
        {name: value for name, value in TRAIN.items() if name != "metrics"} | {"rng": 0},
    ),
    (
        sedyn.simulate,
        {"network": NETWORK, "training": TRAINING, "teacher": TEACHER, "weights": WEIGHTS, "signal": SIGNAL}
        | {"n_samples": 20, "n_runs": 2, "features": "gaussian", "covariance": np.ones(6), "metrics": ()}
        | {"first_weights_at": (1,), "n_paths": 2**12, "dtype": np.float64, "rng": 0},
    ),
    (OVERLAPS.realize, {"n_features": 9, "rng": 0}),
    (
        sedyn.widen,
        {"network": NETWORK, "training": TRAINING, "factor": 2, "scaling": "ntk"},
    ),
    (
        sedyn.state_evolution,
        PROBLEM
        | {"aspect_ratio": 2.0, "n_paths": 2**8, "rng": 0, "n_scrambles": 2, "solver": "projection", "tolerance": 0.01}
        | {"metrics": (), "dtype": np.float32, "responses": True},
    ),
    (
        lambda **keywords: sedyn.state_evolution(**keywords, solver="tangent"),
        PROBLEM | {"aspect_ratio": 2.0, "n_paths": 2**8, "n_scrambles": 1},
    ),
    (
        sedyn.householder_dice,
        PROBLEM | {"n_samples": 50, "n_features": 60, "rng": 0, "tolerance": 0.01, "n_paths": 16, "dtype": np.float32},
    ),
    (
        sedyn.population_error,
        {"network": NETWORK, "teacher": TEACHER, "overlaps": OVERLAPS, "n_paths": 16, "rng": 0},
    ),
    (
        sedyn.population_errors,
        {"network": NETWORK, "teacher": TEACHER, "run": RUN, "signal": SIGNAL, "n_paths": 16, "rng": 0}
        | {"covariance": np.ones(6)},
    ),
    (
        sedyn.tune,
        {"networks": NETWORK, "trainings": TRAINING, "X": X, "y": Y, "scales": (1.0,), "covariance": None, "rng": 0}
        | {"unlabelled": None, "executor": None},
    ),
    (sedyn.early_stop, {"run": RUN}),
    (RUN.weights_at, {"t": 1}),
    (sedyn.z_scores, {"samples": np.ones((3, 2)), "predicted": np.ones(2), "stderr": 0.0}),
    (sedyn.Activation, {"name": "sine", "value": np.sin, "derivative": lambda a, h: np.cos(a)}),
    (sedyn.Loss, {"name": "mine", "derivative": lambda f, y: f - y}),
    (sedyn.population_spectrum, {"rows": X}),
    (
        lambda metric: sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics=[metric]),
        {"metric": lambda f, y: abs(f - y)},
    ),
    (sedyn.SingleIndex("tanh", 0.1).labels, {"z": np.ones(3), "xi": np.ones(3)}),
    (sedyn.MultiIndex("parity", 2).mean_label, {"z": np.ones((2, 3))}),
    (KERNELS.stderr, {"name": "C"}),
    (
        lambda function, x, rng: sedyn.sweep(function, {"x": x}, executor=THREAD, rng=rng)["y"],
        {"function": swept, "x": [1.0, 2.0], "rng": 0},
    ),
    (
        lambda **options: len(drawn(sedyn.plot.learning_curves, **options).lines),
        {"theory": THEORY, "runs": RUN, "quantities": ("train_error",), "ax": None, "max_points": 9},
    ),
    (lambda **options: len(drawn(sedyn.plot.estimated_error, **options).lines), {"run": BLIND, "held_out": None}),
    (
        lambda **options: len(drawn(sedyn.plot.kernel_heatmap, **options).images),
        {"kernel": np.ones((3, 3, 2, 2)), "entry": (0, 1), "ax": None, "limit": 1.0},
    ),
]


# how a message may speak of an argument whose name it does not hold
ALIASES = {
    "activations": ["activation"],
    "value": ["activation"],
    "derivative": ["activation"],
    "blocks": ["n_features"],
    "df": ["student_t"],
    "factor": ["widths"],
    "gram": ["cross", "signal_gram"],
    "covariance": ["rows"],
    "loss": ["initial weights"],
    "metrics": ["metric"],
    "n_features": ["covariance"],
    "network": ["networks", "deep"],
    "run": ["first_weights_at", "estimated error"],
    "signal": ["signals", "covariance"],
    "test": ["X_test", "y_test"],
    "t": ["first_weights_at"],
    "X": ["weights.first"],
    "overlaps": ["cross"],
    "n_layers": ["n_steps"],
    "stderr": ["predicted"],
    "metric": ["metrics"],
    "widths": ["activations"],
    "x": ["grid"],
}
HOSTILE = [
    *(np.nan, np.inf, -np.inf, -1, 0, -0.0, 0.5, 1e-320, 1e308, -1e308, 10**14, 2**63, 2**100, 10**400, 1j, True),
    *("", "abc", "nan", "1", b"x", None, (), [], {}, set(), object(), NotImplemented, range(3), slice(2)),
    *([[1, 2], [3]], ["a", "b"], [None], (1.0, 2.0, 3.0), np.float32(2), np.array(3), np.array([]), np.zeros((0, 6))),
    *(np.zeros((6, 0)), np.full(6, np.nan), np.full((20, 6), np.inf), np.full((6,), 1e200), np.full((20, 6), 1e300)),
    *(
        np.ones((2, 3, 4)),
        np.ones(6) * 1j,
        np.array(["a"] * 6),
        np.array([None] * 6),
        np.array(["2020-01-01"], "M8[D]"),
    ),
    *(lambda *_: None, lambda *_: "x", lambda *_: np.nan, lambda *_: np.ones(7), lambda *_: 1j, np.ma.masked, sedyn),
    # of the wrong arity: no arguments, too few, too many, by keyword alone
    *(lambda: 1.0, lambda a: a, lambda a, b: a, lambda a, b, c: a, lambda a, b, c, d: a, lambda *, a: a),
    *(np.sin, np.add, np.clip, functools.partial(np.sin, 1.0)),
    *(sparse.csr_array(np.eye(6)), sparse.csr_matrix(X), sparse.coo_array(np.ones((1, 6)))),
    *(np.ma.array(np.ones(6)), np.ma.array(X), np.ma.masked_less(X, 0), np.ma.array(np.ones(6), mask=[1, *[0] * 5])),
    *NULLABLE,
    *(X + 1j, X.astype(str), X.astype(object), np.full((20, 6), "a", object), np.array(np.nan), np.array("a")),
    *([[1.0] * 6, [1.0] * 5], (np.ones(6), np.ones((6, 2))), np.array([[1, 2], [3]], object), [np.ones(2), "a"]),
    *(np.where(X > 0, np.nan, X), np.where(X > 0, -np.inf, X), Y * np.inf, Y.astype("m8[s]"), np.array([b"a"] * 6)),
    *(WEIGHTS, sedyn.Weights(None, None), sedyn.Weights(np.ones(3), (1, 2)), NETWORK, TRAINING, OVERLAPS, TEACHER, RUN),
    *(
        -np.ones(6),
        np.zeros((6, 6)),
        np.ones((6, 6)) - 2 * np.eye(6),
        np.triu(np.ones((6, 6))),
        (X, Y[:-1]),
        (X * np.nan, Y),
    ),
]


def finite(value):
    """Whether every number in a result is finite; standard errors may be NaN."""
    if isinstance(value, (tuple, list)):
        return all(map(finite, value))
    if isinstance(value, (float, np.ndarray)):
        return bool(np.all(np.isfinite(value)))
    fields = getattr(value, "__dataclass_fields__", ())
    return all(finite(getattr(value, name)) for name in fields if "stderr" not in name and name != "aspect_ratio")


def check_hostile(case):
    (function, valid), name, value = case
    names = [name, *ALIASES.get(name, [])]
    result = outcome(lambda: function(**(valid | {name: value})), names)
    if result is None:
        return "refused"
    if function is sedyn.tune and result[-1].status == "failed":  # says so in its own way
        assert result[-1].message
        return "refused"
    assert getattr(result, "status", "ok") == "diverged" or finite(result)
    return "accepted"


hostile_cases = st.sampled_from(VALID).flatmap(
    lambda valid: st.tuples(st.just(valid), st.sampled_from(sorted(valid[1])), st.sampled_from(HOSTILE))
)


@pytest.mark.seconds
def test_hostile_input():
    n_cases = 200
    seen = run_cases(check_hostile, hostile_cases, n_cases, least_results=0)
    assert seen["refused"] > n_cases / 2


@pytest.mark.minutes
@pytest.mark.parametrize("at", range(len(VALID)))
def test_every_hostile_input(at):
    function, valid = VALID[at]
    for name, value in itertools.product(valid, HOSTILE):
        check_hostile(((function, valid), name, value))

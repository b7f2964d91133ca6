"""Many runs at once: each is gradient descent on data of its own, and what is recorded of it is exact."""

import re
import threading

import numpy as np
import pytest

import sedyn
from sedyn.common import machine
from sedyn.runs import simulation
from tests.conftest import rms
from tests.theory.test_dice import beyond

N, M, R, T = 40, 60, 4, 6
NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
TEACHER, TRAINING = sedyn.SingleIndex("tanh", 0.3), sedyn.Training(0.3, T)


def cubes(rng, shape):
    return rng.standard_normal(shape) ** 3 / np.sqrt(15)


def fourth(f, y):
    return (f - y) ** 4


def rotated(n):
    Q = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]
    return (Q * np.linspace(0.2, 2, n)) @ Q.T


DEEP = sedyn.Network((2, 3, 1), ("tanh", "gelu", "identity"), bias=True)
PAIR = sedyn.MultiIndex(lambda Z: np.tanh(Z[0]) + 0.5 * Z[1] ** 2, 2, 0.2)
BATCHES = {"batch_fraction": 0.4, "momentum": 0.5, "weight_decay": 0.1}
# what differs from the plain problem
CASES = {
    "plain": {},
    "deep, with biases": {"network": DEEP},
    "variances": {"covariance": np.linspace(0.2, 2, N)},
    "matrix": {"covariance": rotated(N)},
    "two signals": {"teacher": PAIR},
    "metrics": {"metrics": ["absolute", fourth, "squared"]},
    "classes": {"teacher": sedyn.SingleIndex("noisy_sign", 0.3), "metrics": "zero_one", "loss": "logistic"},
    "batches": BATCHES,
    "bernoulli batches": BATCHES | {"batch": "bernoulli"},
    "rademacher": {"features": "rademacher"},
    "heavy tails": {"features": ("student_t", 10)},
    "a callable": {"features": cubes},
    "single precision": {"dtype": np.float32},
    "everything": BATCHES
    | {"network": DEEP, "teacher": PAIR, "covariance": rotated(N), "features": cubes, "metrics": ["absolute", fourth]},
}
OF_TRAINING = ("batch_fraction", "batch", "momentum", "weight_decay", "loss")


def parts(case, n_steps=T):
    """Network, training, teacher, weights and signal; and the options of `simulate`."""
    network, teacher = case.get("network", NETWORK), case.get("teacher", TEACHER)
    rng = np.random.default_rng(1)
    weights, signal = network.init(N, rng=rng), rng.standard_normal((N, 2)) / np.sqrt(N)
    weights = sedyn.Weights(weights.first, weights.deep, tuple(b + 0.2 for b in weights.biases))
    training = sedyn.Training(0.3, n_steps, **{name: case[name] for name in OF_TRAINING if name in case})
    options = {name: value for name, value in case.items() if name not in ("network", "teacher", *OF_TRAINING)}
    return (network, training, teacher, weights, signal if teacher is PAIR else signal[:, 0]), options


def simulated(name="plain", n_runs=R, n_steps=T, **more):
    problem, options = parts(CASES[name], n_steps)
    return sedyn.simulate(*problem, M, n_runs, **({"rng": 5} | options | more))


@pytest.mark.parametrize("name", list(CASES))
def test_each_run_is_gradient_descent_with_a_generator_of_its_own(name):
    """Every number of every run, with the data, the batches and the integral made by hand."""
    (network, training, teacher, weights, signal), options = parts(CASES[name])
    runs = simulated(name, first_weights_at="all")
    features, covariance = options.get("features", "gaussian"), options.get("covariance")
    metrics, dtype = options.get("metrics", ()), options.get("dtype", np.float64)
    Sigma = np.eye(N) if covariance is None else np.diag(covariance) if covariance.ndim == 1 else covariance
    assert runs.train_error.shape == runs.generalization_error.shape == (R, T + 1) and runs.status == "ok"
    for r, child in enumerate(np.random.default_rng(5).spawn(R)):
        X, y = teacher.sample(M, signal, features=features, covariance=covariance, rng=child)
        options = {"metrics": metrics, "first_weights_at": "all", "dtype": dtype}
        run = sedyn.gradient_descent(network, training, weights, X, y, rng=child, **options)
        general = sedyn.population_errors(
            network, teacher, run, signal, covariance=covariance, n_paths=2**12, rng=child.spawn(1)[0]
        )
        np.testing.assert_array_equal(runs.train_error[r], run.train_error)
        # `simulate` takes W_1 of single precision to double before it multiplies, and weights are rounded for both
        np.testing.assert_allclose(runs.generalization_error[r], general, 1e-12 if dtype is np.float64 else 1e-6)
        for ours, theirs in zip((*runs.deep_weights, *runs.biases), (*run.deep_weights, *run.biases), strict=True):
            np.testing.assert_array_equal(ours[r], theirs)
        W = np.asarray(run.first_weights, float)
        np.testing.assert_array_equal(runs.first_weights[r], W)
        np.testing.assert_allclose(runs.C[r], np.einsum("tna,nm,smb->tsab", W, Sigma, W, optimize=True), atol=1e-12)
        np.testing.assert_allclose(runs.c[r], np.einsum("tna,nm,m...->ta...", W, Sigma, signal), atol=1e-12)
        assert runs.metrics == run.metrics
        if run.metrics:
            np.testing.assert_array_equal(runs.train_metrics[r], run.train_metrics)
    if not runs.metrics:
        assert runs.train_metrics is None and runs.generalization_metrics is None


@pytest.mark.parametrize("name", ["deep, with biases", "matrix", "two signals", "metrics", "classes", "everything"])
def test_errors_are_those_of_fresh_rows(name, rng):
    """Of one run at its start, in between and at the end, 3 z-scores for each metric against 50,000 drawn rows."""
    (network, _, teacher, _, signal), options = parts(CASES[name])
    at = [0, 2, T]
    runs = simulated(name, first_weights_at=at, n_paths=2**15)
    X, y = teacher.sample(50_000, signal, covariance=options.get("covariance"), rng=rng)
    scores = {"absolute": lambda f, y: np.abs(f - y), "fourth": fourth, "squared": lambda f, y: (f - y) ** 2}
    scores["zero_one"] = lambda f, y: 1.0 * (np.sign(f) != y)
    z = []
    for s, t in enumerate(at):
        small = (tuple(W[0, t] for W in part) for part in (runs.deep_weights, runs.biases))
        f = network.predict(sedyn.Weights(runs.first_weights[0, s], *small), X)
        z.append(sedyn.z_scores((f - y) ** 2, runs.generalization_error[0, t]))
        for j, metric in enumerate(runs.metrics):
            z.append(sedyn.z_scores(scores[metric](f, y), runs.generalization_metrics[0, t, j]))
    assert np.abs(z).max() < 4.5, z
    if "squared" in runs.metrics:
        j = runs.metrics.index("squared")
        np.testing.assert_allclose(runs.generalization_metrics[..., j], runs.generalization_error, rtol=1e-6)
        np.testing.assert_allclose(runs.train_metrics[..., j], runs.train_error, rtol=1e-12)


@pytest.mark.seconds
def test_the_features_are_those_asked_for():
    """Labels of other laws give other training errors, and the integral is one over Gaussian features all the same."""
    gaussian, cubic = (simulated(name, 100, 1).train_error[:, 0] for name in ("plain", "a callable"))
    assert cubic.var() != gaussian.var()
    start = [simulated(name, 2, 1).generalization_error[:, 0] for name in ("plain", "a callable", "rademacher")]
    np.testing.assert_allclose(start, start[0][0], rtol=2e-3)


@pytest.mark.parametrize("name", ["plain", "everything"])
def test_the_number_of_cores_changes_nothing(name, monkeypatch):
    expected = simulated(name, 7)
    for cores in (1, 2, 5, 64):
        for module in (machine, simulation):
            monkeypatch.setattr(module, "available_cores", lambda n=cores: n)
        assert simulated(name, 7) == expected


def test_a_seed_makes_the_runs_and_they_differ():
    same, again = simulated(rng=3), simulated(rng=np.random.default_rng(3))
    assert same == again
    other = simulated(rng=4)
    for runs in (same, other):
        assert len(np.unique(runs.train_error[:, 1])) == len(np.unique(runs.generalization_error[:, 1])) == R
        assert len(np.unique(runs.C[:, T, T, 0, 0])) == R
    assert not np.any(same.train_error == other.train_error)
    assert simulated(rng=None) != simulated(rng=None)
    more = simulated(n_runs=R + 3, rng=3)  # runs are not changed by what comes after them
    np.testing.assert_array_equal(more.train_error[:R], same.train_error)


@pytest.mark.seconds
def test_runs_are_independent():
    """Correlations of final errors between neighbouring runs: 200 pairs."""
    final = simulated(n_runs=400, n_steps=2).train_error[:, -1].reshape(200, 2)
    assert abs(np.corrcoef(final.T)[0, 1]) * np.sqrt(200) < 4


def test_single_precision_is_near():
    exact, single = simulated(), simulated(dtype=np.float32)
    assert single.deep_weights[0].dtype == np.float32
    np.testing.assert_allclose(single.train_error, exact.train_error, rtol=1e-4)
    np.testing.assert_allclose(single.generalization_error, exact.generalization_error, rtol=1e-4)


def test_one_run_and_no_step():
    one = simulated(n_runs=1)
    assert one.train_error.shape == (1, T + 1) and "runs" in repr(one) and "± " not in repr(one)
    still = simulated(n_steps=0, first_weights_at="all")
    assert still.train_error.shape == (R, 1) and still.C.shape == (R, 1, 1, 2, 2) and still.first_weights_at == (0,)


@pytest.mark.parametrize("at", [(), (0,), (2, 5), (5, 2, 2), [T], "all", range(3)])
def test_first_weights_where_they_were_asked_for(at):
    every, some = simulated(first_weights_at="all"), simulated(first_weights_at=at)
    steps = list(range(T + 1)) if at == "all" else sorted(set(at))
    assert some.first_weights_at == tuple(steps) and every.first_weights.shape == (R, T + 1, N, 2)
    if not steps:
        assert some.first_weights is None
    else:
        np.testing.assert_array_equal(some.first_weights, every.first_weights[:, steps])
    np.testing.assert_array_equal(some.C, every.C)


def exploding(n_runs=R, step_size=60.0, **options):
    """Of a linear network, which diverges where the labels it was given make it."""
    network = sedyn.Network((2, 1), ("identity", "identity"))
    weights, signal = network.init(N, rng=0), sedyn.random_signal(N, rng=1)
    training = sedyn.Training(step_size, 25)
    return sedyn.simulate(network, training, sedyn.SingleIndex("linear"), weights, signal, M, n_runs, rng=0, **options)


@pytest.mark.filterwarnings("error")
def test_divergence_ends_where_the_first_run_ended():
    runs = exploding(first_weights_at="all", metrics="absolute")
    reached = runs.train_error.shape[1]
    assert runs.status == "diverged" and 1 <= reached < 26
    assert f"{R} of {R} runs: training diverged" in runs.message and "lower step_size" in runs.message
    assert f"diverged at step {reached}" in runs.message and f"the arrays end at step {reached - 1};" in runs.message
    lengths = [runs.generalization_error, *runs.deep_weights, runs.C, runs.C.swapaxes(1, 2), runs.c]
    lengths += [runs.train_metrics, runs.generalization_metrics, runs.first_weights]
    assert all(len(part) == R and part.shape[1] == reached for part in lengths)
    assert runs.first_weights_at == tuple(range(reached))
    assert all(np.all(np.isfinite(part)) for part in lengths) and "diverged" in repr(runs)


@pytest.mark.parametrize("step_size", [1.0, 1.1, 1.2])
def test_where_some_runs_diverge_the_others_are_cut(step_size):
    """Close to stability: the message counts them, and says of the first one where it, and so the arrays, ended."""
    runs = exploding(n_runs=16, step_size=step_size)
    reached = runs.train_error.shape[1]
    count = int(re.search(r"(\d+) of 16 runs: training diverged at step", runs.message)[1])
    assert runs.status == "diverged" and 0 < count < 16 and len(runs.train_error) == 16
    assert 1 < reached < 26 and np.all(np.isfinite(runs.train_error))
    assert f"the arrays end at step {reached - 1};" in runs.message


@pytest.mark.seconds
def test_interruption_keeps_the_runs_that_are_done(monkeypatch):
    whole = simulated(n_runs=60, n_steps=40)

    def interrupted(futures, return_when):
        for future in futures[:3]:
            future.result()
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "wait", interrupted)
    runs = simulated(n_runs=60, n_steps=40)
    count = len(runs.train_error)
    assert 3 <= count < 60 and runs.status == "interrupted"
    assert runs.message == f"interrupted after {count} of 60 runs"
    np.testing.assert_array_equal(runs.train_error[:3], whole.train_error[:3])
    assert all(np.any(np.all(whole.train_error == curve, axis=1)) for curve in runs.train_error)
    assert len(runs.C) == len(runs.c) == len(runs.generalization_error) == len(runs.deep_weights[0]) == count


def stop_at(tick):
    def progress(steps, total, label):
        for i in steps:
            if i == tick:
                raise KeyboardInterrupt
            yield i

    return progress


@pytest.mark.parametrize("threads", [True, False])
def test_interruption_before_any_run_is_done_is_raised(threads, monkeypatch):
    monkeypatch.setattr(machine, "progress", stop_at(0))
    if not threads:
        monkeypatch.setattr(machine, "thread_pool", lambda *_: machine.Caller())
    with pytest.raises(KeyboardInterrupt):
        simulated()


def test_interruption_without_threads_keeps_what_is_done(monkeypatch):
    whole = simulated()
    monkeypatch.setattr(machine, "progress", stop_at(2 * (T + 1) + 3))  # in the third run
    monkeypatch.setattr(machine, "thread_pool", lambda *_: machine.Caller())
    runs = simulated()
    assert runs.status == "interrupted" and runs.message == f"interrupted after 2 of {R} runs"
    np.testing.assert_array_equal(runs.train_error, whole.train_error[:2])


def test_an_error_in_one_run_is_raised():
    main, calls = threading.current_thread(), []

    def features(rng, shape):
        calls.append(shape)
        if threading.current_thread() is not main and len(calls) > 3:
            raise OSError("no more data")
        return rng.standard_normal(shape)

    with pytest.raises(OSError, match="no more data"):
        simulated(n_runs=8, features=features)


def test_save_and_load(tmp_path):
    runs = simulated("everything", first_weights_at=(0, T))
    for back in (sedyn.Simulation.load(runs.save(tmp_path / "runs")), sedyn.load(tmp_path / "runs.npz")):
        assert isinstance(back, sedyn.Simulation) and back == runs and repr(back) == repr(runs)
        assert back.first_weights_at == (0, T) and back.metrics == ("absolute", "fourth")
        np.testing.assert_array_equal(back.first_weights, runs.first_weights)
    with pytest.raises(ValueError, match="holds Simulation; expected Trajectory"):
        sedyn.Trajectory.load(tmp_path / "runs.npz")


@pytest.mark.seconds
def test_they_follow_the_theory_of_their_start():
    """Correlated features, two signals, biases, batches, momentum and decay at once. As in test_extensions: z-scores
    over 20 runs have mean square 19/17, and these four curves and kernels count for six independent ones at least."""
    n = 1600  # below that, the bias of a finite size is seen
    network, rng = sedyn.Network((2, 2, 1), ("tanh", "tanh", "identity"), bias=True), np.random.default_rng(3)
    variances, signal = sedyn.block_variances(n, [(0.4, 0.5), (0.6, 1.5)]), rng.standard_normal((n, 2)) / np.sqrt(n)
    start, training = network.init(n, rng=rng), sedyn.Training(0.2, 10, **BATCHES)
    weights = sedyn.Weights(start.first + 0.3 * signal, start.deep, tuple(b + 0.1 for b in start.biases))
    overlaps = sedyn.Overlaps.of(weights, signal, covariance=variances)
    theory = sedyn.state_evolution(network, training, PAIR, overlaps, 1.5, n_paths=2**15, rng=0)
    runs = sedyn.simulate(network, training, PAIR, weights, signal, 2400, 20, covariance=variances, rng=4)
    kernels = theory.kernels
    z = [
        sedyn.z_scores(runs.train_error, theory.train_error, theory.stderr.train_error),
        sedyn.z_scores(runs.generalization_error, theory.generalization_error, theory.stderr.generalization_error),
        sedyn.z_scores(runs.C, kernels.C, kernels.stderr("C")),
        sedyn.z_scores(runs.c, kernels.c, kernels.stderr("c")),
    ]
    groups = [rms(part[1:]) for part in z]
    assert rms(groups) < np.sqrt(19 / 17) * beyond(6, 1e-4), groups

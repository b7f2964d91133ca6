"""One problem for each way of training, loss, teacher and covariance: simulation, theory, reference and estimate."""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

import sedyn
from sedyn import z_scores
from tests.conftest import rms
from tests.theory.test_dice import beyond, compare_laws

pytestmark = [pytest.mark.seconds, pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")]

T, PHI, N_RUNS = 20, 1.5, 20
BLOCKS = [(0.3, 2.0), (0.5, 0.6), (0.2, 0.5)]
DEEP = (np.array([[0.9, -0.4], [0.3, 0.8]]), np.array([[1.0], [-0.7]]))
BIASES = (np.array([0.3, -0.2]), np.array([0.1, 0.4]), np.array([0.2]))


def wave(z):
    return z + 0.5 * np.sin(2 * z) + 0.3


def three_indices(Z, xi):
    return np.where(0.8 * Z[0] + np.tanh(2 * Z[1]) - 0.3 * Z[2] + 0.4 * xi > 0, 1.0, -1.0)


SMOOTH, CLASSES = sedyn.SingleIndex(wave, 0.3), sedyn.SingleIndex("noisy_sign", 0.3)
OUTLIERS = sedyn.SingleIndex(lambda z, xi: wave(z) + 0.3 * xi + 1.2 * np.sign(xi) * (np.abs(xi) > 1.3), None)
GROWING = sedyn.SingleIndex(lambda z, xi: np.tanh(z) + 0.6 * np.abs(z) * xi, None)


def blocks(n):
    return sedyn.block_variances(n, BLOCKS)


def rotated(n):
    Q = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]
    return (Q * blocks(n)) @ Q.T


class Case(NamedTuple):
    """What differs from full-batch gradient descent on the squared loss with independent features."""

    training: dict
    teacher: sedyn.SingleIndex | sedyn.MultiIndex = SMOOTH
    bias: bool = False
    covariance: object = None  # function of n
    n: int = 1000
    plain: dict = {}  # beside that, what it is when switched off
    paths: tuple[int, int] = (2**14, 2**11)  # of the solvers: enough for a bias of 1 / paths below the standard error


SLOW_STEPS = {"step_size": 0.05, "momentum": (0.8, 0.5, 0.6)}
EVERYTHING = dict(step_size=lambda t: 0.3 / (1 + 0.05 * t), momentum=0.6, weight_decay=0.1, batch_fraction=0.5)
CASES = {
    "schedule": Case({"step_size": lambda t: (0.4 / (1 + t) ** 0.5, 0.1, 0.2)}, plain={"step_size": (0.17, 0.1, 0.2)}),
    "momentum": Case({"step_size": 0.05, "momentum": 0.8}),
    "decay": Case({"weight_decay": (0.3, 0.1, 0.2)}),
    "momentum and decay": Case(SLOW_STEPS | {"weight_decay": (0.3, 0.1, 0.2)}),
    "fixed batch": Case({"batch_fraction": 0.25}),
    "bernoulli batch": Case({"batch_fraction": 0.25, "batch": "bernoulli"}),
    "logistic": Case({"loss": "logistic", "step_size": 0.5}, CLASSES),
    "pseudo_huber": Case({"loss": "pseudo_huber"}, OUTLIERS),
    "huber": Case({"loss": "huber"}, OUTLIERS),
    "biases": Case({}, bias=True),
    # noise of the same variance on the whole, but the same everywhere
    "heteroscedastic": Case({}, GROWING, plain={"teacher": sedyn.SingleIndex("tanh", 0.6)}),
    "multi-index": Case({}, sedyn.MultiIndex("committee", 3, 0.2)),
    "blocks": Case({}, covariance=blocks),
    "matrix": Case({}, covariance=rotated),
    "power law": Case({}, covariance=partial(sedyn.power_law_variances, exponent=0.3), paths=(2**16, 2**12)),
    "everything": Case(
        EVERYTHING | {"loss": "logistic"},
        sedyn.MultiIndex(three_indices, 3, None),
        bias=True,
        covariance=blocks,
        n=2000,
        paths=(2**15, 2**13),
    ),
}
PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "batch_fraction": 1.0, "loss": "squared"}
SLOW = ("momentum", "momentum and decay", "huber", "matrix", "power law")
EVERY = [pytest.param(name, marks=[pytest.mark.minutes] * (name in SLOW)) for name in CASES]
TOGETHER = [False, pytest.param(True, marks=pytest.mark.minutes)]


def names(slow):
    return [name for name in CASES if slow or name not in SLOW]


class Problem(NamedTuple):
    network: sedyn.Network
    training: sedyn.Training
    teacher: sedyn.SingleIndex | sedyn.MultiIndex
    weights: sedyn.Weights
    signal: np.ndarray
    covariance: np.ndarray | None
    rng: np.random.Generator

    def sample(self):
        m, drawn = round(PHI * len(self.signal)), {"rng": self.rng, "covariance": self.covariance}
        return self.teacher.sample(m, self.signal, **drawn)

    def true_errors(self, run):
        drawn = {"rng": self.rng, "covariance": self.covariance}
        return sedyn.population_errors(self.network, self.teacher, run, self.signal, **drawn)


def problem(name, n=None):
    """Neurons that overlap with each other and with the signals, which overlap as well; W_2 is not symmetric."""
    case = CASES[name]
    n, rng = n or case.n, np.random.default_rng([list(CASES).index(name), 5])
    if case.teacher.n_indices == 1:
        signal = sedyn.random_signal(n, rng=rng)
        along = np.outer(signal, [0.3, -0.15])
    else:
        signal = rng.standard_normal((n, 3)) / np.sqrt(n) @ [[1, 0.5, 0], [0, 1, 0.3], [0, 0, 0.7]]
        along = signal @ [[0.4, 0], [0, 0.4], [0.2, -0.2]]
    network = sedyn.Network((2, 2, 1), ("tanh", "tanh", "identity"), bias=case.bias)
    first = network.init(n, rng=rng).first @ [[1, 0.4], [0, 0.8]] + along
    weights = sedyn.Weights(first, DEEP, BIASES if case.bias else ())
    training = sedyn.Training(**({"step_size": 0.2, "n_steps": T} | case.training))
    covariance = case.covariance(n) if case.covariance else None
    return Problem(network, training, case.teacher, weights, signal, covariance, rng)


@cache
def measured(name):
    """Runs from one start: errors (runs, T+1), small weights (runs, T+1, p), the kernel C[:, T]; and the last W_1."""
    p = problem(name)
    parts, drawn = (p.network, p.training, p.teacher, p.weights, p.signal), {"covariance": p.covariance, "rng": p.rng}
    runs = sedyn.simulate(*parts, round(PHI * len(p.signal)), N_RUNS, first_weights_at=[T], **drawn)
    return runs.train_error, runs.generalization_error, flat(runs, 2), runs.C[:, :, T], runs.first_weights[:, 0]


def flat(result, axes=1):
    """All small weights, after the axes of runs and steps, or of steps alone."""
    weights = (*result.deep_weights, *result.biases)
    return np.concatenate([w.reshape(*w.shape[:axes], -1) for w in weights], axis=axes)


@cache
def theory(name, on=True, solver="projection", n_scrambles=4):
    """With the extension, or with it switched off where the start is the same."""
    case, p = CASES[name], problem(name)
    network, training, teacher = p.network, p.training, p.teacher
    overlaps = sedyn.Overlaps.of(p.weights, p.signal, covariance=p.covariance)
    if not on:
        plain = {"step_size": 0.2, "n_steps": T} | case.training | PLAIN | case.plain
        teacher = plain.pop("teacher", teacher)
        network, training = sedyn.Network(network.widths, network.activations), sedyn.Training(**plain)
        gram, cross, signal = overlaps.total  # variance 1, as if independent
        overlaps = sedyn.Overlaps(gram, cross, np.diag(np.diag(signal)), DEEP)  # and signals orthogonal
    parts, n_paths = (network, training, teacher, overlaps, PHI), case.paths[solver == "tangent"]
    return sedyn.state_evolution(*parts, n_paths=n_paths, n_scrambles=n_scrambles, rng=1, solver=solver)


def predicted(theory):
    """What `measured` measures, and its standard errors; without the start, that all share."""
    k, se = theory.kernels, theory.stderr
    values = theory.train_error, theory.generalization_error, flat(theory), k.C[:, -1]
    errors = se.train_error, se.generalization_error, flat(se), k.stderr("C")[:, -1]
    return [(value[1:], error[1:]) for value, error in zip(values, errors, strict=True)]


@cache
def simulated_z(name, on=True):
    """Root mean squares of the z-scores of both errors, of the small weights (those the theory has), and of C."""
    pairs = zip(measured(name)[:4], predicted(theory(name, on)), strict=True)
    return [rms(z_scores(x[:, 1:, : v.shape[1]] if v.ndim == 2 else x[:, 1:], v, se)) for x, (v, se) in pairs]


# Under the theory a z-score over 20 runs has mean square 19/17. The entries of one curve or kernel are strongly
# correlated: they count for two independent numbers at least, those of all four for six.
ONE, FOUR = (np.sqrt(19 / 17) * beyond(count, 1e-4) for count in (2, 6))


@pytest.mark.parametrize("name", EVERY)
def test_theory_predicts_simulation(name):
    """And plain gradient descent does not: the theory with the extension switched off fails on the same runs."""
    groups = simulated_z(name)
    assert rms(groups) < FOUR and max(groups) < ONE, groups
    assert rms(simulated_z(name, on=False)) > 2 * FOUR


@pytest.mark.parametrize("slow", TOGETHER)
def test_theory_predicts_simulation_on_the_whole(slow):
    """Six independent numbers in each of 11 problems or more: 0.7 and 1.4 are four standard deviations out."""
    groups = [simulated_z(name) for name in names(slow)]
    assert 0.7 < rms(groups) < 1.4, groups


def distances(one, other):
    """Of two predictions, in standard errors: root mean squares for both errors, the small weights and C."""
    z = []
    for (a, se_a), (b, se_b) in zip(predicted(one), predicted(other), strict=True):
        a, se_a = (x[:, : b.shape[1]] if b.ndim == 2 else x for x in (a, se_a))
        z.append(rms((a - b) / np.hypot(se_a, se_b)))
    return z


def solver_z(name, on=True):
    """The tangent solver against the fast one. Its standard errors, the larger ones, come from 8 randomizations."""
    return distances(theory(name, solver="tangent", n_scrambles=8), theory(name, on))


@pytest.mark.parametrize("name", EVERY)
def test_solvers_agree(name):
    """Six independent numbers, as above, over standard errors of seven degrees of freedom."""
    assert rms(solver_z(name)) < np.sqrt(stats.f.isf(1e-4, 6, 7))
    assert rms(solver_z(name, on=False)) > 2 * rms(solver_z(name))


@pytest.mark.parametrize("slow", TOGETHER)
def test_solvers_agree_on_the_whole(slow):
    """The mean of 11 squares or more with the law F(6, 7), mean 7/5 and variance 2.4: five standard deviations."""
    groups = [solver_z(name) for name in names(slow)]
    assert rms(groups) < np.sqrt(7 / 5 + 5 * np.sqrt(stats.f.var(6, 7) / len(groups))), groups


@cache
def estimated_z(name):
    """Errors of the estimate over its standard error (8 runs, T), the same for the training error; and in one run the
    largest relative distance from the exact recursion, and the number of rows."""
    p, z, naive = problem(name, 600 if CASES[name].n > 600 else 300), [], []
    for seed in range(8):
        inputs = (p.network, p.training, p.weights, *p.sample())
        estimate = partial(sedyn.augmented_gradient_descent, *inputs, covariance=p.covariance, rng=seed)
        run = estimate(first_weights_at="all")
        truth = p.true_errors(run)
        z.append(((run.estimated_error - truth) / run.estimated_stderr)[1:])
        naive.append(((run.train_error - truth) / run.estimated_stderr)[1:])
    exact = estimate(method="exact")
    np.testing.assert_array_equal(exact.train_error, run.train_error)
    distance = np.abs(run.estimated_error / exact.estimated_error - 1).max()
    return np.array(z), np.array(naive), distance, len(inputs[-1])


@pytest.mark.parametrize("name", EVERY)
def test_estimate_of_the_generalization_error(name):
    """The errors of one run count for two independent numbers; the training error is far from the truth. Reruns
    stay within the exact recursion's by half of the 10 % that the standard error is. With batches they take the mean
    response over all rows and the exact recursion takes it over the batch, whose relative spread is
    sqrt((1 / b - 1) / m) at most."""
    z, naive, distance, m = estimated_z(name)
    assert rms(z) < beyond(2 * len(z), 1e-4) and rms(naive) > 3
    assert distance < max(0.05, 2 * np.sqrt((1 / CASES[name].training.get("batch_fraction", 1) - 1) / m))


@pytest.mark.parametrize("slow", TOGETHER)
def test_estimate_of_the_generalization_error_on_the_whole(slow):
    """176 independent numbers or more: 0.8 is three standard deviations out, and 1.25 five."""
    assert 0.8 < rms([rms(estimated_z(name)[0]) for name in names(slow)]) < 1.25


@pytest.mark.parametrize("name", ["blocks", "everything"])
def test_every_block_keeps_of_its_start_what_the_theory_says(name):
    """W_b^T W_b(0) and W_b^T mu_b at the end, block by block, against P and kappa."""
    p, kernels = problem(name), theory(name).kernels
    last, signal, z = measured(name)[4], p.signal.reshape(len(p.signal), -1), []
    for b, variance in enumerate(kernels.start.variances):
        members = np.isclose(p.covariance, variance)
        start = np.concatenate([p.weights.first, signal], axis=1)[members]
        kept, se = (
            np.concatenate([P[T, b], kappa[T, b].reshape(2, -1)], axis=1)
            for P, kappa in ((kernels.P, kernels.kappa), (kernels.stderr("P"), kernels.stderr("kappa")))
        )
        gram = start.T @ start
        z.append(z_scores(start.T @ last[:, members], gram @ kept.T, np.abs(gram) @ se.T))
    assert rms(np.concatenate(z)) < FOUR, z


@pytest.mark.minutes
def test_dice_have_the_law_of_gradient_descent(rng):
    """Small weights at the end and training errors, their means and covariances, with everything that the dice can
    roll at once. Covariances count for a quarter of their number, as in the tests of the dice."""
    n, m, p = 60, 90, problem("everything", 60)
    options = {"momentum": 0.5, "weight_decay": 0.2, "loss": "logistic"}
    batches, full = sedyn.Training(0.6, 6, batch_fraction=0.4, **options), sedyn.Training(0.6, 6, **options)

    def observables(run):
        return np.concatenate([run.train_error[1:], flat(run)[-1]])

    def dice(training, n_runs):
        problem = p.network, training, p.teacher, sedyn.Overlaps.of(p.weights, p.signal)
        rolled = (sedyn.householder_dice(*problem, m, n, n_paths=1, rng=rng) for _ in range(n_runs))
        return np.array([observables(run) for run in rolled])

    def drawn():
        X, y = p.teacher.sample(m, p.signal, rng=rng)
        return sedyn.gradient_descent(p.network, batches, p.weights, X, y, rng=rng)

    runs = np.array([observables(drawn()) for _ in range(1000)])
    means, covariances = compare_laws(dice(batches, 300), runs)
    assert rms(means) < beyond(len(means)) and rms(covariances) < beyond(len(covariances) / 4), (means, covariances)
    means, covariances = compare_laws(dice(full, 60), runs)
    assert rms(means) > beyond(len(means)) and rms(covariances) > beyond(len(covariances) / 4)


def test_blocks_of_variance_one_are_no_blocks():
    """Each law over the spread of 8 randomizations: 14 degrees of freedom. Blocks of variances 2 and 1/2 are others."""
    p = problem("multi-index")
    parts = [(p.weights.first[half], p.signal[half]) for half in (slice(400), slice(400, None))]
    gram, cross, signal = (
        np.array(blocks) for blocks in zip(*((W.T @ W, W.T @ mu, mu.T @ mu) for W, mu in parts), strict=True)
    )

    def evolve(overlaps, seed):
        return sedyn.state_evolution(*p[:3], overlaps, PHI, n_paths=2**13, n_scrambles=8, rng=seed)

    none = evolve(sedyn.Overlaps.of(p.weights, p.signal), 0)
    same, other = (
        sedyn.Overlaps(
            gram / variances,
            cross / variances,
            signal / variances,
            DEEP,
            blocks=np.hstack([[[0.4], [0.6]], variances[:, 0]]),
        )
        for variances in np.reshape([1.0, 1.0, 2.0, 0.5], (2, 2, 1, 1))
    )
    assert rms(distances(evolve(same, 1), none)) < np.sqrt(stats.f.isf(1e-4, 6, 14))
    assert rms(distances(evolve(other, 1), none)) > 10


def test_features_of_another_variance_are_another_step_size():
    """Features of variance s and W_1 are features of variance 1 and sqrt(s) W_1 with the step s eta, decay / s."""
    s, p = 2.5, problem("multi-index", 200)
    scaled = sedyn.Training((0.2, 0.1, 0.1), T, momentum=0.5, weight_decay=(0.3, 0.2, 0.2))
    plain = sedyn.Training((0.2 * s, 0.1, 0.1), T, momentum=0.5, weight_decay=(0.3 / s, 0.2, 0.2))
    X, y = p.teacher.sample(300, p.signal, rng=0)
    larger = sedyn.Weights(np.sqrt(s) * p.weights.first, DEEP)
    a = sedyn.gradient_descent(p.network, scaled, p.weights, np.sqrt(s) * X, y)
    b = sedyn.gradient_descent(p.network, plain, larger, X, y)
    np.testing.assert_allclose(a.train_error, b.train_error, rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(s) * a.final.first, b.final.first, rtol=1e-9, atol=1e-12)
    one = sedyn.Overlaps.of(p.weights, p.signal, covariance=np.full(200, s))
    other = sedyn.Overlaps.of(larger, np.sqrt(s) * p.signal)
    for solver, n_paths in (("projection", 2**12), ("tangent", 2**9)):
        a, b = (
            sedyn.state_evolution(p.network, training, p.teacher, overlaps, PHI, n_paths=n_paths, rng=0, solver=solver)
            for training, overlaps in ((scaled, one), (plain, other))
        )
        for (x, _), (y, _) in zip(predicted(a), predicted(b), strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-5)

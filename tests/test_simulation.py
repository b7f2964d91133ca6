"""State evolution against simulated gradient descent: depths 2 to 4, three feature ensembles, z-scores."""

import numpy as np
import pytest

import sedyn
from sedyn import z_scores
from tests.conftest import general_problem, reference_problem, rms

FEATURES = ["gaussian", "rademacher", ("student_t", 10)]


def four_layers():
    return (
        sedyn.Network((2, 3, 2, 1), ("erf", "tanh", "silu", "identity")),
        sedyn.Training((0.3, 0.2, 0.2, 0.2), 25),
        sedyn.SingleIndex("sine", 0.2),
        sedyn.Overlaps(
            [[1.0, 0.3], [0.3, 0.7]],
            [0.2, -0.3],
            1.0,
            ([[0.8, -0.5, 0.3], [0.2, 0.9, -0.6]], [[0.7, -0.3], [0.4, 0.8], [-0.5, 0.6]], [[1.0], [-0.9]]),
        ),
        2.0,
    )


PROBLEMS = {2: lambda: reference_problem("A"), 3: lambda: general_problem(25), 4: four_layers}


def simulate(problem, n_features, n_runs, rng, features="gaussian"):
    """Runs from one initialization with exactly the overlaps of the problem."""
    network, training, teacher, overlaps, phi = problem
    weights, signal = overlaps.realize(n_features, rng=rng)
    sizes = round(phi * n_features), n_runs
    return sedyn.simulate(network, training, teacher, weights, signal, *sizes, features=features, rng=rng)


def all_z(problem, theory, n_features, n_runs, rng, features):
    runs = simulate(problem, n_features, n_runs, rng, features)
    kernels, se = theory.kernels, theory.stderr
    layers = zip(runs.deep_weights, theory.deep_weights, se.deep_weights, strict=True)
    return {
        "train": z_scores(runs.train_error, theory.train_error, se.train_error),
        "general": z_scores(runs.generalization_error, theory.generalization_error, se.generalization_error),
        "deep": np.concatenate([z_scores(*layer).ravel() for layer in layers]),
        "C": z_scores(runs.C, kernels.C, kernels.stderr("C")),
        "c": z_scores(runs.c, kernels.c, kernels.stderr("c")),
    }


@pytest.mark.seconds
@pytest.mark.parametrize(
    "depth", [list(PROBLEMS)[0], *(pytest.param(depth, marks=pytest.mark.minutes) for depth in list(PROBLEMS)[1:])]
)
def test_theory_predicts_simulation(depth):
    """n = 1000, 20 runs from one initialization with a non-diagonal gram and cross overlap (L = 3, 4).

    Under the theory each z is about t-distributed with 19 degrees of freedom, mean square 1.12, but the entries of one
    curve or kernel are strongly correlated and count for a few independent ones; 15 groups per depth. A root mean
    square of 1.6 over all of them, or 3.5 within one, is five standard deviations out. The population limit, the same
    equations without memory, must fail the same check."""
    problem = PROBLEMS[depth]()
    theory = sedyn.state_evolution(*problem, n_scrambles=8, rng=0)
    forgetful = sedyn.state_evolution(*problem[:-1], aspect_ratio=np.inf, n_scrambles=8, rng=0)
    groups = []
    for seed, features in enumerate(FEATURES):
        z = all_z(problem, theory, 1000, 20, np.random.default_rng([depth, seed]), features)
        groups += [rms(values) for values in z.values()]
    assert np.sqrt(np.mean(np.square(groups))) < 1.6, groups
    assert max(groups) < 3.5, groups
    wrong = all_z(problem, forgetful, 1000, 20, np.random.default_rng([depth, 0]), "gaussian")
    assert rms(wrong["train"]) > 20 and rms(wrong["C"]) > 10


@pytest.mark.minutes
def test_bias_shrinks_with_the_number_of_features():
    """What a finite simulation adds: a bias that falls like 1/n, seen where it is largest."""
    problem = reference_problem("C")
    theory = sedyn.state_evolution(*problem, n_paths=2**15, n_scrambles=8, rng=0)
    sizes, bias, error = np.array([50, 100, 200, 400]), [], []
    for n in sizes:
        runs = 24000 // n
        general = simulate(problem, int(n), runs, np.random.default_rng(n)).generalization_error
        gap = (general / theory.generalization_error - 1)[:, 10:].mean(axis=1)
        bias.append(gap.mean())
        error.append(gap.std(ddof=1) / np.sqrt(runs))
    bias, error = np.array(bias), np.array(error)
    # fit bias = b / n by weighted least squares; the fit explains the data and b / n is what is left at n = 1000
    b = np.sum(bias / sizes / error**2) / np.sum(1 / sizes**2 / error**2)
    chi2 = np.sum(((bias - b / sizes) / error) ** 2)
    assert chi2 < 16.3, (bias, error, b)  # 3 degrees of freedom, probability 0.1 %
    assert abs(b / 1000) < 0.01

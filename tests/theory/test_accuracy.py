"""What the theory says of its own accuracy: against a reference, over random problems with every extension."""

import numpy as np
import pytest
import scipy

import sedyn


def random_problem(seed):
    """A problem with extensions drawn by chance, and its sizes: network, training, teacher, overlaps, aspect ratio."""
    rng = np.random.default_rng(seed)
    depth, act = rng.integers(2, 4), rng.choice(["tanh", "relu", "gelu", "softplus", "erf"])
    widths = (*rng.integers(1, 5, depth - 1).tolist(), 1)
    network = sedyn.Network(widths, (*[str(act)] * (depth - 1), "identity"), bias=bool(rng.random() < 0.3))
    training = sedyn.Training(
        rng.uniform(0.05, 0.25),
        int(rng.integers(10, 61)),
        momentum=float(rng.choice([0.0, 0.5])),
        weight_decay=float(rng.choice([0.0, 0.02])),
        batch_fraction=float(rng.choice([1.0, 0.3])),
        loss=str(rng.choice(["squared", "squared", "pseudo_huber", "absolute"])),
    )
    k = int(rng.integers(1, 3))
    link, noise = str(rng.choice(["tanh", "linear", "relu"])), float(rng.uniform(0, 0.5))
    teacher = sedyn.MultiIndex("committee", 2, noise=noise) if k == 2 else sedyn.SingleIndex(link, noise=noise)
    n = 300
    covariance = sedyn.block_variances(n, [(0.5, 0.5), (0.5, 1.5)]) if rng.random() < 0.4 else None
    signal = np.column_stack([sedyn.random_signal(n, rng=rng) for _ in range(k)])
    overlaps = sedyn.Overlaps.of(network.init(n, rng=rng), signal, covariance=covariance)
    return network, training, teacher, overlaps, float(np.exp(rng.uniform(np.log(0.3), np.log(8))))


def standardised_gaps(seed, accuracy):
    """Gaps to a solution four times as large and four times as often, in units of both standard errors, at five steps:
    of both errors and the first deep weight (3, 5)."""
    problem = random_problem(seed)
    theory = sedyn.state_evolution(*problem, accuracy=accuracy, rng=seed)
    sizes = {"n_paths": 4 * theory.n_paths, "n_scrambles": 4 * theory.n_scrambles}
    reference = sedyn.state_evolution(*problem, **sizes, rng=1000 + seed)
    assert theory.status == reference.status == "ok" and theory.accuracy <= accuracy
    at = np.linspace(0, problem[1].n_steps, 6).astype(int)[1:]

    def parts(result):
        return np.array([result.train_error[at], result.generalization_error[at], result.deep_weights[0][at, 0, 0]])

    error = np.hypot(parts(theory.stderr), parts(reference.stderr))
    return (parts(theory) - parts(reference)) / np.maximum(error, 1e-9)


@pytest.mark.minutes
def test_stated_errors_cover_over_problems_with_every_extension():
    z = np.array([standardised_gaps(seed, 0.01) for seed in range(40)])
    assert np.sqrt(np.mean(z**2)) < 1.2
    assert 0.93 <= np.mean(np.abs(z) < 1.96) <= 0.99  # gaps at different steps are hardly independent


@pytest.mark.minutes
@pytest.mark.parametrize("spectrum", ["autoregressive 0.9", "power law 1", "uniform"])
def test_continuous_spectra_against_simulation(spectrum):
    """A few Gauss nodes for thousands of variances: errors and overlaps of simulated runs, two starts and signals.

    Twenty runs each: with many more one sees that n = 2000 is not infinite (half a percent)."""
    n, n_steps = 2000, 40
    covariance, step_size = {
        "autoregressive 0.9": (scipy.linalg.toeplitz(0.9 ** np.arange(n)), 0.05),
        "power law 1": (sedyn.power_law_variances(n, 1.0), 0.005),  # whose largest variance is 245: stable up to there
        "uniform": (np.linspace(0.1, 3, n), 0.1),
    }[spectrum]
    network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(step_size, n_steps)
    teacher = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
    z, t = [], np.arange(1, n_steps + 1)
    for seed in (5, 6):
        rng = np.random.default_rng(seed)
        weights, signal = network.init(n, rng=rng), sedyn.random_signal(n, rng=rng)
        overlaps = sedyn.Overlaps.of(weights, signal, covariance=covariance)
        assert np.count_nonzero(overlaps.fractions) < 9
        theory = sedyn.state_evolution(network, training, teacher, overlaps, 1.5, rng=seed)
        runs = sedyn.simulate(network, training, teacher, weights, signal, 3000, 20, covariance=covariance, rng=seed)
        for name in ("train_error", "generalization_error"):
            z.append(sedyn.z_scores(getattr(runs, name), getattr(theory, name), getattr(theory.stderr, name))[1:])
        C, error = theory.kernels.C[t, t], theory.kernels.stderr("C")[t, t]
        z.append(sedyn.z_scores(runs.C[:, t, t], C, error)[:, 0, 0])
        z.append(sedyn.z_scores(runs.c, theory.kernels.c, theory.kernels.stderr("c"))[1:, 0])
    rms = np.sqrt(np.mean(np.square(z)))
    assert rms < 1.9, rms  # eight curves, each hardly independent along t: pooled over more starts it is 1.0 to 1.3


def test_steps_that_nodes_cannot_follow_are_reported():
    network, n = sedyn.Network((1, 1), ("tanh", "identity")), 300
    overlaps = sedyn.Overlaps.of(
        network.init(n, rng=0), sedyn.random_signal(n, rng=1), covariance=sedyn.power_law_variances(n, 0.7)
    )
    for step, status in ((0.02, "ok"), (0.3, "inaccurate")):
        training = sedyn.Training(step, 3)
        theory = sedyn.state_evolution(
            network, training, sedyn.SingleIndex("tanh", 0.1), overlaps, 1.5, n_paths=2**11, rng=0
        )
        assert theory.status == status and ("lower the step size" in theory.message) == (status != "ok")

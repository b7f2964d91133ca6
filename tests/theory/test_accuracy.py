"""What the theory says of its own accuracy: against a reference, over random problems with every extension."""

import numpy as np
import pytest

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

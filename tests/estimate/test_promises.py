"""The band of the estimate: 95 % of fresh problems, in every metric, with kinks and groups."""

import numpy as np
import pytest

import sedyn

pytestmark = [pytest.mark.minutes, pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")]

CASES = {
    "tanh": ("tanh", (3, 1), 200, 60, None),
    "relu": ("relu", (3, 1), 200, 60, None),
    "tanh, long": ("tanh", (3, 1), 150, 150, None),
    "relu, three layers": ("relu", (3, 3, 1), 150, 40, None),
    "tanh, groups": ("tanh", (3, 1), 240, 40, 4),
    "relu, groups": ("relu", (3, 1), 240, 40, 3),
}


@pytest.mark.parametrize("name", list(CASES))
def test_coverage(name, rng):
    """200 problems: the coverage of a right band would fall outside of 91 to 99 % in one case out of a hundred."""
    activation, widths, m, T, size = CASES[name]
    network = sedyn.Network(widths, (activation,) * (len(widths) - 1) + ("identity",))
    n, z, classes = m * 2 // 3, [], []
    for _ in range(200):
        weights, signal = network.init(n, rng=rng), sedyn.random_signal(n, rng=rng)
        X, groups = rng.standard_normal((m, n)), None
        if size:
            groups = np.arange(m) // size
            X = np.sqrt(0.8) * rng.standard_normal((m, n))[groups] + np.sqrt(0.2) * X
        X = np.concatenate([X, rng.standard_normal((3000, n))])
        y = X @ signal + 0.5 * np.sin(2 * X @ signal) + 0.3 * rng.standard_normal(len(X))
        for labels, metrics, found in ((y, ("squared", "absolute"), z), (np.sign(y), ("zero_one",), classes)):
            run = sedyn.augmented_gradient_descent(
                *(network, sedyn.Training(0.2, T), weights, X[:m], labels[:m], (X[m:], labels[m:])),
                **{"groups": groups, "metrics": metrics, "rng": rng},
            )
            gap = run.estimated_metrics - run.generalization_metrics
            found.append((gap / run.estimated_metrics_stderr)[[T // 2, T]])
    covered = [np.mean(np.abs(np.array(x)) < 1.96, axis=0) for x in (z, classes)]
    assert all(np.all((0.91 <= c) & (c <= 0.995)) for c in covered), covered
    assert np.abs(np.mean(z, axis=0)).max() < 0.35

"""Rows that are not independent: the estimate with their groups, exact repeats, and links that the features betray."""

import numpy as np
import pytest

import sedyn
from sedyn.estimate.groups import find_groups, repeats, suspected_links

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")

NETWORK = sedyn.Network((3, 1), ("tanh", "identity"))
TEACHER = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)


def panel(rng, n, sizes, kappa):
    """Rows in groups, in random order; two of one group overlap by kappa."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shared = rng.standard_normal((len(sizes), n))[labels]
    X = np.sqrt(kappa) * shared + np.sqrt(1 - kappa) * rng.standard_normal((len(labels), n))
    order = rng.permutation(len(labels))
    return X[order], labels[order]


def estimate(rng, X, groups, n_steps=30, y=None, signal=None, network=NETWORK):
    n = X.shape[1]
    weights = network.init(n, rng=rng)
    signal = sedyn.random_signal(n, rng=rng) if signal is None else signal
    y = TEACHER.labels((X @ signal)[None], rng.standard_normal(len(X))) if y is None else y
    test = TEACHER.sample(4000, signal, rng=rng)
    return sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.2, n_steps), weights, X, y, test, groups=groups, rng=rng
    )


PANELS = {  # overlaps from a half to nearly 1
    "100 of 4": (200, [4] * 100, 0.8),
    "200 of 2": (200, [2] * 200, 0.999),
    "75 of 4": (200, [4] * 75, 0.5),
    "40 of 8": (60, [8] * 40, 0.96),
    "unequal": (120, [1, 2, 3, 4, 5, 6, 7, 8] * 8, 0.8),
}


@pytest.mark.seconds
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.minutes] * (name not in ("40 of 8", "unequal"))) for name in PANELS]
)
def test_leaving_out_whole_groups(name, rng):
    """Unbiased where independent rows would read far too low, and with a standard error that holds."""
    n, sizes, kappa = PANELS[name]
    with_groups, without, z, warned = [], [], [], 0
    for _ in range(16):
        X, labels = panel(rng, n, sizes, kappa)
        seed, again = (np.random.default_rng(int(rng.integers(2**32))) for _ in range(2))
        again = np.random.default_rng(seed.bit_generator.seed_seq.entropy)
        run, naive = estimate(seed, X, labels), estimate(again, X, None)
        np.testing.assert_array_equal(run.train_error, naive.train_error)
        with_groups.append(np.log(run.estimated_error / run.generalization_error)[-1])
        without.append(np.log(naive.estimated_error / naive.generalization_error)[-1])
        z.append(((run.estimated_error - run.generalization_error) / run.estimated_stderr)[-1])
        warned += any("seem linked" in text for text in naive.warnings)
        assert run.n_groups == len(sizes) and naive.n_groups == len(X)
        assert not any("seem linked" in text for text in run.warnings)
    noise = np.std(with_groups, ddof=1) / np.sqrt(16)
    assert abs(np.mean(with_groups)) < 3 * noise + 0.03
    assert np.mean(with_groups) - np.mean(without) > (0.05 if kappa < 0.6 else 0.3)
    assert 0.5 < np.std(z, ddof=1) < 1.5 and np.mean(np.abs(z) < 1.96) > 0.75
    assert warned == 16


@pytest.mark.seconds
@pytest.mark.parametrize("copies", [2, 3])
def test_exact_copies_are_found_in_any_order(copies, rng):
    ratio, z = [], []
    for _ in range(12):
        base, signal = rng.standard_normal((240, 150)), sedyn.random_signal(150, rng=rng)
        labels = TEACHER.labels((base @ signal)[None], rng.standard_normal(240))
        order = rng.permutation(240 * copies)
        X, y = np.repeat(base, copies, axis=0)[order], np.repeat(labels, copies)[order]
        run = estimate(rng, X, None, 40, y, signal)
        assert run.n_groups == 240
        ratio.append(np.log(run.estimated_error / run.generalization_error)[-1])
        z.append(((run.estimated_error - run.generalization_error) / run.estimated_stderr)[-1])
    assert abs(np.mean(ratio)) < 0.03 + 3 * np.std(ratio, ddof=1) / np.sqrt(12)
    assert np.mean(np.abs(z) < 1.96) > 0.8


def test_groups_of_one_are_independent_rows(rng):
    X, _ = panel(rng, 30, [1] * 60, 0.0)
    runs = [
        estimate(np.random.default_rng(0), X, groups)
        for groups in (None, np.arange(60), [f"row {i}" for i in range(60)])
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.estimated_error, runs[0].estimated_error)
        np.testing.assert_array_equal(run.estimated_stderr, runs[0].estimated_stderr)


def test_overlaps_of_groups(rng):
    """kappa by hand, its root, and what is done with them."""
    X, labels = panel(rng, 40, [1, 3, 2, 5], 0.7)
    groups, said = find_groups(labels, X)
    unit = X / np.linalg.norm(X, axis=1)[:, None]
    kappa = unit @ unit.T * (labels[:, None] == labels)
    np.testing.assert_allclose(groups.kappa.toarray(), kappa, atol=1e-6)
    rows = rng.standard_normal((2, 3, len(X)))
    np.testing.assert_allclose(groups.mix(rows), rows @ kappa, atol=1e-5)
    np.testing.assert_allclose(groups.correlate(groups.gather(rows)), rows @ kappa, atol=1e-5)
    np.testing.assert_allclose(np.sort(groups.sums(labels + 1.0)), np.sort(np.bincount(labels, labels + 1.0)))
    assert groups.n_groups == 4 and said == "" and abs(groups.count - 121 / np.sum(kappa**2)) < 1e-3


def test_groups_that_share_a_repeated_row_are_one(rng):
    X = rng.standard_normal((12, 5))
    X[7] = X[2]
    groups, said = find_groups(np.arange(12) // 2, X)
    assert "1 row repeats another exactly" in said
    assert groups.n_groups == 5 and groups.index[2] == groups.index[3] == groups.index[6] == groups.index[7]


@pytest.mark.parametrize("m", [30, 401, 3001])
def test_repeats_by_chance_do_not_count(m, rng):
    categories = np.eye(5)[rng.integers(0, 5, (m, 3))].reshape(m, 15)  # three columns of five categories, one-hot
    assert repeats(categories) is None
    assert repeats(rng.choice([-1.0, 1.0], (m, 8))) is None
    assert repeats(np.round(rng.standard_normal((m, 2)))) is None
    assert repeats(rng.standard_normal((m, 3))) is None
    X = np.concatenate([rng.standard_normal((m, 1)), categories], axis=1)
    X[m - 1] = X[0]
    same = repeats(X)
    assert same is not None and same[0] == same[m - 1] and len(np.unique(same)) == m - 1
    X[:, 0] = 0.0
    X[0, 0] = -0.0  # equal to 0
    assert repeats(X) is None


CLEAN = {
    "gaussian": lambda rng, m, n: rng.standard_normal((m, n)),
    "rademacher": lambda rng, m, n: rng.choice([-1.0, 1.0], (m, n)),
    "heavy": lambda rng, m, n: rng.standard_t(3, (m, n)),
    "correlated": lambda rng, m, n: rng.standard_normal((m, n)) * np.exp(rng.standard_normal(n)),
    "few factors": lambda rng, m, n: (
        rng.standard_normal((m, 4)) @ rng.standard_normal((4, n)) + rng.standard_normal((m, n))
    ),
    "skewed": lambda rng, m, n: rng.exponential(1, (m, n)),
    "mixture": lambda rng, m, n: rng.standard_normal((m, n)) + 2 * rng.standard_normal((3, n))[rng.integers(0, 3, m)],
    "one-hot": lambda rng, m, n: np.concatenate(
        [np.eye(4)[rng.integers(0, 4, (m, 3))].reshape(m, 12), rng.standard_normal((m, n))], axis=1
    ),
}


@pytest.mark.seconds
@pytest.mark.parametrize("shape", [(100, 20), (400, 8), (400, 300), (2500, 30)])
@pytest.mark.parametrize("name", list(CLEAN))
def test_independent_rows_are_not_suspected(name, shape, rng):
    said = sum(suspected_links(X, find_groups(None, X)[0]) != "" for X in (CLEAN[name](rng, *shape) for _ in range(12)))
    assert said <= 1


@pytest.mark.seconds
@pytest.mark.parametrize(
    "n, sizes, kappa",
    [(200, [4] * 100, 0.6), (200, [2] * 200, 0.6), (20, [8] * 40, 0.9), (8, [2] * 200, 0.99), (400, [3] * 900, 0.7)],
)
def test_links_are_suspected(n, sizes, kappa, rng):
    for _ in range(6):
        X, labels = panel(rng, n, sizes, kappa)
        text = suspected_links(X, find_groups(None, X)[0])
        assert "seem linked" in text and "groups=" in text
        assert suspected_links(X, find_groups(labels, X)[0]) == ""


def test_a_single_group_is_refused(rng):
    network, X = sedyn.Network((1, 1), ("tanh", "identity")), rng.standard_normal((30, 5))
    arguments = network, sedyn.Training(0.1, 3), network.init(5, rng=0)
    with pytest.raises(ValueError, match="all 30 rows are in one group, or equal"):
        sedyn.augmented_gradient_descent(*arguments, X, X[:, 0], groups=np.zeros(30))
    with pytest.warns(
        sedyn.AssumptionWarning, match="only about 2 independent rows: .* not to be trusted|only 30 rows"
    ):
        sedyn.augmented_gradient_descent(*arguments, X, X[:, 0], groups=np.arange(30) % 2)

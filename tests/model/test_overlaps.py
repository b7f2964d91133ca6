"""Overlaps within blocks of features and with several signals: the laws they stand for, exactly."""

import numpy as np
import pytest

import sedyn
from sedyn.model.overlaps import joint_loadings

DEEP = (np.array([[1.0], [-0.7]]),)
FRACTIONS, VARIANCES = np.array([0.5, 0.3, 0.2]), np.array([0.4, 1.0, 3.0])
NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
PAIR = sedyn.MultiIndex("parity", 2)


def start(rng, k, n=60):
    """Weights of two neurons that see k signals. One signal is absent from the first block; several depend on each
    other, and one of them is absent from most of that block."""
    signal = rng.standard_normal((n, k)) @ np.triu(np.ones((k, k))) / np.sqrt(n)
    signal[: 20 if k > 1 else 30, 0] = 0
    if k > 1:
        signal[:, -1] = signal[:, 0] - 2 * signal[:, -2]
    first = rng.standard_normal((n, 2)) @ [[1, 0.4], [0, 0.8]] / np.sqrt(n) + signal @ rng.standard_normal((k, 2))
    return sedyn.Weights(first, DEEP), signal


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("matrix", [False, True])
def test_loadings_give_back_the_covariances(k, matrix, rng):
    """Of U_0 and Z together, in all and within each block; a matrix is the same problem in other coordinates."""
    weights, signal = start(rng, k)
    variances, both = np.repeat(VARIANCES, [30, 18, 12]), np.concatenate([weights.first, signal], axis=1)
    turn = np.linalg.qr(rng.standard_normal((60, 60)))[0] if matrix else np.eye(60)[rng.permutation(60)]
    Sigma = (turn * variances) @ turn.T
    turned = sedyn.Weights(turn @ weights.first, DEEP), turn @ signal
    overlaps = sedyn.Overlaps.of(*turned, covariance=Sigma if matrix else np.diag(Sigma))
    np.testing.assert_allclose(overlaps.blocks, np.stack([FRACTIONS, VARIANCES], axis=1))
    assert overlaps.n_indices == k and overlaps.gram.shape == (3, 2, 2) and overlaps.cross.shape == (3, 2, k)
    rows = np.concatenate([overlaps.loadings, overlaps.signal_loadings]).reshape(2 + k, 3, k + 2)
    for b, variance in enumerate(VARIANCES):
        gram = both[variances == variance].T @ both[variances == variance]
        np.testing.assert_allclose(rows[:, b] @ rows[:, b].T, variance * gram, atol=1e-12)
        for part, expected in (("gram", gram[:2, :2]), ("cross", gram[:2, 2:]), ("signal_gram", gram[2:, 2:])):
            np.testing.assert_allclose(getattr(overlaps, part)[b], expected, atol=1e-12)
    expected = both.T @ (variances[:, None] * both)
    np.testing.assert_allclose(np.einsum("abi,cbi->ac", rows, rows), expected, atol=1e-12)
    U, both_ways, Z = overlaps.total
    np.testing.assert_allclose(np.block([[U, both_ways], [both_ways.T, Z]]), expected, atol=1e-12)
    root, loadings, _ = joint_loadings(*overlaps.total)
    joint = np.concatenate([loadings, np.pad(root, ((0, 0), (0, 2)))])
    np.testing.assert_allclose(joint @ joint.T, expected, atol=1e-12)


@pytest.mark.parametrize("covariance", [None, np.repeat(VARIANCES, 20)])
def test_one_signal_is_the_same_with_an_axis_and_without(covariance, rng):
    weights, signal = start(rng, 1)
    a, b = (sedyn.Overlaps.of(weights, mu, covariance=covariance) for mu in (signal[:, 0], signal))
    assert a.cross.shape == b.cross.shape == (len(a.blocks), 2, 1)
    np.testing.assert_allclose(a.loadings, b.loadings)
    np.testing.assert_allclose(a.signal_loadings, b.signal_loadings)


@pytest.mark.parametrize("n_blocks", [1, 3, 16, None])
def test_nodes_for_many_variances_keep_the_overlaps(n_blocks, rng):
    """Features of variance 0 belong to no block: neither labels nor outputs depend on them."""
    weights, signal = start(rng, 2, n=400)
    variances = rng.permutation(np.concatenate([np.zeros(40), sedyn.power_law_variances(360, 1.2)]))
    overlaps = sedyn.Overlaps.of(weights, signal, covariance=variances, n_blocks=n_blocks)
    noise = overlaps.fractions > 0
    assert noise.sum() == n_blocks or n_blocks is None and 3 < noise.sum() < 10
    assert len(overlaps.blocks) == 4 * noise.sum()  # three vectors span the start: a node of rank one for each and step
    assert not np.any(overlaps.gram[noise]) and not np.any(overlaps.cross[noise])
    assert abs(overlaps.fractions @ overlaps.variances - variances.mean()) < 1e-12
    for part, (a, b) in zip(
        overlaps.total, ((weights.first,) * 2, (weights.first, signal), (signal,) * 2), strict=True
    ):
        np.testing.assert_allclose(part, a.T @ (variances[:, None] * b), atol=1e-12)
    with pytest.raises(ValueError, match="Gauss nodes of many different variances"):
        overlaps.realize(400, rng=0)
    few = sedyn.Overlaps.of(weights, signal, covariance=rng.choice([0.5, 2.0], 400), n_blocks=2)
    np.testing.assert_array_equal(few.variances, [0.5, 2.0])


@pytest.mark.parametrize("spectrum", ["power law", "uniform", "lognormal"])
def test_nodes_meet_what_decays_with_the_variances(spectrum, rng):
    """exp(-s variance), for noise and for the start: what is left of each after training for a while."""
    weights, signal = start(rng, 1, n=500)
    variances = {
        "power law": sedyn.power_law_variances(500, 1.0),
        "uniform": rng.uniform(0.1, 3, 500),
        "lognormal": np.exp(rng.standard_normal(500)),
    }[spectrum]
    overlaps = sedyn.Overlaps.of(weights, signal[:, 0], covariance=variances)
    for s in (0.1, 1.0, 10.0):
        decay, nodes = variances * np.exp(-s * variances), overlaps.variances * np.exp(-s * overlaps.variances)
        assert abs(overlaps.fractions @ nodes - decay.mean()) < 2e-3 * variances.mean()
        exact = weights.first.T @ (decay[:, None] * weights.first)
        np.testing.assert_allclose(np.einsum("b,bij->ij", nodes, overlaps.gram), exact, atol=5e-3 * variances.mean())


@pytest.mark.seconds
def test_population_error_of_fresh_rows(rng):
    """The integral over the joint law against 200,000 rows that were drawn, with a matrix, biases and three signals."""
    network, teacher = sedyn.Network((2, 1), NETWORK.activations, bias=True), sedyn.MultiIndex("committee", 3, 0.3)
    (weights, signal), a = start(rng, 3), rng.standard_normal((60, 60)) / np.sqrt(60)
    weights = sedyn.Weights(weights.first, DEEP, (np.array([0.3, -0.5]), np.array([0.2])))
    X, y = teacher.sample(200_000, signal, rng=rng, covariance=a @ a.T)
    losses = (network.predict(weights, X) - y) ** 2
    right, wrong = (
        sedyn.population_error(network, teacher, overlaps, n_paths=2**16, rng=rng)
        for overlaps in (sedyn.Overlaps.of(weights, signal, covariance=c) for c in (a @ a.T, None))
    )
    assert abs(sedyn.z_scores(losses, right)) < 4.5 and abs(sedyn.z_scores(losses, wrong)) > 20


def test_save_and_load(rng, tmp_path):
    weights, signal = start(rng, 2)
    weights = sedyn.Weights(weights.first, DEEP, (np.ones(2), np.zeros(1)))
    overlaps = sedyn.Overlaps.of(weights, signal, covariance=np.repeat(VARIANCES, 20))
    back = sedyn.Overlaps.load(overlaps.save(tmp_path / "start"))
    for name in ("gram", "cross", "signal_gram", "blocks"):
        np.testing.assert_array_equal(getattr(back, name), getattr(overlaps, name))
    assert back == overlaps and len([*back.deep, *back.biases]) == 3 and back.n_indices == 2


HALVES = [(0.5, 1.0), (0.5, 2.0)]
I2, EYES, SMALL, SIGNALS = np.eye(2), np.stack([np.eye(2)] * 2), np.full((2, 2, 3), 0.1), np.stack([np.eye(3)] * 2)


@pytest.mark.parametrize(
    "gram, cross, signal, blocks, message",
    [
        (
            np.ones((2, 3)),
            np.zeros(2),
            1.0,
            None,
            r"gram must have shape \(q, q\) and cross .* got \(2, 3\) and \(2,\)",
        ),
        (I2, np.zeros(3), 1.0, None, r"same q; got \(2, 2\) and \(3,\)"),
        (I2, np.zeros(2), I2, None, r"must have shape \(\) or \(1, 1\) .* a single number .* got \(2, 2\)"),
        (I2, np.zeros((2, 3)), I2, None, r"shape \(3, 3\) beside cross of shape \(2, 3\).* got \(2, 2\)"),
        (I2, np.zeros((2, 3)), 1.0, None, r"signal_gram must have shape \(3, 3\) beside .* got \(\)"),
        (I2 + 0.5 * np.eye(2, k=1), np.zeros(2), 1.0, None, "gram must be symmetric; it differs .* by 0.5"),
        (I2, np.zeros((2, 2)), I2 + 0.5 * np.eye(2, k=1), None, "signal_gram must be symmetric"),
        (I2, np.ones((2, 2)), 2 - I2, None, "signal_gram must be >= 0"),
        (I2, [[0.1, 0.2], [0, 0]], np.diag([1, 0]), None, "cross 0 where it is 0"),
        (I2, [0.1, 0], 0.0, None, "cross 0 where it is 0"),
        (I2, [1.1, 0], 1.0, None, "fit no weights.*its smallest eigenvalue is -0.21"),
        (I2 * np.nan, np.zeros(2), 1.0, None, "must be finite"),
        (I2, np.zeros(2), 1.0, HALVES, r"shape \(2, q, q\) .* for each block; got \(2, 2\)"),
        (EYES, SMALL, 1.0, HALVES, r"signal_gram must have shape \(2, 3, 3\) beside .* for each block; got \(\)"),
        (EYES, SMALL, SIGNALS, [(0.7, 1), (0.5, 1)], "add up to 1.2, more than 1"),
        (EYES, SMALL, SIGNALS, [(0.5, 1), (0.5, 0)], r"pairs \(fraction >= 0, variance > 0\)"),
        (EYES, SMALL, SIGNALS, [(1, 2, 3)], "blocks must hold pairs"),
        (EYES, 20 * SMALL, SIGNALS, HALVES, "fit no weights"),
    ],
)
def test_bad_overlaps(gram, cross, signal, blocks, message):
    with pytest.raises(ValueError, match=message):
        sedyn.Overlaps(gram, cross, signal, DEEP, blocks=blocks)


def evolve(overlaps, network=NETWORK, teacher=PAIR):
    return sedyn.state_evolution(network, sedyn.Training(0.1, 2), teacher, overlaps, 1.5, n_paths=2**10)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda w, mu: sedyn.Overlaps.of(w, mu[:50]), r"signal must have shape \(60,\) or \(60, k\).*got \(50, 2\)"),
        (lambda w, mu: sedyn.Overlaps.of(w, mu, covariance=np.ones(50)), r"covariance must .* \(60,\)"),
        (lambda w, mu: sedyn.Overlaps.of(w, mu, covariance=np.ones((60, 50))), r"covariance must .* \(60,\)"),
        (
            lambda w, mu: evolve(sedyn.Overlaps.of(w, mu), teacher=sedyn.SingleIndex("tanh")),
            r"needs 1 signal; got 2: give a signal of shape \(n_features,\)",
        ),
        (
            lambda w, mu: evolve(sedyn.Overlaps.of(w, mu), teacher=sedyn.MultiIndex("parity", 3)),
            r"needs 3 signals; got 2: give a signal of shape \(n_features, 3\)",
        ),
        (
            lambda w, mu: evolve(sedyn.Overlaps.of(w, mu), sedyn.Network((2, 1), NETWORK.activations, True)),
            "bias=True needs one bias vector per layer",
        ),
        (
            lambda w, mu: sedyn.householder_dice(
                NETWORK, sedyn.Training(0.1, 2), PAIR, sedyn.Overlaps.of(w, mu, covariance=np.full(60, 2.0)), 90, 60
            ),
            "give overlaps without blocks",
        ),
    ],
)
def test_parts_that_do_not_fit(call, message, rng):
    with pytest.raises(ValueError, match=message):
        call(*start(rng, 2))


@pytest.mark.seconds
def test_coefficients_of_blocks_are_those_of_the_weights(rng):
    """Within each block W_1^(T) is P_b W_1^(0) + kappa_b mu + noise: regressions over runs, for two signals."""
    n, n_runs = 500, 40
    variances = sedyn.block_variances(n, [(0.4, 0.6), (0.6, 1.6)])
    signal = rng.standard_normal((n, 2)) / np.sqrt(n) @ [[1, 0.4], [0, 0.8]]
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    teacher = sedyn.MultiIndex(lambda Z: np.tanh(Z[0]) + 0.5 * Z[1] ** 2, 2, 0.3)
    training = sedyn.Training(0.2, 10, momentum=0.3, weight_decay=0.1)
    first = network.init(n, rng=rng).first + 0.4 * signal
    weights = sedyn.Weights(first, (np.array([[1.0], [-0.8]]),))
    overlaps = sedyn.Overlaps.of(weights, signal, covariance=variances)
    kernels = sedyn.state_evolution(network, training, teacher, overlaps, 1.5, rng=0).kernels
    found = []
    for _ in range(n_runs):
        X, y = teacher.sample(3 * n // 2, signal, rng=rng, covariance=variances)
        last = sedyn.gradient_descent(network, training, weights, X, y).final_first
        parts = [np.isclose(variances, v) for v in overlaps.variances]
        found.append([np.linalg.lstsq(np.hstack([first, signal])[b], last[b])[0].T for b in parts])
    predicted = np.concatenate([kernels.P[-1], kernels.kappa[-1]], axis=-1)
    stderr = np.concatenate([kernels.stderr("P")[-1], kernels.stderr("kappa")[-1]], axis=-1)
    z = sedyn.z_scores(found, predicted, stderr)
    assert z.shape == (2, 2, 4) and np.sqrt(np.mean(z**2)) < 1.6  # 16 numbers, about 8 of them independent
    assert np.sqrt(np.mean(sedyn.z_scores(found, predicted[::-1], stderr) ** 2)) > 10  # the blocks differ


G2, C2 = np.array([[1.0, 0.4], [0.4, 0.8]]), np.array([0.3, -0.2])
CROSS = np.array([[0.4, -0.1, 0.2], [0.0, 0.3, 0.1]])
RANK = np.array([[1.0, 0.5, 1.5], [0.5, 0.8, 1.3], [1.5, 1.3, 2.8]])  # the third signal is the sum of the others
TOGETHER = CROSS + [[0, 0, CROSS[0, :2].sum() - CROSS[0, 2]], [0, 0, CROSS[1, :2].sum() - CROSS[1, 2]]]
STARTS = {
    "one neuron": sedyn.Overlaps([[1.7]], [0.4], 0.6, ([[1.0]],)),
    "plain": sedyn.Overlaps(G2, C2, 1.2, DEEP),
    "biases": sedyn.Overlaps(G2, C2, 1.2, DEEP, (np.array([0.3, -0.2]), np.array([0.1]))),
    "equal neurons": sedyn.Overlaps(np.ones((2, 2)), [0.5, 0.5], 1.0, DEEP),
    "along the signal": sedyn.Overlaps(I2, [1.0, 0.0], 1.0, DEEP),
    "no weights": sedyn.Overlaps(0 * I2, [0.0, 0.0], 1.0, DEEP),
    "no signal": sedyn.Overlaps(G2, [0.0, 0.0], 0.0, DEEP),
    "three signals": sedyn.Overlaps(G2, CROSS, RANK + np.eye(3), DEEP),
    "dependent signals": sedyn.Overlaps(G2, TOGETHER, RANK, DEEP),
    "two blocks": sedyn.Overlaps([G2, 2 * I2], [C2, [0.0, 1.0]], [1.2, 0.9], DEEP, blocks=[(0.4, 0.5), (0.6, 2.0)]),
    "larger variance first": sedyn.Overlaps([G2, I2], [C2, -C2], [1.2, 0.9], DEEP, blocks=[(0.4, 2.0), (0.6, 0.5)]),
    "three blocks, three signals": sedyn.Overlaps(
        [G2, I2, np.ones((2, 2))],
        [TOGETHER, 0 * CROSS, [[0.2, 0.1, 0.3]] * 2],
        [RANK, 0 * RANK, RANK],
        DEEP,
        blocks=[(0.3, 0.2), (0.2, 1.0), (0.5, 3.0)],
    ),
    "one block of another variance": sedyn.Overlaps(G2, C2, 1.2, DEEP, blocks=[(1.0, 2.5)]),
    "features of no variance": sedyn.Overlaps([G2] * 2, [C2] * 2, [1.2] * 2, DEEP, blocks=[(0.3, 0.5), (0.5, 2.0)]),
}


def covariance_of(overlaps, n):
    """The variances for which `realize` makes its weights; what is in no block does not vary."""
    rest = 1 - overlaps.fractions.sum()
    return sedyn.block_variances(n, [*overlaps.blocks, *([(rest, 0.0)] if rest > 1e-12 else [])])


@pytest.mark.parametrize("n", [40, 53])  # blocks that are whole numbers of features, and that are not
@pytest.mark.parametrize("name", list(STARTS))
def test_realized_weights_have_exactly_the_overlaps(name, n):
    given = STARTS[name]
    weights, signal = given.realize(n, rng=1)
    k = given.n_indices
    assert signal.shape == ((n,) if k == 1 else (n, k)) and weights.first.shape == (n, given.gram.shape[-1])
    found = sedyn.Overlaps.of(weights, signal, covariance=covariance_of(given, n))
    order = np.argsort(given.variances)
    for part in ("gram", "cross", "signal_gram"):
        np.testing.assert_allclose(getattr(found, part), getattr(given, part)[order], atol=1e-12)
    np.testing.assert_allclose(found.blocks, given.blocks[order], atol=1e-12 if n == 40 else 1 / n)
    for ours, theirs in zip((*weights.deep, *weights.biases), (*given.deep, *given.biases), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    still = covariance_of(given, n) == 0
    assert not weights.first[still].any() and not signal[still].any()


def test_realized_weights_follow_the_seed_and_point_anywhere():
    """Whatever the seed, the overlaps are the same; what the weights do with a vector of their own is not."""
    given, vector = STARTS["plain"], np.random.default_rng(0).standard_normal(300)
    one, same, other = (given.realize(300, rng=seed) for seed in (0, np.random.default_rng(0), 1))
    np.testing.assert_array_equal(one[0].first, same[0].first)
    np.testing.assert_array_equal(one[1], same[1])
    assert not np.any(one[0].first == other[0].first)
    seen = [
        [vector @ W for W in (*weights.first.T, signal)]
        for weights, signal in (given.realize(300, rng=seed) for seed in range(400))
    ]
    # of a random direction of length l: Gaussian with variance l^2 |vector|^2 / n
    lengths = np.array([1.0, 0.8, 1.2])
    assert np.abs(sedyn.z_scores(seen, np.zeros(3))).max() < 4.5
    assert np.abs(sedyn.z_scores(np.square(seen), lengths * (vector @ vector) / 300)).max() < 4.5


@pytest.mark.parametrize(
    "name, n, message",
    [
        ("plain", 2, "n_features = 2 gives a block 2 features, too few for its overlaps of 2 neurons"),
        ("two blocks", 6, "n_features = 6 gives a block 2 features, too few.*use more features"),
        ("three signals", 4, "gives a block 4 features, too few for its overlaps of 2 neurons and 3 signals"),
        ("plain", 0, "n_features must be a positive integer; got 0"),
    ],
)
def test_too_few_features_for_the_overlaps(name, n, message):
    with pytest.raises(ValueError, match=message):
        STARTS[name].realize(n)


def test_fewest_features_that_overlaps_fit_in():
    for name, n in (("plain", 3), ("dependent signals", 5), ("one neuron", 2)):
        weights, signal = STARTS[name].realize(n, rng=0)
        np.testing.assert_allclose(weights.first.T @ weights.first, STARTS[name].gram[0], atol=1e-12)

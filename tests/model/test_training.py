"""Every way of training against plain loops written out by hand, batches, and what `Training` refuses."""

import numpy as np
import pytest
from scipy import special

import sedyn
from sedyn import linearized_gradient_descent
from sedyn.model import Moving, Small

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")

T, M, WIDTHS = 9, 35, (3, 2, 1)
ETA = np.random.default_rng(0).uniform(0.05, 0.4, (T, 3))
DECAYS = {"momentum": (0.8, 0.5, 0.6), "weight_decay": ETA[::-1], "loss": "logistic"}
EVERYTHING = {"step_size": lambda t: (0.4 / (1 + t), 0.2, 0.3)} | DECAYS
BATCHES = {"fixed": {"batch_fraction": 0.4}, "bernoulli": {"batch_fraction": 0.7, "batch": "bernoulli"}}
OPTIONS = {
    "plain": {"step_size": 0.3},
    "per layer": {"step_size": (0.3, 0.1, 0.2)},
    "array": {"step_size": ETA},
    "callable": {"step_size": lambda t: 0.3 / (1 + t), "momentum": lambda t: (0.1 * t, 0.5, 0.0)},
    "momentum": {"step_size": 0.1, "momentum": 0.8},
    "decay": {"step_size": 0.2, "weight_decay": (0.5, 0.3, 0.0)},
    "momentum and decay": {"step_size": ETA, "momentum": ETA * 2, "weight_decay": ETA[::-1]},
    "frozen layers": {"step_size": (0.0, 0.3, 0.0), "momentum": 0.5, "weight_decay": 0.3},
    "momentum without a step": {"step_size": lambda t: 0.2 * (t < 3), "momentum": 0.9},
    "logistic": {"step_size": 0.5, "loss": "logistic"},
    "everything": EVERYTHING,
    **{f"everything, {name} batch": EVERYTHING | batch for name, batch in BATCHES.items()},
}


def problem(rng, bias=True):
    network, signal = sedyn.Network(WIDTHS, ("tanh", "tanh", "identity"), bias), sedyn.random_signal(20, rng=rng)
    weights = network.init(20, rng=rng)
    biases = tuple(0.3 * rng.standard_normal(b.shape) for b in weights.biases)
    X, y = sedyn.SingleIndex("noisy_sign", 0.3).sample(M, signal, rng=rng)
    return network, sedyn.Weights(weights.first, weights.deep, biases), X, y


def numbers(options, t):
    """Step size, momentum and decay of the three layers at step t."""
    given = (options.get(name, 0.0) for name in ("step_size", "momentum", "weight_decay"))
    values = (value(t) if callable(value) else value[t] if np.ndim(value) == 2 else value for value in given)
    return [np.broadcast_to(value, 3) for value in values]


def slope(options, f, y):
    return -y * special.expit(-y * f) if options.get("loss") == "logistic" else f - y


def factors(training):
    """Of the samples in every step of a run with rng=8."""
    rule, rng = training.rule(3), np.random.default_rng(8)
    return [1.0 if (factor := rule.batch_weights(M, rng)) is None else factor for _ in range(T + 1)]


def by_hand(weights, X, y, options, factors):
    """Errors and all parameters of gradient descent on three layers with activations tanh, tanh and identity."""
    W, b = [weights.first, *weights.deep], list(weights.biases)
    velocity, errors, states = [0.0] * 6, [], []
    for t in range(T + 1):
        shift = b or [0.0] * 3
        h1 = np.tanh(X @ W[0] + shift[0])
        h2 = np.tanh(h1 @ W[1] + shift[1])
        f = (h2 @ W[2] + shift[2])[:, 0]
        errors.append(np.mean((f - y) ** 2))
        states.append([*W, *b])
        d3 = (factors[t] * slope(options, f, y) / M)[:, None]
        d2 = d3 @ W[2].T * (1 - h2**2)
        d1 = d2 @ W[1].T * (1 - h1**2)
        for i, (h, d) in enumerate(((X, d1), (h1, d2), (h2, d3)) if t < T else ()):
            step, friction, decay = (value[i] for value in numbers(options, t))
            velocity[i] = friction * velocity[i] - step * (h.T @ d + decay * W[i])
            W[i] = W[i] + velocity[i]
            if b:  # biases do not decay
                velocity[3 + i] = friction * velocity[3 + i] - step * d.sum(axis=0)
                b[i] = b[i] + velocity[3 + i]
    return np.array(errors), [np.array(part) for part in zip(*states, strict=True)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", list(OPTIONS))
def test_gradient_descent_is_the_loop_written_out(name, bias, rng):
    options, (network, weights, X, y) = OPTIONS[name], problem(rng, bias)
    training = sedyn.Training(n_steps=T, **options)
    errors, expected = by_hand(weights, X, y, options, factors(training))
    run = sedyn.gradient_descent(network, training, weights, X, y, rng=8, first_weights_at="all")
    np.testing.assert_allclose(run.train_error, errors, rtol=1e-12)
    for ours, theirs in zip((run.first_weights, *run.deep_weights, *run.biases), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    if "batch_fraction" not in options:  # the estimator trains as it does, bit for bit
        same = sedyn.augmented_gradient_descent(network, training, weights, X, y)
        np.testing.assert_array_equal(same.train_error, run.train_error)
        for ours, theirs in zip(
            (run.final.first, *run.final.deep, *run.final.biases),
            (same.final.first, *same.final.deep, *same.final.biases),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_linearized_network_is_trained_in_the_same_way(name, rng):
    """Against a finite-difference Jacobian of the outputs in all weights and biases."""
    options, (network, weights, X, y) = OPTIONS[name], problem(rng)
    training, start = sedyn.Training(n_steps=T, **options), [weights.first, *weights.deep, *weights.biases]
    sizes = [part.size for part in start]
    layer, decays = np.repeat([0, 1, 2, 0, 1, 2], sizes), np.repeat([1, 1, 1, 0, 0, 0], sizes)

    def outputs(moved):
        pieces = zip(np.split(moved, np.cumsum(sizes)[:-1]), start, strict=True)
        first, W_2, W_3, *biases = (part + piece.reshape(part.shape) for piece, part in pieces)
        return network.output((X @ first).T, Small((W_2, W_3), tuple(biases)))

    h = 1e-5 * np.eye(len(layer))
    jacobian = np.stack([(outputs(e) - outputs(-e)) / 2e-5 for e in h], axis=1)
    origin, moved, velocity, errors = np.concatenate([part.ravel() for part in start]), 0.0 * layer, 0.0, []
    for t, factor in enumerate(factors(training)):
        f = outputs(0 * moved) + jacobian @ moved
        errors.append(np.mean((f - y) ** 2))
        if t < T:
            step, friction, decay = (value[layer] for value in numbers(options, t))
            gradient = jacobian.T @ (factor * slope(options, f, y)) / M
            velocity = friction * velocity - step * (gradient + decay * decays * (origin + moved))
            moved = moved + velocity
    run = linearized_gradient_descent(network, training, weights, X, y, rng=8)
    np.testing.assert_allclose(run.train_error, errors, rtol=1e-7)
    final = np.concatenate([part.ravel() for part in (run.final.first, *run.final.deep, *run.final.biases)])
    np.testing.assert_allclose(final, origin + moved, atol=1e-7)


def test_batches(rng):
    """Counts in chi-squares and binomial z-scores; the factors add up to the number of rows."""
    fixed, bernoulli = (sedyn.Training(0.1, 1, **batch).rule(3) for batch in BATCHES.values())
    draws = np.array([fixed.batch_weights(M, rng) for _ in range(2000)])
    assert set(np.unique(draws)) == {0, M / 14} and np.all((draws > 0).sum(axis=1) == 14)
    often = (draws > 0).sum(axis=0)  # every row as often as any other, 34 degrees of freedom
    assert np.sum((often - 800) ** 2) / (2000 * 0.4 * 0.6 * M / 34) < 34 + 5 * np.sqrt(2 * 34)
    draws = np.array([bernoulli.batch_weights(M, rng) for _ in range(2000)])
    np.testing.assert_allclose(np.unique(draws), [0, 1 / 0.7])
    assert abs(draws.mean() - 1) < 5 * np.sqrt((1 / 0.7 - 1) / draws.size)
    assert abs((draws > 0).sum(axis=1).var() / (M * 0.21) - 1) < 5 * np.sqrt(2 / 2000)
    for rule in (fixed, bernoulli):  # fresh in each step, the same from the same seed
        first, second = ([rule.batch_weights(M, g) for _ in range(3)] for g in map(np.random.default_rng, (1, 1)))
        np.testing.assert_array_equal(first, second)
        assert len(np.unique(first, axis=0)) == 3 and rule.batch_weights(M, rng, np.float32).dtype == np.float32
    assert sedyn.Training(0.1, 1).rule(3).batch_weights(M, rng) is None
    assert np.count_nonzero(sedyn.Training(0.1, 1, batch_fraction=0.01).rule(3).batch_weights(9, rng)) == 1


@pytest.mark.parametrize(
    "verb", [sedyn.gradient_descent, sedyn.augmented_gradient_descent, linearized_gradient_descent]
)
def test_runs_with_batches_follow_their_seed(verb, rng):
    network, *inputs = problem(rng)
    training = sedyn.Training(n_steps=T, **OPTIONS["everything, fixed batch"])
    one, same, other = (verb(network, training, *inputs, rng=seed).train_error for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one[0] == other[0] and np.all(one[1:] != other[1:])


@pytest.mark.parametrize("batch", list(BATCHES))
def test_one_seed_gives_all_verbs_the_same_batches(batch, rng):
    """And the numbers that the estimate draws beside them, for its rows and its standard error, change none of them."""
    network, *inputs = problem(rng)
    training = sedyn.Training(n_steps=T, **OPTIONS[f"everything, {batch} batch"])
    expected = sedyn.gradient_descent(network, training, *inputs, rng=3)
    for options in ({}, {"method": "exact"}, {"n_reruns": 1}, {"tolerance": 0.3}):
        run = sedyn.augmented_gradient_descent(network, training, *inputs, rng=3, **options)
        np.testing.assert_array_equal(run.train_error, expected.train_error)
        np.testing.assert_array_equal(run.final.first, expected.final.first)
    given = sedyn.augmented_gradient_descent(network, training, *inputs, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(given.train_error, expected.train_error)
    assert np.all(sedyn.gradient_descent(network, training, *inputs, rng=4).train_error[1:] != expected.train_error[1:])
    # trained in its last layer alone the network is its own linearization, if the batches are the same
    last = sedyn.Training((0.0, 0.0, 0.3), T, **BATCHES[batch])
    one, other = (verb(network, last, *inputs, rng=3) for verb in (sedyn.gradient_descent, linearized_gradient_descent))
    np.testing.assert_allclose(other.train_error, one.train_error, rtol=1e-12)


class TestMoving:
    """A value and the one before: what momentum needs, for an array and for all small weights."""

    TRAINING = sedyn.Training(
        lambda t: (0.3 / (1 + t), 0.2, 0.1), T, momentum=(0.8, 0.5, 0.6), weight_decay=lambda t: (0.1, 0.1 * t, 0.0)
    )

    @staticmethod
    def closed(gradients, rule, layer, start, decays):
        """w_T as one sum over all gradients: the recursion of theory 6 solved by powers of its 2 x 2 matrix."""
        state, place = np.array([start, start]), np.array([[1.0], [0.0]])
        found = [start]
        for t, gradient in enumerate(gradients):
            step, momentum, decay = (part[t][layer] for part in (rule.step_size, rule.momentum, rule.weight_decay))
            keep = np.array([[1 + momentum - step * decay * decays, -momentum], [1.0, 0.0]])
            state = np.tensordot(keep, state, axes=1) - np.multiply.outer(place[:, 0], step * gradient)
            found.append(state[0])
        return found

    def test_an_array_follows_the_closed_recursion(self, rng):
        rule, start, gradients = self.TRAINING.rule(3), rng.standard_normal((2, 4)), rng.standard_normal((T, 2, 4))
        moving, found = Moving(rule, start), [start]
        for t in range(T):
            moving.step(t, gradients[t])
            found.append(moving.now)
        np.testing.assert_allclose(found, self.closed(gradients, rule, 0, start, True), rtol=1e-12)

    def test_small_weights_follow_it_layer_by_layer_and_biases_do_not_decay(self, rng):
        rule, shapes = self.TRAINING.rule(3), [((3, 2), (2, 1)), ((3,), (2,), (1,))]
        draw = lambda: Small(*(tuple(rng.standard_normal(shape) for shape in part) for part in shapes))  # noqa: E731
        start, gradients = draw(), [draw() for _ in range(T)]
        moving, found = Moving(rule, start), [start]
        for t in range(T):
            moving.step(t, gradients[t])
            found.append(moving.now)
        for i, (part, decays, first) in enumerate((("deep", True, 1), ("biases", False, 0))):
            for j, w in enumerate(start[i]):
                along = [getattr(g, part)[j] for g in gradients]
                expected = self.closed(along, rule, first + j, w, decays)
                np.testing.assert_allclose([V[i][j] for V in found], expected, rtol=1e-12, atol=1e-14)

    def test_constant_momentum_sums_the_gradients_geometrically(self, rng):
        """w_T = w_0 - eta sum_s (1 - beta^(T - s)) / (1 - beta) g_s, s = 0..T - 1, without decay."""
        eta, beta = 0.2, 0.7
        rule, gradients = sedyn.Training(eta, T, momentum=beta).rule(2), rng.standard_normal(T)
        moving = Moving(rule, np.array(1.5))
        for t in range(T):
            moving.step(t, gradients[t])
        powers = (1 - beta ** (T - np.arange(T))) / (1 - beta)
        np.testing.assert_allclose(moving.now, 1.5 - eta * powers @ gradients, rtol=1e-12)

    def test_new_columns_were_0_one_step_before(self, rng):
        """As if they had been there, at 0, all the time."""
        rule = sedyn.Training(0.2, T, momentum=0.7, weight_decay=0.1).rule(2)
        grown, whole = Moving(rule, np.ones((2, 1))), Moving(rule, np.array([[1.0, 0, 0]] * 2))
        for t in range(T):
            gradient, born = rng.standard_normal((2, 3)), t >= 4
            if t == 4:
                columns = rule.update(3, 0, 0.0, 0.0, fresh := rng.standard_normal((2, 2)))
                grown.grow(columns)
                whole.now[:, 1:] += columns
                assert fresh.shape == (2, 2)
            gradient[:, 1:] *= born
            grown.step(t, gradient[:, : grown.now.shape[1]])
            whole.step(t, gradient)
            np.testing.assert_allclose(grown.now, whole.now[:, : grown.now.shape[1]], rtol=1e-12)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("step_size", -0.1, r"step_size must be a finite number >= 0, one per layer, an array .*, or a function of t"),
        ("step_size", [0.1, np.nan], "step_size must be a finite number"),
        ("step_size", np.zeros((2, 2, 2)), "step_size must be a finite number"),
        ("step_size", None, "step_size must be a finite number"),
        ("step_size", (0.1, 0.2), r"step_size has shape \(2,\); give one number, shape \(3,\), one per layer"),
        ("step_size", np.ones((3, 3)), r"shape \(3, 3\).* shape \(4, 3\), one per step and layer, or a function of t"),
        ("step_size", lambda t: 0.2 - t, "schedule step_size must return a finite number >= 0"),
        ("step_size", lambda t: (0.2, 0.1), r"must return .* or one for each of the layers \(3\)"),
        ("step_size", lambda t: None, "schedule step_size must return"),
        ("n_steps", -1, "n_steps must be an integer, 0 or more; got -1"),
        ("n_steps", 2.5, "n_steps must be an integer, 0 or more; got 2.5"),
        ("momentum", 1.0, "momentum must be a finite number >= 0 and < 1.*got 1.0"),
        ("momentum", (0.5, -0.5, 0), "momentum must be a finite number >= 0 and < 1"),
        ("momentum", (0.5, 0.5), r"momentum has shape \(2,\); give one number"),
        ("momentum", lambda t: 0.5 + t, "schedule momentum must return"),
        ("weight_decay", -1, "weight_decay must be a finite number >= 0, one per layer"),
        ("weight_decay", lambda t: np.inf, "schedule weight_decay must return"),
        ("batch_fraction", 0, r"batch_fraction must lie in \(0, 1\]; got 0"),
        ("batch_fraction", 1.5, r"batch_fraction must lie in \(0, 1\]; got 1.5"),
        ("batch_fraction", np.nan, "batch_fraction must lie in"),
        ("batch", "random", "batch must be 'fixed' or 'bernoulli'; got 'random'"),
        ("loss", "hinges", "unknown loss 'hinges'; use one of squared, logistic, huber"),
        ("loss", 3, "loss must be one of squared, .* or a function .* got 3"),
        ("loss", (np.sign, None), "loss must be one of squared"),
    ],
)
def test_bad_training(name, value, message):
    with pytest.raises((ValueError, TypeError), match=message):
        sedyn.Training(**{"step_size": 0.1, "n_steps": 4} | {name: value}).rule(3)

"""Losses and what they do to the network's derivatives, against finite differences; metrics in every verb."""

import numpy as np
import pytest

import sedyn
from sedyn.model import Small
from sedyn.model.losses import LOSSES, Metrics, as_loss
from tests.conftest import rms
from tests.theory.test_dice import beyond


def quartic(f, y):
    return (f - y) ** 3


VALUES = {
    "squared": lambda f, y: (f - y) ** 2 / 2,
    "logistic": lambda f, y: np.logaddexp(0, -y * f),
    "huber": lambda f, y: np.where(np.abs(f - y) < 1, (f - y) ** 2 / 2, np.abs(f - y) - 0.5),
    "pseudo_huber": lambda f, y: np.sqrt(1 + (f - y) ** 2) - 1,
    "absolute": lambda f, y: np.abs(f - y),
    "hinge": lambda f, y: np.maximum(0, 1 - y * f),
    "quartic": lambda f, y: (f - y) ** 4 / 4,
}


def loss_of(name):
    return as_loss(quartic if name == "quartic" else name)


def difference(function, x, index, h=1e-5):
    """Central difference of a function of the array x in the entries x[index]."""
    step = np.zeros_like(x)
    step[index] = h
    return (function(x + step) - function(x - step)) / (2 * h)


@pytest.mark.parametrize("name", list(VALUES))
def test_derivatives_of_the_loss(name):
    loss, f = loss_of(name), np.linspace(-3.03, 2.9, 31)  # no kink within the differences
    for y in (-np.ones(31), np.ones(31)):
        slope = difference(lambda f, y=y: VALUES[name](f, y), f, ...)
        np.testing.assert_allclose(loss.derivative(f, y), slope, atol=1e-8)
        single = f.astype(np.float32), y.astype(np.float32)
        assert loss.derivative(*single).dtype == np.float32
    far = np.array([-1e3, 1e3]), np.ones(2)
    assert np.all(np.isfinite(loss.derivative(*far)))


def test_forms_of_a_loss():
    alone, given = as_loss(quartic), sedyn.Loss("mine", quartic)
    assert alone.name == "quartic" and as_loss(given) is given
    assert as_loss("huber") is LOSSES["huber"]
    for bad in (None, (quartic, quartic), (quartic, 1.0), 2.0):
        with pytest.raises(TypeError, match="loss must be one of squared, .* or a function"):
            as_loss(bad)
    with pytest.raises(ValueError, match="unknown loss 'square'; use one of squared, .* or a function"):
        as_loss("square")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", list(VALUES))
def test_derivatives_of_the_network(name, bias, rng):
    """In the preactivations, all weights and the biases, with a weight for each sample; and the Hessian."""
    network = sedyn.Network((3, 4, 2, 1), ("tanh", "gelu", "sigmoid", "identity"), bias)
    parts = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in network.deep_shapes]
    parts += [0.5 * rng.standard_normal(width) for width in network.widths if bias]

    def small(parts):
        return Small(tuple(parts[:3]), tuple(parts[3:]))

    V = small(parts)
    u, y, loss = 1.5 * rng.standard_normal((3, 60)), rng.choice([-1.0, 1.0], 60), loss_of(name)
    residual = network.output(u, V) - y
    kept = (np.abs(np.abs(residual) - 1) > 0.01) & (np.abs(residual) > 0.01)  # away from the kinks
    u, y, weight = u[:, kept], y[kept], rng.choice([0.0, 1.0, 2.5], kept.sum())

    def values(u, V=V):
        return weight * VALUES[name](network.output(u, V), y)

    S, gradients, rest = network.gradients(u, y, V, loss, weight)
    np.testing.assert_allclose(rest, residual[kept])
    for k in range(3):
        np.testing.assert_allclose(S[k], difference(values, u, k), atol=1e-7)
    gradients = [*gradients.deep, *gradients.biases]
    assert [g.shape for g in gradients] == [v.shape for v in parts]
    for i, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            moved = lambda v, i=i: values(u, small([*parts[:i], v, *parts[i + 1 :]])).sum()  # noqa: E731
            slope = difference(moved, parts[i], index)
            np.testing.assert_allclose(gradient[index], slope, atol=1e-6)
    if loss.kink is None:
        J = network.hessian(u, y, V, loss)
        for k in range(3):
            slope = difference(lambda u: network.gradients(u, y, V, loss)[0], u, k)
            np.testing.assert_allclose(J[:, k], slope, atol=1e-7)
        np.testing.assert_allclose(J, J.swapaxes(0, 1), atol=1e-8)


def classification(loss="logistic", n_steps=6, n_features=50):
    network, signal = sedyn.Network((2, 1), ("tanh", "identity"), bias=True), sedyn.random_signal(n_features, rng=2)
    weights, teacher = network.init(n_features, rng=1), sedyn.SingleIndex("noisy_sign", 0.3)
    return network, sedyn.Training(0.3, n_steps, loss=loss), weights, teacher, signal


@pytest.mark.parametrize("loss", ["absolute", "hinge", lambda f, y: np.sign(f - y)])
def test_kinks_are_refused_where_the_hessian_is_needed(loss):
    network, training, weights, teacher, signal = classification(loss)
    X, y = teacher.sample(80, signal, rng=3)
    theory = network, training, teacher, sedyn.Overlaps.of(weights, signal), 1.6
    assert sedyn.gradient_descent(network, training, weights, X, y).status == "ok"
    assert sedyn.state_evolution(*theory, n_paths=2**10, rng=0).status == "ok"
    for refused in (
        lambda: sedyn.augmented_gradient_descent(network, training, weights, X, y, method="exact"),
        lambda: sedyn.state_evolution(*theory, solver="tangent"),
        lambda: sedyn.state_evolution(*theory, responses=True),
    ):
        with pytest.raises(ValueError, match="needs second derivatives, and the loss '.*' has a kink at f = "):
            refused()


def hits(f, y):
    return (f * y > 0.5).astype(float)


METRICS = ("absolute", "zero_one", "logistic", "squared", hits)


@pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")
@pytest.mark.parametrize("verb", [sedyn.gradient_descent, sedyn.augmented_gradient_descent])
def test_metrics_of_a_run(verb):
    network, training, weights, teacher, signal = classification()
    train, test = (teacher.sample(m, signal, rng=m) for m in (80, 200))
    run = verb(network, training, weights, *train, test, metrics=METRICS, rng=0)
    assert run.metrics == ("absolute", "zero_one", "logistic", "squared", "hits")
    for (X, y), measured in ((train, run.train_metrics), (test, run.generalization_metrics)):
        f = network.predict(run.final, X)
        losses = np.abs(f - y), f * y < 0, np.log1p(np.exp(-f * y)), (f - y) ** 2, f * y > 0.5
        np.testing.assert_allclose(measured[-1], [np.mean(loss) for loss in losses])
    if verb is sedyn.augmented_gradient_descent:
        assert run.estimated_metrics_stderr.shape == (7, 5)
        np.testing.assert_array_equal(run.estimated_metrics[:, 3], run.estimated_error)
    assert verb(network, training, weights, *train, metrics="zero_one").metrics == ("zero_one",)
    assert verb(network, training, weights, *train, metrics=hits).train_metrics.shape == (7, 1)
    assert verb(network, training, weights, *train).train_metrics is None


@pytest.mark.seconds
def test_metrics_of_theory_and_simulation():
    """20 runs, z-scores of mean square 19/17; each metric counts for two independent numbers at least."""
    network, training, weights, teacher, signal = classification(n_steps=12, n_features=500)
    overlaps, rng = sedyn.Overlaps.of(weights, signal), np.random.default_rng(5)
    theory = sedyn.state_evolution(network, training, teacher, overlaps, 1.6, rng=0, metrics=METRICS)
    # the metric sees outputs f, the error the residuals f - y: float32 rounds them differently
    np.testing.assert_allclose(theory.train_metrics[:, 3], theory.train_error, rtol=1e-6)
    np.testing.assert_allclose(theory.generalization_metrics[:, 3], theory.generalization_error, rtol=1e-6)
    train, general = [], []
    for _ in range(20):
        rows, test = (teacher.sample(m, signal, rng=rng) for m in (800, 4000))
        run = sedyn.gradient_descent(network, training, weights, *rows, test, metrics=METRICS)
        train.append(run.train_metrics)
        general.append(run.generalization_metrics)
    for runs, right, wrong in ((train, "train", "generalization"), (general, "generalization", "train")):
        z, off = (
            sedyn.z_scores(runs, getattr(theory, f"{name}_metrics"), getattr(theory.stderr, f"{name}_metrics"))[1:]
            for name in (right, wrong)
        )
        assert rms(z) < np.sqrt(19 / 17) * beyond(2 * len(METRICS), 1e-4) and rms(off) > 10, z


def test_what_metrics_refuse():
    y = np.array([-1.0, 0.5])
    network, training, weights, _, signal = classification()
    theory = network, training, sedyn.SingleIndex("tanh"), sedyn.Overlaps.of(weights, signal), 1.6
    for name in ("zero_one", "logistic"):
        with pytest.raises(ValueError, match=f"the metric '{name}' needs labels -1 and"):
            Metrics(name).validate(y)
        with pytest.raises(ValueError, match=f"the metric '{name}' needs labels -1 and"):
            sedyn.state_evolution(*theory, n_paths=2**10, metrics=name)
    with pytest.raises(ValueError, match=r"metric vdot must return one real number per sample, shape \(2,\)"):
        Metrics([np.vdot]).validate(y)
    with pytest.raises(ValueError, match="unknown metric 'mse'; use one of squared"):
        Metrics(["mse"])
    with pytest.raises(TypeError, match="each of metrics must be one of squared, .* or a function .* got 3"):
        Metrics([3])


@pytest.mark.parametrize("verb", [sedyn.gradient_descent, sedyn.augmented_gradient_descent])
def test_logistic_loss_needs_plus_and_minus_one(verb, rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X, y = rng.standard_normal((40, 20)), np.arange(40) % 2  # 0 and 1: half of the rows would teach nothing
    with pytest.raises(ValueError, match=r"the loss 'logistic' needs labels -1 and \+1"):
        verb(network, sedyn.Training(0.1, 2, loss="logistic"), network.init(20, rng=rng), X, y)


def test_logistic_loss_needs_a_teacher_of_classes():
    overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, ([[1.0], [-0.5]],))
    parts = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.1, 2, loss="logistic")
    with pytest.raises(ValueError, match="the loss 'logistic' needs labels"):
        sedyn.state_evolution(*parts, sedyn.SingleIndex("tanh"), overlaps, 1.5, n_paths=2**10, rng=0)

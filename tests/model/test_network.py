"""Derivatives against finite differences, and what the constructors refuse."""

import numpy as np
import pytest

import sedyn
from sedyn.model import Small
from sedyn.model.activations import ACTIVATIONS, as_activation

SMOOTH = [name for name, act in ACTIVATIONS.items() if act.kink is None]


def cube_pair():
    return (lambda a: a + 0.1 * a**3, lambda a: 1 + 0.3 * a**2)


def random_network(activation, rng):
    network = sedyn.Network((3, 4, 2, 1), (activation, "tanh", activation, activation))
    V = Small(tuple(rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in network.deep_shapes))
    return network, V, rng.standard_normal((3, 7)), rng.standard_normal(7)


def loss(network, u, y, V):
    return 0.5 * (network.output(u, V) - y) ** 2


@pytest.mark.parametrize("activation", [*ACTIVATIONS, cube_pair()], ids=[*ACTIVATIONS, "pair"])
def test_gradients_match_finite_differences(activation, rng):
    network, V, u, y = random_network(activation, rng)
    S, gradients, residual = network.gradients(u, y, V)
    h = 1e-6
    np.testing.assert_allclose(residual, network.output(u, V) - y)
    for k in range(3):
        step = h * np.eye(3)[:, [k]]
        slope = (loss(network, u + step, y, V) - loss(network, u - step, y, V)) / (2 * h)
        np.testing.assert_allclose(S[k], slope, atol=1e-8)
    assert gradients.biases == () and len(gradients.deep) == 3
    for layer, gradient in enumerate(gradients.deep):
        for index in np.ndindex(gradient.shape):
            up, down = V.map(np.copy), V.map(np.copy)
            up.deep[layer][index] += h
            down.deep[layer][index] -= h
            slope = (loss(network, u, y, up) - loss(network, u, y, down)).sum() / (2 * h)
            np.testing.assert_allclose(gradient[index], slope, atol=1e-7)


@pytest.mark.parametrize("activation", [*SMOOTH, cube_pair()], ids=[*SMOOTH, "pair"])
def test_hessian_matches_finite_differences_and_is_symmetric(activation, rng):
    network, V, u, y = random_network(activation, rng)
    J = network.hessian(u, y, V)
    h = 1e-4
    for k in range(3):
        step = h * np.eye(3)[:, [k]]
        for i in range(3):
            other = h * np.eye(3)[:, [i]]
            up, down = (
                loss(network, u + sign * step + other, y, V) - loss(network, u + sign * step - other, y, V)
                for sign in (1, -1)
            )
            np.testing.assert_allclose(J[i, k], (up - down) / (4 * h * h), atol=2e-5)
    np.testing.assert_allclose(J, J.swapaxes(0, 1), atol=1e-8)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activation_derivatives(name):
    act, a, h = ACTIVATIONS[name], np.linspace(-3.05, 3.05, 40), 1e-5
    np.testing.assert_allclose(
        act.derivative(a, act.value(a)), (act.value(a + h) - act.value(a - h)) / (2 * h), atol=1e-9
    )


def test_activations_survive_large_arguments():
    a = np.array([-800.0, 800.0])
    for act in ACTIVATIONS.values():
        for values in (act.value(a), act.derivative(a, act.value(a))):
            assert np.all(np.isfinite(values)), act.name


def test_init_scales_and_predict(rng):
    network = sedyn.Network((40, 30, 1), ("tanh", "tanh", "identity"))
    weights = network.init(2000, rng=rng, scale=(1.0, 2.0, 0.5))
    assert abs(weights.first.std() * np.sqrt(2000) - 1) < 5 / np.sqrt(2 * 80000)
    assert abs(weights.deep[0].std() * np.sqrt(40) / 2 - 1) < 5 / np.sqrt(2 * 1200)
    X = rng.standard_normal((6, 2000))
    by_hand = (np.tanh(np.tanh(X @ weights.first) @ weights.deep[0]) @ weights.deep[1])[:, 0]
    np.testing.assert_allclose(network.predict(weights, X), by_hand)


def small(rng, biases=True, lead=()):
    deep = tuple(rng.standard_normal((*lead, *shape)) for shape in ((3, 2), (2, 1)))
    return Small(deep, tuple(rng.standard_normal((*lead, width)) for width in (3, 2, 1)) if biases else ())


@pytest.mark.parametrize("biases", [False, True])
def test_small_weights_are_stacked_mapped_and_listed_by_layer(biases, rng):
    parts = [small(rng, biases) for _ in range(4)]
    stacked = Small.stacked(parts)
    assert isinstance(stacked, Small) and [W.shape for W in stacked.deep] == [(4, 3, 2), (4, 2, 1)]
    assert [b.shape for b in stacked.biases] == ([(4, 3), (4, 2), (4, 1)] if biases else [])
    for t, part in enumerate(parts):
        picked = stacked.map(lambda W, t=t: W[t])
        assert isinstance(picked, Small)
        for ours, theirs in zip((*picked.deep, *picked.biases), (*part.deep, *part.biases), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    total = parts[0].map(lambda *arrays: sum(arrays), *parts[1:])
    for i in range(2):
        np.testing.assert_allclose(total.deep[i], stacked.deep[i].sum(axis=0))
    layers = parts[0].layers()
    assert [W if W is None else W.shape for W, _ in layers] == [None, (3, 2), (2, 1)]
    assert [b if b is None else b.shape for _, b in layers] == ([(3,), (2,), (1,)] if biases else [None] * 3)
    nested = Small.stacked([Small.stacked(parts[:2]), Small.stacked(parts[2:])])
    assert nested.deep[0].shape == (2, 2, 3, 2)


def test_weights_give_their_small_part():
    network = sedyn.Network((3, 2, 1), ("tanh",) * 3, bias=True)
    weights = network.init(5, rng=0)
    assert weights.small.deep == weights.deep and weights.small.biases == weights.biases
    lists = sedyn.Weights(weights.first, list(weights.deep), list(weights.biases)).small
    assert isinstance(lists.deep, tuple) and isinstance(lists.biases, tuple)


@pytest.mark.parametrize("biases", [False, True])
def test_outputs_of_many_steps_at_once(biases, rng):
    """Preactivations and weights with leading axes in common, as the integrals use them."""
    network = sedyn.Network((3, 2, 1), ("tanh", "gelu", "identity"), bias=biases)
    V, u = small(rng, biases, (4, 5)), rng.standard_normal((4, 5, 3, 7))
    found = network.output(u, V)
    assert found.shape == (4, 5, 7)
    for s, t in np.ndindex(4, 5):
        np.testing.assert_allclose(found[s, t], network.output(u[s, t], V.map(lambda W, at=(s, t): W[at])), rtol=1e-12)


@pytest.mark.parametrize(
    "widths, activations, message",
    [
        ((3,), ("tanh",), "at least two positive integers"),
        ((3, 0), ("tanh", "identity"), "the last one the number of outputs"),
        ((0, 1), ("tanh", "identity"), "positive"),
        ((2.5, 1), ("tanh", "identity"), "positive integers"),
        ((3, 1), ("tanh",), "2 layers need 2 activations"),
        ((3, 1), "tanh", "2 layers need 2 activations"),
        ((3, 1), ("tanhh", "identity"), "unknown activation 'tanhh'; use one of tanh"),
    ],
)
def test_bad_networks(widths, activations, message):
    with pytest.raises(ValueError, match=message):
        sedyn.Network(widths, activations)


def test_bad_activation_type():
    with pytest.raises(TypeError, match="pair of functions"):
        as_activation(3)
    with pytest.raises(ValueError, match="scale must be one number or 2"):
        sedyn.Network((3, 1), ("tanh", "identity")).init(10, scale=(1, 2, 3))


def test_gradients_of_several_runs_at_once(rng):
    """With an axis of runs in front: run by run the same."""
    network = sedyn.Network((3, 2, 1), ("tanh", "gelu", "identity"), bias=True)
    u, y, weight = rng.standard_normal((4, 3, 7)), rng.standard_normal((4, 7)), rng.random((4, 7))
    small = [
        Small(
            tuple(rng.standard_normal(s) for s in network.deep_shapes),
            tuple(rng.standard_normal(w) for w in network.widths),
        )
        for _ in range(4)
    ]
    S, gradients, residual = network.gradients(u, y, Small.stacked(small), weight=weight)
    for r in range(4):
        one = network.gradients(u[r], y[r], small[r], weight=weight[r])
        for together, alone in zip((S[r], residual[r]), (one[0], one[2]), strict=True):
            np.testing.assert_allclose(together, alone, rtol=1e-12)
        gradients.map(lambda all_runs, alone, r=r: np.testing.assert_allclose(all_runs[r], alone, rtol=1e-12), one[1])

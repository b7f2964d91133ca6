"""Baselines: the same training run as other theories see it, a linearized network and networks made wide.

A third one, the population limit in which no sample is used twice, is `state_evolution` with ``aspect_ratio=np.inf``.

======== ============================================== ===================
symbol   name                                           shape
======== ============================================== ===================
u, f     preactivations and outputs at the start        (q, m), (m,)
g        output of the linearized network               (m,), (c, m)
r        its residuals g - y                            as g
c        widening factor of the hidden layers           number
======== ============================================== ===================
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..common import Array, generator, instance, integer, one_blas_thread, shown
from ..model import Moving, Network, Small, Training, Weights, sum_outputs
from .descent import validate_run
from .trajectory import Recorder, State, Trajectory


@one_blas_thread
def linearized_gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    rng=None,
) -> Trajectory:
    """Train the network linearized at its initial weights: the finite-width neural tangent kernel, exactly.

    The model is ``g(x) = f_0(x) + <gradient of f_0(x) in all weights, weights - initial weights>``, trained with the
    same loss and step sizes (A. Jacot et al., arXiv:1806.07572). The Jacobian is never formed: products with it and
    with its transpose make a step cost as much as one of `gradient_descent`.

    Parameters
    ----------
    network, training, weights, X, y, test, rng
        As for `sedyn.gradient_descent`.

    Returns
    -------
    Trajectory
        The errors are those of g; `deep_weights` and `final` are the weights it has moved to, and
        ``network.predict`` with them is f there, not g. ValueError as for `sedyn.gradient_descent`.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", noise=0.1).sample(60, sedyn.random_signal(40, rng=0), rng=1)
    >>> problem = network, sedyn.Training(0.2, 10), network.init(40, rng=2), X, y
    >>> linearized, run = sedyn.linearized_gradient_descent(*problem), sedyn.gradient_descent(*problem)
    >>> bool(linearized.train_error[0] == run.train_error[0])  # they start equal
    True
    """
    weights, X, y, test, metrics = validate_run(network, training, weights, X, y, test, (), np.float64)
    rule, rng = training.rule(network.n_layers), generator(rng)
    tangents = [_Tangent(network, weights, features) for features, _ in ((X, y), *([test] if test else []))]
    m, T, general = len(X), rule.n_steps, []
    W, V = Moving(rule, weights.first, float(np.sqrt(X.shape[1]))), Moving(rule, weights.small)
    recorder = Recorder(network, rule, y, None, metrics)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(T + 1):
            outputs = [at.output(W.now - weights.first, V.now) for at in tangents]
            batch = rule.batch_weights(m, rng)
            S, gradient, gradients = tangents[0].transposed(rule.loss.derivative(outputs[0], y), batch)
            if not recorder.record(State(t, W.now, V.now, tangents[0].u, S, outputs[0] - y)):
                break
            if test:
                general.append(np.mean(sum_outputs(np.square(outputs[1] - test[1]))))
            if t < T:
                W.step(t, gradient / m)
                V.step(t, gradients.map(lambda g: g / m))
    return replace(recorder.trajectory(), generalization_error=None if test is None else np.array(general))


class _Tangent:
    """The network's outputs on the rows of X, linearized at `weights`."""

    def __init__(self, network: Network, weights: Weights, X: Array):
        self.network, self.X, self.V = network, X, weights.small
        self.u = (X @ weights.first).T
        a, self.h = network.forward(self.u, self.V)
        self.slopes = [act.derivative(x, v) for act, x, v in zip(network._acts, a, self.h, strict=True)]

    def output(self, moved: Array, V: Small) -> Array:
        """f_0 plus the Jacobian times a displacement, `moved` of W_1 and V - V_0 (forward mode), (m,) or (c, m)."""
        dh, change = self.X, V.map(np.subtract, self.V)
        for level, ((dW, db), slope) in enumerate(zip(change.layers(), self.slopes, strict=True)):
            da = (self.X @ moved).T if dW is None else self.V.deep[level - 1].T @ dh + dW.T @ self.h[level - 1]
            dh = slope * (da if db is None else da + db[:, None])
        return self.network.outputs_of(self.h[-1] + dh)

    def transposed(self, slope: Array, batch: Array | None) -> tuple[Array, Array, Small]:
        """The transposed Jacobian times the slope of each row's loss: backpropagation at the initial weights."""
        S, gradients, _ = self.network.gradients(
            self.u, self.network.outputs_of(self.h[-1]) - slope, self.V, weight=batch
        )
        return S, self.X.T @ S.T, gradients


class Wide(NamedTuple):
    """A widened problem: `network`, `training`, and the `scale` to hand to `Network.init`, one number per layer."""

    network: Network
    training: Training
    scale: tuple[float, ...]


def widen(network: Network, training: Training, factor: int, scaling: str = "maximal_update") -> Wide:
    """Make all hidden layers `factor` = c times wider, keeping what a theory of infinite width keeps.

    Every layer's initial standard deviation is that of `Network.init` times `scale`; step sizes are multiplied:

    ================ ========================== =====================================
    scaling          scale, output layer        step sizes (first, hidden, output)
    ================ ========================== =====================================
    maximal_update   1 / sqrt(c)                c, 1, 1 / c
    ntk              1                          1, 1 / c, 1 / c
    ================ ========================== =====================================

    Under ``"maximal_update"`` every neuron goes on moving as c grows; with two layers this is the mean-field limit,
    the network (1/q) sum_k a_k act(<w_k, x>) with a law of (a_k, w_k) that does not depend on c. Under ``"ntk"`` the
    output moves as before and each neuron ever less, until the linearized network is exact. c = 1 changes nothing.

    ValueError is raised for an unknown scaling, or a factor that is not a positive integer. Sources: S. Mei,
    A. Montanari and P.-M. Nguyen, arXiv:1804.06561 (mean field); G. Yang and E. J. Hu, arXiv:2011.14522.

    Examples
    --------
    >>> import sedyn
    >>> wide = sedyn.widen(sedyn.Network((4, 1), ("tanh", "identity")), sedyn.Training(0.2, 10), factor=100)
    >>> wide.network.widths, wide.training.step_size[0].round(4).tolist(), wide.scale
    ((400, 1), [20.0, 0.002], (1.0, 0.1))
    >>> weights = wide.network.init(n_features=50, rng=0, scale=wide.scale)
    """
    instance(network, Network, "network")
    instance(training, Training, "training")
    factor = integer(factor, "factor")
    L, c = network.n_layers, float(factor)
    multipliers = {"maximal_update": [c] + [1.0] * (L - 2) + [1 / c], "ntk": [1.0] + [1 / c] * (L - 1)}
    if any(training.rule(network.n_layers).optimizers):
        raise ValueError(
            "these scalings are those of plain gradient descent, and an optimizer has others; leave the optimizer out"
        )
    if not isinstance(scaling, str) or scaling not in multipliers:
        raise ValueError(f"unknown scaling {shown(scaling)}; use {' or '.join(multipliers)}")
    output = c**-0.5 if scaling == "maximal_update" else 1.0
    return Wide(
        Network((*(factor * q for q in network.widths[:-1]), network.widths[-1]), network.activations, network.bias),
        replace(training, step_size=training.step_sizes(L) * multipliers[scaling]),
        (*[1.0] * (L - 1), output),
    )

"""The network: its weights, and the derivatives of one sample's loss.

Samples are columns throughout, as in the theory sheet: ``u = W_1^T x`` is a column of q
numbers and N samples make an array of shape (q, N).

======== ============================================== ======================
symbol   name                                           shape
======== ============================================== ======================
u        first-layer preactivation, without its bias    (q, N)
V        small weights: deep weights (W_2, .., W_L)     (fan_in, fan_out) each
         and, if any, the biases (b_1, .., b_L)         (width,) each
f        output of the network                          (N,); (c, N) for c > 1
S        d loss / d u                                   (q, N)
J        dS / du, the full Hessian of the loss in u     (q, q, N)
======== ============================================== ======================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from ..common import Array, Noun, finite_array, generator, instance, integer, numbers, require_memory, shown
from .activations import SMOOTH_NAMES, Activation, as_activation
from .losses import LOSSES, Loss


class Small(NamedTuple):
    """Small weights, all but W_1 (V in theory 1): deep weights W_2, .., W_L, and the biases b_1, .., b_L of a network
    that has them. Arrays may have leading axes in common, such as the steps."""

    deep: tuple[Array, ...]
    biases: tuple[Array, ...] = ()

    def map(self, function: Callable[..., Array], *others: Small) -> Small:
        """The function of every array, and of those of others in its place."""
        parts = zip(self, *others, strict=True)
        return Small(*(tuple(function(*row) for row in zip(*arrays, strict=True)) for arrays in parts))

    @staticmethod
    def stacked(steps: Sequence[Small]) -> Small:
        """Several as one, along a new first axis."""
        return steps[0].map(lambda *arrays: np.stack(arrays), *steps[1:])

    def layers(self) -> list[tuple[Array | None, Array | None]]:
        """W_l and b_l for l = 1..L; None for W_1, and where there are no biases."""
        return list(zip_longest((None, *self.deep), self.biases))


@dataclass(frozen=True, eq=False, repr=False)
class Weights(Noun):
    """First-layer weights (n_features, q), the deep weights W_2, .., W_L, each (fan_in, fan_out), and the biases
    b_1, .., b_L, each (width,), of a network that has them."""

    first: Array
    deep: tuple[Array, ...]
    biases: tuple[Array, ...] = ()

    @property
    def small(self) -> Small:
        """Deep weights and biases, all but W_1."""
        return Small(tuple(self.deep), tuple(self.biases))


@dataclass(frozen=True, eq=False, repr=False)
class Network(Noun):
    """A fully connected network of one output (theory 1), or of several (theory 11).

    Parameters
    ----------
    widths : tuple of int
        Number of outputs of each layer, ``(q, .., 1)``, or ``(q, .., c)`` for c numbers or classes; the number of
        layers L is its length, at least 2.
    activations : tuple
        One per layer: a name out of tanh, sigmoid, softplus, gelu, silu, erf, identity, relu, or a pair of
        callables ``(value, derivative)``.
    bias : bool
        Whether every layer has a bias (theory 6).

    Raises
    ------
    ValueError, TypeError
        When the widths are not positive integers, an activation is unknown, or a derivative is not that of its value.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> network = sedyn.Network(widths=(3, 1), activations=("tanh", "identity"))
    >>> weights = network.init(n_features=100, rng=0)
    >>> weights.first.shape, [W.shape for W in weights.deep]
    ((100, 3), [(3, 1)])
    >>> network.predict(weights, np.zeros((5, 100))).shape
    (5,)
    """

    widths: tuple[int, ...]
    activations: tuple
    bias: bool = False
    _acts: tuple[Activation, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        sizes = numbers(self.widths)
        if sizes.ndim != 1 or len(sizes) < 2 or not np.all((sizes >= 1) & (sizes % 1 == 0)):
            raise ValueError(
                "widths must be at least two positive integers, the last one the number of outputs; "
                f"got {shown(self.widths)}"
            )
        widths = tuple(int(width) for width in sizes)
        given = self.activations
        if not isinstance(given, (tuple, list)) or len(given) != len(widths):
            raise ValueError(
                f"{len(widths)} layers need {len(widths)} activations, one each, as a tuple; got {shown(given)}"
            )
        given = tuple(given)
        if not isinstance(self.bias, (bool, np.bool_)):
            raise TypeError(f"bias must be True or False; got {shown(self.bias)}")
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "activations", given)
        object.__setattr__(self, "_acts", tuple(as_activation(a) for a in given))

    def __reduce__(self):  # names travel between processes, the functions behind them need not
        return Network, (self.widths, self.activations, self.bias)

    @property
    def n_layers(self) -> int:
        """L, the number of weight matrices."""
        return len(self.widths)

    @property
    def deep_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of W_2, .., W_L."""
        return tuple(zip(self.widths[:-1], self.widths[1:], strict=True))

    def init(self, n_features: int, *, scale=1.0, rng=None) -> Weights:
        """Draw weights: W_1 with entries N(0, 1/n_features), W_l with entries N(0, 1/fan_in), times `scale`; biases 0.

        Parameters
        ----------
        n_features : int
        scale : float or sequence of L floats
            Multiplies the standard deviation, of every layer or layer by layer.
        rng : None, int or numpy Generator
        """
        n_features, scales = integer(n_features, "n_features"), numbers(scale)
        if scales.shape not in ((), (self.n_layers,)) or not np.all(np.abs(scales) < 1e300):
            raise ValueError(
                f"scale must be one number or {self.n_layers}, one per layer, below 1e300; got {shown(scale)}"
            )
        scales, rng = np.broadcast_to(scales, (self.n_layers,)), generator(rng)
        shapes = ((n_features, self.widths[0]), *self.deep_shapes)
        size = sum(float(rows) * columns for rows, columns in shapes)
        require_memory(
            8 * size, f"weights for n_features = {n_features} and widths {self.widths}", "lower n_features or widths"
        )
        first, *deep = (
            s * rng.standard_normal(shape) / np.sqrt(shape[0]) for s, shape in zip(scales, shapes, strict=True)
        )
        return Weights(first, tuple(deep), tuple(np.zeros(width) for width in self.widths) if self.bias else ())

    def predict(self, weights: Weights, X: Array) -> Array:
        """Outputs f(x) for the rows of X (m, n_features), shape (m,), or (m, c) of a network of c > 1 outputs."""
        instance(weights, Weights, "weights")
        X, first = finite_array(X, "X"), finite_array(weights.first, "weights.first")
        if first.ndim != 2 or first.shape[1] != self.widths[0]:
            raise ValueError(f"weights.first must have shape (n_features, {self.widths[0]}); got {first.shape}")
        if X.ndim != 2 or X.shape[1] != len(first):
            raise ValueError(
                f"X must have shape (m, {len(first)}), a column for every row of weights.first; got {X.shape}"
            )
        return self.output((X @ first).T, self.validate_small(weights.deep, weights.biases)).T

    def validate_small(self, deep, biases=(), dtype=np.float64) -> Small:
        """Deep weights and biases as arrays of `dtype`; ValueError when they do not fit or are not finite."""
        for name, part in (("deep", deep), ("biases", biases)):
            if not isinstance(part, (tuple, list)):
                raise TypeError(f"weights.{name} must be a tuple of arrays, one per layer; got {shown(part)}")
        with np.errstate(over="ignore"):
            deep, biases = (
                tuple(np.ascontiguousarray(finite_array(W, f"each array of weights.{name}"), dtype) for W in part)
                for name, part in (("deep", deep), ("biases", biases))
            )
        if tuple(W.shape for W in deep) != self.deep_shapes:
            raise ValueError(
                f"the network needs deep weights of shapes {self.deep_shapes}; got {tuple(W.shape for W in deep)}"
            )
        if tuple(b.shape for b in biases) != (tuple((width,) for width in self.widths) if self.bias else ()):
            raise ValueError(
                f"a network of widths {self.widths} with bias={self.bias} needs "
                f"{'one bias vector per layer' if self.bias else 'no biases'}; got shapes {[b.shape for b in biases]}"
            )
        if not all(np.all(np.isfinite(W)) for W in (*deep, *biases)):
            raise ValueError(f"deep weights and biases are too large for {np.dtype(dtype)}; lower their scale")
        return Small(deep, biases)

    def require_smooth(self, who: str, loss: Loss) -> None:
        """Raise ValueError, naming smooth relatives, when an activation or the loss has a kink: its Hessian would hold
        delta functions."""
        kink = loss.kink_among(self.widths[-1])
        if kink is not None:
            raise ValueError(
                f"{who} needs second derivatives, and the loss {loss.name!r} has a kink at f = {kink:.3g}; "
                "use 'pseudo_huber' or 'logistic'"
            )
        for act in self._acts:
            if act.kink is not None:
                raise ValueError(
                    f"{who} needs second derivatives, and {act.name} has a kink at {act.kink:.3g} (its second "
                    f"derivative is a delta function); use a smooth relative: {SMOOTH_NAMES} (softplus, gelu or silu "
                    "are closest to relu)"
                )

    def has_kink(self, loss: Loss) -> bool:
        """Whether the loss or an activation has one."""
        return loss.kink_among(self.widths[-1]) is not None or any(act.kink is not None for act in self._acts)

    # ---- one sample's loss (theory 1), on columns; nothing below validates

    def output(self, u: Array, V: Small) -> Array:
        """f of preactivations u (q, N), shape (N,) or (c, N); u and V may have leading axes in common."""
        h = u  # layer by layer, so that no more than one is in memory
        for (W, b), act in zip(V.layers(), self._acts, strict=True):
            z = h if W is None else np.swapaxes(W, -1, -2) @ h
            h = act.value(z if b is None else z + b[..., None])
        return self.outputs_of(h)

    def outputs_of(self, h: Array) -> Array:
        """Activations of the last layer (.., c, N) as outputs: one output has no axis of its own."""
        return h[..., 0, :] if self.widths[-1] == 1 else h

    def forward(self, u: Array, V: Small) -> tuple[list[Array], list[Array]]:
        """Preactivations and activations of every layer."""
        a, h = [], [u]
        for (W, b), act in zip(V.layers(), self._acts, strict=True):
            z = h[-1] if W is None else np.swapaxes(W, -1, -2) @ h[-1]
            a.append(z if b is None else z + b[..., None])
            h.append(act.value(a[-1]))
        return a, h[1:]

    def gradients(
        self, u: Array, y: Array, V: Small, loss: Loss = LOSSES["squared"], weight: Array | None = None
    ) -> tuple[Array, Small, Array]:
        """Backpropagation of the loss, times the `weight` (N,) of each sample.

        Returns S (q, N), the gradients in V summed over the N samples, and the residuals f - y, (N,) or (c, N) as f.
        All of them may have leading axes in common, such as the runs.
        """
        a, h = self.forward(u, V)
        f = self.outputs_of(h[-1])
        g = loss.derivative(f, y).reshape(h[-1].shape)  # d loss / d h_l, from the last layer down
        if weight is not None:
            g = weight[..., None, :] * g
        V_gradients: list[Array] = []
        bias_gradients: list[Array] = []
        for level in range(self.n_layers - 1, -1, -1):
            delta = g * self._acts[level].derivative(a[level], h[level])
            if self.bias:
                bias_gradients.append(delta.sum(axis=-1))
            if level:
                V_gradients.append(h[level - 1] @ np.swapaxes(delta, -1, -2))
                g = V.deep[level - 1] @ delta
        return delta, Small(tuple(V_gradients[::-1]), tuple(bias_gradients[::-1])), f - y

    def hessian(self, u: Array, y: Array, V: Small, loss: Loss = LOSSES["squared"]) -> Array:
        """J = dS/du, the full Hessian of the loss in u (not Gauss-Newton), shape (q, q, N): central differences of S,
        right to about 1e-9 where the loss and all activations are smooth."""
        columns = []
        for step in 1e-5 * np.eye(len(u)):
            up, down = (self.gradients(u + move[:, None], y, V, loss)[0] for move in (step, -step))
            columns.append((up - down) / 2e-5)
        return np.stack(columns, axis=1)

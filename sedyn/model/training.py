"""Training: the update rule that weights and, where it is linear, theory coefficients both follow (theory 1, 6, 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..common import Array, Noun, called, integer, number, numbers, require_memory, shown, shown_array, takes
from .losses import Loss, as_loss
from .network import Small
from .optimizers import Optimizer, State, validate_optimizers

SCHEDULES = {
    "step_size": "a finite number >= 0",
    "momentum": "a finite number >= 0 and < 1",
    "weight_decay": "a finite number >= 0",
}


@dataclass(frozen=True, eq=False, repr=False)
class Training(Noun):
    """Gradient descent on the mean loss (theory 1, 6), layer by layer

    ``W <- W + momentum (W - W before) - step_size (gradient + weight_decay W)``.

    Parameters
    ----------
    step_size, momentum, weight_decay : float, sequence of L floats, array (n_steps, L), or callable of t
        One for all layers, one per layer, one per step and layer, or a schedule: a function of t = 0..n_steps - 1 that
        returns one number or one per layer. A step size of 0 freezes a layer. All are O(1): the theory's scaling
        divides by m alone. Momentum is Polyak's heavy ball. Weight decay is coupled: it is the gradient of
        ``weight_decay |W|^2 / 2``, so it is multiplied by the step size and enters the momentum. Biases follow the
        rule of their layer but do not decay.
    n_steps : int
        Number of steps T >= 0; results have T + 1 values, t = 0..T.
    batch_fraction : float
        Each step uses fresh random rows, this fraction b of them, for all layers.
    batch : str
        ``"fixed"``: round(b m) rows, at least one, without replacement within a step, and the mean of their gradients;
        ``"bernoulli"``: every row with probability b, and the sum of their gradients over b m. The theory of both is
        the same.
    loss : str, callable or `Loss`
        squared, logistic and hinge (labels -1 and +1), huber, pseudo_huber, absolute; cross_entropy of the classes that
        several outputs stand for; or the derivative ``(f, y) -> dl/df``. All but cross_entropy act output by output
        (`Loss`). Reported errors stay squared errors, summed over outputs, and `metrics`.
    optimizer : None, `Optimizer`, or a tuple of L of them
        What moves the weights in the place of the rule above, in all layers or layer by layer (None: that rule):
        `Adam`, `RMSProp`, `SignDescent`, `Proximal`, `Clip`, or your own `Optimizer`. The first layer is moved in
        variables of order 1, sqrt(n) W_1 and sqrt(n) times its gradient, so that step sizes are O(1) here, too
        (theory 10 has the conversion to PyTorch's numbers). Weight decay is then decoupled, as in AdamW:
        weights shrink by the factor ``1 - step_size * weight_decay`` before the step. There is no momentum beside it.

    Raises
    ------
    ValueError, TypeError
        For values out of range, shapes that fit nothing, an unknown loss, what is no optimizer or does not act entry by
        entry, and momentum beside an optimizer.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.Training(step_size=(0.2, 0.0), n_steps=40).step_sizes(n_layers=2).shape
    (40, 2)
    >>> decaying = sedyn.Training(lambda t: 0.3 / (1 + t) ** 0.5, 100, momentum=0.9, batch_fraction=0.25)
    >>> decaying.step_sizes(n_layers=3)[3].tolist()
    [0.15, 0.15, 0.15]
    """

    step_size: float | tuple | np.ndarray | Callable
    n_steps: int
    momentum: float | tuple | np.ndarray | Callable = 0.0
    weight_decay: float | tuple | np.ndarray | Callable = 0.0
    batch_fraction: float = 1.0
    batch: str = "fixed"
    loss: str | Callable | Loss = "squared"
    optimizer: Optimizer | tuple[Optimizer | None, ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "n_steps", integer(self.n_steps, "n_steps", 0))
        for name in SCHEDULES:
            given = getattr(self, name)
            if callable(given):
                takes(given, f"the schedule {name}", "t")
            else:
                values = numbers(given)
                if values.ndim > 2 or not _allowed(name, values):
                    raise ValueError(
                        f"{name} must be {SCHEDULES[name]}, one per layer, an array (n_steps, n_layers), or a function "
                        f"of t; got {shown_array(given)}"
                    )
        fraction = number(self.batch_fraction, "batch_fraction", "lie in (0, 1]", lambda b: 0 < b <= 1)
        object.__setattr__(self, "batch_fraction", fraction)
        if not (isinstance(self.batch, str) and self.batch in ("fixed", "bernoulli")):
            raise ValueError(f"batch must be 'fixed' or 'bernoulli'; got {shown(self.batch)}")
        as_loss(self.loss)
        object.__setattr__(self, "optimizer", validate_optimizers(self.optimizer))

    def step_sizes(self, n_layers: int) -> np.ndarray:
        """The step sizes eta[t, l] as an array (n_steps, n_layers).

        Raises ValueError when the given shape fits neither (n_layers,) nor (n_steps, n_layers), or a schedule returns
        something else.
        """
        return self._schedule("step_size", integer(n_layers, "n_layers"))

    def _schedule(self, name: str, n_layers: int) -> np.ndarray:
        given, T = getattr(self, name), self.n_steps
        n_bytes = 3 * (80 + 32.0 * n_layers) * T  # as the lists of `Rule`
        require_memory(n_bytes, f"{name} for n_steps = {T:.4g} and n_layers = {n_layers:.4g}", "lower n_steps")
        if callable(given):
            takes(given, f"the schedule {name}", "t")
            rows = []
            for t in range(T):
                returned = called(given, f"the schedule {name}", t)
                row = numbers(returned)
                if row.shape not in ((), (n_layers,)) or not _allowed(name, row):
                    expected = f"{SCHEDULES[name]}, or one for each of the layers ({n_layers})"
                    got = f"{shown_array(returned)} at t = {t}"
                    raise ValueError(f"the schedule {name} must return {expected}; got {got}")
                rows.append(np.broadcast_to(row, n_layers))
            return np.array(rows).reshape(T, n_layers)
        values = numbers(given)
        if values.ndim and values.shape not in ((n_layers,), (T, n_layers)):
            raise ValueError(
                f"{name} has shape {values.shape}; give one number, shape ({n_layers},), one per layer, shape "
                f"({T}, {n_layers}), one per step and layer, or a function of t"
            )
        return np.broadcast_to(values, (T, n_layers))

    def rule(self, n_layers: int) -> Rule:
        """Everything written out for a network of n_layers layers."""
        step_size, momentum, weight_decay = (
            self._schedule(name, n_layers).tolist() for name in ("step_size", "momentum", "weight_decay")
        )
        optimizers = self.optimizer if isinstance(self.optimizer, tuple) else (self.optimizer,) * n_layers
        if len(optimizers) != n_layers:
            raise ValueError(
                f"optimizer must be one for all layers or {n_layers}, one per layer; got {len(optimizers)}"
            )
        if any(each and any(row[layer] for row in momentum) for layer, each in enumerate(optimizers)):
            raise ValueError("momentum belongs to plain gradient descent; leave it out beside an optimizer")
        for layer, optimizer in enumerate(optimizers):
            if optimizer and any(s[layer] * w[layer] > 1 for s, w in zip(step_size, weight_decay, strict=True)):
                raise ValueError(
                    "step_size * weight_decay must not exceed 1 beside an optimizer: weights shrink by the factor 1 - "
                    "step_size * weight_decay; lower weight_decay"
                )
        batches = self.batch_fraction, self.batch
        return Rule(self.n_steps, step_size, momentum, weight_decay, *batches, as_loss(self.loss), optimizers)


def _allowed(name: str, values: np.ndarray) -> bool:
    return bool(np.all(np.isfinite(values) & (values >= 0)) and (name != "momentum" or np.all(values < 1)))


@dataclass(frozen=True)
class Rule:
    """A `Training` written out: numbers ``[t][layer]``, plain floats that leave float32 arrays what they are."""

    n_steps: int
    step_size: list[list[float]]
    momentum: list[list[float]]
    weight_decay: list[list[float]]
    batch_fraction: float
    batch: str
    loss: Loss
    optimizers: tuple[Optimizer | None, ...]

    @property
    def linear(self) -> bool:
        """Whether the first layer moves by the linear rule, which coefficients that express it then follow, too."""
        return self.optimizers[0] is None

    def require_linear(self, who: str, instead: str) -> None:
        """ValueError where the first layer has an optimizer."""
        if not self.linear:
            raise ValueError(
                f"{who} needs a first layer that moves by plain gradient descent, with or without momentum and weight "
                f"decay; it has the optimizer {type(self.optimizers[0]).__name__}: {instead}"
            )

    def update(self, t: int, layer: int, value, previous, gradient, decays: bool = True):
        """One step of the linear rule, for weights or for the coefficients that express them (theory 2, 4, 6)."""
        step, momentum, decay = self.step_size[t][layer], self.momentum[t][layer], self.weight_decay[t][layer]
        new = value - step * gradient
        if momentum:
            new = new + momentum * (value - previous)
        if decay and decays:
            new = new - (step * decay) * value
        return new

    def advance(self, t: int, layer: int, value, state: State, gradient, decays: bool, scale: float = 1.0):
        """One step of whatever moves the layer: new value and state (theory 10). An optimizer sees values and gradients
        times `scale`, sqrt(n) for the first layer."""
        optimizer = self.optimizers[layer]
        if optimizer is None:
            return self.update(t, layer, value, state[0], gradient, decays), (value,)
        step = self.step_size[t][layer]
        if not step:  # the layer rests, and its optimizer with it
            return value, state
        value = value * (scale * (1 - step * self.weight_decay[t][layer] * decays))
        taken = sum(row[layer] != 0 for row in self.step_size[:t])
        new, state = optimizer.step(value, scale * gradient, state, step, taken)
        return (new / scale).astype(value.dtype, copy=False), tuple(state)

    def start(self, layer: int, value) -> State:
        """The state that `advance` begins with."""
        optimizer = self.optimizers[layer]
        return (value,) if optimizer is None else tuple(optimizer.start(value))

    def sign_like_weights(self, small: Small) -> int:
        """How many small weights are moved by an optimizer that amplifies the noise of small gradients (theory 10)."""
        layers = [*enumerate(small.deep, 1), *enumerate(small.biases)]
        moved = ((self.optimizers[k], W.size) for k, W in layers if any(row[k] for row in self.step_size))
        return sum(size for optimizer, size in moved if optimizer is not None and optimizer.sign_like)

    def moves(self, t: int, layer: int) -> bool:
        """Whether the layer moves in this step."""
        return self.step_size[t][layer] != 0 or self.momentum[t][layer] != 0

    def batch_weights(self, n_samples: int, rng: np.random.Generator, dtype=float):
        """The factor on each sample's gradient in the next step, 1 / b in the batch and 0 outside; None: all are in."""
        if self.batch_fraction == 1:
            return None
        if self.batch == "bernoulli":
            return (rng.random(n_samples) < self.batch_fraction).astype(dtype) * dtype(1 / self.batch_fraction)
        size = max(1, round(self.batch_fraction * n_samples))
        weights = np.zeros(n_samples, dtype)
        weights[rng.permutation(n_samples)[:size]] = n_samples / size
        return weights


class Moving:
    """A quantity that follows the rule, with the state of what moves it: W_1 or coefficients that express it (an
    array), or all small weights. An optimizer sees the first layer times `scale`."""

    def __init__(self, rule: Rule, start, scale: float = 1.0):
        self.rule, self.now, self.scale = rule, start, scale
        small = isinstance(start, Small)
        layers = [*range(1, 1 + len(start.deep)), *range(len(start.biases))] if small else [0]
        self._decays = [True] * len(start.deep) + [False] * len(start.biases) if small else [True]  # biases do not
        self._layers, self._states = layers, [rule.start(k, W) for k, W in zip(layers, _parts(start), strict=True)]

    def step(self, t: int, gradient) -> None:
        """Follow the gradient of step t."""
        each = zip(self._layers, _parts(self.now), self._states, _parts(gradient), self._decays, strict=True)
        moved = [self.rule.advance(t, *parts, self.scale) for parts in each]
        values, self._states = tuple(value for value, _ in moved), [state for _, state in moved]
        deep = len(self.now.deep) if isinstance(self.now, Small) else 0
        self.now = Small(values[:deep], values[deep:]) if isinstance(self.now, Small) else values[0]

    def grow(self, columns: Array) -> None:
        """Append columns that were 0 one step before, of what follows the linear rule."""
        self.now = np.concatenate([self.now, columns], axis=-1)
        self._states = [(np.concatenate([self._states[0][0], np.zeros_like(columns)], axis=-1),)]


def _parts(value) -> tuple:
    return (*value.deep, *value.biases) if isinstance(value, Small) else (value,)

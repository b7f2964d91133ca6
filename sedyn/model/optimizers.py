"""Optimizers: updates that act entry by entry, which the theory covers one and all (theory 10).

The first layer is moved in variables of order 1, sqrt(n) W_1 and sqrt(n) times its gradient; all other weights as they
are. So one step size, epsilon or threshold means the same for every number of features n. In the plain variables of
PyTorch the first layer then has, with the numbers given here::

    Adam (torch.optim.AdamW)   lr = step_size / sqrt(n)   eps = epsilon / sqrt(n)   weight_decay = sqrt(n) weight_decay
    RMSProp                    lr = step_size / sqrt(n)   eps = epsilon / sqrt(n)
    SignDescent                lr = step_size / sqrt(n)
    Proximal                   lr = step_size             threshold = step_size l1 / sqrt(n)
    Clip                       lr = step_size             bound / sqrt(n)

and the other layers the numbers as they are; the loss there must be that of `Training`, half the mean squared error.
Weight decay is decoupled here in all of them, in PyTorch in AdamW alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..common import Array, Noun, brief, number, real_array, same, shown
from .kinks import POINTS, jumps

State = tuple[Array, ...]


class Optimizer(Noun):
    """Base of all optimizers, and of your own.

    A subclass says how one step moves an array, entry by entry, and, if it remembers anything, what it begins with.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> class Lion(sedyn.Optimizer):
    ...     def start(self, value):
    ...         return (np.zeros_like(value),)
    ...     def step(self, value, gradient, state, step_size, n_taken):
    ...         (m,) = state
    ...         new = value - step_size * np.sign(0.9 * m + 0.1 * gradient)
    ...         return new, (0.99 * m + 0.01 * gradient,)
    >>> training = sedyn.Training(0.02, 20, optimizer=Lion())
    """

    def start(self, value: Array) -> State:
        """State to begin with: arrays of the shape and type of `value`, none by default."""
        return ()

    def step(self, value: Array, gradient: Array, state: State, step_size: float, n_taken: int) -> tuple[Array, State]:
        """New value and state, in new arrays, after `n_taken` steps before this one."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a step does; define step(..)")

    @cached_property
    def jumps(self) -> bool:
        """Whether a step jumps with its gradient, or all but jumps: by a third of what it can be, within 1e-3."""
        gradient = np.linspace(-3, 3, 6001)
        for value in (0.0, 0.37, -1.3):

            def moved(gradient, value=value):
                start = np.full_like(gradient, value)
                return np.asarray(self.step(start, gradient, self.start(start), 0.1, 0)[0], float)

            steps = moved(gradient)
            if np.abs(np.diff(steps)).max() > np.ptp(steps) / 3 or jumps(moved) is not None:
                return True
        return False

    @cached_property
    def sign_like(self) -> bool:
        """Whether a gradient a thousand times smaller still moves a weight by more than a tenth as much at first: the
        noise of small gradients is amplified."""
        start = np.zeros(2)
        small, large = np.abs(self.step(start, np.array([1e-3, 1.0]), self.start(start), 0.1, 0)[0])
        return bool(small > 0.1 * large)

    def _settings(self) -> dict:
        return {name: value for name, value in vars(self).items() if name not in ("jumps", "sign_like")}

    def _summary(self):
        return {name: brief(value) for name, value in self._settings().items()}

    def __eq__(self, other):
        return type(self) is type(other) and same(*(tuple(each._settings().items()) for each in (self, other)))

    __hash__ = Noun.__hash__


@dataclass(frozen=True, eq=False, repr=False)
class Adam(Optimizer):
    """Steps along the mean of past gradients over the root of their mean square, both freed of their start (theory 10).

    With `Training`'s ``weight_decay`` this is AdamW: the decay is not part of the gradient.

    Parameters
    ----------
    beta1, beta2 : float
        At least 0 and below 1: what the two means keep from step to step.
    epsilon : float
        > 0, added to the root, in units of a gradient of order 1 (the module says how this is in PyTorch's numbers).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        _share(self, "beta1", "beta2")
        _positive(self, "epsilon")

    def start(self, value):
        return np.zeros_like(value), np.zeros_like(value)

    def step(self, value, gradient, state, step_size, n_taken):
        m, v = state
        m = self.beta1 * m + (1 - self.beta1) * gradient
        v = self.beta2 * v + (1 - self.beta2) * gradient**2
        mean, square = m / (1 - self.beta1 ** (n_taken + 1)), v / (1 - self.beta2 ** (n_taken + 1))
        return value - step_size * mean / (np.sqrt(square) + self.epsilon), (m, v)


@dataclass(frozen=True, eq=False, repr=False)
class RMSProp(Optimizer):
    """Steps along the gradient over the root of the mean square of past ones (theory 10).

    Parameters
    ----------
    beta : float
        At least 0 and below 1: what the mean square keeps from step to step (`alpha` of PyTorch).
    epsilon : float
        > 0, as for `Adam`.
    """

    beta: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self):
        _share(self, "beta")
        _positive(self, "epsilon")

    def start(self, value):
        return (np.zeros_like(value),)

    def step(self, value, gradient, state, step_size, n_taken):
        v = self.beta * state[0] + (1 - self.beta) * gradient**2
        return value - step_size * gradient / (np.sqrt(v) + self.epsilon), (v,)


@dataclass(frozen=True, eq=False, repr=False)
class SignDescent(Optimizer):
    """Steps of one length in every entry, against the sign of its gradient (theory 10)."""

    def step(self, value, gradient, state, step_size, n_taken):
        return value - step_size * np.sign(gradient), ()


@dataclass(frozen=True, eq=False, repr=False)
class Proximal(Optimizer):
    """Gradient steps for the loss plus ``l1`` times the sum of the absolute values: soft thresholding by
    ``step_size * l1`` after each step, which leaves exact zeros (theory 10).

    Parameters
    ----------
    l1 : float
        >= 0. For the first layer the threshold is of sqrt(n) W_1.
    """

    l1: float

    def __post_init__(self):
        object.__setattr__(self, "l1", number(self.l1, "l1", "be a finite number >= 0", lambda x: 0 <= x < np.inf))

    def step(self, value, gradient, state, step_size, n_taken):
        new = value - step_size * gradient
        return np.sign(new) * np.maximum(np.abs(new) - step_size * self.l1, 0), ()


@dataclass(frozen=True, eq=False, repr=False)
class Clip(Optimizer):
    """Gradient steps in which every entry of the gradient is cut off at -`bound` and `bound` (theory 10)."""

    bound: float

    def __post_init__(self):
        _positive(self, "bound")

    def step(self, value, gradient, state, step_size, n_taken):
        return value - step_size * np.clip(gradient, -self.bound, self.bound), ()


def _share(optimizer: Optimizer, *names: str) -> None:
    for name in names:
        given = number(getattr(optimizer, name), name, "be at least 0 and below 1", lambda x: 0 <= x < 1)
        object.__setattr__(optimizer, name, given)


def _positive(optimizer: Optimizer, name: str) -> None:
    given = number(getattr(optimizer, name), name, "be a finite number > 0", lambda x: 0 < x < np.inf)
    object.__setattr__(optimizer, name, given)


def validate_optimizers(given) -> Optimizer | None | tuple[Optimizer | None, ...]:
    """One for all layers, or one for each; TypeError or ValueError for what is no optimizer or mixes entries."""
    for optimizer in given if isinstance(given, (tuple, list)) else [given]:
        if optimizer is None:
            continue
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                "optimizer must be None, sedyn.Adam(), RMSProp(), SignDescent(), Proximal(l1), Clip(bound), an "
                f"instance of a subclass of sedyn.Optimizer, or a tuple of these, one per layer; got {shown(optimizer)}"
            )
        _validate_step(optimizer)
    return tuple(given) if isinstance(given, list) else given


def _validate_step(optimizer: Optimizer) -> None:
    """ValueError where a step is not one of arrays, entry by entry: tried on several entries, and on half of them."""
    name, value = type(optimizer).__name__, POINTS / 10
    results = []
    for part in (slice(None), slice(0, 24), slice(None, None, -1)):
        now, gradient = value[part].copy(), np.roll(POINTS, 7)[part].copy()
        try:
            with np.errstate(all="ignore"):
                state = tuple(optimizer.start(now.copy()))
                for n_taken in range(2):
                    given = now, gradient, *state
                    kept = [np.array(array) for array in given]
                    new, following = optimizer.step(now, gradient, state, 0.1, n_taken)
                    if not all(map(np.array_equal, given, kept)):
                        raise ValueError("a step writes into what it is given; let it return new arrays")
                    now, state = new, tuple(following)
        except Exception as error:  # whatever a user's class may raise
            raise ValueError(
                f"the optimizer {name} must move arrays, step(value, gradient, state, step_size, n_taken) -> (value, "
                f"state); it raised {type(error).__name__}: {error}"
            ) from error
        for array in (now, *state):
            found = real_array(array)
            if found is None or found.shape != value[part].shape or not np.all(np.isfinite(found)):
                raise ValueError(
                    f"the optimizer {name} must return values and states of finite numbers, of the shape of the value, "
                    f"{value[part].shape}; got {shown(array)}"
                )
        results.append(np.asarray(now, float))
    whole, half, turned = results
    if not (np.allclose(whole[:24], half, rtol=1e-9) and np.allclose(whole[::-1], turned, rtol=1e-9)):
        raise ValueError(
            f"the optimizer {name} moves an entry by what the others are, as a norm over all of them would; the theory "
            "is for updates that act entry by entry"
        )

"""How the network is trained: the one linear update rule that weights and theory coefficients both follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Training counts as diverged once the training error exceeds this multiple of its scale at the start.
DIVERGENCE_FACTOR = 1e6


@dataclass(frozen=True)
class Training:
    """Full-batch gradient descent on the mean loss (theory 1).

    Parameters
    ----------
    step_size : float, sequence of L floats, or array (n_steps, L)
        One for all layers, one per layer, or one per step and layer; 0 freezes a layer. All are O(1): the
        theory's scaling divides by m alone.
    n_steps : int
        Number of steps T >= 0; results have T + 1 values, t = 0..T.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.Training(step_size=(0.2, 0.0), n_steps=40).step_sizes(n_layers=2).shape
    (40, 2)
    """

    step_size: float | tuple | np.ndarray
    n_steps: int

    def __post_init__(self):
        if int(self.n_steps) != self.n_steps or self.n_steps < 0:
            raise ValueError(f"n_steps must be an integer, 0 or more; got {self.n_steps!r}")
        try:
            steps = np.asarray(self.step_size, float)
        except (TypeError, ValueError):
            steps = np.array(np.nan)
        if steps.ndim > 2 or not np.all(np.isfinite(steps)) or np.any(steps < 0):
            raise ValueError(
                "step_size must be a finite number >= 0, one per layer, or an array (n_steps, n_layers); "
                f"got {self.step_size!r}"
            )

    def step_sizes(self, n_layers: int) -> np.ndarray:
        """The step sizes eta[t, l] as an array (n_steps, n_layers).

        Raises ValueError when the given shape fits neither (n_layers,) nor (n_steps, n_layers).
        """
        eta = np.asarray(self.step_size, float)
        if eta.ndim and eta.shape not in ((n_layers,), (self.n_steps, n_layers)):
            raise ValueError(
                f"step_size has shape {eta.shape}; for {n_layers} layers and {self.n_steps} steps give one number, "
                f"{n_layers} numbers (one per layer) or an array of shape ({self.n_steps}, {n_layers})"
            )
        return np.broadcast_to(eta, (self.n_steps, n_layers))


def update(value, step_size: float, gradient):
    """One step of the linear rule, for a weight matrix or for the coefficients that express it (theory 2, 4)."""
    return value - step_size * gradient


def divergence_bound(error: float, labels: np.ndarray) -> float:
    """The training error above which a run that started at `error` on these labels has diverged."""
    bound = DIVERGENCE_FACTOR * (error + float(np.mean(np.square(labels))) + 1e-300)
    return min(np.finfo(float).max, bound)  # infinity and NaN are beyond every bound


def divergence_message(step: int, error: float) -> str:
    """What results say about a run that stopped being finite."""
    return (
        f"training diverged at step {step} (training error {error:.3g}): the arrays end at step {step - 1}; "
        "lower step_size or the scale of the initial weights"
    )

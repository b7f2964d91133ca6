"""sedyn: the precise theory of gradient descent in finite-width networks, side by side with gradient descent itself."""

from .augmented import AssumptionWarning, augmented_gradient_descent
from .data import MultiIndex, SingleIndex, block_variances, power_law_variances, random_signal, sample_features
from .descent import Trajectory, gradient_descent
from .dice import DiceRun, householder_dice
from .evolution import (
    Evolution,
    Kernels,
    StandardErrors,
    population_error,
    population_errors,
    state_evolution,
)
from .explore import Explorer, explore
from .losses import Loss
from .network import Activation, Network, Weights
from .overlaps import Overlaps
from .results import z_scores
from .selection import Candidate, Stop, early_stop, tune
from .store import Failure, Table, load
from .sweep import sweep
from .training import Training

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "AssumptionWarning",
    "Candidate",
    "DiceRun",
    "Evolution",
    "Explorer",
    "Failure",
    "Kernels",
    "Loss",
    "MultiIndex",
    "Network",
    "Overlaps",
    "SingleIndex",
    "Stop",
    "StandardErrors",
    "Table",
    "Training",
    "Trajectory",
    "Weights",
    "augmented_gradient_descent",
    "block_variances",
    "early_stop",
    "explore",
    "gradient_descent",
    "householder_dice",
    "load",
    "plot",
    "population_error",
    "population_errors",
    "power_law_variances",
    "random_signal",
    "sample_features",
    "state_evolution",
    "sweep",
    "tune",
    "z_scores",
]


def __getattr__(name):
    if name == "plot":  # matplotlib is imported only when something is plotted
        from importlib import import_module

        return import_module(".plot", __name__)
    raise AttributeError(f"module 'sedyn' has no attribute {name!r}")

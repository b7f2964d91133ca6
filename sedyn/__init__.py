"""sedyn: the precise theory of gradient descent in finite-width networks, side by side with gradient descent itself."""

from .common import AgreementTest, Result, __version__, agreement_test, z_scores
from .estimate import (
    AssumptionWarning,
    Candidate,
    Stop,
    augmented_gradient_descent,
    early_stop,
    population_spectrum,
    tune,
)
from .model import (
    Activation,
    Adam,
    Clip,
    Loss,
    MultiIndex,
    Network,
    Optimizer,
    Overlaps,
    Proximal,
    RMSProp,
    SignDescent,
    SingleIndex,
    Teacher,
    Training,
    Weights,
    block_variances,
    population_error,
    population_errors,
    power_law_variances,
    random_signal,
    sample_features,
)
from .runs import (
    IntervalAccuracy,
    Simulation,
    Trajectory,
    Wide,
    gradient_descent,
    linearized_gradient_descent,
    simulate,
    widen,
)
from .show import Explorer, explore
from .sweeps import Failure, Table, load, sweep
from .tables import DataTable, TableModel, fit_table, read_table, scale_target
from .theory import Band, DiceRun, Evolution, Kernels, StandardErrors, householder_dice, state_evolution

__all__ = [
    "AgreementTest",
    "__version__",
    "Activation",
    "Adam",
    "AssumptionWarning",
    "Band",
    "Candidate",
    "Clip",
    "DataTable",
    "DiceRun",
    "Evolution",
    "Explorer",
    "Failure",
    "IntervalAccuracy",
    "Kernels",
    "Loss",
    "MultiIndex",
    "Network",
    "NetworkClassifier",
    "NetworkRegressor",
    "Optimizer",
    "Overlaps",
    "Proximal",
    "RMSProp",
    "Result",
    "SignDescent",
    "Simulation",
    "SingleIndex",
    "StandardErrors",
    "Stop",
    "Table",
    "TableModel",
    "Teacher",
    "Training",
    "Trajectory",
    "Weights",
    "Wide",
    "agreement_test",
    "augmented_gradient_descent",
    "block_variances",
    "early_stop",
    "explore",
    "fit_table",
    "gradient_descent",
    "householder_dice",
    "linearized_gradient_descent",
    "load",
    "plot",
    "population_error",
    "population_errors",
    "population_spectrum",
    "power_law_variances",
    "random_signal",
    "read_table",
    "sample_features",
    "scale_target",
    "simulate",
    "state_evolution",
    "sweep",
    "tune",
    "widen",
    "z_scores",
]


def __getattr__(name):
    if name == "plot":  # matplotlib is imported only when something is plotted
        from importlib import import_module

        return import_module(".show.plot", __name__)
    if name in ("NetworkClassifier", "NetworkRegressor"):
        from importlib import import_module

        return getattr(import_module(".tables", __name__), name)
    raise AttributeError(f"module 'sedyn' has no attribute {name!r}")

"""The paper's claims, one file each: a figure, its numbers, and how well they agree with the theory.

The notebooks ``import claims``. Each claim is a function of ``paper`` (False: a few seconds, for notebooks and tests;
True: more runs and features) and ``rng`` that returns a `Claim`, in a file of its name with its test beside it. From
``notebooks/``, ``python -m claims figures`` makes every figure and the gallery page in that folder (`gallery.write`),
``python -m claims figures NAME ..`` those of the named claims. To add a claim, write such a function under ``@claim``
in a file of its own and import it here: the order is that of the gallery.
"""

from .base import (
    BLUE,
    CLAIMS,
    GREEN,
    GREY,
    PURPLE,
    RED,
    Claim,
    claim,
    mean_and_error,
    measured,
    relative_gap,
    slope,
    stacked,
    weighted_mean,
)
from .problems import (
    ESTIMATION_NETWORKS,
    THREE_LAYERS,
    UNIVERSAL,
    RandomProblem,
    estimated_run,
    fresh_error,
    random_problem,
    row_scales,
    three_layers,
)

# worded as in the abstract of arXiv:2505.04898v2 (`gallery.PAPER`)
from .gaussian_fluctuations import gaussian_fluctuations
from .deep_concentration import deep_concentration
from .non_gaussian_features import non_gaussian_features, on_one_feature
from .finite_width_agreement import finite_width_agreement
from .individual_initialization import individual_initialization
from .generalization_gap import generalization_gap
from .consistent_estimation import consistent_estimation, estimation_gaps
from .early_stopping import early_stopping
from .hyperparameter_choice import hyperparameter_choice

# and beyond it
from .competitors import competitors
from .universality_gap import EXCESS_KURTOSIS, universality_gap, universality_problem, universality_run
from .effective_signal import effective_signal, regression
from .other_theories import THEORIES, other_theories, theory_misses, widened
from .stopping_phase_diagram import phase_problem, phase_run, phase_theory, stopping_phase_diagram
from .interval_coverage import interval_coverage
from .feature_tests import feature_tests
from .optimizers import optimizers
from .sparse_signals import sparse_signals
from .optimizer_estimates import optimizer_estimates
from .classes import classes

from . import gallery

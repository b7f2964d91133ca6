"""The problem: networks, losses, training, teachers, features, overlaps. Imports common alone."""

from .activations import ACTIVATIONS, Activation
from .covariance import covariance_root, eigen_directions, gauss_nodes, times_root
from .features import block_variances, power_law_variances, random_signal, sample_features
from .labels import label_columns, sum_outputs
from .losses import LOSSES, METRICS, Loss, Metrics
from .network import Network, Small, Weights
from .optimizers import Adam, Clip, Optimizer, Proximal, RMSProp, SignDescent
from .overlaps import Overlaps
from .population import (
    gaussian_points,
    metric_integrals,
    orthonormalise,
    overlaps_and_errors,
    population_error,
    population_errors,
    require_paths,
)
from .problem import Problem, validate_problem
from .recording import DIVERGENCE_FACTOR, Recording, chosen_steps
from .teachers import LINKS, MULTI_LINKS, MultiIndex, SingleIndex, Teacher
from .training import Moving, Rule, Training

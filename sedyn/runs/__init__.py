"""Gradient descent itself: single runs, many runs, and what other theories would train. Never meets `theory`."""

from .baselines import Wide, linearized_gradient_descent, widen
from .descent import descend, gradient_descent, validate_rows, validate_run, validate_sample_weight
from .intervals import IntervalAccuracy, conformal_quantile
from .simulation import Simulation, simulate
from .trajectory import Recorder, State, Trajectory

"""The generalization error from the training rows alone. Sees neither the teacher nor the theory's solvers."""

from .assumptions import UNSTEADY, AssumptionWarning
from .augmented import augmented_gradient_descent
from .groups import group_numbers, repeats
from .selection import Candidate, Stop, early_stop, optimism, tune
from .spectrum import population_spectrum

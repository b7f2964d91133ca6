"""The generalization error from the training rows alone. Sees neither the teacher nor the theory's solvers."""

from .assumptions import AssumptionWarning
from .augmented import augmented_gradient_descent
from .selection import Candidate, Stop, early_stop, tune
from .spectrum import population_spectrum

"""The state evolution and its solvers, and Householder dice. Never meets `runs`: their agreement is evidence."""

from .band import Band
from .dice import DiceRun, householder_dice
from .evolution import Evolution, StandardErrors, state_evolution
from .kernels import Kernels

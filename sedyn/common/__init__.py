"""What every room uses: checks of input, the machine, and what results share. Imports nothing of sedyn."""

from .checks import Array, elementwise, finite_array, floating, generator, instance, integer, number, numbers, shown
from .machine import Caller, available_cores, progress, require_memory, single_threaded, thread_pool
from .results import Result, z_scores

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "Array",
    "Caller",
    "Result",
    "available_cores",
    "elementwise",
    "finite_array",
    "floating",
    "generator",
    "instance",
    "integer",
    "number",
    "numbers",
    "progress",
    "require_memory",
    "shown",
    "single_threaded",
    "thread_pool",
    "z_scores",
]

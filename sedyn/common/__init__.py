"""What every room uses: checks of input, the machine, and what results share. Imports nothing of sedyn."""

from .checks import Array, elementwise, finite_array, floating, generator, instance, integer, number, numbers, shown
from .machine import (
    Caller,
    available_cores,
    in_threads,
    one_blas_thread,
    progress,
    require_memory,
    single_threaded,
    thread_pool,
)
from .results import Noun, Result, brief, first_and_last, z_scores

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "Array",
    "Caller",
    "Noun",
    "Result",
    "available_cores",
    "brief",
    "elementwise",
    "finite_array",
    "first_and_last",
    "floating",
    "generator",
    "in_threads",
    "instance",
    "integer",
    "number",
    "numbers",
    "one_blas_thread",
    "progress",
    "require_memory",
    "shown",
    "single_threaded",
    "thread_pool",
    "z_scores",
]

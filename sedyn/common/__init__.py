"""Common ground of all rooms: checks of input, the machine, and results. Imports nothing of sedyn."""

from .checks import (
    Array,
    called,
    counted,
    elementwise,
    finite_array,
    floating,
    generator,
    instance,
    integer,
    number,
    numbers,
    place,
    real_array,
    shown,
    shown_array,
    takes,
)
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
from .results import AgreementTest, Noun, Result, agreement_test, brief, first_and_last, same, stderr, z_scores

__version__ = "0.1.0"

"""Mathematics that the theory runs on sampled paths and the estimate on data: a growing basis, responses and memory."""

from .basis import STRIPE, Basis, Rows, in_units, precision_for
from .responses import Responses

"""Mathematics that the theory runs on sampled paths and the estimate on data: a growing basis, responses and memory."""

from .basis import STRIPE, Basis, Rows
from .responses import Responses

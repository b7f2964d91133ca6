"""A grid of parameters times seeds on any executor, safe in a folder. On top of the core."""

from .grid import sweep
from .store import Failure, Table, load

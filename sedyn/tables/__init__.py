"""Tables of real data: reading and preparing them. On top of the core."""

from .preparing import scale_target, whiten
from .reading import read_csv

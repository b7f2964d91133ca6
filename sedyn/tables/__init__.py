"""Tables of real data: reading and preparing them. On top of the core."""

from .preparing import column_preparation, describe_preparation, scale_target, whiten
from .reading import DataTable, read_csv, read_rows, read_table

"""The command line: the main job, the user's own table, the doctor. On top of the core."""

from .line import main

"""What the notebooks of the course share: figures with a text, tables, and exercises that are checked.

    import course

    course.check("01.2", answer)  # right, or what is wrong with it
    course.hint("01.2")           # a hint; the next call gives the next one

The checks of a notebook stand in a file of their own, ``check_01.py`` or ``check_optimizers.py``: no notebook holds
the answers to its exercises.
"""

from .exercises import check, hint
from .showing import BLUE, COLOURS, GREEN, GREY, RED, show, table

__all__ = ["BLUE", "COLOURS", "GREEN", "GREY", "RED", "check", "hint", "show", "table"]

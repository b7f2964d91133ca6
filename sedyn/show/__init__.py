"""Figures and the widget. On top of the core."""

from .widget import Explorer, explore

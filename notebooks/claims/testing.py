"""What the tests of claims share: distances in standard errors, and what a figure has drawn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np


def z(made, name, target=0.0):
    """Distance of a measured number from its target, in standard errors."""
    return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]


def all_z(made, pattern, target=0.0):
    """The same of all numbers whose names hold the pattern."""
    names = [name for name in made.agreement if pattern in name and not name.endswith(", s.e.")]
    assert names
    return np.array([z(made, name, target) for name in names])


def on_threads(function, **options):
    """The claim on threads, which see what a test has changed."""
    with ThreadPoolExecutor(2) as executor:
        return function(executor=executor, **options)


def points(container):
    """x, y and standard error of points that were drawn with bars of two standard errors."""
    line, _, (bars,) = container
    ends = np.array(bars.get_segments())  # (point, end, coordinate)
    return *line.get_xydata().T, (ends[:, 1, 1] - ends[:, 0, 1]) / 4


def labelled(ax, label):
    (container,) = [each for each in ax.containers if each.get_label() == label]
    return points(container)


def curve(ax, label):
    """x, y."""
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line.get_xydata().T

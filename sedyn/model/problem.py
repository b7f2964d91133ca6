"""A problem of the theory: network, rule, teacher and overlaps that fit each other."""

from __future__ import annotations

from typing import NamedTuple

from ..common import counted, instance
from .losses import Metrics
from .network import Network
from .overlaps import Overlaps
from .teachers import Teacher
from .training import Rule, Training


class Problem(NamedTuple):
    """Input of the solvers: a network, the rule it is trained by, labels, overlaps, m / n, and what to report."""

    network: Network
    rule: Rule
    teacher: Teacher
    overlaps: Overlaps
    aspect_ratio: float
    metrics: Metrics


def validate_problem(network, training, teacher, overlaps: Overlaps, aspect_ratio, metrics=()) -> Problem:
    """A problem whose parts fit each other, or ValueError."""
    instance(network, Network, "network")
    instance(training, Training, "training")
    instance(teacher, Teacher, "teacher", "SingleIndex or sedyn.MultiIndex")
    instance(overlaps, Overlaps, "overlaps")
    network.validate_small(overlaps.deep, overlaps.biases)
    q, k = network.widths[0], overlaps.n_indices
    if overlaps.gram.shape[-1] != q:
        raise ValueError(
            f"the network's first layer has {counted(q, 'neuron')}, and overlaps.gram is of "
            f"{counted(overlaps.gram.shape[-1], 'neuron')}; measure the overlaps on weights of this network"
        )
    if teacher.n_indices != k:
        columns = f"(n_features, {teacher.n_indices})" if teacher.n_indices > 1 else "(n_features,)"
        raise ValueError(
            f"the teacher needs {counted(teacher.n_indices, 'signal')}; got {k}: give a signal of shape {columns}, or "
            "overlaps measured with one"
        )
    return Problem(network, training.rule(network.n_layers), teacher, overlaps, float(aspect_ratio), Metrics(metrics))

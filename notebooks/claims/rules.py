"""Updates of the first layer that several claims share (theory 10)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sedyn import Adam, Clip, Network, Proximal, RMSProp, SignDescent, SingleIndex, Training

from .base import BLUE, GREEN, GREY, PURPLE, RED

WAVY = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)


NETWORKS = {
    2: Network((3, 1), ("tanh", "identity")),
    3: Network((3, 2, 1), ("tanh", "tanh", "identity")),
}


DEEP = {
    2: (np.array([[1.0], [-0.8], [0.6]]),),
    3: (np.array([[0.9, -0.4], [0.2, 0.8], [-0.6, 0.5]]), np.array([[1.0], [-0.7]])),
}


class Rule(NamedTuple):
    """How the first layer moves; the others move by plain gradient descent with a step size of their own."""

    optimizer: Any
    step_size: float
    deep_step_size: float
    colour: str


RULES = {
    "gradient descent": Rule(None, 0.2, 0.2, GREY),
    "Adam": Rule(Adam(0.9, 0.99, 1e-3), 0.05, 0.05, BLUE),
    "sign descent": Rule(SignDescent(), 0.03, 0.05, RED),
    "soft thresholding": Rule(Proximal(0.2), 0.2, 0.2, GREEN),
    "RMSProp": Rule(RMSProp(0.9, 3e-2), 0.03, 0.05, PURPLE),
    "clipping": Rule(Clip(0.3), 0.2, 0.2, "#56B4E9"),
}


def training_by(rule: str, n_layers: int, n_steps: int, **options) -> Training:
    """The first layer moves by this rule, the others by plain gradient descent."""
    optimizer, step_size, deep, _ = RULES[rule]
    others = (None,) * (n_layers - 1)
    return Training((step_size,) + (deep,) * (n_layers - 1), n_steps, optimizer=(optimizer, *others), **options)


ERRORS = ("train_error", "generalization_error")

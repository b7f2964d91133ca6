"""Validity for non-Gaussian features."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from sedyn import Network, Overlaps, SingleIndex, Training, Weights, gradient_descent, state_evolution

from .base import Array, Claim, claim, measured, relative_gap, slope, stacked, two_sided
from .problems import UNIVERSAL, fresh_error, row_scales


def on_one_feature(weights: Weights, signal: Array) -> tuple[Weights, Array]:
    """The same start, reflected so that the signal lies on the first feature alone; overlaps stay what they are."""
    mirror = signal - np.linalg.norm(signal) * np.eye(1, len(signal))[0]
    first, turned = (
        part - 2 * np.outer(mirror, mirror @ part) / (mirror @ mirror) for part in (weights.first, signal[:, None])
    )
    return Weights(first, weights.deep), turned[:, 0]


@claim
def non_gaussian_features(paper: bool = False, rng=0) -> Claim:
    """Gap of the generalization error to the Gaussian theory against 1/n, inside and outside the theory's reach."""
    sizes, budget, T = ((100, 200, 400, 800), 40_000, 30) if paper else ((50, 100, 200), 8_000, 12)
    rng = np.random.default_rng(rng)
    network, training = Network((2, 1), ("tanh", "identity")), Training(0.3, T)
    teacher, phi = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3), 1.5
    overlaps = Overlaps(np.array([[1.0, 0.3], [0.3, 0.8]]), np.array([0.3, -0.2]), 1.0, (np.array([[1.0], [-0.7]]),))
    line = state_evolution(network, training, teacher, overlaps, phi, n_scrambles=8, rng=rng)
    settings = [(name, features, False) for name, features in UNIVERSAL.items()]
    outside = [
        ("Student t, 3 d.f.", ("student_t", 3), False),
        ("Rademacher, signal on one feature", "rademacher", True),
        ("rows of random length", row_scales, False),
    ]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharex=True)
    agreement: dict[str, float] = {}
    p_values: dict[str, float] = {}
    points: dict[str, dict] = {}
    total = 0
    for j, (name, features, concentrated) in enumerate(settings + outside):
        gap, error = np.zeros((2, len(sizes)))
        for i, n in enumerate(sizes):
            weights, signal = overlaps.realize(n, rng=rng)
            if concentrated:
                weights, signal = on_one_feature(weights, signal)
            errors = np.zeros((budget // n, 1))
            for r in range(len(errors)):
                X, y = teacher.sample(round(phi * n), signal, features=features, rng=rng)
                end = gradient_descent(network, training, weights, X, y).final
                errors[r] = fresh_error(network, teacher, end, signal, features, rng)
            gap[i], error[i] = relative_gap(
                errors, line.generalization_error[-1:], line.stderr.generalization_error[-1:]
            )
            total += budget // n
        inside = j < len(settings)
        ax = axes[0 if inside else 1]
        x = 1 / np.array(sizes)
        b, _, a, a_error = slope(x, gap, error)
        (drawn,) = ax.plot([0, x[0]], [a, a + b * x[0]], lw=1.2)
        apart = 1 + 0.02 * (j % len(settings) - 2)  # so that error bars do not hide each other
        ax.errorbar(x * apart, gap, 2 * error, fmt="o", color=drawn.get_color(), mfc="white", label=name)
        agreement |= measured(f"{name}: relative gap at n = infinity", a, a_error)
        points[name] = {"n": sizes, "gap": gap, "stderr": error}
        if inside:
            p_values[f"{name}: no gap at n = infinity"] = two_sided(a, a_error)
    for ax, title in zip(axes, ("independent entries with enough moments", "outside"), strict=True):
        ax.axhline(0, color="k", lw=0.8)
        ax.set(title=title, xlabel="1 / n", ylabel="generalization error / theory - 1")
        ax.locator_params("x", nbins=5)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.5 * (high - low))
        ax.legend(loc="upper left", fontsize=8, ncols=2)
    return Claim(
        "Validity for non-Gaussian features",
        "Where signal and start are spread over many features, only independence, mean 0, variance 1 and enough "
        "moments matter: the generalization error then shows no gap to the Gaussian theory; outside, a gap is left, "
        "that of heavy tails over these n.",
        f"widths (2, 1), tanh, n = {', '.join(map(str, sizes))}, m/n = {phi}, step size 0.3, T = {T}, "
        "link z + sin(2z)/2, noise 0.3; gap at n = infinity by a straight line in 1/n",
        total,
        agreement,
        figure,
        alt="Two panels of the relative gap between generalization error and Gaussian theory against 1/n. Left, six "
        "laws of independent features: the straight lines meet the axis 1/n = 0 close to gap 0. Right, outside the "
        "theory: the lines of a signal on one feature and of rows of random length end far below and far above 0, "
        "that of heavy tails slightly above.",
        p_values=p_values,
        data={"gaps": stacked(points, "features")},
    )

"""Tests of features from one run (theory 9)."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sedyn import Network, Training, sample_features, sweep

from .base import BLUE, GREEN, RED, Array, Claim, claim, mean_and_error, measured, stacked
from .problems import estimated_run

TEST_LEVELS = (0.05, 0.001)


METHODS = ("network", "effects of the network", "least squares", "correlation", "debiased Lasso")


class FeatureSetting(NamedTuple):
    """One setting of `feature_tests`; `covariance`: "known", "rows" of X themselves, or so many further rows per
    feature."""

    phi: float = 1.5
    longer: int = 1  # of the number of steps
    L: int = 2
    activation: str = "tanh"
    features: str | tuple = "gaussian"
    loss: str = "squared"
    options: tuple = ()
    rho: float = 0.0
    covariance: str | int = "known"
    noise: float = 0.9
    scale: int = 1  # of the number of features


FEATURE_SETTINGS = {
    "plain, m/n = 1.5": FeatureSetting(),
    "twice the steps": FeatureSetting(longer=2),
    "m/n = 0.5": FeatureSetting(phi=0.5, scale=2),
    "momentum, decay, batches": FeatureSetting(
        options=(("momentum", 0.5), ("weight_decay", 0.05), ("batch_fraction", 0.5))
    ),
    "t(5) features": FeatureSetting(features=("student_t", 5)),
    "L = 3, Rademacher": FeatureSetting(L=3, features="rademacher"),
    "logistic loss": FeatureSetting(loss="logistic"),
    "ReLU": FeatureSetting(activation="relu"),
    "AR(0.5), known": FeatureSetting(phi=2, rho=0.5),
    "AR(0.8), known": FeatureSetting(phi=2, rho=0.8, noise=0.4),
    "AR(0.5), 6n further rows": FeatureSetting(phi=2, rho=0.5, covariance=6),
    "AR(0.5), 3n further rows (warned of)": FeatureSetting(phi=2, rho=0.5, covariance=3),
    "unlabelled=X, AR(0.6), m/n = 2": FeatureSetting(phi=2, rho=0.6, covariance="rows"),
    "unlabelled=X, AR(0.6), m/n = 1.3": FeatureSetting(phi=1.3, rho=0.6, covariance="rows", noise=0.3),
    "unlabelled=X, independent": FeatureSetting(phi=2, covariance="rows"),
}


def feature_run(setting: str, n: int, n_steps: int, rng) -> dict:
    """Rejections among null features and among those of the signal, (method, level); NaN where a method has no test."""
    s = FEATURE_SETTINGS[setting]
    n, n_signals = n * s.scale, n // 15
    m = round(s.phi * n)
    network = Network((3,) * (s.L - 1) + (1,), (s.activation,) * (s.L - 1) + ("identity",))
    training = Training(0.5 if s.loss == "logistic" else 0.2, n_steps * s.longer, loss=s.loss, **dict(s.options))
    weights, X = network.init(n, rng=rng), sample_features(m, n, features=s.features, rng=rng)
    signal = np.zeros(n)
    matters = rng.permutation(n)[:n_signals]
    signal[matters] = rng.choice([-1.0, 1.0], n_signals)
    covariance, options = s.rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))), {}
    if s.rho:
        root = np.linalg.cholesky(covariance)
        X = X @ root.T
        options = {"covariance": covariance}
    if s.covariance == "rows":
        options = {"unlabelled": X}
    elif s.covariance != "known":
        options = {"unlabelled": rng.standard_normal((int(s.covariance) * n, n)) @ root.T}
    signal /= np.sqrt(signal @ covariance @ signal)
    y = np.tanh(2 * X @ signal) + s.noise * rng.standard_normal(m)
    y = np.where(y > 0, 1.0, -1.0) if s.loss == "logistic" else y
    run = estimated_run(network, training, weights, X, y, feature_tests=True, rng=rng, **options)
    p: dict[str, Any] = dict.fromkeys(METHODS, np.full(n, np.nan))
    p["network"] = run.feature_pvalues
    effects = run.feature_effects / run.feature_effects_stderr  # type: ignore[operator]
    p["effects of the network"] = 2 * stats.norm.sf(np.abs(effects))
    if m > n:
        p["least squares"] = least_squares_tests(X, y)
    if s.covariance == "known":
        p["correlation"] = correlation_tests(X, y, covariance)
        if not s.rho:
            p["debiased Lasso"] = debiased_lasso_tests(X, y)
    null = np.ones(n, bool)
    null[matters] = False
    below = np.array([[np.where(np.isnan(each), np.nan, each < level) for level in TEST_LEVELS] for each in p.values()])
    return {
        "null": below[..., null].mean(axis=2),
        "signal": below[..., ~null].mean(axis=2),
        "warned": any("p-values" in text for text in run.warnings),
    }


def least_squares_tests(X: Array, y: Array) -> Array:
    """p-values of the t-tests of least squares, m > n."""
    m, n = X.shape
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ (X.T @ y)
    residual = y - X @ b
    return 2 * stats.t.sf(np.abs(b) / np.sqrt(np.diag(inverse) * (residual @ residual) / (m - n)), m - n)


def correlation_tests(X: Array, y: Array, covariance: Array) -> Array:
    """p-values from X^T y, decorrelated by the known covariance: no fit."""
    inverse = np.linalg.inv(covariance)
    return 2 * stats.norm.sf(np.abs(inverse @ (X.T @ y)) / np.sqrt(np.diag(inverse) * (y @ y)))


def debiased_lasso_tests(X: Array, y: Array, n_sweeps: int = 25) -> Array:
    """p-values of the debiased Lasso for features of covariance I, A. Javanmard and A. Montanari (2014), for Gaussian
    designs: b + d X^T (y - X b) / m with d = 1 / (1 - |b|_0 / m), standard deviation d |y - X b| / m; the penalty is
    the one for which that is least."""
    m, n = X.shape
    size = np.linalg.norm(X, 2) ** 2 / m
    b, best = np.zeros(n), (np.inf, np.zeros(n))
    for penalty in np.abs(X.T @ y / m).max() * np.geomspace(0.9, 0.1, 10):
        ahead, momentum = b, 1.0
        for _ in range(n_sweeps):  # accelerated proximal gradient
            step = ahead + X.T @ (y - X @ ahead) / (m * size)
            new = np.sign(step) * np.maximum(np.abs(step) - penalty / size, 0)
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead, b, momentum = new + (momentum - 1) / following * (new - b), new, following
        if np.count_nonzero(b) > 0.9 * m:
            break
        residual, d = y - X @ b, 1 / (1 - np.count_nonzero(b) / m)
        if (noise := d * np.linalg.norm(residual) / m) < best[0]:
            best = noise, 2 * stats.norm.sf(np.abs(b + d * X.T @ residual / m) / noise)
    return best[1]


@claim
def feature_tests(paper: bool = False, rng=0, executor=None, store=None) -> Claim:
    """Size and power of the tests of features, beside those of least squares, correlations and the debiased Lasso."""
    n, T, n_runs = (300, 50, 360) if paper else (90, 16, 6)
    root, names = int(np.random.default_rng(rng).integers(2**63)), list(FEATURE_SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        grid: dict = {"setting": names, "n": [n], "n_steps": [T]}
        table = sweep(feature_run, grid, n_runs, executor=executor, store=store, rng=root)
    shape = (len(names), n_runs, len(METHODS), len(TEST_LEVELS))
    (size, size_error), (power, power_error) = (
        mean_and_error(np.moveaxis(table.arrays[key].reshape(shape), 1, 0)) for key in ("null", "signal")
    )  # (setting, method, level)
    agreement: dict[str, float] = {}
    for i, name in enumerate(names):
        for j, level in enumerate(TEST_LEVELS):
            agreement |= measured(f"{name}: size at {level:g}", size[i, 0, j], size_error[i, 0, j])
        for k in (0, 2, 3, 4):
            if np.isfinite(power[i, k, 0]):
                agreement |= measured(f"{name}: power at 0.05, {METHODS[k]}", power[i, k, 0], power_error[i, k, 0])
    agreement["least of the sizes at 0.05"] = size[:, 0, 0].min()
    agreement["largest of the sizes at 0.05"] = size[:, 0, 0].max()
    for k in range(1, len(METHODS)):
        agreement[f"{METHODS[k]}: least of the sizes at 0.05"] = np.nanmin(size[:, k, 0])
        agreement[f"{METHODS[k]}: largest of the sizes at 0.05"] = np.nanmax(size[:, k, 0])
    agreement["fewest null features of a setting"] = n_runs * (n - n // 15)

    figure, axes = plt.subplots(1, 3, figsize=(14, 5.6), sharey=True)
    rows = np.arange(len(names))[::-1]
    warned = table["warned"].reshape(len(names), n_runs).mean(axis=1) > 0.5
    for ax, j, (low, high) in zip(axes, (0, 1), ((0.045, 0.056), (0.0005, 0.002)), strict=False):
        ax.axvspan(low, high, color="0.92", lw=0)
        ax.axvline(TEST_LEVELS[j], color="k", lw=0.8)
        for part, fill in ((~warned, BLUE), (warned, "white")):
            ax.errorbar(size[part, 0, j], rows[part], xerr=2 * size_error[part, 0, j], fmt="o", color=BLUE, mfc=fill)
        ax.set(xlabel="share of null features rejected", title=f"size at level {TEST_LEVELS[j]:g}")
    axes[0].set_yticks(rows, names)
    if paper:
        axes[1].set_xticks([0.0005, 0.001, 0.0015, 0.002], ["0.0005", "0.001", "0.0015", "0.002"])
    marks = {0: ("o", BLUE, BLUE), 2: ("s", RED, "white"), 3: ("^", GREEN, "white"), 4: ("D", "#CC79A7", "white")}
    for k, (mark, colour, fill) in marks.items():
        axes[2].plot(power[:, k, 0], rows, mark, color=colour, mfc=fill, ms=6, label=METHODS[k])
    axes[2].set(xlabel="share of the signal's features found", title="power at level 0.05", xlim=(0, 1))
    figure.legend(*axes[2].get_legend_handles_labels(), loc="outside lower right", ncols=4)
    return Claim(
        "Tests of features from one run",
        "The gradients of one run, summed over its steps and freed of what the weights have done to them, give a "
        "p-value for every feature, nearly uniform where labels do not depend on it.",
        f"n = {n} (m/n = 0.5: {2 * n}), {n // 15} features with equal effects, link tanh(2z), noise "
        f"{FeatureSetting().noise} (AR(0.8): 0.4, m/n = 1.3: 0.3), widths (3, 1) or (3, 3, 1), step size 0.2 (logistic "
        f"0.5), T = {T}, {n_runs} runs of each setting; covariance known (the identity unless AR) or from "
        "rows",
        len(names) * n_runs,
        {name: float(value) for name, value in agreement.items()},
        figure,
        alt="Left and middle, the share of null features rejected at levels 0.05 and 0.001 for fifteen settings: "
        "points at or near the vertical line of the level, nearly all in the grey band. Right, the share of the "
        "signal's features found by four methods: the network above least squares in about half of the settings, "
        "below correlations in all but one, and below the debiased Lasso.",
        bars="Bars are two standard errors of the mean over runs; the grey bands are 0.045 to 0.056 and 0.0005 to "
        "0.002.",
        data={
            "tests": stacked(
                {
                    f"{name}: {method}": {
                        "level": TEST_LEVELS,
                        "size": size[i, k],
                        "size_stderr": size_error[i, k],
                        "power": power[i, k],
                        "power_stderr": power_error[i, k],
                    }
                    for i, name in enumerate(names)
                    for k, method in enumerate(METHODS)
                    if np.isfinite(power[i, k, 0])
                },
                "series",
            )
        },
    )

"""What each claim draws is what it measured. Where its runs take long, made-up runs of known outcome stand in for them:
the notebooks do the real ones, and `make test-all` judges them."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from scipy import stats

import claims

matplotlib.use("Agg")


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


@pytest.mark.seconds
def test_gaussian_fluctuations():
    made = claims.gaussian_fluctuations()
    drawn = [line.get_data() for ax in made.figure.axes for line in ax.lines if line.get_label().startswith("neuron")]
    assert len(drawn) == 9 and all(np.all(np.diff([x, y]) > 0) for x, y in drawn)
    assert len({tuple(y) for _, y in drawn}) == 9
    assert min(stats.kstest(y, "norm").pvalue for _, y in drawn) == pytest.approx(
        made.agreement["smallest of 9 Kolmogorov-Smirnov p-values"]
    )


@pytest.mark.seconds
def test_deep_concentration():
    made = claims.deep_concentration()
    n, spread, error = labelled(made.figure.axes[1], "runs")
    b, b_error, *_ = claims.slope(np.log(n), np.log(spread), error / spread)
    name = "slope of log sd against log n"
    assert (b, b_error) == pytest.approx((made.agreement[name], made.agreement[f"{name}, s.e."]))


@pytest.mark.seconds
def test_individual_initialization():
    made = claims.individual_initialization()
    predicted, simulated, error = labelled(made.figure.axes[0], "one start, mean of its runs")
    name, own = "slope of simulation against theory over starts", "chi-square per start, own prediction"
    assert claims.slope(predicted, simulated, error)[:2] == pytest.approx(
        (made.agreement[name], made.agreement[f"{name}, s.e."])
    )
    assert np.mean(((simulated - predicted) / error) ** 2) == pytest.approx(made.agreement[own])


def test_non_gaussian_features(monkeypatch):
    """Made-up errors at the line times 1 + limit + 3 / n, of known scatter."""
    limits = dict.fromkeys(map(str, claims.UNIVERSAL.values()), 0.0) | {"rademacher": 0.0, "('student_t', 3)": 0.1}

    def evolve(*_, **__):
        errors = np.array([1.0, 0.5])
        return SimpleNamespace(generalization_error=errors, stderr=SimpleNamespace(generalization_error=0 * errors))

    def error(network, teacher, weights, signal, features, rng):
        limit = -0.2 if np.count_nonzero(signal) == 1 else limits.get(str(features), 0.3)
        return 0.5 * (1 + limit + 3 / len(signal) + 0.001 * rng.standard_normal())

    monkeypatch.setattr(claims, "state_evolution", evolve)
    monkeypatch.setattr(claims.SingleIndex, "sample", lambda *_, **__: (None, None))
    monkeypatch.setattr(claims, "gradient_descent", lambda *_: SimpleNamespace(final=None))
    monkeypatch.setattr(claims, "fresh_error", error)
    monkeypatch.setattr(claims, "on_one_feature", lambda weights, signal: (weights, np.eye(1, len(signal))[0]))
    made = claims.non_gaussian_features()
    found = {key.split(":")[0]: value for key, value in made.agreement.items() if not key.endswith("s.e.")}
    others = {"Student t, 3 d.f.": 0.1, "Rademacher, signal on one feature": -0.2, "rows of random length": 0.3}
    assert found == pytest.approx(dict.fromkeys(claims.UNIVERSAL, 0.0) | others, abs=0.002)
    assert [len(ax.containers) for ax in made.figure.axes] == [6, 3]
    for ax in made.figure.axes:
        for container in ax.containers:
            x, y, se = points(container)
            shift = x[0] * 50  # 1 / n was moved, so that bars do not hide each other
            assert claims.slope(x / shift, y, se)[2] == pytest.approx(found[container.get_label()], abs=1e-9)


@pytest.mark.seconds
def test_effective_signal():
    made = claims.effective_signal()
    kappas, blind = made.figure.axes[1], made.figure.axes[3]
    for k, container in enumerate(kappas.containers):
        name = f"kappa of neuron {k + 1} at T"
        theory, (_, fitted, _) = curve(kappas, f"neuron {k + 1}")[1, -1], points(container)
        assert theory == pytest.approx(made.agreement[f"{name}, theory"])
        assert fitted[-1] - theory == pytest.approx(made.agreement[f"{name}, regression minus theory"])
    name = "cubic link, kappa at T"
    for label in ("theory", "no reuse of data"):
        assert curve(blind, label)[1, -1] == pytest.approx(made.agreement[f"{name}, {label}"])
    _, kappa, error = labelled(blind, "simulation")
    drawn = made.agreement[f"{name}, simulation"], made.agreement[f"{name}, simulation, s.e."]
    assert (kappa[-1], error[-1]) == pytest.approx(drawn)


def test_consistent_estimation(monkeypatch):
    """Made-up relative errors of standard deviation 3 / sqrt(n), around a bias of 0.5 / n."""

    def gaps(n, phi, n_layers, features, n_runs, T, rng):
        scatter = 3 * (1 + 0.1 * rng.standard_normal((n_runs, T + 1))) * rng.choice([-1, 1], (n_runs, T + 1))
        return 0.5 / n + scatter / np.sqrt(n)

    monkeypatch.setattr(claims, "estimation_gaps", gaps)
    made = claims.consistent_estimation()
    assert made.agreement["slope of log |gap| against log n"] == pytest.approx(-0.5, abs=0.05)
    *depths, bias = made.figure.axes
    drawn = [points(container) for ax in depths for container in ax.containers]
    assert len(drawn) == 12
    fits = [claims.slope(np.log(n), np.log(gap), error / gap)[:2] for n, gap, error in drawn]
    common = claims.weighted_mean(*np.transpose(fits))
    name = "slope of log |gap| against log n"
    assert common == pytest.approx((made.agreement[name], made.agreement[f"{name}, s.e."]))
    x, y, error = labelled(bias, "mean of all settings")
    assert claims.slope(x, y, error)[2] == pytest.approx(made.agreement["bias at n = infinity"])
    assert (y[-1], error[-1]) == pytest.approx([made.agreement[f"bias, n = 240{end}"] for end in ("", ", s.e.")])


@pytest.mark.seconds
def test_early_stopping():
    made = claims.early_stopping()
    left, right = made.figure.axes
    for rule in ("estimated", "5-fold cross-validation", "20 % held out", "last step"):
        regret = np.median(curve(left, rule)[0])
        assert regret == pytest.approx(max(made.agreement[f"{rule}: median regret"], 1e-4), rel=1e-6)
    assert len(curve(right, "true generalization error")[1]) == 31


@pytest.mark.seconds
def test_hyperparameter_choice():
    made = claims.hyperparameter_choice()
    left, right = made.figure.axes
    excess = {name: curve(right, f"{name} configuration")[1] for name in ("chosen", "median", "worst")}
    for name, percent in excess.items():
        measured = made.agreement[f"{name} configuration: median excess error over the best"]
        assert np.median(percent) == pytest.approx(100 * measured)
    assert np.all(excess["chosen"] <= excess["worst"]) and np.all(np.diff(excess["median"]) >= 0)
    clouds = [line for line in left.lines if line.get_label().startswith("problem")]
    assert len(clouds) == 6 and all(len(line.get_xdata()) == 12 for line in clouds)


def test_other_theories(monkeypatch):
    """Made-up misses: each theory its own at every width and start, the state evolution two standard errors."""
    size = {"linearized": 0.4, "population": -0.3, "wide": 0.1, "state evolution": 0.02}

    def misses(problem, scaled_wide, n, n_starts, n_runs, rng, n_paths):
        return {name: np.full((n_starts, 2), value) for name, value in size.items()}, np.full(2, 0.01)

    monkeypatch.setattr(claims, "theory_misses", misses)
    made = claims.other_theories()
    assert made.agreement["chi-square per comparison of the state evolution"] == pytest.approx(4)
    for name, (title, _) in claims.THEORIES.items():
        for scaling in ("NTK scaling", "mean-field scaling"):
            for width in (2, 4, 8, 32):
                assert made.agreement[f"{scaling}, width {width}, {title}"] == pytest.approx(abs(size[name]))
        for ax in made.figure.axes:
            x, y, _ = labelled(ax, title)
            np.testing.assert_allclose([x, y], [(2, 4, 8, 32), [abs(size[name])] * 4], rtol=1e-12)


def made_up_theory(aspect_ratio, noise, n_steps, n_paths, rng):
    error = noise**2 + aspect_ratio**-1 * (1 + (np.arange(n_steps + 1) / 12 - aspect_ratio**0.5) ** 2)
    best = int(np.argmin(error))
    return {"best_step": best, "best_error": error[best], "curve": error, "stderr": 0.01 * error}


def made_up_run(aspect_ratio, noise, n_steps, n, rng):
    line = made_up_theory(aspect_ratio, noise, n_steps, 1, rng)["curve"]
    return {"curve": line * (1 + 0.02 * rng.standard_normal())}


def test_stopping_phase_diagram(monkeypatch):
    """The maps are the theory's own, their circles those of the runs."""
    monkeypatch.setattr(claims, "phase_theory", made_up_theory)
    monkeypatch.setattr(claims, "phase_run", made_up_run)
    with ThreadPoolExecutor(1) as executor:  # which sees the change
        made = claims.stopping_phase_diagram(executor=executor)
    assert made.n_runs == 48
    # six |t|, mostly of the theory's error
    assert made.agreement["chi-square per point of the error at the predicted time"] < 6, made
    assert made.agreement["largest cost of stopping at the predicted time"] < 1e-9
    times, errors, scores = made.figure.axes[:3]
    ratios, noises = np.geomspace(0.5, 8, 5), np.linspace(0.1, 1.5, 4)
    for ax, key in ((times, "best_step"), (errors, "best_error")):
        drawn = ax.collections[0].get_array().reshape(4, 5)  # noise, aspect ratio
        np.testing.assert_allclose(
            drawn, [[max(made_up_theory(phi, noise, 24, 1, 0)[key], 1e-9) for phi in ratios] for noise in noises]
        )
        circles = ax.collections[1].get_array().reshape(3, 2)  # aspect ratio, noise
        np.testing.assert_allclose(circles, drawn[np.ix_([0, 3], [0, 2, 4])].T, rtol=0.03)
    drawn = [line.get_ydata() for line in scores.lines if line.get_label().startswith("noise")]
    assert np.mean(np.square(drawn)) == pytest.approx(
        made.agreement["chi-square per point of the error at the predicted time"]
    )


def made_up_gap(n, features, n_steps, rng):
    """Training error one half, by a gap above it that falls like 1 / n and grows with the kurtosis."""
    name = next(name for name, value in claims.UNIVERSAL.items() if value == features)
    return {"train_error": 0.5 * (1 + (2 + claims.EXCESS_KURTOSIS[name]) / n + 0.01 * rng.standard_normal())}


@pytest.mark.seconds
def test_universality_gap(monkeypatch):
    theory = SimpleNamespace(train_error=np.full(11, 0.5), stderr=SimpleNamespace(train_error=np.full(11, 1e-6)))
    monkeypatch.setattr(claims, "state_evolution", lambda *_, **__: theory)
    monkeypatch.setattr(claims, "universality_run", made_up_gap)
    with ThreadPoolExecutor(1) as executor:  # which sees the change
        made = claims.universality_gap(executor=executor)
    assert made.n_runs == 3000

    def measured(name):
        return made.agreement[name], made.agreement[f"{name}, s.e."]

    for name, truth in (("exponent of n in the gap", -1), ("n times the gap, per unit of excess kurtosis", 1)):
        value, error = measured(name)
        assert abs(value - truth) < 4 * error < 0.5
    left, right = made.figure.axes
    drawn = [points(container) for container in right.containers]
    kurtosis, level, error = (np.concatenate(part) for part in zip(*drawn, strict=True))
    np.testing.assert_allclose(kurtosis, list(claims.EXCESS_KURTOSIS.values()))
    assert claims.slope(kurtosis, level, error)[:2] == pytest.approx(
        measured("n times the gap, per unit of excess kurtosis")
    )
    assert (level[0], error[0]) == pytest.approx(measured("n times the gap, Gaussian features"))
    last = labelled(left, "sparse, density 0.2")
    assert last[1][-1] / last[2][-1] == pytest.approx(
        made.agreement["sparse, density 0.2: |z| of the gap, n = 160"], rel=0.01
    )

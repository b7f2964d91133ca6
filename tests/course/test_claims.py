"""Each claim of the paper as data: a slope, a z-score, a coverage, judged by its own standard errors."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import matplotlib
import numpy as np
import pytest

import claims
import sedyn

matplotlib.use("Agg")


def z(made, name, target):
    """Distance of a measured number from its target, in standard errors."""
    return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]


def all_z(made, pattern, target=0.0):
    names = [name for name in made.agreement if pattern in name and not name.endswith(", s.e.")]
    assert names
    return np.array([z(made, name, target) for name in names])


@pytest.mark.seconds
def test_finite_width_agreement():
    """Six gaps with 11 degrees of freedom each: |t| > 5.5 has probability 0.001 for the worst of them. Without memory
    the same runs are far off, so the test can fail."""
    made = claims.finite_width_agreement()
    assert np.abs(all_z(made, "relative gap")).max() < 5.5, made
    for i, ax in enumerate(made.figure.axes):
        train, general = (line.get_ydata() for line in ax.lines if line.get_label().endswith(", theory"))
        name = [key for key in made.agreement if "training" in key and key.endswith(", s.e.")][i]
        assert (general / train - 1)[2:].mean() > 20 * made.agreement[name]  # what reading it without memory would say


@pytest.mark.minutes
def test_gaussian_fluctuations():
    """Three variances with 39 degrees of freedom, and the smallest of 9 p-values, below 1e-4 / 9 by chance in 1e-4."""
    made = claims.gaussian_fluctuations()
    assert np.abs(all_z(made, "variance over", 1.0)).max() < 4.5, made
    assert made.agreement["smallest of 9 Kolmogorov-Smirnov p-values"] > 1e-4 / 9, made


@pytest.mark.minutes
def test_gaussian_fluctuations_fail_without_memory(monkeypatch):
    """Standardised with the coefficients of the population limit, the same weights do not have variance 1."""
    right = claims.state_evolution

    def forgetful(*problem, rng):
        theory, limit = right(*problem, rng=rng), right(*problem[:-1], np.inf, rng=rng)
        theory.kernels.__dict__.update(P=limit.kernels.P, kappa=limit.kernels.kappa)
        return theory

    monkeypatch.setattr(claims, "state_evolution", forgetful)
    made = claims.gaussian_fluctuations()
    assert np.abs(all_z(made, "variance over", 1.0)).max() > 10, made


@pytest.mark.minutes
def test_deep_concentration():
    """Slope -1/2; standard deviations that do not fall, or fall like 1/n, are more than 5 standard errors away."""
    made = claims.deep_concentration()
    name = "slope of log sd against log n"
    assert abs(z(made, name, -0.5)) < 4, made
    assert abs(z(made, name, 0)) > 5 and abs(z(made, name, -1)) > 5, made
    # the largest of 8 |t| with 59 degrees of freedom is below 4.5 with probability 0.9997
    assert made.agreement["largest |z| of the 8 mean deep weights, n = 400"] < 4.5, made


@pytest.mark.minutes
def test_individual_initialization():
    """Slope 1 over starts and, for each, its own prediction and no other: chi-square over 8 starts below 26.1 has
    probability 0.999."""
    made = claims.individual_initialization()
    name = "slope of simulation against theory over starts"
    assert abs(z(made, name, 1)) < 4 and z(made, name, 0) > 8, made
    assert made.agreement["chi-square per start, own prediction"] < 26.1 / 8, made
    assert made.agreement["median |z| with the prediction for another start"] > 5, made


@pytest.mark.minutes
def test_non_gaussian_features():
    """The gap extrapolates to 0 for independent entries with enough moments, and does not for a signal on one feature
    or dependent entries."""
    made = claims.non_gaussian_features()
    limits = {name: z(made, f"{name}: relative gap at n = infinity", 0) for name in claims.UNIVERSAL}
    assert max(map(abs, limits.values())) < 4, made
    for name in ("Rademacher, signal on one feature", "rows of random length"):
        assert abs(z(made, f"{name}: relative gap at n = infinity", 0)) > 3, made


@pytest.mark.seconds
def test_generalization_gap():
    """Both errors at m = n, where they differ by a factor: 12 runs each, |t| > 5.5 in 4 has probability below 0.001."""
    made = claims.generalization_gap()
    assert np.abs(all_z(made, "relative gap")).max() < 5.5, made
    ratios = [value for name, value in made.agreement.items() if "generalization over training error" in name]
    assert len(ratios) == 2 and min(ratios) > 20, made
    noise = made.figure.axes[1]
    fitted = noise.lines[0].get_ydata()[0]
    assert fitted < 0.1  # labels of variance 1 that are pure noise are fitted


def small(paper=False, rng=0):
    figure = claims.plt.figure()
    return claims.Claim("Small", "It holds.", f"paper {paper}", 3, {"x": 1.2345, "x, s.e.": 0.1, "y": 2.0}, figure)


def test_write_makes_figures_and_keeps_the_rest_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(claims, "CLAIMS", {"first": small, "second": small})
    with ThreadPoolExecutor(1) as executor:
        page = claims.write(tmp_path, paper=False, executor=executor)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md", "first.png", "first.svg", "second.png", "second.svg"
    }  # fmt: skip
    before = page.read_text()
    assert "- x: 1.23 ± 0.1" in before and "seed 0" in before and "3 runs" in before
    claims.write(tmp_path, ["second"], paper=True)
    after = page.read_text()
    assert after == before.replace("`claims.second`: paper False", "`claims.second`: paper True")
    assert "[1/1] second" in capsys.readouterr().out
    with pytest.raises(ValueError, match="unknown claims \\['third'\\]"):
        claims.write(tmp_path, ["third"])


@pytest.mark.seconds
def test_figures_are_made_in_processes_of_their_own(tmp_path):
    """Spawned, as `write` does it: they find the module, and the claims in it, by themselves."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        page = claims.write(tmp_path, ["deep_concentration"], paper=False, executor=executor)
    assert (tmp_path / "deep_concentration.png").stat().st_size > 5000
    assert "`claims.deep_concentration`" in page.read_text()


@pytest.mark.seconds
def test_claims_and_matplotlib_are_imported_only_when_asked_for():
    code = "import sys, sedyn; print('matplotlib' in sys.modules, 'claims' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_start_turned_onto_one_feature_keeps_its_overlaps():
    overlaps = claims.three_layers(1)[3]
    weights, signal = claims.on_one_feature(*overlaps.realize(40, rng=0))
    measured = sedyn.Overlaps.of(weights, signal)
    np.testing.assert_allclose(measured.gram, overlaps.gram, atol=1e-12)
    np.testing.assert_allclose(measured.cross, overlaps.cross, atol=1e-12)
    assert np.count_nonzero(np.abs(signal) > 1e-12) == 1

"""The test of agreement: exact under its null, and able to fail."""

import numpy as np
import pytest
from scipy import optimize, stats

import sedyn


def curves(rng, n_runs, n_steps):
    """Smooth curves whose values move together, with very different spreads along the run."""
    return rng.standard_normal((n_runs, n_steps)).cumsum(axis=1) * np.linspace(0.01, 3, n_steps)


@pytest.mark.seconds
@pytest.mark.parametrize("n_runs, n_steps", [(8, 1), (12, 25), (30, 10), (200, 10)])
def test_p_values_are_uniform_when_theory_and_runs_agree(rng, n_runs, n_steps):
    p = [sedyn.agreement_test(curves(rng, n_runs, n_steps), np.zeros(n_steps)).p_value for _ in range(1500)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.seconds
@pytest.mark.parametrize("errors", ["independent", "shared", "walk"])
@pytest.mark.parametrize("smooth", [False, True])
def test_standard_errors_of_the_theory_never_make_p_values_too_small(rng, errors, smooth):
    """A known standard error: whatever the correlation of the theory's errors, and of the runs'."""
    n_runs, k, trials = 25, 7, 500
    steps = np.arange(1, k + 1)
    for stderr in (0.2, 1.0, 10.0):
        p = []
        for _ in range(trials):
            samples = curves(rng, n_runs, k) if smooth else rng.standard_normal((n_runs, k))
            of_mean = stderr * (np.linspace(0.01, 3, k) * np.sqrt(steps) if smooth else np.ones(k)) / np.sqrt(n_runs)
            draws = rng.standard_normal(k)
            wrong = {"independent": draws, "shared": draws[:1], "walk": draws.cumsum() / np.sqrt(steps)}[errors]
            p.append(sedyn.agreement_test(samples, of_mean * wrong, of_mean).p_value)
        for level in (0.001, 0.01, 0.05, 0.2):
            assert np.mean(np.array(p) < level) < level + 3.3 * np.sqrt(level / trials)


def test_statistic_is_the_least_over_correlations_of_the_theorys_errors(rng):
    """Against a search over correlation matrices, and below every one of them."""
    k, stderr = 3, np.array([0.2, 0.5, 0.1])
    samples = curves(rng, 20, k) + [0.4, -0.3, 0.9]
    found = sedyn.agreement_test(samples, np.zeros(k), stderr).statistic
    cov, d = np.cov(samples, rowvar=False) / 20, samples.mean(axis=0)

    def distance(factor):  # rows of unit length: a correlation matrix
        rows = factor.reshape(k, k)
        rows = rows / np.linalg.norm(rows, axis=1)[:, None]
        return d @ np.linalg.solve(cov + stderr[:, None] * (rows @ rows.T) * stderr, d)

    assert all(distance(rng.standard_normal(k * k)) >= found * (1 - 1e-9) for _ in range(200))
    searched = min(optimize.minimize(distance, rng.standard_normal(k * k), method="BFGS").fun for _ in range(5))
    assert searched == pytest.approx(found, rel=1e-4)


def test_true_differences_are_found_beside_a_small_standard_error(rng):
    """A difference of two standard errors at seven steps; 0.93 of the cases without stderr."""
    found = [sedyn.agreement_test(rng.standard_normal((25, 7)), 2 * 0.2, 0.1 * 0.2).p_value for _ in range(300)]
    assert np.mean(np.array(found) < 0.05) > 0.8


def test_hidden_disagreement_is_found(rng):
    """One direction in which the curves hardly vary: each z-score alone is small."""
    common = rng.standard_normal((40, 1))
    samples = common + 0.01 * rng.standard_normal((40, 2))
    shifted = samples.mean(axis=0) + [0.02, -0.02]
    assert np.abs(sedyn.z_scores(samples, shifted)).max() < 1
    assert sedyn.agreement_test(samples, shifted).p_value < 1e-6


def test_one_value_is_students_test(rng):
    samples = rng.standard_normal((9, 1))
    assert sedyn.agreement_test(samples, [0.3]).p_value == pytest.approx(stats.ttest_1samp(samples[:, 0], 0.3).pvalue)


def test_units_of_the_values_do_not_matter(rng):
    samples, units = curves(rng, 30, 5), np.array([1e-6, 1, 1e3, 50, 1e-2])
    one, other = sedyn.agreement_test(samples, 0.1), sedyn.agreement_test(samples * units, 0.1 * units)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6)


def test_values_that_never_vary_count_only_where_they_disagree(rng):
    samples = np.column_stack([np.ones(12), rng.standard_normal(12)])
    assert sedyn.agreement_test(samples, [1.0, 0.0]).n_values == 1
    assert sedyn.agreement_test(samples[:, :1], [1.0]) == (1.0, 0.0, 0, 12)
    assert sedyn.agreement_test(samples[:, :1], [1.1]).p_value < 1e-12


def test_long_curves_are_thinned_and_keep_their_end(rng):
    samples = np.zeros((13, 100)) + rng.standard_normal((13, 1)) * 1e-3
    samples[:, -1] += 1 + 1e-3 * rng.standard_normal(13)
    found = sedyn.agreement_test(samples, np.zeros(100))
    assert found.n_values == 4 and found.p_value < 1e-6


def test_too_few_runs_are_refused():
    with pytest.raises(ValueError, match="at least four"):
        sedyn.agreement_test([[1.0], [2.0], [3.0]], [1.0])


@pytest.mark.parametrize("n_randomizations", [4, 8])
def test_a_standard_error_from_few_randomizations_does_no_harm_below_a_third_of_that_of_the_runs(rng, n_randomizations):
    n_runs, k, trials, p = 25, 4, 2000, []
    for _ in range(trials):
        each = 0.3 / np.sqrt(n_runs) * np.sqrt(n_randomizations) * rng.standard_normal((n_randomizations, 1))
        theory, stderr = each.mean(axis=0) * np.ones(k), sedyn.common.stderr(each) * np.ones(k)
        p.append(sedyn.agreement_test(rng.standard_normal((n_runs, k)), theory, stderr).p_value)
    for level in (0.001, 0.01, 0.05, 0.2):
        assert np.mean(np.array(p) < level) < level + 3.3 * np.sqrt(level / trials)


def test_values_far_from_zero_and_infinite_standard_errors(rng):
    assert sedyn.agreement_test(np.full((13, 2), 1e150), 0.0).p_value == 0.0
    assert sedyn.agreement_test(1e9 + rng.standard_normal((13, 2)), 1e9).p_value > 1e-3
    with pytest.raises(ValueError, match="finite"):
        sedyn.agreement_test(rng.standard_normal((13, 2)), 0.0, [np.inf, 1.0])

"""The test of agreement: exact under its null, and able to fail."""

import numpy as np
import pytest
from scipy import stats

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
def test_standard_errors_of_the_theory_never_make_p_values_too_small(rng):
    for stderr in (0.05, 0.3, 3.0):
        p = []
        for _ in range(1500):
            theory = stderr * rng.standard_normal(4)
            p.append(sedyn.agreement_test(rng.standard_normal((15, 4)), theory, stderr).p_value)
        for level in (0.01, 0.05, 0.2):
            assert np.mean(np.array(p) < level) < level + 3.3 * np.sqrt(level / len(p))


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

"""The scikit-learn estimators: scikit-learn's own checks, and what they promise beyond."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import sedyn
from sedyn.tables import estimators

pytestmark = [pytest.mark.seconds, pytest.mark.filterwarnings("ignore")]


@parametrize_with_checks(
    [sedyn.NetworkRegressor(random_state=0, max_steps=60), sedyn.NetworkClassifier(random_state=0, max_steps=60)]
)
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


def nonlinear(m, n=20, noise=0.4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) * np.linspace(0.3, 3, n)
    z = X[:, -3:].sum(axis=1) / 3
    return X, np.tanh(z) + noise * rng.normal(size=m)


def test_estimated_error_and_score_are_those_of_fresh_rows():
    X_new, y_new = nonlinear(20000, seed=99)
    z = []
    for seed in range(8):
        X, y = nonlinear(300, seed=seed)
        model = sedyn.NetworkRegressor(random_state=seed).fit(X, y)
        z.append((model.estimated_score_ - model.score(X_new, y_new)) / model.estimated_score_stderr_)
        error = np.mean(np.square(model.predict(X_new) - y_new))
        estimate, stderr = (c[model.best_step_] for c in (model.estimated_error_, model.estimated_stderr_))
        assert abs(estimate - error) < 3.5 * stderr
    assert np.max(np.abs(z)) < 3 and abs(np.mean(z)) < 1.2


def test_estimated_accuracy_and_log_loss_are_those_of_fresh_rows():
    X_new, y_new = nonlinear(20000, seed=99)
    z = []
    for seed in range(6):
        X, y = nonlinear(300, seed=seed)
        model = sedyn.NetworkClassifier(random_state=seed).fit(X, y > 0.5)  # a third of the rows
        z.append((model.estimated_score_ - model.score(X_new, y_new > 0.5)) / model.estimated_score_stderr_)
        p = model.predict_proba(X_new)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        loss = -np.mean(np.log(p[np.arange(len(p)), (y_new > 0.5).astype(int)]))
        estimate, stderr = (c[model.best_step_] for c in (model.estimated_error_, model.estimated_stderr_))
        assert abs(estimate - loss) < 3.5 * stderr
    assert np.max(np.abs(z)) < 3.5


def test_unbalanced_classes_are_not_worse_than_a_constant():
    X, y = nonlinear(400, n=5)
    rare = y > np.quantile(y, 0.8)
    model = sedyn.NetworkClassifier(random_state=0).fit(X, rare)
    X_new, y_new = nonlinear(5000, n=5, seed=7)
    rare_new = y_new > np.quantile(y, 0.8)
    p = model.predict_proba(X_new)[:, 1]
    rate = rare.mean()
    log_loss = -np.mean(np.where(rare_new, np.log(p), np.log(1 - p)))
    assert log_loss < -np.mean(np.where(rare_new, np.log(rate), np.log(1 - rate)))
    assert model.score(X_new, rare_new) >= 1 - rare_new.mean() - 0.01


def test_text_classes_several_classes_and_frames():
    pd = pytest.importorskip("pandas")
    X, y = nonlinear(300, n=4)
    frame = pd.DataFrame(X, columns=list("abcd"))
    names = np.array(["low", "middle", "high"])[np.digitize(y, [-0.4, 0.4])]
    model = sedyn.NetworkClassifier(random_state=0, max_steps=100).fit(frame, names)
    assert model.classes_.tolist() == ["high", "low", "middle"] and model.feature_names_in_.tolist() == list("abcd")
    assert model.score(frame, names) > 0.6 and 0.5 < model.estimated_score_ < 0.95
    assert model.network_.widths[-1] == 3 and model.decision_function(frame).shape == (300, 3)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


def test_ten_classes_of_real_digits_are_one_network_that_knows_its_errors():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    names = np.array([f"digit {k}" for k in range(10)])
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(y))
        train, held_out = order[:300], order[300:]
        model = sedyn.NetworkClassifier(random_state=seed, max_steps=250).fit(X[train], names[y[train]])
        assert model.network_.widths == (5, 10) and model.classes_.tolist() == names.tolist()
        p = model.predict_proba(X[held_out])
        np.testing.assert_allclose(p.sum(axis=1), 1)
        losses, wrong = -np.log(p[np.arange(len(p)), y[held_out]]), model.predict(X[held_out]) != names[y[held_out]]
        known = np.std(losses) / np.sqrt(len(p)), np.std(wrong) / np.sqrt(len(p))
        stderr = model.estimated_error_at_best_stderr_, model.estimated_score_stderr_
        found = model.estimated_error_at_best_, 1 - model.estimated_score_
        z = (np.array(found) - [losses.mean(), wrong.mean()]) / np.hypot(known, stderr)
        assert np.abs(z).max() < 3 and wrong.mean() < 0.25
        loss = -np.log(1 - model.left_out_scores_)
        np.testing.assert_allclose(found[0], loss.mean())  # the log loss of the probabilities that are reported
        covered = model.predict_set(X[held_out], 0.9)[np.arange(len(p)), y[held_out]].mean()
        assert abs(covered - 0.9) < 0.06


def test_pipelines_grids_and_scores_work():
    X, y = nonlinear(120, n=4)
    network = sedyn.NetworkRegressor(max_steps=20, random_state=0)
    pipe = make_pipeline(StandardScaler(), network)
    assert cross_val_score(pipe, X, y, cv=3).mean() > 0
    grid = GridSearchCV(pipe, {"networkregressor__width": [1, 3]}, cv=2).fit(X, y)
    assert grid.best_params_["networkregressor__width"] in (1, 3)
    fitted = clone(network).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))
    assert "width" in repr(sedyn.NetworkRegressor(width=2))


def test_a_row_of_weight_two_counts_like_two_rows_and_weight_zero_like_none():
    X, y = nonlinear(150, n=6)
    weight = np.random.default_rng(1).integers(0, 3, 150)
    model = sedyn.NetworkRegressor(random_state=0, max_steps=40)
    weighted = clone(model).fit(X, y, sample_weight=weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.estimated_error_, repeated.estimated_error_, rtol=1e-9)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)


def test_weighted_estimates_are_those_of_weighted_fresh_rows():
    """Rows of three kinds of noise, weighted by it: the weighted error on fresh rows is what is estimated."""
    z = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(5400, 100))
        loud = rng.integers(0, 3, 5400)
        y = np.tanh(X[:, :4].sum(axis=1) / 2) + np.array([0.2, 0.6, 1.2])[loud] * rng.normal(size=5400)
        weight = np.array([3.0, 1.0, 0.3])[loud]
        network = sedyn.Network((3, 1), ("tanh", "identity"))
        run = sedyn.augmented_gradient_descent(
            network,
            sedyn.Training(0.2, 40),
            network.init(100, rng=seed),
            X[:200],
            y[:200],
            sample_weight=weight[:200],
            rng=seed,
        )
        f = network.predict(run.final, X[200:])
        error = np.average(np.square(f - y[200:]), weights=weight[200:])
        train = np.average(np.square(network.predict(run.final, X[:200]) - y[:200]), weights=weight[:200])
        np.testing.assert_allclose(run.train_error[-1], train, rtol=1e-9)
        assert train < 0.7 * error  # there is something to estimate
        z.append((run.estimated_error[-1] - error) / run.estimated_stderr[-1])
    assert np.max(np.abs(z)) < 3.2 and abs(np.mean(z)) < 1


def test_weights_of_copies_are_what_groups_of_copies_are():
    """Theory 12: a row of weight k, and k copies of it left out together."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(120, 80)), rng.normal(size=120)
    copies = rng.integers(1, 4, 120)
    network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.2, 20)
    start = network.init(80, rng=0)
    weighted = sedyn.augmented_gradient_descent(
        network, training, start, X, y, sample_weight=copies, n_reruns=60, rng=0
    )
    X2, y2 = np.repeat(X, copies, axis=0), np.repeat(y, copies)
    copied = sedyn.augmented_gradient_descent(network, training, start, X2, y2, n_reruns=60, rng=0)
    np.testing.assert_allclose(copied.train_error, weighted.train_error, rtol=1e-9)
    np.testing.assert_allclose(copied.estimated_error, weighted.estimated_error, rtol=0.1)
    assert weighted.estimated_error[-1] > 1.3 * weighted.train_error[-1]


def test_groups_reach_the_estimate():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(50), 4)
    X = np.repeat(rng.normal(size=(50, 30)), 4, axis=0) + 0.3 * rng.normal(size=(200, 30))
    y = X[:, 0] + np.repeat(rng.normal(size=50), 4)
    model = sedyn.NetworkRegressor(random_state=0, max_steps=60)
    grouped, alone = clone(model).fit(X, y, groups=subject), clone(model).fit(X, y)
    assert grouped.run_.n_groups == 50 and alone.run_.n_groups == 200
    assert grouped.estimated_score_ < alone.estimated_score_


def test_strongly_correlated_columns_do_not_make_training_unstable():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 1)) + 0.05 * rng.normal(size=(200, 40))
    y = X[:, 0] + 0.3 * rng.normal(size=200)
    model = sedyn.NetworkRegressor(random_state=0).fit(X * 10.0 ** rng.integers(-5, 6, 40), y)
    assert model.estimated_score_ > 0.8 and np.all(np.diff(model.run_.train_error) < 1e-3)


def test_the_largest_curvature_is_that_of_the_hessian():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    network = sedyn.Network((2, 1), ("identity", "identity"))
    weights = network.init(3, rng=1)
    small = estimators.largest_curvature(network, weights, X, y, "squared")
    w, a = weights.first, weights.deep[0][:, 0]
    # f = x^T W a: Hessian by hand from J = (x a^T, W^T x) and the residual times d2f/dW da
    h = X @ w
    J = np.concatenate([(X[:, :, None] * a).reshape(50, -1), h], axis=1)
    H = J.T @ J / 50
    cross = np.einsum("i,ij,kl->jkl", h @ a - y, X, np.eye(2)).reshape(6, 2) / 50
    H[:6, 6:] += cross
    H[6:, :6] += cross.T
    np.testing.assert_allclose(small, np.linalg.eigvalsh(H)[-1], rtol=1e-4)
    wide = sedyn.Network((12, 1), ("tanh", "identity"))
    start = wide.init(3, rng=2)
    np.testing.assert_allclose(
        estimators.largest_curvature(wide, start, X, y, "squared"),
        max(
            np.linalg.eigvalsh(numeric_hessian(wide, start, X, y)),
        ),
        rtol=0.02,
    )


def numeric_hessian(network, weights, X, y):
    shapes = [weights.first.shape, *(W.shape for W in weights.deep)]
    ends = np.cumsum([np.prod(s) for s in shapes])[:-1]

    def gradient(v):
        first, *deep = (p.reshape(s) for p, s in zip(np.split(v, ends), shapes, strict=True))
        S, moved, _ = network.gradients((X @ first).T, y, sedyn.Weights(first, tuple(deep)).small)
        return np.concatenate([(X.T @ S.T).ravel(), *(g.ravel() for g in moved.deep)]) / len(X)

    start = np.concatenate([weights.first.ravel(), *(W.ravel() for W in weights.deep)])
    H = np.array([(gradient(start + e) - gradient(start - e)) / 2e-5 for e in 1e-5 * np.eye(len(start))])
    return (H + H.T) / 2


def test_auto_chooses_and_corrects_for_choosing():
    X, y = nonlinear(150)
    model = sedyn.NetworkRegressor("auto", random_state=0, max_steps=60).fit(X, y)
    best = (model.target_scale_, model.estimated_error_[model.best_step_])
    assert model.estimated_error_at_best_ >= best[1]
    one = sedyn.NetworkRegressor(model.network_.widths[0], random_state=0, max_steps=60).fit(X, y)
    np.testing.assert_allclose(one.predict(X), model.predict(X))


def test_rare_levels_do_not_outweigh_everything():
    """A column that is 0 in all but one of the training rows, standardised, would put 10 into a fresh row."""
    X, y = nonlinear(100, n=4)
    X = np.column_stack([X, np.arange(100) == 3])
    model = sedyn.NetworkRegressor(random_state=0, max_steps=60).fit(X, y)
    there = X.copy()
    there[:, -1] = 1
    np.testing.assert_array_equal(model.predict(there), model.predict(X * [1, 1, 1, 1, 0]))


def test_cautions_are_warned_and_kept():
    X, y = nonlinear(60, n=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = sedyn.NetworkRegressor(random_state=0, max_steps=3).fit(X, y)
    texts = [str(w.message) for w in caught if issubclass(w.category, sedyn.AssumptionWarning)]
    assert tuple(texts) == model.warnings_
    assert any("only 60 rows" in t for t in texts) and any("last of 3 steps; raise max_steps" in t for t in texts)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"width": 0}, "width must be a positive integer"),
        ({"depth": 1}, "depth must be an integer >= 2"),
        ({"step_size": "fast"}, "step_size must be 'auto' or a positive number"),
        ({"activation": "swish"}, "unknown activation"),
        ({"max_steps": -1}, "n_steps|max_steps"),
    ],
)
def test_bad_parameters_are_named(given, message):
    X, y = nonlinear(40, n=3)
    with pytest.raises(ValueError, match=message):
        sedyn.NetworkRegressor(**given).fit(X, y)


@pytest.mark.seconds
@pytest.mark.parametrize("kind", ["numbers", "two", pytest.param("three", marks=pytest.mark.minutes)])
def test_intervals_and_sets_hold_new_rows(kind):
    found = {0.7: [], 0.9: []}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((3300, 20)) * np.geomspace(1, 100, 20)
        z = X[:, 0] + 0.5 * X[:, 1] / X[:, 1].std() + 0.5 * rng.standard_normal(len(X))
        y = 1000 + 50 * z
        if kind != "numbers":
            y = np.array(["low", "mid", "high"])[np.digitize(z, [-0.5, 0.5] if kind == "three" else [0.3, np.inf])]
        cls = sedyn.NetworkRegressor if kind == "numbers" else sedyn.NetworkClassifier
        model = cls(random_state=0).fit(X[:300], y[:300])
        for level, part in found.items():
            if kind == "numbers":
                low, high = model.predict_interval(X[300:], level).T
                part.append(np.mean((low <= y[300:]) & (y[300:] <= high)))
            else:
                sets = model.predict_set(X[300:], level)
                assert sets.shape == (3000, len(model.classes_)) and sets.dtype == bool
                part.append(np.mean(sets[np.arange(3000), np.searchsorted(model.classes_, y[300:])]))
    for level, part in found.items():
        assert abs(np.mean(part) - level) < 4 * np.std(part, ddof=1) / np.sqrt(8) + 0.01
    with pytest.raises(ValueError, match="level"):
        model.predict_interval(X, 2) if kind == "numbers" else model.predict_set(X, 2)


@pytest.mark.minutes
def test_feature_tests_of_the_estimators():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)), np.ones(300)])
    y = 3 * X[:, 0] + rng.standard_normal(300)
    model = sedyn.NetworkRegressor(random_state=0, feature_tests=True).fit(X, y)
    assert model.feature_pvalues_.shape == (7,) and model.feature_pvalues_[0] < 1e-3 < model.feature_pvalues_[1:].min()
    assert model.feature_effects_[0] > 0 and model.feature_pvalues_[6] == 1  # a constant column
    plain = sedyn.NetworkRegressor(random_state=0).fit(X, y)
    np.testing.assert_array_equal(plain.estimated_error_, model.estimated_error_)  # tests change no estimate here
    assert not hasattr(plain, "feature_pvalues_")
    classes = sedyn.NetworkClassifier(random_state=0, feature_tests=True).fit(X, np.digitize(y, [-2, 2]))
    p = classes.feature_pvalues_
    assert p.shape == (7,) and p[0] < 1e-3 < p[1:].min() and p[6] == 1
    with pytest.raises(ValueError, match="independent rows"):
        sedyn.NetworkRegressor(feature_tests=True).fit(X, y, groups=np.arange(300) // 2)


@pytest.mark.minutes
def test_adam_knows_its_error_too():
    """On correlated features, for numbers and for classes; of a name that is no solver it says what there is."""
    root = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(30), np.arange(30))))
    z, better = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((2300, 30)) @ root.T
        scores = X[:, :3] @ rng.standard_normal((3, 3)) + 0.5 * rng.standard_normal((2300, 3))
        for model, y in (
            (sedyn.NetworkRegressor(solver="adam", random_state=0), np.tanh(scores[:, 0]) + scores[:, 1]),
            (sedyn.NetworkClassifier(solver="adam", random_state=0), scores.argmax(axis=1)),
        ):
            model.fit(X[:300], y[:300])
            held = model.score(X[300:], y[300:])
            z.append((model.estimated_score_ - held) / model.estimated_score_stderr_)
            better.append(held)
    assert np.sqrt(np.mean(np.square(z))) < 1.8 and abs(np.mean(z)) < 1.2, z
    assert min(better) > 0.4, better
    with pytest.raises(ValueError, match="solver must be one of descent, adam; got 'sgd'"):
        sedyn.NetworkRegressor(solver="sgd").fit(X[:300], y[:300])

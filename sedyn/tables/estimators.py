"""scikit-learn estimators: networks that fit a table and say from its rows alone how well they will predict."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import scipy
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..common import Array, integer, number, shown
from ..estimate import UNSTEADY, AssumptionWarning, augmented_gradient_descent, group_numbers, optimism, repeats
from ..model import METRICS, Adam, Network, Small, Training, Weights, label_columns
from ..runs import Trajectory, conformal_quantile

AUTO = {"width": (2, 5, 10), "depth": (2, 3), "activation": ("tanh", "relu"), "init_scale": (0.1, 1.0)}
SOLVERS = ("descent", "adam")
STEP, ADAM_STEP = (
    0.25,
    0.03,
)  # of the step at which the direction of largest curvature is learned at once; in units of weights of order 1
HALVINGS = 6  # of the step size, where training becomes unsteady
CURVATURE_ROWS = 4000
RERUNS, FEW, TOLERANCE = 8, 3000, 0.06  # at least so many below so many rows: real features ask for long runs
RARE = 5  # rows that must differ from a column's most frequent value
SPECTRUM_ROWS = 12, 20_000  # fewer say nothing of it, more say no more
LARGE = 4_000_000  # numbers in X, from which on single precision will do


class _Network(BaseEstimator):
    """What regressor and classifier share: preparing rows, choosing a configuration, training it."""

    def __init__(
        self,
        width=5,
        depth=2,
        activation="tanh",
        *,
        solver="descent",
        step_size="auto",
        max_steps=1000,
        init_scale=0.1,
        feature_tests=False,
        random_state=None,
    ):
        self.width = width
        self.depth = depth
        self.activation = activation
        self.solver = solver
        self.step_size = step_size
        self.max_steps = max_steps
        self.init_scale = init_scale
        self.feature_tests = feature_tests
        self.random_state = random_state

    def _prepare(self, X, y, sample_weight, groups):
        """Standardised distinct rows, their labels, weights (None: all equal) and groups; y is numeric here.

        Equal rows of equal label and group become one row of their number's weight, unless chance repeats them.
        """
        sample_weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=float)
        if sample_weight is not None and not (np.all(sample_weight >= 0) and np.any(sample_weight > 0)):
            raise ValueError("sample_weight must hold weights of 0 or more, not all 0")
        index = None if groups is None else group_numbers(groups, len(X))
        if sample_weight is not None:
            used = sample_weight > 0
            X, y, sample_weight, index = X[used], y[used], sample_weight[used], None if index is None else index[used]
        whole = np.column_stack([X, y, np.zeros(len(X)) if index is None else index])
        same = repeats(whole)
        if same is not None:
            _, first, inverse = np.unique(whole, axis=0, return_index=True, return_inverse=True)
            sample_weight = np.bincount(inverse.ravel(), sample_weight)
            X, y, index = X[first], y[first], None if index is None else index[first]
        elif sample_weight is not None:  # in the order that merged rows would have: what is random falls on the same
            order = np.lexsort(whole.T[::-1])
            X, y, sample_weight, index = (
                X[order],
                y[order],
                sample_weight[order],
                None if index is None else index[order],
            )
        if sample_weight is not None and np.ptp(sample_weight) <= 1e-12 * sample_weight.max():
            sample_weight = None
        del whole
        share = np.full(len(X), 1 / len(X)) if sample_weight is None else sample_weight / sample_weight.sum()
        self.mean_ = share @ X
        with np.errstate(over="ignore", invalid="ignore"):
            self.scale_ = np.sqrt(share @ np.square(X - self.mean_))
        constant = ~(self.scale_ > 1e-12 * np.abs(X).max(axis=0))
        if len(X) >= 10 * RARE:  # a level of one or two rows says nothing, and would weigh as much as all other columns
            most = [np.unique(column, return_counts=True)[1].max() for column in X.T]
            constant |= np.array(most) > len(X) - RARE
        self.scale_[constant] = np.inf
        return (X - self.mean_) / self.scale_, y, sample_weight, index, share

    def _standard(self, X):
        check_is_fitted(self)
        return (validate_data(self, X, dtype=np.float64, reset=False) - self.mean_) / self.scale_

    def _train(self, X, y, weight, groups, loss: str, start, metrics=(), monitor="squared") -> _Fit:
        """The best configuration, trained; `start` are the outputs to begin with, and of their number."""
        if isinstance(self.step_size, str) and self.step_size != "auto":
            raise ValueError(f"step_size must be 'auto' or a positive number; got {shown(self.step_size)}")
        if not (isinstance(self.solver, str) and self.solver in SOLVERS):
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {shown(self.solver)}")
        adam = self.solver == "adam"
        given = {name: getattr(self, name) for name in AUTO}
        choices = [AUTO[name] if isinstance(v, str) and v == "auto" else (v,) for name, v in given.items()]
        seed = check_random_state(self.random_state).randint(2**31)
        alone = np.arange(len(X)) if groups is None else np.unique(groups, return_index=True)[1]
        rows = X
        if len(alone) > SPECTRUM_ROWS[1] and not self.feature_tests:  # these ask for all rows
            rows = X[np.random.default_rng(0).choice(alone, SPECTRUM_ROWS[1], replace=False)]
        options = {
            "unlabelled": rows if not adam and len(alone) >= SPECTRUM_ROWS[0] and np.ptp(X, axis=0).any() else None,
            "groups": groups,
            "sample_weight": weight,
            "metrics": metrics,
            "monitor": monitor,
            "until_turned": True,
            "feature_tests": self.feature_tests,
            "n_reruns": max(RERUNS, 3500 // len(X)) if len(X) < FEW and not adam else None,
            "tolerance": TOLERANCE,
            "dtype": np.float32 if X.size > LARGE else np.float64,
        }
        fits = [self._try(X, y, loss, start, point, seed, options) for point in product(*choices)]
        best = min(fits, key=lambda fit: fit.error)
        best.optimism = optimism(
            *(np.array([getattr(fit, name) for fit in fits]) for name in ("losses", "error", "stderr"))
        )
        return best

    def _try(self, X, y, loss: str, start, point: tuple, seed: int, options: dict) -> _Fit:
        """One configuration, trained; its step size halved until training is steady."""
        width, depth, activation, scale = point
        width, depth = integer(width, "width"), integer(depth, "depth", 2)
        network = Network(
            (width,) * (depth - 1) + (np.size(start),), (activation,) * (depth - 1) + ("identity",), bias=True
        )
        weights = network.init(X.shape[1], scale=(scale,) + (1.0,) * (depth - 1), rng=np.random.default_rng(seed))
        *hidden, output = weights.biases
        weights = Weights(weights.first, weights.deep, (*hidden, output + start))
        auto = isinstance(self.step_size, str)
        step = self.step_size
        optimizer = Adam() if self.solver == "adam" else None
        if auto and optimizer is not None:
            step = ADAM_STEP
        elif auto:
            step = STEP / largest_curvature(network, weights, X, y, loss, options["sample_weight"])
        for _ in range(HALVINGS):
            training = Training(step, self.max_steps, loss=loss, optimizer=optimizer)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AssumptionWarning)
                run = augmented_gradient_descent(
                    network, training, weights, X, y, rng=np.random.default_rng(seed), **options
                )
            unsteady = run.status == "diverged" or any(text.endswith(UNSTEADY) for text in run.warnings)
            if not auto or not unsteady:
                break
            step /= 2
        return _Fit(network, run)

    def _report(self, fit: _Fit, unit: float = 1.0):
        """Set the attributes that both kinds share."""
        run = self.run_ = fit.run
        self.network_, self.weights_ = fit.network, run.stopped
        if self.feature_tests:
            for name in ("pvalues", "effects", "effects_stderr"):
                setattr(self, f"feature_{name}_", getattr(run, f"feature_{name}"))
        self.training_error_, self.estimated_error_, self.estimated_stderr_ = (
            unit * curve for curve in (fit.training, fit.curve, fit.stderrs)
        )
        self.estimated_error_at_best_ = unit * (fit.error + fit.optimism)
        self.estimated_error_at_best_stderr_ = unit * float(np.hypot(fit.stderr, fit.optimism / 2))
        self.best_step_, self.n_iter_ = int(run.best_step or 0), len(run.train_error) - 1
        found = list(run.warnings)
        if self.n_iter_ >= self.max_steps and self.best_step_ == self.n_iter_ > 0:
            found.append(f"the estimate still falls at the last of {self.max_steps} steps; raise max_steps")
        self.warnings_ = tuple(dict.fromkeys([*found, run.message] if run.message else found))
        for text in self.warnings_:
            warnings.warn(text, AssumptionWarning, stacklevel=3)


class _Fit:
    """One trained configuration."""

    def __init__(self, network: Network, run: Trajectory):
        self.network, self.run, self.optimism = network, run, 0.0
        best, f = run.best_step, run.left_out_outputs
        assert best is not None and f is not None and run.labels is not None
        self.losses = METRICS[run.monitor](f.T, run.labels.T)
        self.training, self.curve, self.stderrs = run.monitored
        if run.estimated_metrics is not None and run.estimated_metrics_stderr is not None:
            self.wrong = run.estimated_metrics[best, 1], run.estimated_metrics_stderr[best, 1]
        self.error, self.stderr = float(self.curve[best]), float(self.stderrs[best])


class NetworkRegressor(RegressorMixin, _Network):
    """Network for regression that knows its own error: fitted once on all rows, no rows held out.

    The columns and the target are standardised, the network is trained by gradient descent on the squared error, and
    the generalization error estimated along the run (`augmented_gradient_descent`, theory 5) says when to stop.

    Parameters
    ----------
    width, depth : int or "auto"
        Neurons of each hidden layer, and number of layers L >= 2 (hidden ones and the output).
    activation : str or "auto"
        Of the hidden layers, as for `Network`.
    solver : "descent" or "adam"
        Plain gradient descent, or Adam in all layers; for both the rows themselves tell how well the network predicts.
    step_size : float or "auto"
        "auto": of Adam 0.03 (`sedyn.Adam`); else a quarter of the inverse of the largest curvature of the loss at the
        start. Less where training turns out to be unsteady.
    max_steps : int
        A guard: training ends once the estimated error has turned or no longer falls.
    init_scale : float or "auto"
        Of the first layer's initial weights, whose entries are N(0, init_scale^2 / n_features): small enough for the
        output to begin near the mean label. Of parameters that are "auto" every combination of a few values
        is trained; the one of least estimated error is kept, and its reported error made larger by what choosing among
        so many makes it too small.
    feature_tests : bool
        Whether to test for every column that the target does not depend on it given the others; for independent rows
        of equal weight, and more of them than columns that do not depend on each other.
    random_state : None, int or numpy RandomState

    Attributes
    ----------
    estimated_error_, estimated_stderr_ : (T'+1,) arrays
        Estimated mean squared error on fresh rows at every step, in squared units of y, and its standard error.
    training_error_ : (T'+1,) array
        The same on the training rows.
    best_step_ : int
        The step whose weights are kept.
    estimated_error_at_best_, estimated_error_at_best_stderr_ : float
        The error to report: that of the step whose weights are kept, corrected for choice where parameters are "auto".
    estimated_score_, estimated_score_stderr_ : float
        The R^2 to be expected on fresh rows, and its standard error.
    feature_pvalues_, feature_effects_, feature_effects_stderr_ : (n_features,) arrays
        With `feature_tests`, those of the run (`Trajectory`).
    warnings_ : tuple of str
        What speaks against trusting the estimate.
    run_ : Trajectory
        The run, labels standardised.
    n_features_in_, feature_names_in_
        As usual in scikit-learn.

    Examples
    --------
    >>> import sedyn
    >>> X, y = sedyn.SingleIndex("tanh", 0.3).sample(300, sedyn.random_signal(20, rng=0), rng=1)
    >>> model = sedyn.NetworkRegressor(random_state=0).fit(X, y)
    >>> X_new, y_new = sedyn.SingleIndex("tanh", 0.3).sample(2000, sedyn.random_signal(20, rng=0), rng=2)
    >>> bool(abs(model.estimated_score_ - model.score(X_new, y_new)) < 3 * model.estimated_score_stderr_)
    True
    """

    def fit(self, X, y, sample_weight=None, groups=None):
        """Fit the network to rows X (m, n) and numbers y (m,).

        Parameters
        ----------
        X : (m, n) array or DataFrame of numbers
        y : (m,) array
        sample_weight : (m,) array, optional
            A row of weight 2 counts like two equal rows.
        groups : (m,) labels, optional
            Rows that belong together (`augmented_gradient_descent`).
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        X, y, weight, groups, share = self._prepare(X, y.astype(float), sample_weight, groups)
        self.target_mean_ = float(share @ y)
        spread = float(np.sqrt(share @ np.square(y - self.target_mean_)))
        self.target_scale_ = spread if spread > 1e-12 * np.abs(y).max() else 1.0
        fit = self._train(X, (y - self.target_mean_) / self.target_scale_, weight, groups, "squared", 0.0)
        self.estimated_score_ = 1 - fit.error - fit.optimism
        self.estimated_score_stderr_ = fit.stderr
        self._report(fit, self.target_scale_**2)
        return self

    def predict(self, X):
        """Predicted numbers (m,) for rows X (m, n)."""
        X = self._standard(X)
        return self.target_mean_ + self.target_scale_ * self.network_.predict(self.weights_, X)

    def predict_interval(self, X, level=0.9, *, adaptive=False):
        """Intervals (m, 2) that hold new rows' numbers with probability `level` (`Trajectory.prediction_interval`).

        ``run_.interval_accuracy(level)`` says what one fit leaves open about them, in units of `target_scale_`.
        """
        X = self._standard(X)
        return self.target_mean_ + self.target_scale_ * self.run_.prediction_interval(X, level, adaptive=adaptive)


class NetworkClassifier(ClassifierMixin, _Network):
    """Network for classes that knows its own error: fitted once on all rows, no rows held out.

    As `NetworkRegressor`, with the logistic loss; of more than two classes with an output for each of them, and the
    cross-entropy (theory 11).

    Parameters
    ----------
    width, depth, activation, solver, step_size, max_steps, init_scale, feature_tests, random_state
        As for `NetworkRegressor`.

    Attributes
    ----------
    classes_ : array
        The labels, of any kind.
    estimated_error_, estimated_stderr_ : (T'+1,) arrays
        Estimated log loss on fresh rows at every step, and its standard error.
    best_step_ : int
        The step whose weights are kept.
    estimated_error_at_best_, estimated_error_at_best_stderr_ : float
        The log loss to report, as for `NetworkRegressor`.
    estimated_score_, estimated_score_stderr_ : float
        The accuracy to be expected on fresh rows, and its standard error.
    left_out_scores_, left_out_weights_ : (m,) arrays
        Probability that each training row, left out, gives to classes that are not its own; and the row's weight.
    n_independent_ : float
        Number of rows, of groups, or of rows that such weights are worth.
    warnings_, run_, feature_pvalues_, .., n_features_in_, feature_names_in_
        As for `NetworkRegressor`.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> X, score = sedyn.SingleIndex("tanh", 0.3).sample(400, sedyn.random_signal(20, rng=0), rng=1)
    >>> model = sedyn.NetworkClassifier(random_state=0).fit(X, np.where(score > 0, "yes", "no"))
    >>> model.classes_.tolist(), model.predict_proba(X).shape, 0.7 < model.estimated_score_ < 1
    (['no', 'yes'], (400, 2), True)
    """

    def fit(self, X, y, sample_weight=None, groups=None):
        """Fit the network to rows X (m, n) and classes y (m,); see `NetworkRegressor.fit`."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"the classifier needs at least two classes; got one class, {self.classes_[0]}")
        X, numbers, weight, groups, share = self._prepare(X, numbers.astype(float), sample_weight, groups)
        if np.ptp(numbers) == 0:
            raise ValueError("the classifier needs at least two classes; all rows of positive weight are of one class")
        m, k = len(numbers), len(self.classes_)
        rates = np.clip(np.bincount(numbers.astype(int), share, k), 1 / (2 + m), 1 - 1 / (2 + m))
        if k == 2:
            y, loss, start = np.where(numbers == 1, 1.0, -1.0), "logistic", special.logit(rates[1])
        else:
            y, loss, start = numbers, "cross_entropy", np.log(rates) - np.log(rates).mean()
        fit = self._train(X, y, weight, groups, loss, start, (loss, "zero_one"), loss)
        f = fit.run.left_out_outputs
        assert f is not None
        p = _probabilities(f)
        self.left_out_scores_, self.left_out_weights_ = 1 - p[np.arange(m), numbers.astype(int)], share
        self.n_independent_ = fit.run.n_independent
        self.estimated_score_ = float(share @ (numbers == _answers(f)))
        counted = 1 / float(share @ share)
        rate = np.clip(self.estimated_score_, 1 / (counted + 2), 1 - 1 / (counted + 2))
        # answers are not independent: by so much errors spread more than those of counted rows
        error, stderr = fit.wrong
        wider = max(1.0, stderr / np.sqrt(max(error * (1 - error), 1 / counted) / counted))
        self.estimated_score_stderr_ = float(wider * np.sqrt(rate * (1 - rate) / counted))
        self._report(fit)
        return self

    def decision_function(self, X):
        """Outputs of the network: log odds of the second class (m,), or of each of several up to a constant
        (m, classes)."""
        X = self._standard(X)
        return self.network_.predict(self.weights_, X)

    def predict_proba(self, X):
        """Probabilities of the classes, (m, classes)."""
        return _probabilities(self.decision_function(X))

    def predict_set(self, X, level=0.9):
        """Which classes new rows may have, (m, classes) of bool: the true one is among them with probability `level`.

        Those whose probability is at least that which the left-out rows give their own class in so many cases (theory
        8); none where a low level asks for more than the network knows.
        """
        level = number(level, "level", "lie between 0 and 1", lambda x: 0 < x < 1)
        return 1 - self.predict_proba(X) <= conformal_quantile(
            self.left_out_scores_, level, self.left_out_weights_, self.n_independent_
        )

    def predict(self, X):
        """Predicted classes (m,)."""
        answers = _answers(self.decision_function(X))
        return self.classes_[answers]


def _answers(f: Array) -> Array:
    """Places of the classes (m,) that outputs stand for, those of `decision_function`."""
    return (f > 0).astype(int) if f.ndim == 1 else f.argmax(axis=1)


def _probabilities(f: Array) -> Array:
    """Of the classes (m, classes), from the same."""
    if f.ndim == 2:
        return special.softmax(f, axis=1)
    p = special.expit(f)
    return np.column_stack([1 - p, p])


def largest_curvature(network: Network, weights: Weights, X: Array, y: Array, loss, sample_weight=None) -> float:
    """Largest eigenvalue of the Hessian of the mean training loss in all weights, by Lanczos."""
    chosen = np.random.default_rng(0).permutation(len(X))[:CURVATURE_ROWS]
    X, y = X[chosen], label_columns(y[chosen], network.widths[-1])
    weight = None if sample_weight is None else sample_weight[chosen] / sample_weight[chosen].mean()
    rule = Training(0.0, 0, loss=loss).rule(network.n_layers)
    parts = [weights.first, *weights.deep, *weights.biases]
    ends = np.cumsum([part.size for part in parts])
    start = np.concatenate([part.ravel() for part in parts])

    def gradient(values: Array) -> Array:
        first, *rest = (v.reshape(p.shape) for v, p in zip(np.split(values, ends[:-1]), parts, strict=True))
        small = Small(tuple(rest[: len(weights.deep)]), tuple(rest[len(weights.deep) :]))
        S, moved, _ = network.gradients((X @ first).T, y, small, rule.loss, weight)
        return np.concatenate([(X.T @ S.T).ravel(), *(g.ravel() for g in (*moved.deep, *moved.biases))]) / len(X)

    def curvature(direction: Array) -> Array:
        move = 1e-4 * direction.ravel() / np.linalg.norm(direction)
        return (gradient(start + move) - gradient(start - move)) * (np.linalg.norm(direction) / 2e-4)

    if len(start) < 20:
        H = np.stack([curvature(e) for e in np.eye(len(start))])
        return max(float(np.linalg.eigvalsh((H + H.T) / 2)[-1]), 1e-6)
    operator = scipy.sparse.linalg.LinearOperator((len(start),) * 2, matvec=curvature, dtype=float)
    v0 = np.random.default_rng(0).standard_normal(len(start))
    values = scipy.sparse.linalg.eigsh(operator, k=1, which="LA", tol=0.01, v0=v0, return_eigenvectors=False)
    return max(float(values[0]), 1e-6)

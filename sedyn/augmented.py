"""The generalization error from the training data alone (theory 5). Never sees the teacher or the theory's solvers."""

from __future__ import annotations

import numpy as np

from .descent import Recorder, Trajectory, descend, validate_rows, validate_run
from .network import Array, Network, Weights
from .results import progress, require_memory
from .tangent import Responses
from .training import Training


def augmented_gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    first_weights_at=(),
    preactivations_at=(),
    dtype=np.float64,
) -> Trajectory:
    """Gradient descent that estimates its own generalization error along the run (theory 5).

    The tangent recursion runs on the data: it measures how much each training preactivation owes to the sample's own
    label, takes that away, and scores the rest against the label. No teacher, no noise level, no held-out rows.

    Parameters are those of `gradient_descent`; `test`, if given, is only scored, never used. The features are assumed
    independent with mean 0 and variance 1 (whiten them), m and n_features of the same order.

    Returns
    -------
    Trajectory
        With `estimated_error` (T'+1,): the estimated mean squared error on fresh rows at every step.

    Raises
    ------
    ValueError
        As `gradient_descent`, and for activations with a kink (relu).
    MemoryError
        When the derivatives of all samples, m (T q)^2 numbers, do not fit.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", 0.1).sample(60, sedyn.random_signal(40, rng=0), rng=1)
    >>> run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 10), network.init(40, rng=2), X, y)
    >>> bool(run.estimated_error[-1] > run.train_error[-1])
    True
    """
    network.require_smooth("augmented_gradient_descent")
    weights, X, y, eta = validate_run(network, training, weights, X, y, dtype)
    if test is not None:
        test = validate_rows(*test, n_features=X.shape[1], dtype=dtype, names=("X_test", "y_test"))
    (m, n), T, q = X.shape, len(eta), network.widths[0]
    require_memory(
        Responses.memory_bytes(T, q, m),
        f"augmented gradient descent over {T} steps on {m} rows",
        "lower n_steps or the width",
    )
    responses, past_S, estimates = Responses(T, q, m, m / n), np.zeros((T, q, m)), []
    recorder = Recorder(network, T, test, first_weights_at, preactivations_at)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            for state in progress(descend(network, eta, weights, X, y), T + 1, "augmented gradient descent"):
                if not recorder.record(state, y):
                    break
                t = state.t
                left_out = state.u - responses.memory(t, past_S)  # as if each sample had not been trained on
                estimates.append(float(np.mean(np.square(network.output(left_out, state.deep) - y))))
                if t < T:
                    past_S[t] = state.S
                    responses.extend(t, network.hessian(state.u, y, state.deep), eta[t, 0])
        except KeyboardInterrupt:
            recorder.interrupt()
    return recorder.trajectory(estimated_error=np.array(estimates))

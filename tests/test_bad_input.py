"""What bad input gets: a table of calls, each with its exception and the whole message.

Each message says what arrived, what was expected and, where it does not follow, what to do.
"""

import contextlib
import io
import re

import numpy as np
import pytest
from scipy import sparse  # noqa: F401, in the calls below

import sedyn
from sedyn.command import main

NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
RELU = sedyn.Network((2, 1), ("relu", "identity"))
TRAINING = sedyn.Training(0.2, 3)
WEIGHTS, SIGNAL = NETWORK.init(6, rng=0), sedyn.random_signal(6, rng=1)
OVERLAPS, DEEP = sedyn.Overlaps.of(WEIGHTS, SIGNAL), WEIGHTS.deep
TEACHER = sedyn.SingleIndex("tanh", 0.1)
X, Y = TEACHER.sample(20, SIGNAL, rng=2)
RUN = sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y)
KEPT = sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, first_weights_at="all")
THREE, CLASSES = sedyn.Network((2, 3), ("tanh", "identity")), np.arange(20) % 3  # several outputs, theory 11
max_of = lambda f, y: f.max(axis=0)  # noqa: E731
SLIP = np.triu(np.ones((6, 6)))  # a covariance that is not symmetric
PROBLEM = NETWORK, TRAINING, TEACHER, OVERLAPS
START = NETWORK, TRAINING, TEACHER, WEIGHTS, SIGNAL
TABLE = "a,y\n" + "".join(f"{i * 5 % 13},{i * i % 7}\n" for i in range(40))


def written(name, text):
    """A file in the folder of this test."""
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def command(*argv):
    """``python -m sedyn ..``: one line on standard error and exit status 2, or argparse's own last line."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            status = main(list(argv))
        except SystemExit as error:
            status = error.code
    raise SystemExit(f"exit status {status}: {said.getvalue().splitlines()[-1]}")


def estimate(text, *options):
    command("estimate", written("data.csv", text), "--target", "y", *options)


def point(x, rng):
    return {"y": x}


# A call, and indented below it what it raises; ".." stands for anything, and deeper lines go on.
ROWS = r"""
# networks and weights
sedyn.Network((3,), ("tanh",))
    ValueError: widths must be at least two positive integers, the last one the number of outputs; got (3,)
sedyn.Network((3, 0), ("tanh", "identity"))
    ValueError: widths must be at least two positive integers, the last one the number of outputs; got (3, 0)
sedyn.Network((2.5, 1), ("tanh", "identity"))
    ValueError: widths must be at least two positive integers, the last one the number of outputs; got (2.5, 1)
sedyn.Network((10**400, 1), ("tanh", "identity"))
    ValueError: widths must be at least two positive integers, the last one the number of outputs; got (1000..
sedyn.Network((3, 1), ("tanh",))
    ValueError: 2 layers need 2 activations, one each, as a tuple; got ('tanh',)
sedyn.Network((3, 1), ("tanhh", "identity"))
    ValueError: unknown activation 'tanhh'; use one of tanh, sigmoid, softplus, gelu, silu, erf, identity, relu, or
        a pair of functions (value, derivative)
sedyn.Network((3, 1), (3, "identity"))
    TypeError: an activation must be one of tanh, sigmoid, softplus, gelu, silu, erf, identity, relu, or a pair of
        functions (value, derivative); got 3
sedyn.Network((3, 1), ((np.sum, np.cos), "identity"))
    ValueError: the value of an activation must map arrays of shape (48,) to real numbers of the same shape,
        elementwise; it returned ..
sedyn.Network((3, 1), ((np.tanh, lambda a: 5 + 0 * a), "identity"))
    ValueError: the derivative of the activation 'tanh' is not that of its value: at 30 it is 5.0, and the value
        rises by 0
sedyn.Network((3, 1), ((lambda a: np.multiply(a, a, out=a), lambda a: 2 * a), "identity"))
    ValueError: the value of an activation writes into its input; let it return a new array
sedyn.Network((3, 1), ("tanh", "identity"), bias="no")
    TypeError: bias must be True or False; got 'no'
NETWORK.init(0)
    ValueError: n_features must be a positive integer; got 0
NETWORK.init(10**14)
    MemoryError: weights for n_features = 100000000000000 and widths (2, 1) would take .. GiB, and this machine has ..
        GiB; lower n_features or widths
NETWORK.init(6, scale=(1, 2, 3))
    ValueError: scale must be one number or 2, one per layer, below 1e300; got (1, 2, 3)
NETWORK.init(6, rng="zero")
    ValueError: rng must be None, an integer seed >= 0, or a numpy Generator; got 'zero'
NETWORK.predict(WEIGHTS, X[:, :4])
    ValueError: X must have shape (m, 6), a column for every row of weights.first; got (20, 4)
NETWORK.predict(sedyn.Weights(WEIGHTS.first, DEEP[0]), X)
    TypeError: weights.deep must be a tuple of arrays, one per layer; got an array of shape (2, 1) and type float64
NETWORK.predict(sedyn.Weights(WEIGHTS.first, ([["a"], ["b"]],)), X)
    ValueError: each array of weights.deep must be finite real numbers, without NaN or infinity; got [['a'], ['b']]
sedyn.Activation("sine", np.sin, None)
    TypeError: an Activation needs functions, value (a) and derivative (a, h); got (<ufunc 'sin'>, None)
# training
sedyn.Training(-0.1, 3)
    ValueError: step_size must be a finite number >= 0, one per layer, an array (n_steps, n_layers), or a function
        of t; got -0.1
sedyn.Training("fast", 3)
    ValueError: step_size must be a finite number >= 0, one per layer, an array (n_steps, n_layers), or a function
        of t; got 'fast'
sedyn.Training(0.1, 2.5)
    ValueError: n_steps must be an integer, 0 or more; got 2.5
sedyn.Training(0.1, "ten")
    ValueError: n_steps must be an integer, 0 or more; got 'ten'
sedyn.Training(0.1, 3, momentum=1.0)
    ValueError: momentum must be a finite number >= 0 and < 1, one per layer, an array (n_steps, n_layers), or a
        function of t; got 1.0
sedyn.Training(0.1, 3, weight_decay=np.nan)
    ValueError: weight_decay must be a finite number >= 0, one per layer, an array (n_steps, n_layers), or a
        function of t; got nan
sedyn.Training(0.1, 3, batch_fraction=0)
    ValueError: batch_fraction must lie in (0, 1]; got 0
sedyn.Training(0.1, 3, batch="random")
    ValueError: batch must be 'fixed' or 'bernoulli'; got 'random'
sedyn.Training(0.1, 3, loss="hinges")
    ValueError: unknown loss 'hinges'; use one of squared, logistic, huber, pseudo_huber, hinge, absolute,
        cross_entropy, or a function (f, y) that returns the loss's derivative in f
sedyn.Training(0.1, 3, loss=3)
    TypeError: loss must be one of squared, logistic, huber, pseudo_huber, hinge, absolute, cross_entropy, or a
        function (f, y) that returns the loss's derivative in f; got 3
sedyn.Training((0.1, 0.2), 3).step_sizes(3)
    ValueError: step_size has shape (2,); give one number, shape (3,), one per layer, shape (3, 3), one per step and
        layer, or a function of t
sedyn.Training(lambda t: 0.2 - t, 3).step_sizes(2)
    ValueError: the schedule step_size must return a finite number >= 0, or one for each of the layers (2); got -0.8
        at t = 1
sedyn.Training(iter([0.1, -1.0, 0.1]).__next__, 3)
    TypeError: the schedule step_size must be a function of (t); got one without arguments
sedyn.Training(0.1, 10**14).step_sizes(2)
    MemoryError: step_size for n_steps = 1e+14 and n_layers = 2 would take .. GiB, and this machine has .. GiB; lower
        n_steps
sedyn.Loss("mine", 1.0)
    TypeError: a Loss needs a function (f, y), its derivative in f; got 1.0
sedyn.Training(0.1, 3, loss=lambda f, y: 1.0)
    ValueError: the derivative of a loss must map arrays of shape (48,) to real numbers of the same shape,
        elementwise; it returned 1.0
sedyn.Training(0.1, 3, loss=lambda f, y: None)
    ValueError: the derivative of a loss must map arrays of shape (48,) to real numbers of the same shape,
        elementwise; it returned None
sedyn.Adam(1.0)
    ValueError: beta1 must be at least 0 and below 1; got 1.0
sedyn.Adam(epsilon=0)
    ValueError: epsilon must be a finite number > 0; got 0
sedyn.RMSProp(beta=-0.1)
    ValueError: beta must be at least 0 and below 1; got -0.1
sedyn.Proximal(-1)
    ValueError: l1 must be a finite number >= 0; got -1
sedyn.Clip(np.nan)
    ValueError: bound must be a finite number > 0; got nan
sedyn.SignDescent(0.1)
    TypeError: ..
sedyn.Training(0.1, 3, optimizer=sedyn.Optimizer())
    ValueError: the optimizer Optimizer must move arrays, step(value, gradient, state, step_size, n_taken) -> (value,
        state); it raised NotImplementedError: Optimizer does not say what a step does; define step(..)
sedyn.Training(0.1, 3, optimizer="adam")
    TypeError: optimizer must be None, sedyn.Adam(), RMSProp(), SignDescent(), Proximal(l1), Clip(bound), an instance of
        a subclass of sedyn.Optimizer, or a tuple of these, one per layer; got 'adam'
sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 3, optimizer=(sedyn.Adam(),)), WEIGHTS, X, Y)
    ValueError: optimizer must be one for all layers or 2, one per layer; got 1
sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 3, 0.9, optimizer=sedyn.Adam()), WEIGHTS, X, Y)
    ValueError: momentum belongs to plain gradient descent; leave it out beside an optimizer
sedyn.augmented_gradient_descent(NETWORK, sedyn.Training(0.1, 3, optimizer=sedyn.Adam()), WEIGHTS, X, Y, method="exact")
    ValueError: method='exact' needs derivatives, and a step of Adam jumps with its gradient, or all but jumps; use
        'kicks', or an epsilon of 1e-3 or more
sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 3, weight_decay=11, optimizer=sedyn.Adam()), WEIGHTS, X, Y)
    ValueError: step_size * weight_decay must not exceed 1 beside an optimizer: weights shrink by the factor 1 -
        step_size * weight_decay; lower weight_decay
sedyn.widen(NETWORK, sedyn.Training(0.1, 3, optimizer=sedyn.Adam()), 2)
    ValueError: these scalings are those of plain gradient descent, and an optimizer has others; leave the optimizer out
sedyn.state_evolution(*PROBLEM, 2.0, first_weights_at=[99])
    ValueError: first_weights_at must be 'all' or a sequence of steps in 0..3; got [99]
# teachers and data
sedyn.SingleIndex("tanhh")
    ValueError: unknown link 'tanhh'; use one of linear, tanh, sine, relu, sign, absolute, quadratic, cubic, zero,
        noisy_sign, logistic, or a function
sedyn.SingleIndex(3)
    TypeError: link must be one of linear, tanh, sine, relu, sign, absolute, quadratic, cubic, zero, noisy_sign,
        logistic, or a function; got 3
sedyn.SingleIndex("tanh", noise=-0.1)
    ValueError: noise must be a standard deviation, a finite number >= 0, or None; got -0.1
sedyn.SingleIndex("tanh", noise=None)
    ValueError: noise=None is for a link that is a function (z, xi); got the link 'tanh'
TEACHER.sample(0, SIGNAL)
    ValueError: n_samples must be a positive integer; got 0
TEACHER.sample(5, np.ones((6, 2)))
    ValueError: signal must have shape (n_features,) and at least one entry; got (6, 2)
TEACHER.sample(5, SIGNAL * np.nan)
    ValueError: signal must be finite real numbers, without NaN or infinity; got an array of shape (6,) and type
        float64, 6 of its entries NaN or infinite
TEACHER.sample(5, [[1, 2], [3]])
    ValueError: signal must be finite real numbers, without NaN or infinity; got rows of different lengths, [[1, 2],
        [3]]
TEACHER.sample(5, np.array(["0.5"] * 6))
    ValueError: signal must be finite real numbers, without NaN or infinity; got an array of shape (6,) and type text,
        with entries such as '0.5'
TEACHER.sample(5, SIGNAL * 100, features=lambda rng, shape: np.full(shape, 1e308))
    ValueError: signal and features are too large for their product: the largest entries are .. and 1e+308; lower
        their scale
TEACHER.labels(np.ones(3), np.ones(2))
    ValueError: xi must hold one finite number for each z, shape (3,); got an array of shape (2,) and type float64
sedyn.MultiIndex("parity", 2).mean_label(np.ones((5, 2)))
    ValueError: z must be finite real numbers of shape (2, N); got an array of shape (5, 2) and type float64
TEACHER.sample(10**14, SIGNAL)
    MemoryError: a feature matrix of shape (100000000000000, 6) would take .. GiB, and this machine has .. GiB; lower
        n_samples or n_features
sedyn.SingleIndex(np.sum).sample(5, SIGNAL)
    ValueError: the link must map an array of shape (5,) to finite numbers of shape (5,), or (c, 5) for c > 1 outputs;
        got ..
sedyn.SingleIndex("noisy_sign").mean_label(np.ones(3))
    ValueError: this teacher's noise is not added to a mean label; use labels(z, xi)
sedyn.MultiIndex("parity", 1.5)
    ValueError: n_indices must be a positive integer; got 1.5
sedyn.MultiIndex("parity", 2).sample(5, SIGNAL)
    ValueError: signal must have shape (n_features, 2) and at least one entry; got (6,)
sedyn.sample_features(4, 6, features="gausian")
    ValueError: unknown features 'gausian'; use one of gaussian, rademacher, uniform, laplace, student_t, sparse, or
        a function (rng, shape)
sedyn.sample_features(4, 6, features=("student_t", 2))
    ValueError: features 'student_t' come as a pair ('student_t', parameter), the parameter being the degrees of
        freedom, more than 2; got ('student_t', 2)
sedyn.sample_features(4, 6.5)
    ValueError: n_features must be a positive integer; got 6.5
sedyn.sample_features(4, 6, features=lambda rng, shape: np.ones(3))
    ValueError: the function features must return finite numbers of shape (4, 6); got an array of shape (3,) and type
        float64
sedyn.sample_features(4, 6, features=lambda shape: np.ones(shape))
    TypeError: features must be a function of (rng, shape); got one of (shape)
sedyn.sample_features(4, 6, features=np.sin)
    TypeError: features must be a function of (rng, shape); got <ufunc 'sin'>, a function of 1 argument
sedyn.sample_features(4, 6, features=np.add)
    TypeError: the function features raised TypeError: unsupported operand ..
sedyn.sample_features(4, 6, covariance=np.ones(5))
    ValueError: covariance must be finite numbers of shape (6,), the variances of the features, or of shape (6, 6), a
        symmetric matrix; got an array of shape (5,) and type float64
sedyn.sample_features(4, 6, covariance=-np.ones(6))
    ValueError: covariance needs variances >= 0, not all 0 and none beyond 1e30; the smallest is -1, the largest -1
sedyn.sample_features(4, 6, covariance=np.eye(6) - 1)
    ValueError: covariance needs eigenvalues >= 0, not all 0 and none beyond 1e30; the smallest is -5, the largest 1
sedyn.sample_features(4, 6, covariance=SLIP)
    ValueError: a covariance matrix must be symmetric; it differs from its transpose by 1
sedyn.random_signal(2.5)
    ValueError: n_features must be a positive integer; got 2.5
sedyn.random_signal(6, norm=np.inf)
    ValueError: norm must be a finite number >= 0; got inf
sedyn.random_signal(6, rng=-1)
    ValueError: rng must be None, an integer seed >= 0, or a numpy Generator; got -1
sedyn.block_variances(6, [(0.5, 1.0), (0.4, 2.0)])
    ValueError: blocks must be pairs (fraction > 0, finite variance >= 0), the fractions adding up to 1; got [(0.5,
        1.0), (0.4, 2.0)]
sedyn.block_variances(6, [(np.nan, 1.0)])
    ValueError: blocks must be pairs (fraction > 0, finite variance >= 0), the fractions adding up to 1; got [(nan,
        1.0)]
sedyn.power_law_variances(0, 0.5)
    ValueError: n_features must be a positive integer; got 0
sedyn.power_law_variances(6, np.nan)
    ValueError: exponent must be a number between -30 and 30; got nan
# overlaps
sedyn.Overlaps([[1.0, 0.5], [0.4, 1.0]], [0, 0], 1.0, DEEP)
    ValueError: gram must be symmetric; it differs from its transpose by 0.1
sedyn.Overlaps(np.eye(2), [1.2, 0.0], 1.0, DEEP)
    ValueError: gram and cross fit no weights: gram - cross cross^T / signal_gram must be positive semidefinite,
        its smallest eigenvalue is -0.44; measure both with Overlaps.of, or lower cross
sedyn.Overlaps(np.eye(2), [0, 0, 0], 1.0, DEEP)
    ValueError: gram must have shape (q, q) and cross (q,) or (q, k) with the same q; got (2, 2) and (3,)
sedyn.Overlaps(np.eye(2), [0, 0], -1.0, DEEP)
    ValueError: signal_gram must be >= 0 (positive semidefinite), and cross 0 where it is 0; got -1.0 and cross
        [0.0, 0.0]
sedyn.Overlaps(np.eye(2) * np.nan, [0, 0], 1.0, DEEP)
    ValueError: gram, like all overlaps, must be finite real numbers, without NaN or infinity; got an array of shape
        (2, 2) and type float64, 4 of its entries NaN or infinite
sedyn.Overlaps(np.eye(2), [0, 0], 1.0, deep=None)
    TypeError: deep must be a tuple of arrays, one per layer after the first; got None
sedyn.Overlaps(np.eye(2), [0, 0], 1.0, DEEP, blocks=[(1.0, -2.0)])
    ValueError: blocks must hold pairs (fraction >= 0, variance > 0), finite; got [(1.0, -2.0)]
sedyn.Overlaps.of(SIGNAL, SIGNAL)
    TypeError: weights must be a sedyn.Weights; got an array of shape (6,) and type float64
sedyn.Overlaps.of(sedyn.Weights(np.ones(6), DEEP), SIGNAL)
    ValueError: weights.first must have shape (n_features, q) and at least one entry; got (6,)
sedyn.Overlaps.of(WEIGHTS, SIGNAL[:5])
    ValueError: signal must have shape (6,) or (6, k), one entry per row of weights.first; got (5,)
sedyn.Overlaps.of(WEIGHTS, SIGNAL, covariance=np.ones(6), n_blocks=0)
    ValueError: n_blocks must be a positive integer; got 0
sedyn.Overlaps.of(WEIGHTS, SIGNAL, covariance=SLIP)
    ValueError: a covariance matrix must be symmetric; it differs from its transpose by 1
OVERLAPS.realize(2)
    ValueError: n_features = 2 gives a block 2 features, too few for its overlaps of 2 neurons and 1 signal; use
        more features
OVERLAPS.realize(1)
    ValueError: n_features = 1 gives a block 1 feature, too few for its overlaps of 2 neurons and 1 signal; use
        more features
OVERLAPS.realize(50.5)
    ValueError: n_features must be a positive integer; got 50.5
# gradient descent
sedyn.gradient_descent("tanh", TRAINING, WEIGHTS, X, Y)
    TypeError: network must be a sedyn.Network; got 'tanh'
sedyn.gradient_descent(NETWORK, 0.1, WEIGHTS, X, Y)
    TypeError: training must be a sedyn.Training; got 0.1
sedyn.gradient_descent(NETWORK, sedyn.Training((0.1,) * 3, 3), WEIGHTS, X, Y)
    ValueError: step_size has shape (3,); give one number, shape (2,), one per layer, shape (3, 2), one per step and
        layer, or a function of t
sedyn.gradient_descent(NETWORK, TRAINING, sedyn.Weights(np.ones((6, 3)), DEEP), X, Y)
    ValueError: weights.first must have shape (n_features, 2); got (6, 3)
sedyn.gradient_descent(NETWORK, TRAINING, sedyn.Weights(WEIGHTS.first, ()), X, Y)
    ValueError: the network needs deep weights of shapes ((2, 1),); got ()
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X * np.nan, Y)
    ValueError: X holds NaN or infinite entries, 120 of 120; remove those rows or fill them in
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X * 1e300, Y, dtype="float32")
    ValueError: X holds numbers too large for float32; rescale them
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X[:, :4], Y)
    ValueError: X has 4 columns; expected 6, one for each row of weights.first
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X[:, :1], Y)
    ValueError: X has 1 column; expected 6, one for each row of weights.first
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X.astype(str), Y)
    ValueError: X must be an array of real numbers; got an array of shape (20, 6) and type text, with entries such as
        '..'; convert, fill in or drop what is not
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, np.ma.masked_less(X, 0), Y)
    ValueError: X must be an array of real numbers; got an array of shape (20, 6), 59 of its entries masked; convert,
        fill in or drop what is not
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y[:-1])
    ValueError: X and y need the same, positive number of rows; got 20 and 19
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y[:, None])
    ValueError: y must have shape (m,); got (20, 1)
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, np.eye(3)[CLASSES])
    ValueError: y has 3 numbers for each sample, and the network has one output; give it widths that end in 3, or one
        number per sample
sedyn.gradient_descent(THREE, TRAINING, THREE.init(6), X, CLASSES + 0.5)
    ValueError: y must hold classes 0..2 for a network of 3 outputs, or 3 numbers per sample; got labels such as 0.5
sedyn.gradient_descent(THREE, TRAINING, THREE.init(6), X, CLASSES, test=(X, CLASSES - 1))
    ValueError: y_test must hold classes 0..2 for a network of 3 outputs, or 3 numbers per sample; got labels such as -1
sedyn.gradient_descent(THREE, TRAINING, THREE.init(6), X, np.eye(4)[CLASSES])
    ValueError: y has 4 numbers for each sample, and the network has 3 outputs; give one per output, or a class 0..2
sedyn.gradient_descent(THREE, TRAINING, THREE.init(6), X, CLASSES[:, None, None])
    ValueError: y must have shape (m,), classes, or (m, 3); got (20, 1, 1)
sedyn.gradient_descent(THREE, sedyn.Training(0.1, 3, loss="cross_entropy"), THREE.init(6), X, 2 * np.eye(3)[CLASSES])
    ValueError: the loss 'cross_entropy' needs classes, or probabilities of them that add up to 1 in each row; got a row
        (2, 0, 0) of labels
sedyn.gradient_descent(THREE, sedyn.Training(0.1, 3, loss="logistic"), THREE.init(6), X, CLASSES)
    ValueError: the loss 'logistic' needs labels -1 and +1; got labels such as 0 for every output; use 'cross_entropy'
        for classes
sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 3, loss="cross_entropy"), WEIGHTS, X, Y)
    ValueError: the loss 'cross_entropy' needs a network of several outputs, one per class; use 'logistic' with labels
        -1 and +1, or widths that end in the number of classes
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics="cross_entropy")
    ValueError: the metric 'cross_entropy' needs a network of several outputs, one per class; use 'logistic' with labels
        -1 and +1, or widths that end in the number of classes
sedyn.Loss("mine", lambda f, y: f - y, joint="yes")
    TypeError: joint must be True or False; got 'yes'
sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 3, loss=sedyn.Loss("mine", np.subtract, True)), WEIGHTS, X, Y)
    ValueError: the loss 'mine' sees several outputs together (joint=True), and the network has one; give it widths that
        end in their number
sedyn.gradient_descent(THREE, sedyn.Training(0.1, 3, loss=sedyn.Loss("a", max_of, True)), THREE.init(6), X, CLASSES)
    ValueError: the derivative of the loss 'a' must map arrays of shape (3, 20) to real numbers of the same shape,
        elementwise; it returned shape (20,)
sedyn.MultiIndex("softmax", 1)
    ValueError: n_indices must be an integer >= 2; got 1
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y * 1e300)
    ValueError: the training error is not a finite number at the initial weights; lower the scale of weights, X or y
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, test=X)
    ValueError: test must be a pair (X_test, y_test); got an array of shape (20, 6) and type float64
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics="mse")
    ValueError: unknown metric 'mse'; use one of squared, absolute, zero_one, logistic, cross_entropy, or a
        function (f, y)
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics=3)
    TypeError: each of metrics must be one of squared, absolute, zero_one, logistic, cross_entropy, or a
        function (f, y) that returns one number per sample; got 3
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics="zero_one")
    ValueError: the metric 'zero_one' needs labels -1 and +1; got labels such as .. (sedyn.scale_target makes -1 and
        +1 of any two values; the links 'noisy_sign' and 'logistic' give such labels)
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics=[np.vdot])
    ValueError: the metric vdot must return one real number per sample, shape (20,); got 0.0
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, first_weights_at=(1.5,))
    ValueError: first_weights_at must be 'all' or a sequence of steps in 0..3; got (1.5,)
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, dtype="int32")
    ValueError: dtype must be float64 or float32; got 'int32'
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, n_threads=0)
    ValueError: n_threads must be a positive integer, or None for all cores; got 0
sedyn.gradient_descent(NETWORK, sedyn.Training(0.1, 3, loss="logistic"), WEIGHTS, X, np.arange(20) % 2)
    ValueError: the loss 'logistic' needs labels -1 and +1; got labels such as 0 (sedyn.scale_target makes -1 and
        +1 of any two values; the links 'noisy_sign' and 'logistic' give such labels)
sedyn.linearized_gradient_descent(NETWORK, TRAINING, WEIGHTS, X[:, :4], Y)
    ValueError: X has 4 columns; expected 6, one for each row of weights.first
sedyn.linearized_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, rng="zero")
    ValueError: rng must be None, an integer seed >= 0, or a numpy Generator; got 'zero'
sedyn.widen((2, 1), TRAINING, 2)
    TypeError: network must be a sedyn.Network; got (2, 1)
sedyn.widen(NETWORK, 0.1, 2)
    TypeError: training must be a sedyn.Training; got 0.1
sedyn.widen(NETWORK, TRAINING, 1.5)
    ValueError: factor must be a positive integer; got 1.5
sedyn.widen(NETWORK, TRAINING, 2, "mup")
    ValueError: unknown scaling 'mup'; use maximal_update or ntk
RUN.weights_at(2)
    ValueError: W_1 was kept at no step; to have it at t = 2 train with 2 in first_weights_at
RUN.weights_at(4)
    ValueError: t must be a step of this run, 0..3; got 4
RUN.stopped
    ValueError: this run has no estimated error; train with sedyn.augmented_gradient_descent
sedyn.Trajectory.load(written("run.npz", "no archive"))
    ValueError: run.npz is damaged, or no file that a result's save wrote; compute the result again and save it
RUN.save(3)
    TypeError: path must be a path, such as 'folder/name'; got 3
sedyn.early_stop(RUN)
    ValueError: this run has no estimated error; train with sedyn.augmented_gradient_descent
sedyn.early_stop([0.3, 0.2])
    TypeError: run must be a sedyn.Trajectory; got [0.3, 0.2]
# the estimated error
sedyn.augmented_gradient_descent(RELU, TRAINING, WEIGHTS, X, Y, method="exact")
    ValueError: method='exact' needs second derivatives, and relu has a kink at 0 (its second derivative is a
        delta function); use a smooth relative: tanh, sigmoid, softplus, gelu, silu, erf (softplus, gelu or silu are
        closest to relu)
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, groups=[1, 2])
    ValueError: groups must hold one label per row, shape (20,); got [1, 2]
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, groups=[[1, 2], [3]])
    ValueError: groups must hold one label per row, shape (20,); got rows of different lengths, [[1, 2], [3]]
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, groups=[np.nan] * 20)
    ValueError: groups must not hold NaN, None or masked entries; give rows without a group a label of their own
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X[:1], Y[:1])
    ValueError: X has one row only: nothing could be left out to be predicted; give more rows
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, groups=np.arange(20) // 2, method="exact")
    ValueError: method='exact' takes independent rows alone; use 'nudges'
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, method="fast")
    ValueError: unknown method 'fast'; use one of nudges, kicks, exact, or leave it out
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, tolerance=0)
    ValueError: tolerance must lie between 0 and 1; got 0
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, n_reruns=0)
    ValueError: n_reruns must be a positive integer; got 0
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, n_reruns=10**14)
    MemoryError: n_reruns = 100000000000000 reruns of 20 rows would take .. GiB, and this machine has .. GiB; lower
        n_reruns
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, covariance="empirical")
    ValueError: covariance must be variances or a matrix; got 'empirical'; to estimate it from the rows of X pass
        unlabelled=X
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, covariance=SLIP)
    ValueError: a covariance matrix must be symmetric; it differs from its transpose by 1
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, covariance=X)
    ValueError: covariance must be finite numbers of shape (6,), the variances of the features, or of shape (6, 6), a
        symmetric matrix; got an array of shape (20, 6) and type float64
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, unlabelled=np.ones((5, 6)))
    ValueError: unlabelled must hold at least 12 rows to estimate a covariance; got 5; give more, or its eigenvalues as
        covariance
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, unlabelled=X[:, :4])
    ValueError: unlabelled must be rows of shape (k, 6); got shape (20, 4)
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, unlabelled=X * np.nan)
    ValueError: unlabelled must be finite real numbers, without NaN or infinity; got an array of shape (20, 6) and
        type float64, 120 of its entries NaN or infinite
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, unlabelled=np.ones((20, 6)))
    ValueError: unlabelled rows: they must differ for a covariance to be estimated; the largest difference is 0
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, unlabelled=X * 1e120)
    ValueError: unlabelled rows: they must not exceed 1e100 in size for a covariance to be estimated; rescale them
sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, unlabelled=X, covariance=np.ones(6))
    ValueError: give covariance or unlabelled rows to estimate it from, not both
sedyn.augmented_gradient_descent(NETWORK, sedyn.Training(0.1, 10**5), WEIGHTS, X, Y, method="exact")
    MemoryError: the exact recursion over 100000 steps on 20 rows would take .. GiB, and this machine has .. GiB; use
        method='nudges', or lower n_steps or the width
sedyn.tune([], TRAINING, X, Y)
    ValueError: nothing to try: networks, trainings and scales need at least one entry each
sedyn.tune(NETWORK, TRAINING, X, Y, covariance=SLIP)
    ValueError: a covariance matrix must be symmetric; it differs from its transpose by 1
sedyn.tune(NETWORK, [0.1, 0.2], X, Y)
    TypeError: each of trainings must be a sedyn.Training; got 0.1
sedyn.tune(NETWORK, TRAINING, X, Y, scales=1.0)
    TypeError: scales must be a tuple or list of scales of the initial weights; got 1.0
sedyn.tune(NETWORK, TRAINING, X, Y, executor=4)
    TypeError: executor must have a submit method, as those of concurrent.futures; got 4
# callables: which argument of which
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics=[lambda f: f])
    TypeError: a metric must be a function of (f, y); got one of (f)
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics=[lambda f, y: f["a"]])
    ValueError: the metric <lambda> raised IndexError: ..; it gets outputs f and labels y of shape (20,)
sedyn.Training(0.1, 3, loss=lambda f: f)
    TypeError: the derivative of a loss must be a function of (f, y); got one of (f)
sedyn.Training(lambda: 0.1, 3)
    TypeError: the schedule step_size must be a function of (t); got one without arguments
sedyn.Training(0.1, 3, momentum=lambda t, layer: 0.1)
    TypeError: the schedule momentum must be a function of (t); got one of (t, layer)
sedyn.Network((2, 1), ((lambda: 1, lambda a: a), "identity"))
    TypeError: the value of an activation must be a function of (a); got one without arguments
sedyn.Network((2, 1), ((np.tanh, lambda a, h: a), "identity"))
    TypeError: the derivative of an activation, given as a pair, must be a function of (a); got one of (a, h)
sedyn.Activation("mine", np.tanh, lambda a: a)
    TypeError: the derivative of an activation must be a function of (a, h); got one of (a)
sedyn.Network((2, 1), ((lambda a: a["x"], lambda a: a), "identity"))
    ValueError: the value of an activation must map arrays of shape (48,) elementwise; it raised IndexError: ..
sedyn.SingleIndex(lambda: 1, 0.1)
    TypeError: link must be a function of (z); got one without arguments
sedyn.MultiIndex(lambda z: z, 2, noise=None)
    TypeError: link must be a function of (z, xi); got one of (z)
# kinds of arrays
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, sparse.csr_array(X), Y)
    ValueError: X must be an array of real numbers; got a sparse array of shape (20, 6); make it dense with .toarray()
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, (X, Y), Y)
    ValueError: X must be an array of real numbers; got rows of different lengths, ..; convert, fill in or drop what
        is not
sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X + 0j, Y)
    ValueError: X must be an array of real numbers; got an array of shape (20, 6) and type complex128; convert, fill
        in or drop what is not
sedyn.tune("tanh", TRAINING, X, Y)
    TypeError: networks must be one or several sedyn.Network; got 'tanh'
sedyn.plot.kernel_heatmap(sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**9, rng=0).kernels)
    TypeError: kernel must be one of them, such as theory.kernels.C; got all of theory.kernels
sedyn.scale_target([1.0, np.nan])
    ValueError: y must be finite real numbers, without NaN or infinity; got [1.0, nan]
sedyn.Teacher()
    TypeError: Teacher is the base of sedyn.SingleIndex and sedyn.MultiIndex; use one of them
# the theory
sedyn.state_evolution(*PROBLEM, aspect_ratio=0)
    ValueError: aspect_ratio must be m / n, a number > 0, or numpy.inf; got 0
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=10)
    ValueError: n_paths must be an integer of at least 64 for q = 2; got 10
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=10**14)
    MemoryError: n_paths = 100000000000000 sample points would take .. GiB, and this machine has .. GiB; lower n_paths
sedyn.state_evolution(NETWORK, sedyn.Training(0.3, 40), TEACHER, OVERLAPS, 2.0, n_paths=64, n_scrambles=1, rng=0)
    ValueError: n_paths = 64 is too small: at step 6 of 40 the gradients already span 12 directions; use n_paths =
        1024 or more, fewer steps, or a larger tolerance
sedyn.state_evolution(*PROBLEM, 2.0, n_scrambles=0)
    ValueError: n_scrambles must be a positive integer; got 0
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**9, rng=0).band(0)
    ValueError: n_features must be a positive integer; got 0
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**9, rng=0).band(100, level=95)
    ValueError: level must lie between 0 and 1; got 95
sedyn.state_evolution(*PROBLEM, np.inf, n_paths=2**9, rng=0).band(100)
    ValueError: a band is for a run on m = aspect_ratio * n_features rows, and this theory has aspect_ratio = inf; give
        state_evolution a finite one
sedyn.state_evolution(*PROBLEM, 2.0, solver="magic")
    ValueError: unknown solver 'magic'; use one of projection, two-sided, tangent, or leave it out
sedyn.state_evolution(*PROBLEM, 2.0, tolerance=1e-5)
    ValueError: tolerance must lie between 3.5e-04 and 1 for float32 (use dtype=float64 for less); got 1e-05
sedyn.state_evolution(RELU, TRAINING, TEACHER, OVERLAPS, 2.0, solver="tangent")
    ValueError: the tangent recursion (solver='tangent', responses=True) needs second derivatives, and relu has a
        kink at 0 (its second derivative is a delta function); use a smooth relative: tanh, sigmoid, softplus, gelu,
        silu, erf (softplus, gelu or silu are closest to relu)
sedyn.state_evolution(*PROBLEM, 2.0, solver="tangent", tolerance=0.01)
    ValueError: accuracy, tolerance and dtype are no settings of solver='tangent'; leave them out
sedyn.state_evolution(*PROBLEM, 2.0, solver="tangent", accuracy=0.01)
    ValueError: accuracy, tolerance and dtype are no settings of solver='tangent'; leave them out
sedyn.state_evolution(*PROBLEM, 2.0, accuracy=0.01, n_paths=2**12)
    ValueError: accuracy chooses n_paths and n_scrambles; give either it or these
sedyn.state_evolution(*PROBLEM, 2.0, accuracy=0)
    ValueError: accuracy must lie between 1e-5 and 1; got 0
sedyn.state_evolution(*PROBLEM, 2.0, responses="R")
    TypeError: responses must be True or False; got 'R'
sedyn.state_evolution(NETWORK, TRAINING, "tanh", OVERLAPS, 2.0)
    TypeError: teacher must be a sedyn.SingleIndex or sedyn.MultiIndex; got 'tanh'
sedyn.state_evolution(NETWORK, TRAINING, sedyn.MultiIndex("parity", 2), OVERLAPS, 2.0)
    ValueError: the teacher needs 2 signals; got 1: give a signal of shape (n_features, 2), or overlaps measured with
        one
sedyn.state_evolution(NETWORK, TRAINING, TEACHER, sedyn.Overlaps([[1.0]], [0.0], 1.0, DEEP), 2.0)
    ValueError: the network's first layer has 2 neurons, and overlaps.gram is of 1 neuron; measure the overlaps on
        weights of this network
sedyn.state_evolution(NETWORK, TRAINING, TEACHER, WEIGHTS, 2.0)
    TypeError: overlaps must be a sedyn.Overlaps; got Weights(first=array (6, 2), deep=(array (2, 1),))
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**8, rng=0).kernels.stderr("D")
    ValueError: unknown kernel name 'D'; use one of C, c, P, kappa, fluctuation, R, rho
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**8, rng=0).kernels.R
    AttributeError: R was not computed: pass responses=True, or solver='tangent', to sedyn.state_evolution
sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**8, rng=0).kernels.stderr("R")
    ValueError: R was not computed: pass responses=True, or solver='tangent', to sedyn.state_evolution
sedyn.householder_dice(*PROBLEM, n_samples=5, n_features=60)
    ValueError: n_samples must be an integer of at least 6 for q = 2 and n_steps = 3 (on fewer, sedyn.gradient_descent
        does the same); got 5
sedyn.householder_dice(*PROBLEM, n_samples=60, n_features=8.5)
    ValueError: n_features must be an integer of at least 9 for q = 2 and n_steps = 3 (on fewer,
        sedyn.gradient_descent does the same); got 8.5
sedyn.householder_dice(*PROBLEM[:3], sedyn.Overlaps.of(WEIGHTS, SIGNAL, covariance=np.full(6, 2.0)), 60, 60)
    ValueError: householder_dice draws features of variance 1; give overlaps without blocks, measured without
        covariance
sedyn.population_error(NETWORK, TEACHER, OVERLAPS, n_paths=-4)
    ValueError: n_paths must be a positive integer; got -4
sedyn.population_errors(NETWORK, TEACHER, RUN, SIGNAL)
    ValueError: the run kept no first-layer weights; train with first_weights_at='all'
sedyn.population_errors(NETWORK, TEACHER, KEPT, SIGNAL[:4])
    ValueError: signal must have shape (6,) or (6, k)..; got (4,)
sedyn.population_errors("net", TEACHER, KEPT, SIGNAL)
    TypeError: network must be a sedyn.Network; got 'net'
sedyn.population_errors(sedyn.Network((3, 1), ("tanh", "identity")), TEACHER, KEPT, SIGNAL)
    ValueError: the network needs deep weights of shapes ((3, 1),); got ((2, 1),)
sedyn.population_errors(NETWORK, sedyn.MultiIndex("parity", 2), KEPT, SIGNAL)
    ValueError: the teacher needs 2 signals; got 1: give a signal of shape (n_features, 2), or overlaps measured with
        one
sedyn.population_errors(NETWORK, TEACHER, KEPT, SIGNAL, covariance=SLIP)
    ValueError: a covariance matrix must be symmetric; it differs from its transpose by 1
sedyn.population_errors(NETWORK, TEACHER, 3, SIGNAL)
    TypeError: run must be a sedyn.Trajectory; got 3
sedyn.agreement_test([[1.0], [2.0], [3.0]], [1.0])
    ValueError: samples: a test with the covariance over runs needs at least four of them; got 3
sedyn.agreement_test([[1.0], [2.0], [3.0], [5.0]], [1.0], -1.0)
    ValueError: stderr must hold finite real numbers >= 0, or NaN where there is none; got -1.0
sedyn.z_scores([[1.0, 2.0]], [1.0, 2.0])
    ValueError: samples: at least two runs are needed to know their spread; got shape (1, 2)
sedyn.z_scores([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0, 3.0])
    ValueError: samples (n_runs, ...), predicted (...) and stderr (...) must fit each other; got shapes (2, 2), (3,)
        and ()
# simulations
sedyn.simulate(*START, 20.5, 3)
    ValueError: n_samples must be a positive integer; got 20.5
sedyn.simulate(*START, 20, 0)
    ValueError: n_runs must be a positive integer; got 0
sedyn.simulate(NETWORK, TRAINING, "tanh", WEIGHTS, SIGNAL, 20, 3)
    TypeError: teacher must be a sedyn.SingleIndex or sedyn.MultiIndex; got 'tanh'
sedyn.simulate(NETWORK, TRAINING, TEACHER, WEIGHTS, np.ones((6, 2)), 20, 3)
    ValueError: signal must have shape (n_features,) and at least one entry; got (6, 2)
sedyn.simulate(NETWORK, TRAINING, sedyn.MultiIndex("parity", 2), WEIGHTS, SIGNAL, 20, 3)
    ValueError: signal must have shape (n_features, 2) and at least one entry; got (6,)
sedyn.simulate(sedyn.Network((3, 1), ("tanh", "identity")), *START[1:], 20, 3)
    ValueError: weights.first must have shape (n_features, 3); got (6, 2)
sedyn.simulate(NETWORK, sedyn.Training(0.1, 3, loss="logistic"), TEACHER, WEIGHTS, SIGNAL, 20, 3)
    ValueError: the loss 'logistic' needs labels -1 and +1; got labels such as .. (sedyn.scale_target makes -1 and
        +1 of any two values; the links 'noisy_sign' and 'logistic' give such labels)
sedyn.simulate(NETWORK, TRAINING, TEACHER, WEIGHTS, SIGNAL[:5], 20, 3)
    ValueError: signal must have shape (6,) or (6, k), one entry per row of weights.first; got (5,)
sedyn.simulate(NETWORK, TRAINING, TEACHER, OVERLAPS, SIGNAL, 20, 3)
    TypeError: weights must be a sedyn.Weights; got Overlaps..
sedyn.simulate(NETWORK, TRAINING, TEACHER, sedyn.Weights(WEIGHTS.first * 1e30, DEEP), SIGNAL, 20, 3)
    ValueError: weights.first and signal must not exceed 1e20 in size; got ..; lower their scale
sedyn.simulate(*START, 20, 10**14)
    MemoryError: overlaps and weights for n_runs = 100000000000000 would take .. GiB, and this machine has .. GiB;
        lower n_runs or n_steps, or keep fewer first_weights_at
sedyn.simulate(*START, 20, 3, n_paths=10**14)
    MemoryError: n_paths = 100000000000000 would take .. GiB, and this machine has .. GiB; lower n_paths
sedyn.simulate(*START, 20, 3, features="gausian")
    ValueError: unknown features 'gausian'; use one of gaussian, rademacher, uniform, laplace, student_t, sparse, or
        a function (rng, shape)
sedyn.simulate(*START, 20, 3, covariance=SLIP)
    ValueError: a covariance matrix must be symmetric; it differs from its transpose by 1
sedyn.simulate(*START, 20, 3, first_weights_at=(4,))
    ValueError: first_weights_at must be 'all' or a sequence of steps in 0..3; got (4,)
sedyn.simulate(*START, 20, 3, n_paths=0)
    ValueError: n_paths must be a positive integer; got 0
sedyn.simulate(*START, 10**14, 3)
    MemoryError: training on n_samples = 100000000000000 rows of 6 features, a run on every core, would take .. GiB,
        and this machine has .. GiB; lower n_samples, the number of features or n_steps
# tables
sedyn.read_table("absent.csv", "y")
    FileNotFoundError: no file 'absent.csv'; give the path of a text file of columns with a header line
sedyn.read_table(written("data.csv", TABLE), "price")
    ValueError: data.csv has no column 'price'; choose the target among 'a', 'y'
sedyn.fit_table(X, sedyn.NetworkRegressor())
    TypeError: table must be a sedyn.DataTable; got an array of shape (20, 6) and type float64
sedyn.TableModel.load("absent")
    FileNotFoundError: no file 'absent'; give a model that `estimate --save` has written
sedyn.TableModel.load(written("model", "text"))
    ValueError: model is no model that `estimate --save` has written (File is not a zip file)
sedyn.NetworkRegressor(depth=1).fit(X, Y)
    ValueError: depth must be an integer >= 2; got 1
sedyn.NetworkClassifier().fit(X, np.ones(20))
    ValueError: the classifier needs at least two classes; got one class, 1.0
sedyn.population_spectrum(X[0])
    ValueError: rows must be an array of shape (k, n) of at least 12 rows; got an array of shape (6,) and type float64
sedyn.population_spectrum(np.ones((20, 6)))
    ValueError: rows: they must differ for a covariance to be estimated; the largest difference is 0
sedyn.scale_target(np.ones(5))
    ValueError: the target is constant, there is nothing to learn
# figures
sedyn.plot.learning_curves()
    ValueError: nothing to draw: give a theory (an Evolution), runs (a Simulation, one Trajectory or several), or
        both
sedyn.plot.learning_curves(runs=RUN, quantities=["loss"])
    ValueError: unknown quantities ['loss']; use some of ['train_error', 'generalization_error', 'estimated_error']
sedyn.plot.learning_curves(RUN)
    TypeError: theory must be a sedyn.Evolution; got Trajectory steps 3, 6 features, 2 neurons train_error 0.4098 at
        t = 0, 0..
sedyn.plot.learning_curves(runs="run")
    TypeError: runs must be a sedyn.Simulation or one or several sedyn.Trajectory; got 'run'
sedyn.plot.learning_curves(runs=[RUN, 3])
    TypeError: each of several runs must be a sedyn.Trajectory; got 3
sedyn.plot.learning_curves(runs=RUN, quantities=None)
    TypeError: quantities must be some of ['train_error', 'generalization_error', 'estimated_error']; got None
sedyn.plot.learning_curves(runs=RUN, band=3)
    TypeError: band must be a sedyn.Band; got 3
sedyn.plot.learning_curves(runs=RUN, ax=3)
    TypeError: ax must be matplotlib Axes, such as the second result of plt.subplots(); got 3
sedyn.plot.save(RUN, "run.png")
    TypeError: fig must be a matplotlib Figure, such as ax.figure; got Trajectory..
sedyn.plot.estimated_error(RUN)
    ValueError: this run has no estimated error; train with sedyn.augmented_gradient_descent
sedyn.plot.kernel_heatmap(np.ones((4, 2, 2)))
    ValueError: kernel must have shape (T, T', q, q), like C, fluctuation, R and rho; got (4, 2, 2)
sedyn.plot.kernel_heatmap(np.ones((4, 4, 2, 2)), entry=("a", 0))
    ValueError: each part of entry must be an integer; got 'a'
sedyn.plot.kernel_heatmap(np.ones((4, 4, 2, 2)), entry=(0, 2))
    ValueError: entry (0, 2) lies outside the 2 x 2 entries of the kernel
# the command line
command("estimate", "absent.csv", "--target", "y")
    SystemExit: exit status 2: sedyn: no file 'absent.csv'; give the path of a text file of columns with a header
        line
estimate("")
    SystemExit: exit status 2: sedyn: data.csv is empty; the first line must name the columns
estimate("a,a,y\n1,2,3\n")
    SystemExit: exit status 2: sedyn: data.csv has different columns of one name: 'a'; rename or remove them
estimate("a,b\n1,2\n")
    SystemExit: exit status 2: sedyn: data.csv has no column 'y'; choose the target among 'a', 'b'
estimate("a,y\n")
    SystemExit: exit status 2: sedyn: data.csv has a header but no rows; add data below it
estimate("a,y\n1,2\n1,2,3\n")
    SystemExit: exit status 2: sedyn: data.csv is not a table: row 3 has 3 values; the header names 2 columns; put
        quotes around cells that hold a separator
estimate("a,y\n1,NA\n")
    SystemExit: exit status 2: sedyn: the target 'y' of data.csv has no values; choose another column
estimate("a,y\n1,2\n1,3\n")
    SystemExit: exit status 2: sedyn: no feature is left in data.csv besides the target 'y': left out,
        constant: 'a'
estimate("a,y\n1,2\n2,2\n")
    SystemExit: exit status 2: sedyn: the target 'y' is constant, there is nothing to learn; choose another column
estimate("a,y\n1,2\n2,3\n")
    SystemExit: exit status 2: sedyn: too few rows: 2; at least 10 are needed, a hundred or more are better
estimate(TABLE, "--step-size", "-1")
    SystemExit: exit status 2: python -m sedyn estimate: error: argument --step-size: must be auto or a positive number;
        got -1
estimate(TABLE, "--step-size", "1e9")
    SystemExit: exit status 2: sedyn: training diverged at step 1 (training error .., largest weight ..): the arrays
        end at step 0; lower step_size or the scale of the initial weights (--step-size, here 1000000000.0)
estimate(TABLE, "--max-steps", "many")
    SystemExit: exit status 2: python -m sedyn estimate: error: argument --max-steps: invalid int value: 'many'
estimate(TABLE, "--width", "0")
    SystemExit: exit status 2: sedyn: --width must be a positive integer; got 0
estimate(TABLE, "--seed", "-1")
    SystemExit: exit status 2: sedyn: --seed must be an integer, 0 or more; got -1
command("predict", "absent", "absent.csv")
    SystemExit: exit status 2: sedyn: no file 'absent'; give a model that `estimate --save` has written
command("run", "--n-runs", "1")
    SystemExit: exit status 2: sedyn: --n-runs must be an integer >= 2; got 1
command("run", "--n-features", "9")
    SystemExit: exit status 2: sedyn: --n-features must be an integer >= 10; got 9
command("run", "--seed", "-1")
    SystemExit: exit status 2: sedyn: --seed must be an integer, 0 or more; got -1
command("run", "--n-features", "ten")
    SystemExit: exit status 2: python -m sedyn run: error: argument --n-features: invalid int value: 'ten'
# sweeps and play
sedyn.sweep(len, {"x": [1]}, 1)
    TypeError: function must be a plain function that hides no values (no partial, method or closure): what it
        depends on belongs into the grid, a constant as a sequence of one value; got <built-in function len>
sedyn.sweep(lambda x, rng: {}, {"x": [1]}, 1)
    TypeError: worker processes cannot import <lambda>: put it into a module (a .py file beside the notebook)
        and import it, or run it here with executor=concurrent.futures.ThreadPoolExecutor(..)
sedyn.sweep(point, {"x": 3}, 1)
    TypeError: the grid needs a sequence of values for 'x'; got 3
sedyn.sweep(point, {"x": np.array(3)}, 1)
    TypeError: the grid needs a sequence of values for 'x'; got 3
sedyn.sweep(point, {"z": [3]}, 1)
    TypeError: the function point must take ['z', 'rng'] by name: missing a required argument: 'x'
sedyn.sweep(point, {"x": []}, 1)
    ValueError: the grid is empty: every parameter needs at least one value
sedyn.sweep(point, {"x": [np.nan]}, 1)
    TypeError: parameter 'x' must consist of numbers (not NaN), texts, None, tuples, arrays or dataclasses of
        these, so that its value has one name; got nan (of a function give the name, and look it up inside)
sedyn.sweep(point, {"x": [len]}, 1)
    TypeError: parameter 'x' must consist of numbers (not NaN), texts, None, tuples, arrays or dataclasses of
        these, so that its value has one name; got <built-in function len> (of a function give the name, and
        look it up inside)
sedyn.sweep(point, {"x": [1]}, 0)
    ValueError: n_seeds must be a positive integer; got 0
sedyn.sweep(point, {"x": [1]}, 1, executor="dask")
    TypeError: executor must be a concurrent.futures.Executor or a positive integer; got 'dask'
sedyn.sweep(point, {"x": [1]}, 1, store=written("taken.txt", ""))
    NotADirectoryError: the store of a sweep is a folder, and taken.txt is a file; name another place
sedyn.sweep(point, {"x": [1]}, 1, store=3)
    TypeError: store must be a path, such as 'folder/name'; got 3
sedyn.sweep(point, {"x": [1]}, 1, rng=-1)
    ValueError: rng must be None, an integer seed >= 0, or a numpy Generator; got -1
sedyn.sweep(point, {"seed": [1]}, 1)
    ValueError: parameters cannot be called ['seed']; choose other names, texts and none of rng, seed, seconds, record
sedyn.load(None)
    TypeError: path must be a path, such as 'folder/name'; got None
sedyn.load("absent")
    FileNotFoundError: absent does not exist; give the folder of a sweep or the file of a saved result
sedyn.load(written("notes.txt", "no result"))
    ValueError: notes.txt is damaged, or no file that a result's save wrote; compute the result again and save it
sedyn.explore(colour=1)
    ValueError: there is no setting 'colour'; use some of aspect_ratio, noise, link, width, depth, activation,
        init_scale, step_size, n_steps, n_features, seed
sedyn.explore(width=9)
    ValueError: width must be an integer from 1 to 6; got 9
sedyn.explore(link="cosine")
    ValueError: link must be one of linear, tanh, sine, relu, sign, absolute, quadratic, cubic, zero; got
        'cosine'
sedyn.explore("noise")
    ValueError: show must be a list of settings, like ['noise']; got 'noise'
sedyn.explore(3)
    ValueError: show must be a list of settings, like ['noise']; got 3
"""


def table(text):
    """(call, exception, message) of every row: lines indented by four spaces hold the outcome, by eight go on."""
    found, lines = [], [line for line in re.sub(r"\n {8,}", " ", text).splitlines() if line and line[0] != "#"]
    for call, outcome in zip(lines[::2], lines[1::2], strict=True):
        kind, message = outcome.strip().split(": ", 1)
        found.append((call, kind, message))
    return found


CASES = table(ROWS)
# Public names without a row: results and parts of results, which sedyn makes itself.
WITHOUT = {
    "AgreementTest",
    "DataTable",
    "AssumptionWarning",
    "Band",
    "Candidate",
    "DiceRun",
    "Evolution",
    "Explorer",
    "Failure",
    "IntervalAccuracy",
    "Kernels",
    "Result",
    "Simulation",
    "StandardErrors",
    "Stop",
    "Table",
    "Teacher",
    "Weights",
    "Wide",
    "__version__",
}


@pytest.mark.parametrize(("call", "kind", "message"), CASES, ids=[f"{i}-{row[0][:40]}" for i, row in enumerate(CASES)])
def test_bad_input(call, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pattern = re.escape(message).replace(re.escape(".."), ".*")
    with pytest.raises((ValueError, TypeError, AttributeError, MemoryError, OSError, SystemExit)) as caught:
        eval(call, globals())
    said = " ".join(str(caught.value).split())
    assert caught.type.__name__ == kind and re.fullmatch(pattern, said), f"{kind}: {said}"


def test_the_table_is_complete():
    assert len(CASES) >= 60 and len({message for *_, message in CASES}) >= 60  # kinds, not repetitions
    names = set(sedyn.__all__) - WITHOUT
    for name in [*names, "plot.learning_curves", "plot.estimated_error", "plot.kernel_heatmap"]:
        assert f"sedyn.{name}" in ROWS, name
    methods = "NETWORK.init( NETWORK.predict( TEACHER.sample( .step_sizes( .weights_at( .kernels. .realize("
    for method in methods.split():
        assert method in ROWS, method
    for command_ in ("run", "estimate"):
        assert f'command("{command_}"' in ROWS


def test_arrays_that_hold_numbers_work():
    """Objects that are numbers, masked arrays without a mask, nullable columns without gaps."""
    whole = sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y).train_error
    given = [X.astype(object), np.ma.array(X), X.tolist()]
    pandas = pytest.importorskip("pandas")
    given += [pandas.DataFrame(X), pandas.DataFrame(X).astype("Float64")]
    for rows in given:
        run = sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, rows, pandas.Series(Y).astype("Float64"))
        np.testing.assert_array_equal(run.train_error, whole)
    gap = pandas.DataFrame(X).astype("Float64")
    gap.iloc[3, 2] = pandas.NA
    with pytest.raises(ValueError, match="X holds NaN or infinite entries, 1 of 120"):
        sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, gap, Y)


def test_a_metric_that_is_no_number_is_reported():
    def lost(f, y):
        return np.where(f > -np.inf, np.nan, y)

    theory = sedyn.state_evolution(*PROBLEM, 2.0, n_paths=2**9, n_scrambles=2, metrics=[lost], rng=0)
    for result in (sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, metrics=[lost]), theory):
        assert result.status == "inaccurate" and "the metric lost is not a finite number at step 0" in result.message
        assert np.all(np.isfinite(result.train_error)) and len(result.train_error) == TRAINING.n_steps + 1

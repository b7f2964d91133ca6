"""Checks of the topic "Adam, signs and sparsity"."""

from functools import cache

import numpy as np
from scipy import stats

import sedyn

from .exercises import NotYet, close, exercise, function, listed, number, numbers

NAMES = "the lr of Adam", "the threshold of W_1", "the step size at n = 10000"
NUMBERS = np.array([0.02 / 50, 0.02 * 0.3 / 50, 0.02 * 2])


@exercise(
    "optimizers.1",
    "W_1 is Delta over the ROOT of n: what moves Delta by one step size moves W_1 by that over the root of n.",
    "Soft thresholding cuts Delta at step size times tau.",
)
def numbers_of_pytorch(answer):
    found = numbers(listed(answer), 3, what="the three numbers")
    ratio = found / NUMBERS
    wrong = [i for i in range(3) if not close(ratio[i], 1, 1e-2)]
    if not wrong:
        return
    if any(close(ratio[i], 1 / 50, 1e-2) for i in wrong[:2] if i < 2):
        raise NotYet("divided by n somewhere; W_1 is Delta over the ROOT of n")
    if 1 in wrong and close(found[1], 0.3 / 50, 1e-2):
        raise NotYet("the threshold: tau times the step size, and W_1 is Delta over the root of n; one is missing")
    if any(close(ratio[i], 50, 1e-2) for i in wrong if i < 2):
        raise NotYet("a number for Delta stands where one for W_1 is asked for")
    if 2 in wrong and close(found[2], 0.01, 1e-2):
        raise NotYet("the other way round: one lr means larger steps of Delta when n grows")
    if 2 in wrong and close(found[2], 0.02, 1e-2):
        raise NotYet("keeping the lr changes the step size of Delta when n grows")
    raise NotYet("look again at: " + ", ".join(NAMES[i] for i in wrong))


@exercise(
    "optimizers.2",
    "start returns a tuple of arrays, here (np.zeros_like(value),); step returns the new value and the new tuple.",
    "Update the mean first, then step by step_size times the sign of the new mean.",
)
def signum(answer):
    if isinstance(answer, type):
        answer = answer()
    if not isinstance(answer, sedyn.Optimizer):
        raise NotYet(f"a subclass of sedyn.Optimizer is wanted; got {type(answer).__name__}")
    rng = np.random.default_rng(23)
    value, gradients = rng.standard_normal(2000), rng.standard_normal((3, 2000)) + 0.3

    def path(of):
        now, state, found = value.copy(), of.start(value.copy()), []
        for t, gradient in enumerate(gradients):
            if not isinstance(state, (tuple, list)):
                raise NotYet("the state is a tuple of arrays, a single one too: (mean,)")
            given = now, gradient, *state
            kept = [np.array(array) for array in given]
            stepped = of.step(now, gradient, state, 0.1, t)
            if not all(map(np.array_equal, given, kept)):
                raise NotYet("a step writes into an array that it is given; let it make new ones")
            if not isinstance(stepped, (tuple, list)) or len(stepped) != 2:
                raise NotYet("step returns two things: the new value, and the new state")
            now, state = np.asarray(stepped[0], float), stepped[1]
            if now.shape != value.shape:
                raise NotYet(f"a step keeps the shape of the value; got {now.shape} for {value.shape}")
            found.append(now)
        return np.array(found)

    try:
        found = path(answer)
    except NotImplementedError:
        raise NotYet("not answered: the class does not say what a step does") from None
    except (IndexError, ValueError):
        if type(answer).start is sedyn.Optimizer.start:
            raise NotYet("the class does not say what it remembers at first: start(self, value)") from None
        raise
    means, mean = [], 0 * value
    for gradient in gradients:
        mean = 0.9 * mean + 0.1 * gradient
        means.append(mean)
    truth = value - 0.1 * np.cumsum(np.sign(means), axis=0)
    if close(found, truth, 1e-5, 1e-5):
        return
    if close(found, value - 0.1 * np.cumsum(np.sign(gradients), axis=0), 1e-5, 1e-5):
        raise NotYet("it has forgotten the past: return the new mean as the state")
    if close(found[0], value + 0.1 * np.sign(gradients[0]), 1e-5, 1e-5):
        raise NotYet("uphill; step AGAINST the sign")
    if close(found[0], value, 1e-5, 1e-5):
        raise NotYet("the first step does nothing: update the mean before you use it")
    if not close(np.abs(found[0] - value), 0.1, 1e-5):
        raise NotYet("a step should have the length step_size in every entry")
    if close(found[0], truth[0], 1e-5, 1e-5):
        raise NotYet("the first step is right, the others are not: what does the mean keep of the past?")
    raise NotYet("the first step is against the sign of the first gradient, times step_size")


@exercise(
    "optimizers.3",
    "Which interval is sent to 0 in one step? Its ends are the step size times the threshold.",
    "The probability that a Gaussian of this variance lies between -a and a is 2 cdf(a / s.d.) - 1.",
)
def share_of_zeros(answer):
    cases = [(1.0, 0.2, 0.2), (4.0, 0.3, 0.5), (2.5, 0.5, 1.2)]

    def same(rule):
        return all(close(found, rule(*case), 2e-3) for found, case in zip(answers, cases, strict=True))

    found = [function(answer)(*case) for case in cases]
    answers = [number(value, what="the share") for value in found]
    if same(lambda v, s, a: stats.chi2.cdf((s * a) ** 2 / v, 1)):
        return
    if same(lambda v, s, a: stats.norm.cdf(s * a / np.sqrt(v)) - 0.5):
        raise NotYet("half of them; the threshold has two sides")
    if same(lambda v, s, a: stats.norm.cdf(s * a / np.sqrt(v))):
        raise NotYet("what lies below -step_size * threshold is not sent to 0")
    if same(lambda v, s, a: stats.chi2.cdf(a**2 / v, 1)):
        raise NotYet("the threshold of a step is the step size times tau")
    if same(lambda v, s, a: stats.chi2.cdf((s * a / v) ** 2, 1)):
        raise NotYet("variance or standard deviation?")
    if same(lambda v, s, a: stats.chi2.sf((s * a) ** 2 / v, 1)):
        raise NotYet("that is the share of those that are left")
    raise NotYet("which interval is sent to 0?")


@cache
def flat_and_gaussian():
    """Generalization error of sign descent at t = 30: signal with all entries of one size, and Gaussian rows."""
    W_2, n, rng = np.array([[1.0], [-0.8], [0.6]]), 800, np.random.default_rng(27)
    signal = rng.choice([-1.0, 1.0], n)
    basis = np.linalg.qr(np.column_stack([signal, rng.standard_normal((n, 3))]))[0]
    starts = (
        sedyn.Overlaps.of(sedyn.Weights(basis[:, 1:], (W_2,)), signal / np.sqrt(n)),
        sedyn.Overlaps(gram=np.eye(3), cross=np.zeros(3), signal_gram=1.0, deep=(W_2,)),
    )
    training = sedyn.Training((0.03, 0.05), 30, optimizer=(sedyn.SignDescent(), None))
    problem = sedyn.Network((3, 1), ("tanh", "identity")), training
    teacher = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
    return [
        sedyn.state_evolution(*problem, teacher, start, 1.5, n_paths=2**12, n_scrambles=2, rng=26).generalization_error[
            30
        ]
        for start in starts
    ]


@exercise(
    "optimizers.4",
    "sedyn.Overlaps.of(*sparse_start(..)) keeps the rows of the start; solve the state evolution as in section 4.",
    "The rule is training('sign descent', 30), and 'over' means: divide by the error from Gaussian rows.",
)
def flat_signal(answer):
    value = number(answer)
    flat, blind = flat_and_gaussian()
    if abs(value - flat / blind) < 0.04:  # starts and solutions of a reader's own differ by 0.02
        return
    if abs(value - blind / flat) < 0.05:
        raise NotYet("upside down")
    if abs(value - 1) < 0.02:
        raise NotYet("that would be so for a linear rule; do the overlaps keep the rows?")
    raise NotYet("start, rule and number of steps as in section 4?")

"""Checks of notebook 03: the solver in forty lines."""

import numpy as np

from .exercises import NotYet, close, exercise, function, numbers


def _inner(a, b):
    return a @ b.T / a.shape[-1]


@exercise(
    "03.1",
    "Two conditions fix it: the first column is the weights' coordinate along mu / |mu|, and A_0 A_0^T is C_(0,0).",
    "Subtract from C_(0,0) what the first column gives to A_0 A_0^T. The other columns are a root of the rest.",
)
def start(answer):
    call = function(answer)
    for q, norm in ((2, 1.0), (3, 1.3)):
        rng = np.random.default_rng([31, q])
        along, root = rng.standard_normal(q), np.eye(q) + 0.3 * rng.standard_normal((q, q))
        C_00, c_0 = np.outer(along, along) + root @ root.T, norm * along
        A = call(C_00.copy(), c_0.copy(), norm)
        A = numbers(A, q, q + 1, what="A_0")
        first, square = A[:, 0], A @ A.T
        if close(first, c_0, 1e-3, 1e-6) and norm != 1:
            raise NotYet("right for |mu| = 1: the coordinate along the UNIT vector mu / |mu| is c_0 / |mu|")
        if not close(first, along, 1e-3, 1e-6):
            raise NotYet("the first column must be the coordinate of the weights along mu / |mu|")
        if close(square, C_00, 1e-3, 1e-5):
            continue
        if close(square, C_00 + np.outer(along, along), 1e-3, 1e-5):
            raise NotYet("A_0 A_0^T is too large: the first column is counted twice")
        if close(A[:, 1:].T @ A[:, 1:] + np.outer(along, along), C_00, 1e-3, 1e-5):
            raise NotYet(
                "the factor stands transposed: A_0 A_0^T must be C_(0,0), and a triangle L gives L L^T, not L^T L"
            )
        raise NotYet("the first column is right, but A_0 A_0^T is not C_(0,0)")


def step_problem(phi, seed):
    """Arrays in general position, so that no two wrong steps look alike."""
    rng = np.random.default_rng(seed)
    A, M, S, zeta_0, Q, H = (
        rng.standard_normal(shape) for shape in ((2, 3), (2, 4), (2, 50), (3, 50), (4, 50), (4, 50))
    )
    return A, M, S, zeta_0, Q, H, 0.3, phi


@exercise(
    "03.2",
    "Write the update of one coordinate, (03.1), twice: for a known direction, and for one made by the data.",
    "Along v_k the coordinate is sqrt(phi) M[:, k], and the training rows see Q_k / sqrt(phi) + H_k. Divide by"
    " sqrt(phi) at the end, to be left with M. inner(S, F) is the mean over paths.",
)
def step(answer):
    call = function(answer)
    for phi, seed in ((1.7, 32), (4.0, 33)):
        A, M, S, zeta_0, Q, H, eta, _ = problem = step_problem(phi, seed)
        found = call(*(part.copy() if isinstance(part, np.ndarray) else part for part in problem))
        if not (isinstance(found, (tuple, list)) and len(found) == 2):
            raise NotYet("two things are wanted: return A, M")
        new_A, new_M = numbers(found[0], 2, 3, what="A"), numbers(found[1], 2, 4, what="M")
        N, root = S.shape[1], np.sqrt(phi)
        S_zeta, SQ, SH = (_inner(S, rows) for rows in (zeta_0, Q, H))
        if close(new_A, A, 1e-6) and close(new_M, M, 1e-6):
            raise NotYet("nothing has moved")
        if close(new_A, A + eta * S_zeta, 1e-3, 1e-5):
            raise NotYet("A goes uphill: gradient DESCENT subtracts")
        if close(new_A, A - eta * N * S_zeta, 1e-3, 1e-4):
            raise NotYet("A moves N times too far: the gradient is a mean over the paths, not a sum")
        if not close(new_A, A - eta * S_zeta, 1e-3, 1e-5):
            raise NotYet("A is wrong: each of its columns takes the step (03.1), and the rows see zeta_0 there")
        wrong = {
            "M lacks the twins: the later gradients react to the direction through what a fresh row sees of it, H": SQ
            / phi,
            "M lacks the memory's kick: the training rows see Q / sqrt(phi) of the direction besides H": SH / root,
            "that is the step of sqrt(phi) M, the coordinate itself; M is what is left after dividing by sqrt(phi)": SQ
            / root
            + SH,
            "one of the two terms has a wrong power of phi: Q comes with 1 / sqrt(phi), and dividing the coordinate by"
            " sqrt(phi) gives another 1 / sqrt(phi), to Q and to H": (SQ + SH) / root,
            "in M phi is missing: the rows see Q / sqrt(phi) + H, and the coordinate is sqrt(phi) M": SQ + SH,
            "H has one factor 1 / sqrt(phi), not two": (SQ + SH) / phi,
            "H needs a factor too: the coordinate is sqrt(phi) M, so the whole step is divided by sqrt(phi)": SQ / phi
            + SH,
            "M goes uphill: gradient DESCENT subtracts": -SQ / phi - SH / root,
            "M moves N times too far: means over the paths, not sums": N * (SQ / phi + SH / root),
        }
        if close(new_M, M - eta * (SQ / phi + SH / root), 1e-3, 1e-5):
            continue
        if close(new_M, M, 1e-6):
            raise NotYet("A is right, M has not moved: without M there is no memory, only the population limit")
        for message, gradient in wrong.items():
            if close(new_M, M - eta * gradient, 1e-3, 1e-5):
                raise NotYet(f"A is right, but {message}")
        raise NotYet("A is right, M is not: its gradient has two terms, one with Q and one with H")


@exercise(
    "03.3",
    "A fresh row sees U = A zeta_0 + sqrt(phi) M H. All rows of zeta_0 and H are independent, of mean 0, variance 1.",
    "The covariance of A zeta_0 is A A^T. What is that of (sqrt(phi) M) H?",
)
def fresh_covariance(answer):
    call = function(answer)
    A, M = np.array([[1.0, 0.2, 0.0], [0.1, -0.3, 0.5]]), np.array([[0.3, -0.1], [0.2, 0.4]])
    for phi in (1.5, 3.0):
        found = call(A.copy(), M.copy(), phi)
        if np.shape(found) != (2, 2):
            raise NotYet(f"the shape is {np.shape(found)}, it should be (q, q)")
        found, known, made = numbers(found, 2, 2), A @ A.T, M @ M.T
        if close(found, known + phi * made, 1e-3, 1e-4):
            continue
        if phi == 3.0:
            raise NotYet("right at phi = 1.5; it must depend on phi")
        wrong = {
            "that is the population limit: the directions made by the data are missing": known,
            "U contains sqrt(phi) M H; its covariance contains sqrt(phi) twice": known + np.sqrt(phi) * made,
            "that includes M Q, which only training rows see; a fresh row does not meet itself": known
            + (phi + 1) * made,
            "sqrt(phi) M enters the covariance twice: its square has the factor phi, not phi^2": known + phi**2 * made,
            "|v| = 1, but the coordinate along v is sqrt(phi) M, not M": known + made,
            "zeta_0 is there as well: A A^T is missing": phi * made,
        }
        for message, value in wrong.items():
            if close(found, value, 1e-3, 1e-4):
                raise NotYet(message)
        raise NotYet("zeta_0 and the twins are independent standard Gaussians: what is the covariance of U?")


@exercise(
    "03.4",
    "One random number per row of data (per column of S), new at every call: does it take part or not?",
    "Those that take part are divided by b, since the gradient is divided by b m instead of m.",
)
def take_part(answer):
    call = function(answer)
    rng = np.random.default_rng(34)
    for b in (0.5, 0.25):
        S = rng.standard_normal((2, 2**13)) + 3
        one, two = (call(S.copy(), b, stream) for stream in rng.spawn(2))
        if np.shape(one) != S.shape or np.shape(two) != S.shape:
            raise NotYet(f"the shape is {np.shape(one)}, it should be that of S")
        one, two = (numbers(part, *S.shape, what="the result") / S for part in (one, two))
        there = np.abs(one) > 1e-6
        if there.all():
            raise NotYet("every row takes part; only a share b should, drawn anew at every step")
        if not there.any():
            raise NotYet("no row takes part")
        if np.array_equal(one, two):
            raise NotYet("the same rows take part at every step; draw them from the generator at each call")
        if not np.array_equal(there[0], there[1]):
            raise NotYet("a row takes part with all its neurons or with none: one random number per row")
        share = there.mean()
        if abs(share - b) > 0.04:
            raise NotYet(f"a share of {share:.2g} takes part where b = {b}")
        if not close(one[there], one[there][0]):
            raise NotYet("all rows that take part must get the same factor")
        if not close(one[there], 1 / b):
            raise NotYet(f"the mean of S became {one.mean():.2g} of what it was; the gradient is divided by b m")

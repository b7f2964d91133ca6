"""Tests of features: which of them the labels depend on, from one training run (theory 9).

Summed over the steps, the gradients hold of every feature what it tells of the labels, and what the weights that saw it
have done to the rows' own gradients. The second part is a response, measured by reruns and taken away; the rest is
Gaussian around 0 for a feature that the labels do not depend on.

======= =================================================================== ============
symbol  name                                                                shape
======= =================================================================== ============
S       gradients summed over the steps                                     (q, m)
B       orthonormal basis of the rows of W_1^(0)T, W_1^(1)T, .., over       (K, n)
        features
c_s     W_1^(s)T in that basis                                              (q, K)
H       twins over the rows: fresh Gaussian, one for each row of the basis  (P, K, m)
E       echo: mean derivative of S when every U_s moves along c_s           (q, K)
        in that basis
Psi     (Sigma^(-1) X^T S^T / m) - B^T E^T                                  (n, q)
======= =================================================================== ============
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from ..common import Array
from ..model import Moving, Network, Rule, eigen_directions
from ..recursion import Basis
from ..runs import State

LEADING = 0.03  # of the largest mean square of summed gradients: smaller combinations of neurons are not tested
NUDGE = 0.15  # of a fresh preactivation: less is noisy at kinks, more widens the law of U (theory 5)
RETRAINED_ROWS = 2000  # in all runs together that are trained again
ALONE = 0.1  # of the initial weights on one feature: its gradients are no sum of many parts
TOLERANCE, EXACT = 1e-2, 1e-9  # of the basis of weights; where responses are exact
FEWEST, ENOUGH = 2, 6  # rows per feature for a covariance from other rows: refused below, warned of below (theory 9)


class FeatureTests:
    """Collects along a run what the tests of its features need."""

    def __init__(self, X: Array, y: Array, q: int, covariance, unlabelled: Array | None, own: bool, rng):
        """As `augmented_gradient_descent` takes them, validated; `own`: the unlabelled rows are those of X.

        Raises ValueError for a covariance that cannot be inverted or is not known well enough.
        """
        (m, n), self.rng = X.shape, rng
        self.X, self.y, self.q, self.further = X, y, q, 0
        self.own, self.warnings = own, list[str]()
        # columns that do not vary have no effect, whatever they weigh
        self.varies = np.ptp(X, axis=0) > 1e-12 * np.abs(X).max(axis=0)
        self.centred = X - X.mean(axis=0)  # means of features and gradients are no dependence
        self.unit = 1.0
        if own:
            if m <= n + q + 3:
                raise ValueError(
                    f"feature_tests with a covariance from the training rows themselves need more rows than features; "
                    f"got {m} rows and {n} features; give the covariance, or further rows with unlabelled="
                )
            self.freedom = m - n - 1
            moment = self.centred.T.astype(float) @ self.centred
            moment[~self.varies, ~self.varies] = m
            self.inverse = m * _inverse(moment)
        elif unlabelled is not None:
            k = len(unlabelled)
            if k < FEWEST * n + 4:
                raise ValueError(
                    f"feature_tests need the inverse of the covariance, and {k} unlabelled rows say too little of "
                    f"it for {n} features; give at least {ENOUGH * n}, or the covariance"
                )
            if k < ENOUGH * n:
                self.warnings.append(
                    f"the covariance of {n} features comes from {k} rows: p-values may be too small; give "
                    f"{ENOUGH * n} or more"
                )
            self.further = k
            self.inverse = (k - n - 2) / (k - 1) * _inverse(np.cov(unlabelled.T).reshape(n, n))
        elif covariance is not None:
            variances, directions = eigen_directions(covariance, n)
            self.inverse = _inverse(np.diag(variances) if directions is None else np.asarray(covariance, float))
        else:
            self.inverse = None
        self._basis = Basis(np.ones(n), float)
        self._H = np.zeros((0, 0, m), np.float32)
        self.P, self.S = 0, np.zeros((q, m))
        self._path: list[Array] = []
        self._again: Moving | None = None

    def begin(self, P: int) -> None:
        """Make ready for P reruns."""
        self.P = P
        self._H = np.zeros((P, 0, len(self.X)), np.float32)
        self.D = np.zeros((self.q, P, len(self.X)))

    def follow(self, first: Array, u: Array) -> None:
        """Take in the weights W_1 (n, q) and preactivations (q, m) of the next step."""
        if not self._path:
            size = np.linalg.norm(first)
            moved = np.sqrt(np.mean(np.square(self.centred, dtype=float)))  # by a nudge along a unit vector of features
            if size > 0 and (spread := np.sqrt(u.var(axis=1, dtype=float).sum())) > 0:
                moved = spread / size
            self.unit = moved if moved > 0 else 1.0
            share = np.square(first).sum(axis=1) / max(np.square(first).sum(), 1e-300)
            if share.max() > max(ALONE, 3 / len(share)):
                self.warnings.append(
                    f"feature {share.argmax()} holds {share.max():.0%} of the initial weights, and its p-value is not "
                    "to be trusted; spread them over many features"
                )
        c, _ = self._basis.extend(first.T.astype(float), TOLERANCE if self.P else EXACT)
        self._path.append(c)
        born = len(self._basis) - self._H.shape[1]
        if born and self.P:
            fresh = self.rng.standard_normal((self.P, born, len(self.X)), np.float32)
            fresh -= fresh.mean(axis=2, keepdims=True)
            room = len(self.X)
            if self.own:  # X must not see them
                along = np.matmul(fresh, self.centred) @ (self.inverse / len(self.X)).astype(np.float32)
                fresh -= np.matmul(along, self.centred.T)
                room = self.freedom
            self._H = np.concatenate([self._H, orthonormal(fresh.astype(np.float32), self._H, room)], axis=1)

    @property
    def nudges(self) -> Array:
        """What moves the fresh preactivations of every row in this step, (q, P, m), in units of the nudge."""
        return np.matmul((self.unit * self._path[-1]).astype(np.float32), self._H).swapaxes(0, 1)

    def retrain(self, network: Network, rule: Rule, state: State) -> None:
        """A step of P further runs on the same rows, each nudged where X cannot see it. For a covariance from the same
        rows: what a nudge changes must not come back through the weights, and whether it does X itself tells."""
        if self._again is None:
            self.begin(max(2, RETRAINED_ROWS // len(self.X)))  # the covariance holds what so few leave to chance
            self._again = Moving(rule, np.repeat(state.first.T[None], self.P, axis=0))
            self._labels = np.tile(self.y, self.P)
        self.follow(state.first, state.u)
        u = np.matmul(self._again.now, self.X.T) + self.X.dtype.type(NUDGE) * self.nudges.swapaxes(0, 1)
        u = u.swapaxes(0, 1).reshape(self.q, -1)
        S = network.gradients(u, self._labels, state.small, rule.loss)[0].reshape(self.q, self.P, -1)
        if state.batch is not None:
            S = S * state.batch
        self.add(state.S, (S - state.S[:, None]) / NUDGE)
        self._again.step(state.t, np.matmul(S.swapaxes(0, 1), self.X) / len(self.X))

    def add(self, S: Array, D: Array | None = None) -> None:
        """Gradients (q, m) of a step, and what they change in the reruns, (q, P, m)."""
        self.S += S
        if D is not None:
            self.D += D / self.unit

    def response(self, R: Array | None) -> tuple[Array, Array]:
        """B^T E^T (n, q), and the covariance (n, q, q) that reruns leave it; exact from responses R (T, T, q, q)."""
        B, noise = self._basis.combine(np.eye(len(self._basis))), np.zeros((self.q, self.q))
        if R is None:
            sizes = np.einsum("pkm,pkm->pk", self._H, self._H, dtype=float)
            each = np.einsum("apm,pkm->pak", self.D, self._H, optimize=True) / sizes[:, None]
            E = each.mean(axis=0)
            noise = np.einsum("pak,pbk->ab", each - E, each - E) / (self.P * (self.P - 1) * max(len(B), 1))
        else:
            E = np.zeros((self.q, len(B)))
            for s, c in enumerate(self._path):
                E[:, : c.shape[1]] += R[s:, s].sum(axis=0) @ c
        return B.T @ E.T, np.einsum("kn,kn->n", B, B)[:, None, None] * noise

    def result(self, R: Array | None = None) -> dict[str, Array]:
        """Statistics, p-values and effects, all steps taken together; none where the gradients are all 0, or not
        finite."""
        (m, n), q = self.X.shape, self.q
        if not np.all(np.isfinite(self.S)):
            return {}
        total = self.S - self.S.mean(axis=1, keepdims=True)
        values, vectors = np.linalg.eigh(total @ total.T)
        # neurons that do alike differ in little more than what responses leave to chance, and dead ones say nothing
        turn = vectors[:, values > LEADING * values[-1]]
        if turn.shape[1] == 0:
            return {}
        response, noise = self.response(R)
        S, response, noise = turn.T @ total, self.varies[:, None] * response @ turn, turn.T @ noise @ turn
        v, freedom, rank = self.centred.T.astype(float) @ S.T / m, m, turn.shape[1]
        if self.own:
            S = S - (self.centred @ (self.inverse @ v)).T  # what the columns of X do not explain
            freedom = self.freedom
        G = S @ S.T / freedom
        size = np.full(n, 1.0) if self.inverse is None else np.diag(self.inverse)
        covariance = noise + (self._white(S) if self.own else size[:, None, None] * G / m)
        if self.inverse is not None:
            moment, v = v, self.inverse @ v
            if self.further:  # moments of the inverse of a Wishart matrix
                k = self.further
                each = size[:, None, None] * (moment.T @ v) + (1 + 2 / (k - n - 2)) * np.einsum("la,lb->lab", v, v)
                covariance += (k - n - 2) / ((k - n - 1) * (k - n - 4)) * each
        Psi = v - response
        root = np.linalg.cholesky(covariance)
        statistics = np.linalg.solve(root, Psi[:, :, None])[:, :, 0]
        # along the direction in which the others differ most in units of their noise, freed of this feature's own
        common = np.linalg.cholesky(G)
        whitened = np.linalg.solve(common, Psi.T) / np.sqrt(size / m)  # (q, n)
        shared, own = whitened, np.ones(n)
        if self.inverse is not None:
            correlation = self.inverse / np.sqrt(np.outer(size, size))
            shared, own = whitened @ correlation, np.einsum("kl,kl->l", correlation, correlation)
        both = np.einsum("al,bl->lab", shared, whitened)
        each = np.einsum("l,al,bl->lab", own, whitened, whitened)
        moments = whitened @ whitened.T
        main = np.linalg.eigh(moments)[1][:, -1]
        others = np.linalg.eigh(moments - both - both.swapaxes(1, 2) + each)[1][:, :, -1]
        others *= np.where(others @ main < 0, -1.0, 1.0)[:, None]
        along = np.linalg.solve(common.T, others.T).T
        effects = np.einsum("la,la->l", Psi, along)
        stderr = np.sqrt(np.einsum("la,lab,lb->l", along, covariance, along))
        chi = np.square(statistics).sum(axis=1)
        if self.own:
            stderr *= stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)  # so that 1.96 of them cover 95 %
            p = stats.f.sf(chi * (freedom - rank + 1) / (freedom * rank), rank, freedom - rank + 1)
        else:
            p = special.chdtrc(rank, chi)
        if rank > 1:  # the direction also follows what chance does to all features alike (measured)
            stderr *= np.sqrt(1 + np.sqrt(rank / n))
        # of several outputs the one most followed decides: of two classes the second, as of labels -1 and +1
        upwards = np.atleast_1d(effects @ (self.centred.T @ self.y.T))
        most = np.flatnonzero(np.abs(upwards) >= (1 - 1e-6) * np.abs(upwards).max())[-1]
        sign = 1.0 if upwards[most] >= 0 else -1.0
        p, effects, stderr = (
            np.where(self.varies, values, none) for values, none in ((p, 1.0), (effects, 0.0), (stderr, np.nan))
        )
        return {
            "feature_pvalues": p,
            "feature_statistics": np.pad(statistics, ((0, 0), (0, q - rank))),
            "feature_effects": sign * effects,
            "feature_effects_stderr": stderr,
        }

    def _white(self, S: Array) -> Array:
        """Covariance (n, q, q) of X^+ S^T row by row (White), for the residuals S of rows: real features are few, have
        long tails, and the noise depends on them. Residuals are smaller than noise where a row has leverage."""
        rows, q = self.centred @ self.inverse / len(self.X), len(S)
        lever = 1 / len(self.X) + np.einsum("il,il->i", rows, self.centred)
        S = S / np.sqrt(np.maximum(1 - lever, 0.05))
        a, b = np.triu_indices(q)
        covariance = np.empty((len(rows.T), q, q))
        covariance[:, a, b] = covariance[:, b, a] = np.square(rows).T @ (S[a] * S[b]).T
        return covariance


def orthonormal(fresh: Array, known: Array, room: float) -> Array:
    """Gaussian directions (.., d, m) made orthonormal over the rows, and orthogonal to `known` (.., K, m), while they
    all are fewer than half of the `room`: a linear gradient then has exactly the right response."""
    m, K = fresh.shape[-1], known.shape[-2] + fresh.shape[-2]
    if 2 * K + 1 >= room:
        return fresh
    fresh = fresh - np.matmul(np.matmul(fresh, known.swapaxes(-2, -1)), known) / m
    factor = np.linalg.cholesky(np.matmul(fresh, fresh.swapaxes(-2, -1)) / m)
    return np.matmul(np.linalg.inv(factor), fresh)


def _inverse(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    if values[0] <= 1e-10 * values[-1]:
        part = np.flatnonzero(np.abs(vectors[:, 0]) > 0.1 * np.abs(vectors[:, 0]).max())
        which = ", ".join(map(str, part[:8])) + (", .." if len(part) > 8 else "")
        raise ValueError(
            f"feature_tests need a covariance that can be inverted; here features {which} (counted from 0) depend on "
            f"each other (smallest eigenvalue {values[0]:.3g}, largest {values[-1]:.3g}); remove what repeats others"
        )
    return np.linalg.inv(covariance)

"""Kernels of the theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..common import Array, Result, require_memory, shown
from ..model import Overlaps

KERNELS = ("C", "c", "P", "kappa", "fluctuation", "R", "rho")


@dataclass(frozen=True)
class Kernels(Result):
    """The kernels of theory 2, each the mean over scramblings; time indices run over 0..T.

    Attributes
    ----------
    C : (T+1, T+1, q, q)
        ``C[t, s] = E[U_t U_s^T]``, the overlaps W_1^(t)T W_1^(s).
    c : (T+1, q)
        ``E[U_t Z]``, the overlaps W_1^(t)T mu; (T+1, q, k) for k signals, like kappa.
    P : (T+1, q, q)
    kappa : (T+1, q)
        sqrt(n) W_1^(t) = P_t (its start) + kappa_t mu + Gaussian noise, row by row. Where the start has no component
        in some direction (a singular G_0 - c_0 c_0^T/|mu|^2), P is the one of least norm. For correlated features
        both have an axis of blocks after the first; C and c are then W_1^T Sigma W_1 and W_1^T Sigma mu.
    fluctuation : (T+1, T+1, q, q)
        Covariance of that Gaussian noise, phi rho G rho^T.
    R : (T, T, q, q)
        Response ``R[t, s] = E[dS_t / dU_s]``, zero for s > t. Solved by tangent recursion when first asked for.
    rho : (T+1, T, q, q)
        Memory ``rho[t, r]``, zero for r >= t. Likewise.
    """

    start: Overlaps
    loadings: Array  # (scramblings, T+1, q, B (k + q))
    noise: tuple[Array, ...]  # per scrambling, (T+1, q, K)
    responses: tuple[Array, ...] = ()  # R and rho of every tangent run, (runs, ..) each
    _solve_responses: Callable | None = field(default=None, repr=False, compare=False)

    @cached_property
    def _samples(self) -> dict[str, Array]:
        n_scrambles, length, q, _ = self.loadings.shape
        require_memory(
            16 * n_scrambles * (length * q) ** 2,
            "the covariance kernel over all pairs of steps",
            "lower n_steps or n_scrambles",
        )
        along, k, B = self.start.signal_loadings(), self.start.n_indices, len(self.start.variances)

        def split(x):  # (.., B, k) along the signals of each block, (.., B, q) along its initial weights
            return np.split(np.moveaxis(x.reshape(*x.shape[:-1], B, k + q), -2, -3), [k], axis=-1)

        mu_0, W_0 = split(self.start.loadings())
        mu, W = split(self.loadings)
        P = W @ np.linalg.pinv(W_0)
        kappa = (mu - P @ mu_0) @ np.linalg.pinv(split(along)[0])
        fluctuation = np.stack([np.einsum("tak,sbk->tsab", M, M, optimize=True) for M in self.noise])
        c = self.loadings @ along.T
        if self.start.cross.ndim == self.start.gram.ndim - 1:  # one signal, without an axis
            c, kappa = c[..., 0], kappa[..., 0]
        return {
            "C": np.einsum("ntak,nsbk->ntsab", self.loadings, self.loadings, optimize=True) + fluctuation,
            "c": c,
            "P": P[:, :, 0] if self.start.blocks is None else P,
            "kappa": kappa[:, :, 0] if self.start.blocks is None else kappa,
            "fluctuation": fluctuation,
        }

    def _response_samples(self, name: str) -> Array:
        if not self.responses:
            if self._solve_responses is None:
                raise ValueError(
                    "R and rho are not stored in this result: ask for kernels.R before saving it, "
                    "or use solver='tangent'"
                )
            object.__setattr__(self, "responses", self._solve_responses())
        return self.responses[("R", "rho").index(name)]

    def _of(self, name: str) -> Array:
        return self._response_samples(name) if name in ("R", "rho") else self._samples[name]

    def stderr(self, name: str) -> Array:
        """Standard error of the kernel `name` ("C", "c", "P", "kappa", "fluctuation", "R" or "rho"), entry by entry."""
        if not (isinstance(name, str) and name in KERNELS):
            raise ValueError(f"unknown kernel name {shown(name)}; use one of {', '.join(KERNELS)}")
        return _stderr(self._of(name))

    C = cached_property(lambda self: self._of("C").mean(axis=0))
    c = cached_property(lambda self: self._of("c").mean(axis=0))
    P = cached_property(lambda self: self._of("P").mean(axis=0))
    kappa = cached_property(lambda self: self._of("kappa").mean(axis=0))
    fluctuation = cached_property(lambda self: self._of("fluctuation").mean(axis=0))
    R = cached_property(lambda self: self._of("R").mean(axis=0))
    rho = cached_property(lambda self: self._of("rho").mean(axis=0))


def _stderr(samples: Array) -> Array:
    """Standard error of the mean over axis 0; NaN for a single sample."""
    if len(samples) < 2:
        return np.full(samples.shape[1:], np.nan)
    return samples.std(axis=0, ddof=1) / np.sqrt(len(samples))

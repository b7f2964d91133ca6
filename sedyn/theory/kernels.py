"""The kernels of the theory: overlaps, coefficients and responses over all pairs of steps (theory 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..common import Array, Result, counted, require_memory, shown, stderr
from ..model import Overlaps

KERNELS = ("C", "c", "P", "kappa", "fluctuation", "R", "rho")


@dataclass(frozen=True, eq=False, repr=False)
class Kernels(Result):
    """Kernels of theory 2, each the mean over scramblings; time indices run over 0..T.

    Attributes
    ----------
    C : (T+1, T+1, q, q)
        ``C[t, s] = E[U_t U_s^T]``, the overlaps W_1^(t)T W_1^(s).
    c : (T+1, q)
        ``E[U_t Z]``, the overlaps W_1^(t)T mu; (T+1, q, k) for k > 1 signals, like kappa.
    P : (T+1, q, q)
    kappa : (T+1, q)
        sqrt(n) W_1^(t) = P_t (its start) + kappa_t mu + Gaussian noise, row by row. Where the start has no component
        in some direction (a singular C_(0,0) - c_0 c_0^T/|mu|^2), P is the one of least norm. Where the first layer has
        an `Optimizer`, these are coefficients of a regression, and the rest is no Gaussian noise. For several blocks of
        features both have an axis of blocks after the first; C and c are then W_1^T Sigma W_1 and W_1^T Sigma mu.
    fluctuation : (T+1, T+1, q, q)
        Covariance of that Gaussian noise, phi rho G rho^T.
    R : (T, T, q, q)
        Response ``R[t, s] = E[dS_t / dU_s]``, zero for s > t.
    rho : (T+1, T, q, q)
        Memory ``rho[t, r]``, zero for r >= t. R and rho are there when ``state_evolution(.., responses=True)`` or the
        tangent solver has found them; AttributeError otherwise, and ValueError from ``stderr``.
    """

    start: Overlaps
    loadings: Array  # (scramblings, T+1, q, B (k + q))
    noise: tuple[Array, ...]  # per scrambling, (T+1, q, K)
    responses: tuple[Array, ...] = ()  # R and rho of every tangent run, (runs, ..) each

    def _summary(self):
        _, length, q, _ = self.loadings.shape
        (B, _, k), steps = self.start.cross.shape, f"T+1 = {length}"
        found = "" if self.responses else ": not computed; pass responses=True to state_evolution"
        signals, blocks = f", k = {k}" if k > 1 else "", f", B = {B}" if B > 1 else ""
        return {
            "C, fluctuation": f"({steps}, {steps}, q = {q}, q)",
            "c": f"({steps}, q{signals})",
            "P": f"({steps}{blocks}, q, q)",
            "kappa": f"({steps}{blocks}, q{signals})",
            "R, rho": f"(T, T, q, q) and (T+1, T, q, q){found}",
            "stderr(name)": f"over {counted(len(self.loadings), 'scrambling')}",
        }

    @cached_property
    def _samples(self) -> dict[str, Array]:
        """Every kernel of every scrambling."""
        n_scrambles, length, q, _ = self.loadings.shape
        require_memory(
            16 * n_scrambles * (length * q) ** 2,
            "the covariance kernel over all pairs of steps",
            "lower n_steps or n_scrambles",
        )
        along, (B, _, k) = self.start.signal_loadings, self.start.cross.shape

        def split(x):  # (.., B, k) along the signals of each block, (.., B, q) along its initial weights
            return np.split(np.moveaxis(x.reshape(*x.shape[:-1], B, k + q), -2, -3), [k], axis=-1)

        mu_0, W_0 = split(self.start.loadings)
        mu, W = split(self.loadings)
        P = W @ np.linalg.pinv(W_0)
        kappa = (mu - P @ mu_0) @ np.linalg.pinv(split(along)[0])
        fluctuation = np.stack([np.einsum("tak,sbk->tsab", M, M, optimize=True) for M in self.noise])
        c = self.loadings @ along.T
        if k == 1:  # no axis of signals
            c, kappa = c[..., 0], kappa[..., 0]
        return {
            "C": np.einsum("ntak,nsbk->ntsab", self.loadings, self.loadings, optimize=True) + fluctuation,
            "c": c,
            "P": P[:, :, 0] if B == 1 else P,  # nor of blocks
            "kappa": kappa[:, :, 0] if B == 1 else kappa,
            "fluctuation": fluctuation,
        } | dict(zip(("R", "rho"), self.responses, strict=False))

    def _of(self, name: str) -> Array:
        if name not in self._samples:
            raise AttributeError(
                f"{name} was not computed: pass responses=True, or solver='tangent', to sedyn.state_evolution"
            )
        return self._samples[name]

    def stderr(self, name: str) -> Array:
        """Standard error of the kernel `name` ("C", "c", "P", "kappa", "fluctuation", "R" or "rho"), entry by entry."""
        if not (isinstance(name, str) and name in KERNELS):
            raise ValueError(f"unknown kernel name {shown(name)}; use one of {', '.join(KERNELS)}")
        try:
            return stderr(self._of(name))
        except AttributeError as missing:  # an attribute that was not the one asked for
            raise ValueError(str(missing)) from None

    C = cached_property(lambda self: self._of("C").mean(axis=0))
    c = cached_property(lambda self: self._of("c").mean(axis=0))
    P = cached_property(lambda self: self._of("P").mean(axis=0))
    kappa = cached_property(lambda self: self._of("kappa").mean(axis=0))
    fluctuation = cached_property(lambda self: self._of("fluctuation").mean(axis=0))
    R = cached_property(lambda self: self._of("R").mean(axis=0))
    rho = cached_property(lambda self: self._of("rho").mean(axis=0))

"""Labels as training takes them: samples are columns, and classes one-hot (theory 11)."""

from __future__ import annotations

import numpy as np

from ..common import Array, counted

BINARY = ("zero_one", "logistic", "hinge")  # for labels -1 and +1 alone, where there is one output
CLASSES = ("cross_entropy", "zero_one")  # made for several outputs


def label_columns(y: Array, n_outputs: int, name: str = "y") -> Array:
    """Labels (N,) of one output as they are; those of c > 1 outputs as (c, N), from (c, N) or from classes 0..c-1 (N,).

    ValueError is raised for labels that a network of so many outputs cannot have.
    """
    if n_outputs == 1:
        if y.ndim > 1:
            raise ValueError(
                f"{name} has {len(y)} numbers for each sample, and the network has one output; give it widths that end "
                f"in {len(y)}, or one number per sample"
            )
        return y
    if y.ndim > 1:
        if len(y) != n_outputs:
            raise ValueError(
                f"{name} has {counted(len(y), 'number')} for each sample, and the network has {n_outputs} outputs; "
                f"give one per output, or a class 0..{n_outputs - 1}"
            )
        return y
    classes = np.arange(n_outputs, dtype=y.dtype)[:, None] == y
    known = classes.any(axis=0)
    if not known.all():
        raise ValueError(
            f"{name} must hold classes 0..{n_outputs - 1} for a network of {n_outputs} outputs, or {n_outputs} numbers "
            f"per sample; got labels such as {y[~known][0]:.6g}"
        )
    return classes.astype(y.dtype)


def require_labels(what: str, name: str, y: Array) -> None:
    """ValueError where a loss or metric of this name meets labels that it is not made for."""
    if y.ndim == 1 and name == "cross_entropy":
        raise ValueError(
            f"{what} needs a network of several outputs, one per class; use 'logistic' with labels -1 and +1, or "
            "widths that end in the number of classes"
        )
    if name in BINARY and not (y.ndim > 1 and name in CLASSES) and not np.all(np.abs(y) == 1):
        advice = (
            "(sedyn.scale_target makes -1 and +1 of any two values; the links 'noisy_sign' and 'logistic' give such "
            "labels)"
            if y.ndim == 1
            else "for every output; use 'cross_entropy' for classes"
        )
        raise ValueError(f"{what} needs labels -1 and +1; got labels such as {y[np.abs(y) != 1][0]:.6g} {advice}")
    if name == "cross_entropy":
        off = (y < 0).any(axis=0) | (np.abs(y.sum(axis=0) - 1) > 1e-5)
        if off.any():
            row = ", ".join(f"{p:.4g}" for p in y[:, off][:, 0])
            raise ValueError(
                f"{what} needs classes, or probabilities of them that add up to 1 in each row; got a row ({row}) of "
                "labels"
            )


def sum_outputs(values: Array) -> Array:
    """What several outputs (c, N) add up to, sample by sample; that of one output (N,) as it is."""
    return values if values.ndim == 1 else values.sum(axis=0)

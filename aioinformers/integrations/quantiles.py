"""How long most things have lasted, out of few classes. Pure."""

from __future__ import annotations

from aioinformers.statistics import Durations

__all__ = ["quantile"]


def quantile(durations: Durations, share: float) -> float | None:
    """Estimate the duration that a share of all stays below; None if there are none.

    Within a class they are taken to be spread evenly, as Prometheus' ``histogram_quantile`` does; of the last class,
    which has no upper bound, only the lower one is known.

    Args:
        durations: Durations in classes.
        share: From 0 to 1, such as 0.99.

    Returns:
        Seconds.
    """
    total = sum(durations.counts)
    if not total or not durations.bounds:
        return None
    rank, lower, below = share * total, 0.0, 0
    for bound, count in zip(durations.bounds, durations.counts, strict=False):
        if count and below + count >= rank:
            return min(lower + (bound - lower) * max(rank - below, 0.0) / count, bound)  # rounding may go beyond it
        lower, below = bound, below + count
    return durations.bounds[-1]

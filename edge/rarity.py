"""How rare something is: p-values from what was counted before, without any assumed distribution.

All counts may be fractions, since what was long ago counts for less. With whole counts of exchangeable things
the p-values are conformal ones (Vovk, Gammerman and Shafer 2005): among all that are truly usual, at most a
share `a` has a p-value of `a` or less.
"""

from dataclasses import dataclass

import numpy as np

from edge.geometry import Floats

DAY_MIN = 24 * 60


def mass_p(counts: Floats, spare: Floats | float = 0.0) -> Floats:
    """How usual each of some kinds of things is: the share of all that was no more frequent than it.

    Args:
        counts: (..., k) how often each kind was seen, 0 or more.
        spare: (...) times that nothing was seen where something could have been: a kind too, the most usual.

    Returns:
        (..., k) in (0, 1]: (1 + those seen as often or less) / (1 + all).
    """
    order = np.argsort(counts, axis=-1)
    ranked = np.take_along_axis(counts, order, axis=-1)
    below = np.cumsum(ranked, axis=-1)
    # Kinds that were seen equally often are equally usual: each counts them all, up to the last of them.
    last = np.ones(ranked.shape, np.bool_)
    last[..., :-1] = ranked[..., 1:] > ranked[..., :-1]
    below = np.minimum.accumulate(np.where(last, below, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    p = (1.0 + below) / (1.0 + counts.sum(axis=-1, keepdims=True) + np.asarray(spare)[..., None])
    found: Floats = np.empty_like(p)
    np.put_along_axis(found, order, np.minimum(p, 1.0), axis=-1)
    return found


def ranked_p(scores: Floats, counts: Floats, asked: Floats) -> Floats:
    """How usual scores are among all that was seen, wherever that was.

    Each cell says how odd something would be in it; whether that is rare is told by all cells together, so
    that a place need not be seen thousands of times in each of its cells.

    Args:
        scores: (k,) of what was seen; the lower, the odder.
        counts: (k,) how often.
        asked: (...) scores.

    Returns:
        (...) in (0, 1]: (1 + those that scored no more) / (1 + all).
    """
    order = np.argsort(scores, axis=None)
    below = np.concatenate(([0.0], np.cumsum(counts.ravel()[order])))
    found: Floats = below[np.searchsorted(scores.ravel()[order], asked, side="right")]
    p: Floats = (1.0 + found) / (1.0 + float(below[-1]))
    return p


def tail_p(counts: Floats) -> Floats:
    """How usual it is to lie in a bin or above, at the lower edge of each bin and above the last.

    Args:
        counts: (..., k) how often something lay in each bin.

    Returns:
        (..., k + 1) falling, in (0, 1]: (1 + those at or above) / (1 + all).
    """
    above = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    above = np.concatenate((above, np.zeros((*counts.shape[:-1], 1))), axis=-1)
    p: Floats = (1.0 + above) / (1.0 + above[..., :1])
    return p


def shrunk(own: Floats, wider: Floats, strength: float) -> Floats:
    """Counts of little evidence, filled up by those of a wider circle: an empirical Bayes estimate.

    Args:
        own: (..., k).
        wider: (..., k) of the wider circle; what is in it beyond `strength` counts no more.
        strength: times that the wider circle may count for at most.

    Returns:
        (..., k) counts.
    """
    mass = wider.sum(axis=-1, keepdims=True)
    factor = np.minimum(1.0, strength / np.maximum(mass, 1e-9))
    found: Floats = own + wider * factor
    return found


def any_of(p: Floats) -> Floats:
    """One p-value of some that may depend on each other in any way, by Bonferroni.

    (..., k) -> (...): k times the least one, over those that are known; 1 where none is.
    """
    known = ~np.isnan(p)
    least = np.where(known, p, 1.0).min(axis=-1)
    found: Floats = np.minimum(1.0, least * known.sum(axis=-1).clip(1))
    return found


def all_of(p: Floats) -> Floats:
    """One p-value of several in a row, which may depend on each other in any way.

    e times their geometric mean (Vovk and Wang 2020, "Combining p-values via averaging"): (..., k) -> (...),
    over those that are known; 1 where none is.
    """
    known = ~np.isnan(p)
    logs = np.where(known, np.log(np.where(known, p, 1.0)), 0.0).sum(axis=-1)
    found: Floats = np.minimum(1.0, np.exp(1.0 + logs / known.sum(axis=-1).clip(1)))
    return np.where(known.any(axis=-1), found, 1.0)


BINS, PER_DECADE = 256, 40
"""Scores are kept in bins of a fortieth of a power of ten: 5.9 % each, down to p = 4e-7."""


def score_bin(p: float) -> int:
    """The bin of a combined p-value; rarer ones have higher bins.

    Raises:
        ValueError: it is no probability above 0.
    """
    if not 0.0 < p <= 1.0:
        raise ValueError(f"p must be above 0 and at most 1, got {p}")
    return min(BINS - 1, int(-np.log10(p) * PER_DECADE + 1e-9))


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """How rare the rarest of each minute was, over many minutes: what a score is worth at this camera.

    Combined p-values of one passage are valid, but very cautious; and a camera with errors of its own has
    more odd passages than another. So what counts is how often minutes had a score that high.

    Attributes:
        counts: (256,) minutes by the bin of their rarest p-value, faded.
    """

    counts: Floats

    def __post_init__(self) -> None:
        if self.counts.shape != (BINS,) or not (np.isfinite(self.counts) & (self.counts >= 0)).all():
            raise ValueError(f"counts must be ({BINS},) finite and not negative")

    @classmethod
    def empty(cls) -> "Tail":
        """Nothing was seen yet."""
        return cls(np.zeros(BINS))

    @property
    def minutes(self) -> float:
        """How many minutes are known, faded."""
        return float(self.counts.sum())

    def add(self, p: float) -> "Tail":
        """With one more minute, whose rarest combined p-value was `p`, a share."""
        counts = self.counts.copy()
        counts[score_bin(p)] += 1.0
        return Tail(counts)

    def faded(self, factor: float) -> "Tail":
        """All that is known counts `factor` times as much, 0 to 1."""
        return Tail(self.counts * factor)

    def p(self, p: float) -> float:
        """Share of minutes that have something as rare as that, by the conformal rule: (1 + k) / (1 + n)."""
        return (1.0 + float(self.counts[score_bin(p) :].sum())) / (1.0 + self.minutes)

    def per_day(self, p: float) -> float:
        """On how many minutes of a day something with the p-value `p`, a share, is to be expected at most."""
        return self.p(p) * DAY_MIN

    def merged(self, other: "Tail") -> "Tail":
        """Both together."""
        return Tail(self.counts + other.counts)


def fading(seconds: float, half_life_s: float) -> float:
    """What something that was seen so many seconds ago still counts: 1 to 0, by halves.

    >>> fading(7.0, 7.0)
    0.5
    """
    return float(0.5 ** (max(seconds, 0.0) / half_life_s))

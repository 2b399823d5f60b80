"""People on the ground at one look: what every measure of a crowd starts from."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.geometry import Floats, as_points

NOBODY = -1
"""Key of a point that no track stands behind."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Points on the ground, each of which stands for some expected number of people.

    A detection stands for one person, a cell of a density map for as many as it counts. Keys are numbers of
    one camera's tracks, in memory only; nobody is recognised by them.

    Attributes:
        at: (n, 2) float64 metres.
        weight: (n,) float64 persons, 0 or more.
        variance: (n,) float64 persons squared, of the weights.
        velocity: (n, 2) float64 metres per second; NaN in both where it is unknown.
        keys: (n,) int64, distinct; `NOBODY` for points without a track.

    Raises:
        ValueError: shapes differ, a number is not finite or negative, or a key comes twice.
    """

    at: Floats
    weight: Floats
    variance: Floats
    velocity: Floats
    keys: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.at)
        wanted = {"at": (n, 2), "weight": (n,), "variance": (n,), "velocity": (n, 2), "keys": (n,)}
        for name, shape in wanted.items():
            kind = np.int64 if name == "keys" else np.float64
            array = getattr(self, name)
            if array.shape != shape or array.dtype != kind:
                raise ValueError(f"{name} must be {shape} {kind.__name__}, got {array.shape} {array.dtype}")
        if not np.isfinite(self.at).all():
            raise ValueError("at must be finite: leave out who stands beyond the horizon")
        for name in ("weight", "variance"):
            array = getattr(self, name)
            if not (np.isfinite(array) & (array >= 0)).all():
                raise ValueError(f"{name} must be finite and not negative")
        unknown = np.isnan(self.velocity)
        if np.isinf(self.velocity).any() or (unknown[:, 0] != unknown[:, 1]).any():
            raise ValueError("velocity must be finite, or NaN in both components")
        tracked = self.keys[self.keys != NOBODY]
        if (tracked < 0).any() or len(np.unique(tracked)) != len(tracked):
            raise ValueError(f"keys must be distinct and not negative, or {NOBODY} for no track")

    @classmethod
    def of(
        cls,
        at: ArrayLike,
        weight: ArrayLike = 1.0,
        variance: ArrayLike = 0.0,
        velocity: ArrayLike | None = None,
        keys: ArrayLike | None = None,
    ) -> Self:
        """People from whatever is known of them.

        Args:
            at: (n, 2) metres.
            weight: (n,) persons, or one number for all.
            variance: (n,) of the weights, or one number for all.
            velocity: (n, 2) metres per second; None where nobody's is known.
            keys: (n,) of tracks; None where there are none.
        """
        points = as_points(at)
        n = len(points)
        return cls(
            points,
            np.broadcast_to(np.asarray(weight, np.float64), (n,)),
            np.broadcast_to(np.asarray(variance, np.float64), (n,)),
            np.full((n, 2), np.nan) if velocity is None else as_points(velocity),
            np.full(n, NOBODY, np.int64) if keys is None else np.asarray(keys, np.int64),
        )

    def __len__(self) -> int:
        return len(self.at)

    @property
    def count(self) -> float:
        """Expected number of persons."""
        return float(self.weight.sum())

    @property
    def count_stderr(self) -> float:
        """Standard error of `count` in persons, as far as the points' errors are independent."""
        return float(np.sqrt(self.variance.sum()))

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Whose velocity is known: (n,) bool."""
        known: NDArray[np.bool_] = ~np.isnan(self.velocity[:, 0])
        return known

    @property
    def tracked(self) -> NDArray[np.bool_]:
        """Which points a track stands behind: (n,) bool."""
        known: NDArray[np.bool_] = self.keys != NOBODY
        return known

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of the points, by an (n,) mask or (k,) indices."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def join(self, other: "People") -> Self:
        """These and others together; no key may be in both."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return type(self)(*(np.concatenate(pair) for pair in pairs))

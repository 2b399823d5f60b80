"""Which incidents are near each other."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.center.merge import Sighting, in_time, marks, metres, near, searched
from api.center.tables import MergeOptions

OPTIONS = MergeOptions(neighbours=(("n/a", "n/b"),))


def sighting(
    camera: str = "n/a",
    grid: str | None = None,
    place: tuple[float, float] | None = None,
    kind: str = "crowd.flow",
) -> Sighting:
    longitude, latitude = place or (None, None)
    return Sighting(kind, camera, grid, longitude, latitude, 0)


def meet(one: Sighting, other: Sighting, options: MergeOptions = OPTIONS) -> bool:
    """Whether the second would find the first."""
    keys = set(searched(other, options))
    return any(mark.key in keys and near(other, mark, options) for mark in marks(one, options))


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (sighting(), sighting(), True),
        (sighting(), sighting(kind="crowd.surge"), False),
        (sighting("n/a"), sighting("n/b"), True),
        (sighting("n/a"), sighting("n/c"), False),
        (sighting("n/a", "360103001001001"), sighting("m/x", "360103001001001"), True),
        (sighting("n/a", "360103001001001"), sighting("m/x", "360103001001002"), False),
        (sighting("n/a", place=(115.9, 28.68)), sighting("m/x", place=(115.9003, 28.68)), True),
        (sighting("n/a", place=(115.9, 28.68)), sighting("m/x", place=(115.9006, 28.68)), False),
        (sighting("n/a", place=(115.9, 28.68)), sighting("m/x"), False),
    ],
)
def test_what_belongs_together(one: Sighting, other: Sighting, together: bool) -> None:
    assert meet(one, other) is meet(other, one) is together


def test_without_a_radius_no_distance_counts() -> None:
    place = (115.9, 28.68)
    one, other = sighting("n/a", place=place), sighting("m/x", place=place)
    assert meet(one, other)
    assert not meet(one, other, MergeOptions(radius_m=0))
    assert not near(sighting(), next(iter(marks(one, MergeOptions()))).__class__("k", 1.0, 1.0), OPTIONS)


places = st.tuples(st.floats(-179.9, 179.9), st.floats(-88.0, 88.0))


@given(place=places, bearing=st.floats(0, 2 * math.pi), share=st.floats(0, 2), radius_m=st.floats(1, 5000))
@example(place=(115.9, 28.68), bearing=0.0, share=0.999, radius_m=50.0)
def test_the_map_finds_all_within_the_radius_and_nothing_else(
    place: tuple[float, float], bearing: float, share: float, radius_m: float
) -> None:
    options = MergeOptions(radius_m=radius_m)
    degree_m = metres(0, 0, 0, 1)
    north = share * radius_m * math.cos(bearing) / degree_m
    east = share * radius_m * math.sin(bearing) / degree_m / math.cos(math.radians(place[1]))
    other = (place[0] + east, place[1] + north)
    if not -180 <= other[0] <= 180:
        return
    distance_m = metres(*place, *other)
    together = meet(sighting("n/a", place=place), sighting("m/x", place=other), options)
    assert together is (distance_m <= radius_m)


def test_the_distance_is_that_on_the_earth() -> None:
    # a degree on the mean sphere
    assert metres(0, 0, 0, 1) == pytest.approx(111_195.08, abs=0.1)
    assert metres(0, 60, 1, 60) == pytest.approx(111_195.08 / 2, rel=1e-4)
    assert metres(10, 20, 10, 20) == 0


def test_the_window_goes_both_ways() -> None:
    first_ms, last_ms = 1_000_000, 1_060_000
    assert in_time(first_ms - 120_000, first_ms, last_ms, OPTIONS)
    assert in_time(last_ms + 120_000, first_ms, last_ms, OPTIONS)
    assert not in_time(first_ms - 120_001, first_ms, last_ms, OPTIONS)
    assert not in_time(last_ms + 120_001, first_ms, last_ms, OPTIONS)

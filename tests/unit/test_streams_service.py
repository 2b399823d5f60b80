"""The service level: what it allows, and how levels compare."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.service import FULL, KEYFRAMES, LADDER, LADDER_FPS, PACES_S, SHED, Service

services = st.one_of(
    st.just(SHED),
    st.builds(
        Service,
        fps=st.sampled_from(LADDER_FPS),
        tiles=st.booleans(),
        density=st.booleans(),
        pace_s=st.sampled_from(PACES_S),
    ),
)


def test_the_ladder_climbs_from_shed_to_full() -> None:
    rungs = [SHED, *LADDER, FULL]
    assert rungs == sorted(rungs, key=lambda service: service.rank)
    assert all(low < high for low, high in itertools.pairwise(rungs))
    assert tuple(service.fps for service in LADDER) == LADDER_FPS


def test_keyframes_only_is_what_a_rate_of_zero_means() -> None:
    assert KEYFRAMES.keyframes_only
    assert SHED.keyframes_only
    assert not Service(1.0).keyframes_only


@given(services, services)
def test_levels_are_totally_ordered(one: Service, other: Service) -> None:
    assert (one < other) + (one == other) + (one > other) == 1
    assert (one <= other) == (not one > other)
    assert (one >= other) == (not one < other)


@pytest.mark.parametrize("fps", [-1.0, 61.0, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="fps"):
        Service(fps)


@pytest.mark.parametrize("pace_s", [-1.0, 8.5, float("nan")])
def test_a_pace_out_of_range_is_refused(pace_s: float) -> None:
    with pytest.raises(ValueError, match="pace_s"):
        Service(5.0, pace_s=pace_s)


def test_a_shed_camera_cannot_be_served() -> None:
    with pytest.raises(ValueError, match="shed"):
        Service(1.0, shed=True)

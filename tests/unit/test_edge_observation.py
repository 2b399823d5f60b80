import pytest

from edge.observation import Observation


def test_an_observation_may_be_calm():
    seen = Observation("crowd.density", "plaza", None)
    assert (seen.sustained, seen.measures, seen.boxes) == (None, {}, ())


@pytest.mark.parametrize(
    ("level", "sustains", "sustained"), [(3, None, 3), (3, 2, 2), (None, 4, 4), (2, 3, 2), (None, None, None)]
)
def test_what_it_sustains_is_never_milder_than_what_it_calls_for(level, sustains, sustained):
    assert Observation("crowd.density", "plaza", level, sustains=sustains).sustained == sustained


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": 0},
        {"level": 5},
        {"level": 1, "sustains": 7},
        {"level": 1, "confidence": 1.5},
        {"level": 1, "yardstick": "count"},
    ],
)
def test_impossible_ones_are_refused(wrong):
    with pytest.raises(ValueError, match=r"level|sustains|confidence|yardstick"):
        Observation("crowd.density", "plaza", **wrong)

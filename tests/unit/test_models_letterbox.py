import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.letterbox import Letterbox

sides = st.integers(1, 4000)
inputs = st.tuples(st.integers(32, 1280), st.integers(32, 1280))
placements = st.sampled_from(["top-left", "centre", "stretch"])
unit = st.floats(0, 1, width=32)


@given(st.tuples(sides, sides), inputs, placements, st.lists(st.tuples(unit, unit, unit, unit), min_size=1))
def test_boxes_come_back_from_the_network_where_they_were_in_the_picture(picture, size, placement, rows):
    box = Letterbox.fit(picture, size, placement)
    xyxy = np.array(rows, np.float32)
    assert box.to_fractions(box.to_pixels(xyxy)) == pytest.approx(xyxy, abs=2e-3)


@given(st.tuples(sides, sides), inputs, placements, st.sampled_from([0, 16, 32]))
def test_the_picture_lies_inside_the_input(picture, size, placement, stride):
    box = Letterbox.fit(picture, size, placement, stride)
    assert 0 <= box.left <= box.left + box.inner_width <= box.width
    assert 0 <= box.top <= box.top + box.inner_height <= box.height
    if stride and placement != "stretch":
        assert box.width % stride == box.height % stride == 0
        assert box.width - box.inner_width < stride
        assert box.height - box.inner_height < stride
    else:
        assert (box.width, box.height) == size


def test_a_wide_picture_costs_a_free_network_three_fifths_of_a_square():
    box = Letterbox.fit((1920, 1080), (416, 416), stride=32)
    assert (box.width, box.height) == (416, 256)
    assert (box.inner_width, box.inner_height) == (416, 234)


def test_a_tall_picture_is_centred_when_asked():
    box = Letterbox.fit((100, 200), (64, 64), "centre")
    assert (box.left, box.top, box.inner_width, box.inner_height) == (16, 0, 32, 64)


def test_boxes_on_the_border_are_cut_to_the_picture():
    box = Letterbox.fit((100, 200), (64, 64), "centre")
    outside = np.array([[0, 0, 64, 64]], np.float32)
    assert box.to_fractions(outside).tolist() == [[0, 0, 1, 1]]


def test_the_inner_view_is_where_the_picture_goes():
    box = Letterbox.fit((100, 200), (64, 64), "centre")
    canvas = np.zeros((64, 64, 3), np.uint8)
    box.inner(canvas)[...] = 1
    assert canvas[:, 16:48].all()
    assert not canvas[:, :16].any()
    assert not canvas[:, 48:].any()


@pytest.mark.parametrize(("picture", "size"), [((0, 10), (64, 64)), ((10, 10), (64, 0))])
def test_empty_sizes_are_refused(picture, size):
    with pytest.raises(ValueError, match="cannot fit"):
        Letterbox.fit(picture, size)

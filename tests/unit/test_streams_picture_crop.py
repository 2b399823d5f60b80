import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.picture import ArrayPicture, AvPicture

WIDTH, HEIGHT = 162, 94
FORMATS = [
    "yuv420p",
    "yuvj420p",
    "nv12",
    "yuv422p",
    "yuv444p",
    "gray",
    "rgb24",
    "yuv420p10le",
    "p010le",
    "p012le",
]


def gradient():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack((rows * 2, columns, 200 - rows)).astype(np.uint8)


def decoded(pixel_format):
    frame = av.VideoFrame.from_ndarray(gradient(), format="bgr24")
    return AvPicture(frame.reformat(format=pixel_format))


@st.composite
def parts(draw):
    left, top = draw(st.integers(0, WIDTH - 24)), draw(st.integers(0, HEIGHT - 24))
    return left, top, draw(st.integers(left + 24, WIDTH)), draw(st.integers(top + 24, HEIGHT))


@pytest.mark.parametrize("pixel_format", FORMATS)
@given(part=parts())
def test_a_part_is_what_the_whole_picture_shows_there(pixel_format, part):
    picture = decoded(pixel_format)
    left, top, right, bottom = part
    left, top, right, bottom = left // 2 * 2, top // 2 * 2, -(-right // 2) * 2, -(-bottom // 2) * 2
    whole = picture.bgr(WIDTH, HEIGHT)[top:bottom, left:right].astype(int)
    cut = picture.crop(part, right - left, bottom - top).astype(int)
    assert cut.shape == whole.shape
    # Chroma is interpolated from fewer neighbours at the part's own border.
    assert np.abs(cut - whole)[2:-2, 2:-2].max() <= 4


@pytest.mark.parametrize("picture", [decoded("yuv420p"), ArrayPicture(gradient())])
def test_a_part_is_scaled_to_what_is_wanted(picture):
    cut = picture.crop((20, 10, 120, 60), 40, 20)
    assert cut.shape == (20, 40, 3)
    assert cut.flags.c_contiguous
    assert np.abs(cut[10, 20].astype(int) - gradient()[36, 71].astype(int)).max() <= 5


def test_all_of_it_is_the_picture():
    picture = decoded("yuv420p")
    assert (picture.crop((0, 0, WIDTH, HEIGHT), 80, 46) == picture.bgr(80, 46)).all()


@pytest.mark.parametrize("part", [(-2, 0, 10, 10), (0, 0, WIDTH + 1, 10), (10, 0, 10, 10), (0, 9, 10, 8)])
@pytest.mark.parametrize("picture", [decoded("yuv420p"), ArrayPicture(gradient())])
def test_a_part_beyond_the_picture_is_refused(picture, part):
    with pytest.raises(ValueError, match="does not lie in a picture of 162x94"):
        picture.crop(part, 10, 10)

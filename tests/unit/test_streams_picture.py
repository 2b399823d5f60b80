"""Pictures convert to what is asked for, with the right bytes in the right places."""

import av
import numpy as np
import pytest

from streams.picture import ArrayPicture, AvPicture


def _gradient(width: int, height: int) -> np.ndarray:
    rows = np.linspace(40, 200, height, dtype=np.uint8)[:, None, None]
    return np.ascontiguousarray(np.broadcast_to(rows, (height, width, 3)))


def _frame(width: int, height: int, pixel_format: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(_gradient(width, height), format="bgr24").reformat(format=pixel_format)


@pytest.mark.parametrize("width", [64, 100, 98])
def test_shapes_and_layout(width: int) -> None:
    """Widths that the decoder pads included."""
    for picture in (AvPicture(_frame(width, 48)), ArrayPicture(_gradient(width, 48))):
        assert (picture.width, picture.height) == (width, 48)
        for wanted in ((width, 48), (33, 21), (200, 100)):
            bgr, luma = picture.bgr(*wanted), picture.luma(*wanted)
            assert bgr.shape == (wanted[1], wanted[0], 3)
            assert luma.shape == (wanted[1], wanted[0])
            assert bgr.dtype == luma.dtype == np.uint8
            assert bgr.flags.c_contiguous
            assert luma.flags.c_contiguous


@pytest.mark.parametrize("picture", [AvPicture(_frame(100, 50)), ArrayPicture(_gradient(100, 50))])
def test_values_survive_scaling(picture: AvPicture | ArrayPicture) -> None:
    expected = np.linspace(40, 200, 50)[::2]
    assert picture.bgr(50, 25).mean(axis=(1, 2)) == pytest.approx(expected, abs=5)
    assert picture.bgr(100, 50).mean() == pytest.approx(120, abs=4)


def test_luma_is_the_stored_plane_at_any_size() -> None:
    """Scaling must not stretch the range: the same flat level at full size and scaled."""
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="bgr24")
    picture = AvPicture(frame.reformat(format="yuv420p"))
    full, small = picture.luma(64, 48), picture.luma(16, 12)
    assert full.mean() == pytest.approx(126, abs=2)  # limited range: 16 + 128 * 219 / 255
    assert small.mean() == pytest.approx(full.mean(), abs=1)


def test_luma_of_the_own_size_is_a_view() -> None:
    frame = _frame(64, 48)
    picture = AvPicture(frame)
    luma = picture.luma(64, 48)
    assert not luma.flags.owndata
    assert not np.shares_memory(luma, picture.luma(32, 24))


@pytest.mark.parametrize("pixel_format", ["nv12", "p010le", "p012le", "p016le", "yuv420p10le", "p210le"])
@pytest.mark.parametrize("width", [162, 176])
def test_what_devices_and_ten_bits_give_is_the_same_picture(width: int, pixel_format: str) -> None:
    """Widths that are no multiple of eight included, where swscale gets grey wrong at the right."""
    rows, columns = np.mgrid[:94, :width]
    colours = np.dstack((rows * 2, columns, 200 - rows)).astype(np.uint8)
    plain = av.VideoFrame.from_ndarray(colours, format="bgr24").reformat(format="yuv420p")
    expected, picture = AvPicture(plain), AvPicture(plain.reformat(format=pixel_format))
    for wanted in ((width, 94), (80, 46), (32, 18), (200, 120)):
        luma, bgr = picture.luma(*wanted), picture.bgr(*wanted)
        assert np.abs(luma.astype(int) - expected.luma(*wanted)).max() <= 1
        assert np.abs(bgr.astype(int) - expected.bgr(*wanted)).max() <= 4
        assert luma.flags.c_contiguous
        assert bgr.flags.c_contiguous


@pytest.mark.parametrize("pixel_format", ["nv12", "p010le"])
def test_full_range_stays_full_range(pixel_format: str) -> None:
    """As a camera's JPEG pictures are; a device hands them over in a format whose name does not tell."""
    grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 250, np.uint8), format="bgr24")
    frame = grey.reformat(format=pixel_format, dst_color_range="JPEG")
    frame.color_range = av.video.reformatter.ColorRange.JPEG
    picture = AvPicture(frame)
    assert picture.bgr(64, 48).mean() == pytest.approx(250, abs=2)
    assert picture.crop((10, 10, 40, 40), 30, 30).mean() == pytest.approx(250, abs=2)
    for wanted in ((64, 48), (16, 12), (40, 30)):
        assert picture.luma(*wanted).mean() == pytest.approx(250, abs=2)


def test_luma_of_packed_formats_is_converted() -> None:
    assert AvPicture(_frame(64, 48, "rgb24")).luma(64, 48).mean() == pytest.approx(120, abs=4)


def test_colours_come_blue_first() -> None:
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 0] = 200
    for picture in (ArrayPicture(blue), AvPicture(av.VideoFrame.from_ndarray(blue, format="bgr24"))):
        assert picture.bgr(8, 8)[4, 4] == pytest.approx([200, 0, 0], abs=3)


def test_a_much_smaller_luma_averages_and_does_not_shift() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    luma = np.kron(rng.integers(40, 200, (9, 16)), np.ones((18, 18))).astype(np.uint8)
    noisy = np.clip(luma + rng.normal(0, 6, luma.shape), 0, 255).astype(np.uint8)
    bgr = np.repeat(noisy[:, :, None], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv420p")
    small = AvPicture(frame).luma(16, 9).astype(float)
    expected = luma[::18, ::18].astype(float) * 219 / 255 + 16
    assert np.abs(small - expected).max() < 4
    assert AvPicture(frame).luma(16, 9).flags.c_contiguous


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        ArrayPicture(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="must be"):
        ArrayPicture(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="cannot be 0x5"):
        ArrayPicture(np.zeros((4, 4, 3), np.uint8)).bgr(0, 5)


def test_yuv_is_what_encoders_take_and_the_callers_own() -> None:
    noise = np.random.default_rng(1).integers(30, 220, (48, 64), np.uint8)
    stored = np.concatenate((noise, np.full((24, 64), 128, np.uint8)))
    picture = AvPicture(av.VideoFrame.from_ndarray(stored, format="yuv420p"))
    one, other = picture.yuv(64, 48), picture.yuv(64, 48)
    assert np.array_equal(one, stored)
    assert not np.shares_memory(one, other)
    one[:] = 0
    assert np.array_equal(picture.yuv(64, 48), stored)
    assert picture.yuv(32, 24).shape == (36, 32)
    grey = ArrayPicture(np.full((48, 64, 3), 255, np.uint8)).yuv(64, 48)
    assert (grey[:48] >= 234).all()  # video range
    assert grey[:48].max() <= 235
    with pytest.raises(ValueError, match="even size"):
        picture.yuv(63, 48)


def test_yuv_of_a_full_range_picture_is_in_video_range() -> None:
    white = np.concatenate((np.full((24, 32), 255, np.uint8), np.full((12, 32), 128, np.uint8)))
    yuv = AvPicture(av.VideoFrame.from_ndarray(white, format="yuvj420p")).yuv(32, 24)
    assert (yuv[:24] == 235).all()

"""Nothing of what is covered survives, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.grid import GRID, coarser, finer, painted, shaded
from edge.redact import Pattern, redacted


def _picture(seed: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)


def _planes(yuv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    return yuv[:height], yuv.reshape(-1)[height * width :].reshape(2, height // 2, width // 2)


sizes = st.tuples(st.integers(8, 90), st.integers(8, 90)).map(lambda size: (size[0] * 2, size[1] * 2))


@settings(deadline=None, max_examples=60)
@given(sizes, st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 60), st.integers(1, 60))
def test_what_is_covered_does_not_depend_on_the_picture(
    size: tuple[int, int], seed: int, share: float, rows: int, columns: int
) -> None:
    """Two pictures that differ everywhere give the same where they are covered: nothing of them is left."""
    width, height = size
    covered = np.random.default_rng(seed).random((rows, columns)) < share
    pattern = Pattern.drawn(width, height, np.random.default_rng(seed))
    one = _picture(seed, width, height)
    other = one + np.random.default_rng(seed + 1).integers(1, 256, one.shape, np.uint8)
    a, b = redacted(one, covered, pattern), redacted(other, covered, pattern)
    luma_same, colour_same = (x == y for x, y in zip(_planes(a), _planes(b), strict=True))
    half = finer(covered, (height // 2, width // 2))
    whole = half.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(luma_same, whole)
    assert np.array_equal(colour_same, np.stack((half, half)))
    # and what is not covered is as it was
    assert np.array_equal(_planes(a)[0][~whole], _planes(one)[0][~whole])
    assert np.array_equal(_planes(a)[1][:, ~half], _planes(one)[1][:, ~half])


@settings(deadline=None, max_examples=60)
@given(sizes, st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))
def test_every_pixel_that_a_covered_cell_touches_is_covered(
    size: tuple[int, int], seed: int, rows: int, columns: int
) -> None:
    width, height = size
    covered = np.random.default_rng(seed).random((rows, columns)) < 0.3
    half = finer(covered, (height // 2, width // 2))
    for row, column in np.argwhere(covered)[:20]:
        top, bottom = row * height / 2 / rows, (row + 1) * height / 2 / rows
        left, right = column * width / 2 / columns, (column + 1) * width / 2 / columns
        part = half[int(top) : int(np.ceil(bottom - 1e-9)), int(left) : int(np.ceil(right - 1e-9))]
        assert part.all()
        assert part.size
    assert bool(half.any()) == bool(covered.any())


def test_the_picture_that_came_in_stays_as_it_was() -> None:
    yuv = _picture(1, 64, 48)
    before = yuv.copy()
    out = redacted(yuv, np.ones(GRID, bool), Pattern.drawn(64, 48, np.random.default_rng(1)))
    assert np.array_equal(yuv, before)
    assert not np.shares_memory(out, yuv)


def test_the_pattern_tells_nothing_of_a_smooth_picture() -> None:
    y, x = np.mgrid[0:720, 0:1280]
    luma = (90 + 60 * np.sin(x / 37) * np.cos(y / 23)).astype(np.uint8)
    rs = [
        np.corrcoef(luma.ravel(), Pattern.drawn(1280, 720, np.random.default_rng(k)).luma.ravel())[0, 1]
        for k in range(4)
    ]
    assert np.abs(rs).max() < 0.02


def test_each_run_has_another_pattern() -> None:
    one, other = (Pattern.drawn(64, 48, np.random.default_rng(k)).luma for k in (1, 2))
    assert (one != other).mean() > 0.8
    with pytest.raises(ValueError, match="read-only"):
        one[0, 0] = 1


@pytest.mark.parametrize("shape", [(71, 64), (72, 63), (74, 64)])
def test_shapes_that_are_no_picture(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="yuv must be"):
        redacted(
            np.zeros(shape, np.uint8), np.ones(GRID, bool), Pattern.drawn(64, 48, np.random.default_rng(1))
        )


def test_a_pattern_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern is for"):
        redacted(_picture(1, 64, 48), np.ones(GRID, bool), Pattern.drawn(64, 64, np.random.default_rng(1)))


boxes = st.lists(
    st.tuples(*[st.floats(-0.5, 1.5)] * 4).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    ),
    max_size=8,
)


@given(boxes)
def test_painted_cells_are_those_that_some_box_touches(some: list[tuple[float, float, float, float]]) -> None:
    expected = np.zeros(GRID, bool)
    rows, columns = GRID
    for left, top, right, bottom in some:
        x0, x1 = np.clip([np.floor(left * columns), np.ceil(right * columns)], 0, columns).astype(int)
        y0, y1 = np.clip([np.floor(top * rows), np.ceil(bottom * rows)], 0, rows).astype(int)
        expected[y0:y1, x0:x1] = True
    assert np.array_equal(painted(some), expected)
    assert not (painted(some, inside=True) & ~expected).any()


def test_a_polygon_covers_its_inside_and_every_cell_on_its_sides() -> None:
    mask = shaded(((0.2, 0.2), (0.6, 0.2), (0.6, 0.7), (0.2, 0.7)))
    inner = painted([(0.2, 0.2, 0.6, 0.7)], inside=True)
    assert (mask | ~inner).all()
    assert mask.mean() == pytest.approx(0.2, abs=0.02)
    thin = shaded(((0.1, 0.1), (0.9, 0.101), (0.9, 0.1)))
    assert thin.any(axis=0).mean() > 0.79


def test_coarser_cells_lose_nothing() -> None:
    fine = np.zeros((180, 320), bool)
    fine[17, 33] = True
    assert np.argwhere(coarser(fine)).tolist() == [[8, 16]]
    heads = np.zeros((32, 56), bool)
    heads[10, 20] = True
    assert coarser(heads).sum() >= 90 * 160 / (32 * 56)

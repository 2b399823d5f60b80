"""Counting heads: maps that add up, honest errors, and manifests that are what they say."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.density import HeadMap
from models.errors import IntegrityError, ManifestError, SessionError
from models.training.split import split_of
from models.training.spread import Spread, block_sums, fit
from models.zoo import BUILT_IN, add_model, list_models, load_density, load_detector
from tests.support.onnx_models import Photo, write_manifest, write_model

NAME = "heads-448-int8"
HEAD = 'kind = "density"\nempty = 0.01\npoisson = 0.25\nshared = 0.1'
INPUT = (
    'size = [64, 64]\nlayout = "nhwc"\ndtype = "uint8"\ncolour = "bgr"\nletterbox = "stretch"\nstride = 16'
)
ONE = 'size = [64, 64]\nlayout = "nhwc"\ndtype = "uint8"\ncolour = "bgr"\nletterbox = "stretch"'

counts_maps = arrays(np.float32, (4, 6), elements=st.floats(0, 5, width=32))


@pytest.fixture(scope="module")
def model():
    return load_density(NAME, ("cpu",))


class Scene:
    """A drawn picture in whatever size is asked for."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def bgr(self, width, height):
        return np.asarray(cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def scene(people, *, seed=3, size=(640, 360), place="plaza"):
    """A drawn picture of that many people and how many of their heads are in it."""
    from streams.sim.places import PLACES
    from streams.sim.render import Renderer
    from streams.sim.scene import Moment

    where = PLACES[place]
    rng = np.random.default_rng(seed)
    low, high = np.array(where.crowd.polygon).min(0) + 0.6, np.array(where.crowd.polygon).max(0) - 0.6
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0], 0.9), np.arange(low[1], high[1], 0.9)), -1)
    spots = rng.permutation(grid.reshape(-1, 2))[:people] + rng.normal(0, 0.1, (people, 2))
    moment = Moment(
        time_s=1.0,
        number=np.arange(people, dtype=np.int64),
        ground=spots.reshape(-1, 2),
        heading=(heading := rng.uniform(-3, 3, people)),
        walked=rng.uniform(0, 9, people),
        velocity=1.2 * np.stack((np.cos(heading), np.sin(heading)), axis=1),
    )
    shot = Renderer(where, seed, size).shoot(moment)
    inside = sum(one.box[0] >= 0 and one.box[2] < size[0] and one.box[1] >= 0 for one in shot.people)
    return Scene(cv2.cvtColor(shot.yuv, cv2.COLOR_YUV2BGR_I420)), inside


def head_map(counts, *, empty=0.01, poisson=0.25, shared=0.1):
    counts = np.array(counts, np.float32)
    return HeadMap(counts, (empty + poisson * counts + (shared * counts) ** 2).astype(np.float32), shared)


@given(counts_maps)
def test_regions_add_up_to_the_picture(counts):
    found = head_map(counts)
    left = np.zeros(counts.shape, bool)
    left[:, :3] = True
    assert found.count(left) + found.count(~left) == pytest.approx(found.total, abs=1e-4)
    assert found.count() == pytest.approx(found.total, abs=1e-4)
    assert found.count(np.full(counts.shape, 0.5)) == pytest.approx(found.total / 2, abs=1e-4)


@given(counts_maps)
def test_errors_of_neighbours_add_up_between_independent_and_common(counts):
    found = head_map(counts)
    alone = np.sqrt(found.variance.astype(np.float64))
    assert found.stderr() <= alone.sum() * (1 + 1e-4) + 1e-6
    assert found.stderr() >= np.sqrt((alone**2).sum()) * (1 - 1e-4) - 1e-6
    whole = 0.01 * counts.size + 0.25 * counts.sum(dtype=float) + (0.1 * counts.sum(dtype=float)) ** 2
    assert found.stderr() == pytest.approx(whole**0.5, rel=1e-3)


def test_a_cell_has_the_standard_error_of_its_variance():
    found = head_map([[0.0, 2.0]])
    one = np.array([[False, True]])
    assert found.stderr(one) == pytest.approx(float(found.variance[0, 1]) ** 0.5, rel=1e-6)
    assert found.stderr(np.zeros((1, 2))) == 0.0


def test_a_map_is_checked_and_cannot_be_changed():
    good = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="maps alike"):
        HeadMap(good, np.ones((3, 2), np.float32), 0.0)
    with pytest.raises(ValueError, match="finite and 0 or more"):
        HeadMap(-good, good.copy(), 0.0)
    with pytest.raises(ValueError, match="finite and 0 or more"):
        HeadMap(good * np.nan, good.copy(), 0.0)
    with pytest.raises(ValueError, match="shared must be 0 or more"):
        HeadMap(good.copy(), good.copy(), -0.1)
    with pytest.raises(ValueError, match="no less than its shared part"):
        HeadMap(good.copy(), good * 0.1, 0.5)
    found = HeadMap(good.copy(), good.copy(), 0.5)
    with pytest.raises(ValueError, match="read-only"):
        found.counts[0, 0] = 7
    with pytest.raises(ValueError, match=r"region must be \(2, 3\) cells"):
        found.count(np.ones((3, 3)))


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080), (360, 640), (640, 480), (16, 2000)])
def test_cells_divide_pictures_of_any_shape(model, size):
    wide, high = model.input_size(*size)
    assert wide % 16 == high % 16 == 0
    assert max(wide, high) == 448
    found = model.count(Photo(*size))
    assert found.counts.shape == (high // 8, wide // 8)
    assert found.counts.dtype == found.variance.dtype == np.float32
    assert found.total < 1.0


@pytest.mark.parametrize("people", [8, 60])
def test_drawn_people_are_counted(model, people):
    counted = true = 0.0
    for seed in (3, 4, 5):
        picture, inside = scene(people, seed=seed)
        found = model.count(picture)
        assert abs(found.total - inside) < 4 * found.stderr()
        counted, true = counted + found.total, true + inside
    assert counted == pytest.approx(true, rel=0.2, abs=3.0)


def test_an_empty_place_has_nobody_in_it(model):
    for place in ("plaza", "gate", "platform"):
        picture, inside = scene(0, place=place)
        assert inside == 0
        assert model.count(picture).total < 1.5


def test_a_larger_picture_of_the_same_counts_the_same(model):
    small, _ = scene(40)
    large = Scene(cv2.resize(small.pixels, (1280, 720), interpolation=cv2.INTER_CUBIC))
    assert model.count(large).total == pytest.approx(model.count(small).total, rel=0.1, abs=1.0)


def test_people_are_counted_where_they_are(model):
    picture, _ = scene(40)
    found = model.count(picture)
    mirrored = model.count(Scene(np.ascontiguousarray(picture.pixels[:, ::-1])))
    half = found.counts.shape[1] // 2
    left, right = found.counts[:, :half].sum(), mirrored.counts[:, half:].sum()
    assert right == pytest.approx(left, rel=0.2, abs=1.5)


def test_what_ships_says_who_it_is(model):
    assert model.name == NAME
    assert model.sha256 == list_models()[NAME].manifest.sha256
    assert model.manifest.classes == ("head",)
    assert (BUILT_IN / f"{NAME}.onnx").stat().st_size < 1_000_000
    card = (BUILT_IN / "DENSITY_CARD.md").read_text(encoding="utf-8")
    assert model.sha256 in card
    model.close()


def constant(folder, value, *, input_=INPUT, head=HEAD):
    shape = (1, "h", "w", 3) if "stride" in input_ else (1, 64, 64, 3)
    write_model(folder / "tiny.onnx", {"out": value}, shape, "uint8")
    return str(write_manifest(folder, head, classes='["head"]', input=input_))


def test_an_own_model_counts_as_its_manifest_says(tmp_path):
    found = load_density(constant(tmp_path, np.full((1, 8, 8), -0.5)), ("cpu",)).count(Photo(64, 64))
    assert found.total == 0.0
    assert found.variance[0, 0] == pytest.approx(0.01)
    own = load_density(constant(tmp_path, np.full((1, 8, 8), 2.0), input_=ONE), ("cpu",)).count(Photo(99, 70))
    assert own.total == pytest.approx(128)
    assert own.variance[0, 0] == pytest.approx(0.01 + 0.25 * 2 + 0.04)


@pytest.mark.parametrize("value", [np.zeros((1, 7, 8)), np.zeros((1, 8, 8, 1)), np.full((1, 8, 8), np.nan)])
def test_outputs_that_are_no_counts_are_errors(tmp_path, value):
    own = load_density(constant(tmp_path, value), ("cpu",))
    with pytest.raises(SessionError, match=r"tiny: expected finite counts of shape \(1, 8, 8\)"):
        own.count(Photo(64, 64))


def test_two_outputs_are_one_too_many(tmp_path):
    write_model(tmp_path / "tiny.onnx", dict.fromkeys("ab", np.zeros((1, 8, 8))), (1, "h", "w", 3), "uint8")
    own = load_density(str(write_manifest(tmp_path, HEAD, classes='["head"]', input=INPUT)), ("cpu",))
    with pytest.raises(SessionError, match="expected finite counts"):
        own.count(Photo(64, 64))


def test_detectors_and_counters_are_told_apart(tmp_path, monkeypatch):
    with pytest.raises(ManifestError, match="nanodet-g-416-int8 is a detector"):
        load_density("nanodet-g-416-int8", ("cpu",))
    with pytest.raises(ManifestError, match=f"{NAME} counts heads; it is no detector"):
        load_detector(NAME, ("cpu",))
    monkeypatch.setenv("SHARPEYES_MODELS", str(tmp_path / "user"))
    assert add_model(
        Path(constant(tmp_path, np.zeros((1, 22, 40)), input_=INPUT.replace("64, 64", "320, 320")))
    )
    assert load_density("tiny", ("cpu",)).name == "tiny"


def test_a_swapped_or_unknown_model_is_refused(tmp_path):
    manifest = constant(tmp_path, np.zeros((1, 8, 8)))
    write_model(tmp_path / "tiny.onnx", {"out": np.ones((1, 8, 8))}, (1, "h", "w", 3), "uint8")
    with pytest.raises(IntegrityError, match="has SHA-256"):
        load_density(manifest, ("cpu",))
    with pytest.raises(ManifestError, match=f"did you mean '{NAME}'"):
        load_density("heads-448-int9", ("cpu",))


def test_a_manifest_that_contradicts_itself_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="density takes layout nhwc and dtype uint8"):
        load_density(constant(tmp_path, np.zeros((1, 8, 8)), input_="size = [64, 64]"), ("cpu",))
    with pytest.raises(ManifestError, match=r"head.posson: unknown key; did you mean 'poisson'"):
        load_density(constant(tmp_path, np.zeros((1, 8, 8)), head='kind = "density"\nposson = 1'), ("cpu",))


def test_the_split_goes_by_ten_minutes_of_all_cameras():
    assert split_of("1-20170506111156.jpg") == split_of("2-20170506111801.jpg")
    names = [
        f"1-201705{day:02d}{hour:02d}{ten}000.jpg"
        for day in range(1, 29)
        for hour in range(24)
        for ten in range(6)
    ]
    share = sum(split_of(name) == "validation" for name in names) / len(names)
    assert share == pytest.approx(0.2, abs=0.02)
    assert {split_of(f"scene-{k}.jpg") for k in range(40)} == {"train", "validation"}


def test_a_fitted_spread_covers_what_it_was_drawn_from():
    rng = np.random.default_rng(1)
    true, found = [], []
    for _ in range(150):
        rate = rng.gamma(0.2, 0.5, (16, 16))
        true.append(rng.poisson(rate).astype(np.float32))
        found.append((rate * np.exp(rng.normal(0, 0.1))).astype(np.float32))
    sums = [block_sums(found, true, side) for side in (2, 4, 1000)]
    assert len(sums[0]) == 150 * 64
    assert len(sums[2]) == 150
    assert sums[2][:, 0].sum() == sum(one.sum() for one in true)
    fitted = fit(sums)
    assert 0.5 < fitted.poisson < 2.5
    for rows in sums:
        assert fitted.coverage(rows) >= 0.94
    assert Spread(0.0, 0.01, 0.0).coverage(sums[2]) < 0.9


def test_the_product_runs_where_pytorch_is_not_installed():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import api.cli, edge.runtime, models.zoo, models.density\n"
        "assert not [name for name in sys.modules if name.startswith('models.training')]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

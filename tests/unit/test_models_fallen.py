"""The model that tells who lies: what it looks at, what it says of drawn people, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import ModelConfig
from models.errors import ManifestError
from models.fallen import ABOVE, SPAN, Place, cut
from models.zoo import add_model, load_fallen
from streams.picture import ArrayPicture
from streams.sim.light import Light
from streams.sim.places import PLACES
from streams.sim.postures import FALLS, POSTURES
from streams.sim.render import Renderer
from streams.sim.scene import Moment
from tests.support.fire_models import write_fire
from tests.support.onnx_models import write_model

SIZE = (1280, 720)
STATURE_M = 1.7


def drawn(posture: str, seed: int) -> tuple[ArrayPicture, Place]:
    """Somebody in the middle of a plaza, and where they stand or stood."""
    import cv2

    place = PLACES["plaza"]
    spot = place.crowd.corners.mean(axis=0)
    renderer = Renderer(place, seed, SIZE, light=Light.by_seed(seed))
    one = Moment(
        0.0, np.array([seed]), spot[None], np.array([float(seed)]), np.zeros(1), np.zeros((1, 2)),
        np.array([POSTURES.index(posture)]), np.ones(1),
    )  # fmt: skip
    picture = ArrayPicture(
        np.asarray(cv2.cvtColor(renderer.shoot(one).yuv, cv2.COLOR_YUV2BGR_I420), np.uint8)
    )
    foot, head = renderer.camera.project(np.array([[*spot, 0.0], [*spot, STATURE_M]]))
    return picture, Place((float(foot[0]), float(foot[1])), float(foot[1] - head[1]))


def test_who_lies_is_told_from_who_stands_sits_or_crouches():
    model = load_fallen(ModelConfig().fallen)
    assert model.name == "fallen-112-fp32"
    lie, low = ("lies", FALLS), ("is low or upright", ("upright", "sit_ground", "crouch", "bend"))
    scores = {
        name: [float(model.look(picture, [place])[0]) for kind in kinds for seed in range(4)
               for picture, place in [drawn(kind, seed)]]
        for name, kinds in (lie, low)
    }  # fmt: skip
    assert np.mean(np.array(scores["lies"]) > 0.5) >= 0.9
    assert np.mean(np.array(scores["is low or upright"]) > 0.5) <= 0.1


def test_many_places_of_one_picture_are_told_in_their_order():
    model = load_fallen(ModelConfig().fallen)
    picture, place = drawn("fall_left", 1)
    empty = Place((0.2, 0.9), place.tall)
    scores = model.look(picture, [empty, place, empty])
    assert scores.shape == (3,)
    assert scores[1] > 0.5 > scores[0] == scores[2]
    assert model.look(picture, []).shape == (0,)


def test_a_cut_is_a_square_around_the_foot_and_grey_beyond_the_picture():
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[99:101, 149:151] = 255
    middle = cut(ArrayPicture(pixels), (150.0, 100.0 + ABOVE * 50), 50.0, 112)
    assert middle.shape == (112, 112, 3)
    assert np.unravel_index(middle[..., 0].argmax(), (112, 112)) == pytest.approx((56, 56), abs=2)
    corner = cut(ArrayPicture(pixels), (0.0, 0.0), 50.0, 112)
    assert (corner[:40] == 114).all()
    assert (corner[:, :40] == 114).all()
    assert (corner[70:, 70:] == 0).all()


@given(st.floats(-500, 800), st.floats(-500, 800), st.floats(0.5, 2000))
def test_any_place_can_be_cut(x, y, tall):
    found = cut(ArrayPicture(np.zeros((90, 160, 3), np.uint8)), (x, y), tall, 112)
    assert found.shape == (112, 112, 3)
    assert set(np.unique(found)) <= {0, 114}


def test_the_span_holds_who_lies_on_either_side():
    assert SPAN / 2 > 1.1, "somebody who lies reaches a height to one side"


@pytest.mark.parametrize("broken", [((math.nan, 0.5), 0.2), ((0.5, 0.5), 0.0), ((0.5, 0.5), math.inf)])
def test_a_place_that_cannot_be_is_refused(broken):
    with pytest.raises(ValueError, match="finite foot and a height above 0"):
        Place(*broken)


def test_other_models_are_refused_by_name(tmp_path):
    with pytest.raises(ManifestError, match="nanodet-g-416-int8 does not tell who lies"):
        load_fallen("nanodet-g-416-int8")
    with pytest.raises(ManifestError, match="reddish does not tell who lies"):
        load_fallen(str(write_fire(tmp_path)))


def test_one_s_own_can_be_added(tmp_path):
    write_model(tmp_path / "own.onnx", {"scores": np.array([[3.0, 0.0]], np.float32)}, (1, 3, 32, 32))
    manifest = write_fire(tmp_path, "own", classes='["fallen", "other"]')
    manifest.write_text(manifest.read_text().split("[fire]")[0])
    assert add_model(manifest, tmp_path / "added").manifest.classes == ("fallen", "other")
    model = load_fallen(str(manifest), ("cpu",))
    grey = ArrayPicture(np.full((90, 160, 3), 120, np.uint8))
    assert model.look(grey, [Place((0.5, 0.5), 0.2)]) == pytest.approx(1 / (1 + math.exp(-3)), abs=1e-4)
    oblong = manifest.read_text().replace("[32, 32]", "[64, 32]")
    manifest.write_text(oblong)
    with pytest.raises(ManifestError, match="looks at squares"):
        load_fallen(str(manifest), ("cpu",))

"""The detectors that ship, the one added by a manifest alone, and what goes into them."""

import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.bench import Still, measure
from models.boxes import iou
from models.detector import Preparation
from models.manifest import InputSpec
from models.zoo import load_detector
from tests.support.onnx_models import Photo

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
COLOUR = (10, 20, 30)


class Street:
    """A drawn street with one figure at a known place, as the simulator's ancestor drew them."""

    width, height = 640, 360
    box = (0.45, 0.28, 0.57, 0.9)

    def bgr(self, width, height):
        picture = np.full((360, 640, 3), (150, 160, 165), np.uint8)
        picture[:120] = (200, 180, 160)
        cv2.circle(picture, (326, 116), 15, (120, 150, 200), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (326, 108), (16, 11), 0, 180, 360, (30, 30, 40), -1, cv2.LINE_AA)
        cv2.fillConvexPoly(picture, np.array([(300, 136), (352, 136), (346, 222), (306, 222)]), (60, 60, 170))
        for x, foot in ((314, 308), (338, 342)):
            cv2.line(picture, (326, 215), (x, 275), (90, 60, 40), 21, cv2.LINE_AA)
            cv2.line(picture, (x, 275), (foot, 318), (90, 60, 40), 16, cv2.LINE_AA)
            cv2.line(picture, (foot - 2, 321), (foot + 10, 322), (20, 20, 20), 10, cv2.LINE_AA)
        cv2.line(picture, (302, 145), (290, 205), (50, 50, 150), 14, cv2.LINE_AA)
        cv2.line(picture, (350, 145), (366, 200), (50, 50, 150), 14, cv2.LINE_AA)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def detectors():
    return {kind: load_detector(f"nanodet-g-416-{kind}", ("cpu",)) for kind in ("int8", "fp32")}


@pytest.mark.parametrize("kind", ["int8", "fp32"])
def test_what_ships_finds_a_person_and_where(detectors, kind):
    detector = detectors[kind]
    assert detector.class_names[0] == "person"
    assert len(detector.class_names) == 80
    found = detector.detect(Street(), 0.35)
    person = found.select(found.labels == 0)
    assert len(person) == 1
    assert iou(person.xyxy, np.array([Street.box]))[0, 0] > 0.6


def test_int8_says_what_fp32_says(detectors):
    exact, quick = (detectors[kind].detect(Street(), 0.35) for kind in ("fp32", "int8"))
    exact, quick = (found.select(found.labels == 0) for found in (exact, quick))
    assert iou(exact.xyxy, quick.xyxy)[0, 0] > 0.85
    assert quick.scores[0] == pytest.approx(exact.scores[0], abs=0.1)


def test_a_lower_threshold_only_adds(detectors):
    detector = detectors["int8"]
    few, many = detector.detect(Street(), 0.4), detector.detect(Street(), 0.1)
    assert len(few) <= len(many)
    assert (np.diff(many.scores) <= 0).all()
    assert many.scores.min() >= 0.1
    assert ((many.xyxy >= 0) & (many.xyxy <= 1)).all()
    assert many.scores[: len(few)] == pytest.approx(few.scores)


def test_an_empty_picture_has_nobody(detectors):
    found = detectors["int8"].detect(Photo(1920, 1080, (128, 128, 128)), 0.35)
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)


def test_the_manifest_vouches_for_the_weights(detectors):
    for detector in detectors.values():
        weights = ROOT / "models" / "weights" / f"{detector.name}.onnx"
        assert hashlib.sha256(weights.read_bytes()).hexdigest() == detector.sha256


def test_closing_twice_does_no_harm():
    detector = load_detector("nanodet-g-416-int8", ("cpu",))
    detector.close()
    detector.close()


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="needs ../shared/models")
def test_yolox_is_added_by_a_manifest_alone(tmp_path):
    shutil.copy(ROOT / "tests" / "fixtures" / "yolox-nano-416.toml", tmp_path)
    shutil.copy(ROOT / "models" / "weights" / "coco-80.txt", tmp_path)
    (tmp_path / "yolox-nano-416.onnx").symlink_to(SHARED / "models" / "yolox-nano-416.onnx")
    found = load_detector(str(tmp_path / "yolox-nano-416.toml"), ("cpu",)).detect(Street(), 0.35)
    person = found.select(found.labels == 0)
    assert len(person) == 1
    assert iou(person.xyxy, np.array([Street.box]))[0, 0] > 0.6


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="needs ../shared/models")
def test_the_surgery_changed_nothing(detectors):
    onnxruntime = pytest.importorskip("onnxruntime")
    original = onnxruntime.InferenceSession(str(SHARED / "models" / "nanodet-g-416-fp32.onnx"))
    pixels = Street().bgr(416, 416)
    mean, std = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
    tensor = ((pixels - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
    names = ("Identity:0", "Identity_1:0", "Identity_2:0")
    expected = np.concatenate(original.run(names, {"input_1:0": tensor}), 1)[0]
    logits = detectors["fp32"].session.run(pixels[None])["predictions"][0, :80].T
    # The weights are stored as FP16, which is all the difference there is.
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_pixels_arrive_normalised_in_the_order_asked_for(layout, colour):
    spec = InputSpec(
        size=(64, 64), layout=layout, colour=colour, scale=0.5, mean=(1, 2, 3), std=(2, 4, 8), pad=114
    )
    box, tensor = Preparation(spec)(Photo(128, 64, COLOUR))
    assert tensor.shape == ((1, 3, 64, 64) if layout == "nchw" else (1, 64, 64, 3))
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    canvas = tensor[0].transpose(1, 2, 0) if layout == "nchw" else tensor[0]
    pixel = np.array(COLOUR if colour == "bgr" else COLOUR[::-1])
    mean, std = np.array([1, 2, 3]), np.array([2, 4, 8])
    inside = canvas[: box.inner_height, : box.inner_width]
    assert (box.inner_width, box.inner_height) == (64, 32)
    assert inside == pytest.approx(np.broadcast_to((pixel * 0.5 - mean) / std, inside.shape))
    border = canvas[box.inner_height :]
    assert border == pytest.approx(np.broadcast_to((57 - mean) / std, border.shape))


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_bytes_arrive_as_they_are(colour):
    spec = InputSpec(size=(64, 64), layout="nhwc", dtype="uint8", colour=colour, letterbox="centre", pad=7)
    _, tensor = Preparation(spec)(Photo(128, 64, COLOUR))
    assert tensor.dtype == np.uint8
    assert tensor[0, 32, 32].tolist() == list(COLOUR if colour == "bgr" else COLOUR[::-1])
    assert (tensor[0, :16] == 7).all()
    assert (tensor[0, 48:] == 7).all()


def test_one_camera_does_not_leave_traces_in_anothers_picture():
    prepare = Preparation(InputSpec(size=(64, 64), layout="nhwc", dtype="uint8", colour="bgr"))
    prepare(Photo(64, 128, (200, 200, 200)))
    _, wide = prepare(Photo(128, 64, COLOUR))
    assert (wide[0, 32:] == 0).all()
    _, tall = prepare(Photo(64, 128, COLOUR))
    assert (tall[0, :, 32:] == 0).all()


def test_the_stages_are_timed(detectors):
    timing = measure(detectors["int8"], rounds=3)
    assert timing.input_size == (416, 256)
    assert timing.rounds == 3
    assert timing.providers == ("CPUExecutionProvider",)
    for spread in (timing.prepare, timing.infer, timing.read, timing.total):
        assert 0 < spread.p10 <= spread.median <= spread.p90
    with pytest.raises(ValueError, match="at least 1"):
        measure(detectors["int8"], rounds=0)


def test_a_still_is_the_same_at_each_look():
    still = Still(1280, 720)
    assert still.bgr(32, 16).shape == (16, 32, 3)
    assert (still.bgr(32, 16) == still.bgr(32, 16)).all()

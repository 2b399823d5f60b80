"""Models of fire: any classifier or detector, read as its manifest says, and refused where that is wrong."""

import numpy as np
import pytest

from models.errors import IntegrityError, ManifestError, ModelError, SessionError
from models.fire import Flame
from models.zoo import add_model, fire_model, load_density, load_detector, load_fire
from streams.picture import ArrayPicture
from tests.support.fire_models import HEAD, write_classifier, write_fire
from tests.support.onnx_models import write_model

RED, BLUE, GREY = (20, 20, 230), (230, 20, 20), (120, 120, 120)
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
SSD = "kind = 'ssd'\nboxes = 'boxes'\nscores = 'scores'\nlabels = 'labels'\ncorners = 'xyxy'"


def picture(left=GREY, right=GREY, size=(64, 48)):
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = left, right
    return ArrayPicture(pixels)


def constant(folder, values, **changes):
    """A classifier that always says the same."""
    write_model(folder / "tiny.onnx", {"scores": np.array(values, np.float32)}, (1, 3, 32, 32))
    return load_fire(str(write_fire(folder, "tiny", **changes)), ("cpu",))


def test_a_classifier_says_which_part_burns_and_which_smokes(tmp_path):
    model = load_fire(str(write_fire(tmp_path)), ("cpu",))
    assert model.by_parts
    places = {"z": [LEFT, RIGHT]}
    assert model.look(picture(), places) == ()
    burning, smoking = model.look(picture(RED, BLUE), places)
    assert {(burning.what, burning.box), (smoking.what, smoking.box)} == {("fire", LEFT), ("smoke", RIGHT)}
    assert burning.place == "z"
    assert min(burning.score, smoking.score) > 0.9
    assert model.look(picture(RED, BLUE), {}) == ()


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_the_manifest_says_the_order_of_colours(tmp_path, colour):
    input_ = f"size = [32, 32]\nscale = 0.00392156862745098\ncolour = '{colour}'"
    model = load_fire(str(write_fire(tmp_path, input=input_)), ("cpu",))
    (flame,) = model.look(picture(RED, RED), {"z": [LEFT]})
    assert flame.what == ("fire" if colour == "rgb" else "smoke")


def test_a_graph_with_its_own_softmax_says_none(tmp_path):
    bare = load_fire(str(write_fire(tmp_path, "bare")), ("cpu",))
    write_classifier(tmp_path, "ready", softmax=True)
    ready = load_fire(str(write_fire(tmp_path, "ready", head=HEAD + "\nactivation = 'none'")), ("cpu",))
    for one in (bare, ready):
        (flame,) = one.look(picture(RED), {"z": [LEFT]})
        assert flame.score == pytest.approx(1 / (1 + np.exp(-6.88)), abs=1e-4)


def test_classes_that_mean_the_same_add_up_by_softmax_only(tmp_path):
    both = "fire = ['flames', 'smoke']"
    (flame,) = constant(tmp_path, [[1, 1, 1]], fire=both).look(picture(), {"z": [LEFT]})
    assert (flame.what, flame.score) == ("fire", pytest.approx(2 / 3))
    head = HEAD + "\nactivation = 'sigmoid'"
    (flame,) = constant(tmp_path, [[0, 0, 1]], fire=both, head=head).look(picture(), {"z": [LEFT]})
    assert flame.score == pytest.approx(1 / (1 + np.exp(-1)))


def test_one_sigmoid_of_one_class_is_a_classifier_too(tmp_path):
    changes = {"classes": '["fire"]', "fire": "fire = ['fire']", "head": HEAD + "\nactivation = 'sigmoid'"}
    model = constant(tmp_path, [[2.0]], **changes)
    assert [flame.what for flame in model.look(picture(), {"z": [LEFT]})] == ["fire"]
    assert model.spec.known == {"fire"}


def test_a_detector_looks_at_the_whole_picture(tmp_path):
    boxes = np.array([[[0.1, 0.1, 0.3, 0.4], [0.6, 0.2, 0.9, 0.8], [0.4, 0.4, 0.5, 0.5]]])
    outputs = {"boxes": boxes, "scores": np.array([[0.8, 0.6, 0.9]]), "labels": np.array([[0, 2, 1]])}
    write_model(tmp_path / "tiny.onnx", outputs, (1, 3, 32, 32))
    model = load_fire(str(write_fire(tmp_path, "tiny", head=SSD)), ("cpu",))
    assert not model.by_parts
    flame, smoke = model.look(picture(), {"z": [LEFT]})
    assert (flame.what, flame.place, smoke.what) == ("fire", None, "smoke")
    assert flame.box == pytest.approx((0.1, 0.1, 0.3, 0.4), abs=1e-6)
    assert load_detector(str(tmp_path / "tiny.toml"), ("cpu",)).class_names[0] == "flames"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[0.1, 0.2]], "expected 3 finite scores, one a class"),
        ([[[0.1, 0.2, 0.3]]], "expected 3 finite scores"),
        ([[0.1, np.nan, 0.3]], "expected 3 finite scores"),
        ([[0.1, 1.4, 0.3]], "are no probabilities; is head.activation softmax or sigmoid"),
        ([[-0.2, 0.4, 0.3]], "are no probabilities"),
    ],
)
def test_outputs_that_are_no_probabilities_are_errors(tmp_path, values, words):
    model = constant(tmp_path, values, head=HEAD + "\nactivation = 'none'")
    with pytest.raises(SessionError, match=words):
        model.look(picture(), {"z": [LEFT]})


def test_an_output_must_be_named_where_there_are_several(tmp_path):
    outputs = dict.fromkeys(("a", "b"), np.zeros((1, 3)))
    write_model(tmp_path / "tiny.onnx", outputs, (1, 3, 32, 32))
    with pytest.raises(SessionError, match=r"head.output: must name one of a, b"):
        load_fire(str(write_fire(tmp_path, "tiny")), ("cpu",)).look(picture(), {"z": [LEFT]})
    for name, fails in (("b", False), ("c", True)):
        model = load_fire(str(write_fire(tmp_path, "tiny", head=f"{HEAD}\noutput = '{name}'")), ("cpu",))
        if fails:
            with pytest.raises(SessionError, match="no output 'c'"):
                model.look(picture(), {"z": [LEFT]})
        else:
            assert len(model.look(picture(), {"z": [LEFT]})) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fire": "fire = ['flame']"}, "fire: 'flame' is none of classes; did you mean 'flames'"),
        ({"fire": ""}, "fire: names no class that means fire or smoke"),
        ({"fire": "fire = ['flames']\nsmok = ['smoke']"}, "fire.smok: unknown key; did you mean 'smoke'"),
        ({"fire": "fire = ['flames']\ntiles = 99"}, "fire.tiles"),
        ({"head": HEAD + "\nactivation = 'relu'"}, "head.activation"),
        ({"head": "kind = 'classifer'"}, "did you mean 'classifier'"),
        (
            {"head": "kind = 'density'", "input": "size = [32, 32]\nlayout = 'nhwc'\ndtype = 'uint8'"},
            "a model that counts heads tells no fire",
        ),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path, changes, words):
    with pytest.raises(ManifestError) as caught:
        fire_model(str(write_fire(tmp_path, **changes)))
    assert words in str(caught.value)


def test_a_classifier_must_say_what_its_classes_mean(tmp_path):
    path = write_fire(tmp_path)
    path.write_text(path.read_text().split("[fire]")[0])
    with pytest.raises(ManifestError, match=r"head.kind classifier needs a section \[fire\]"):
        fire_model(str(path))


def test_models_are_told_apart(tmp_path):
    with pytest.raises(ManifestError, match="nanodet-g-416-int8 is no model of fire"):
        load_fire("nanodet-g-416-int8", ("cpu",))
    with pytest.raises(ManifestError, match="reddish is a classifier and finds no objects"):
        load_detector(str(write_fire(tmp_path)), ("cpu",))
    with pytest.raises(ManifestError, match="reddish"):
        load_density(str(write_fire(tmp_path)), ("cpu",))


def test_the_hash_is_checked_as_of_any_model(tmp_path):
    path = write_fire(tmp_path)
    weights = tmp_path / "reddish.onnx"
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="has SHA-256"):
        load_fire(str(path), ("cpu",))


def test_a_model_is_tried_before_it_is_taken_in(tmp_path, monkeypatch):
    monkeypatch.setenv("SHARPEYES_MODELS", str(tmp_path / "user"))
    assert add_model(write_fire(tmp_path)).manifest.name == "reddish"
    assert load_fire("reddish", ("cpu",)).name == "reddish"
    write_model(tmp_path / "tiny.onnx", {"scores": np.zeros((1, 2))}, (1, 3, 32, 32))
    with pytest.raises(ModelError, match="expected 3 finite scores"):
        add_model(write_fire(tmp_path, "tiny"))


@pytest.mark.parametrize(("score", "box"), [(1.2, LEFT), (np.nan, LEFT), (0.5, (0.5, 0.0, 0.5, 1.0))])
def test_a_flame_is_valid_from_birth(score, box):
    with pytest.raises(ValueError, match="must be"):
        Flame("fire", score, box)

import numpy as np
import pytest

from models.errors import IntegrityError, ManifestError, ModelError, SessionError
from models.zoo import BUILT_IN, add_model, find_model, list_models, load_detector, user_folder
from tests.support.onnx_models import Photo, write_manifest, write_model

HEAD = 'kind = "yolov8"'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SHARPEYES_MODELS", str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def own(tmp_path):
    """A user's model somewhere, not yet added; its class names stand in a file."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "names.txt").write_text("person\ncar\n")
    write_model(source / "tiny.onnx", {"out": np.zeros((1, 6, 1))}, (1, 3, 64, 64))
    return write_manifest(source, HEAD, classes='"names.txt"')


def test_what_ships_is_listed_and_complete():
    models = list_models()
    assert {"nanodet-g-416-int8", "nanodet-g-416-fp32"} <= set(models)
    for model in models.values():
        assert model.path.parent == BUILT_IN
        assert model.verified_bytes()
    texts = {path.name for path in BUILT_IN.glob("*")}
    assert {"LICENSE-NanoDet", "LICENSE-human-models", "MODEL_CARD.md"} <= texts


def test_the_cards_name_the_weights_they_speak_of():
    card = "".join(path.read_text(encoding="utf-8") for path in BUILT_IN.glob("*_CARD.md"))
    for model in list_models().values():
        assert model.manifest.name in card
        assert model.manifest.sha256 in card


def test_an_added_model_is_listed_and_loads(own, folder):
    added = add_model(own)
    assert added.path == folder / "tiny" / "tiny.toml"
    assert list_models()["tiny"].manifest == added.manifest
    detector = load_detector("tiny", ("cpu",))
    assert detector.class_names == ("person", "car")
    assert len(detector.detect(Photo(64, 64))) == 0
    assert sorted(path.name for path in folder.rglob("*")) == ["names.txt", "tiny", "tiny.onnx", "tiny.toml"]


def test_a_taken_name_is_refused(own):
    add_model(own)
    with pytest.raises(ManifestError, match="already a model 'tiny'"):
        add_model(own)


def test_a_model_that_does_not_work_is_not_added(own, folder):
    write_model(own.parent / "tiny.onnx", {"out": np.zeros((1, 7, 1))}, (1, 3, 64, 64))
    with pytest.raises(IntegrityError):
        add_model(own)
    write_manifest(own.parent, HEAD)
    with pytest.raises(SessionError, match="expected outputs of 6 columns"):
        add_model(own)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_leaves_nothing(own, folder):
    (folder / "tiny" / "in-the-way").mkdir(parents=True)
    with pytest.raises(ManifestError, match="cannot be written"):
        add_model(own)
    assert [path.name for path in folder.iterdir()] == ["tiny"]


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ManifestError, match="did you mean 'nanodet-g-416-int8'"):
        find_model("nanodet-g-416-int9")


def test_a_broken_manifest_harms_only_itself(folder):
    folder.mkdir()
    (folder / "broken.toml").write_text("name = 3")
    assert find_model("nanodet-g-416-int8").manifest.name == "nanodet-g-416-int8"
    with pytest.raises(ManifestError, match=r"broken\.toml"):
        find_model("broken")
    with pytest.raises(ManifestError, match=r"broken\.toml"):
        list_models()


def test_a_path_is_taken_as_it_is(own):
    assert find_model(str(own)).path == own
    with pytest.raises(ModelError, match="cannot be read"):
        find_model(str(own.with_name("none.toml")))


def test_a_flat_file_in_the_users_folder_counts_too(own, folder):
    folder.mkdir()
    for path in own.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert find_model("tiny").path == folder / "tiny.toml"


def test_where_the_users_models_lie(monkeypatch, tmp_path):
    monkeypatch.delenv("SHARPEYES_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "sharpeyes" / "models"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert user_folder().parts[-4:] == (".local", "share", "sharpeyes", "models")

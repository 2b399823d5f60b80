import hashlib

import pytest
from pydantic import ValidationError

from models.errors import IntegrityError, ManifestError
from models.manifest import InputSpec, ModelFile
from tests.support.onnx_models import write_manifest

NANODET = 'kind = "nanodet"'


def read_error(path):
    with pytest.raises(ManifestError) as caught:
        ModelFile.read(path)
    return str(caught.value)


def test_a_manifest_is_read_with_its_defaults(tmp_path):
    model = ModelFile.read(write_manifest(tmp_path, NANODET))
    manifest = model.manifest
    assert manifest.classes == ("person", "car")
    assert manifest.input.layout == "nchw"
    assert manifest.head.kind == "nanodet"
    assert manifest.head.strides == (8, 16, 32)
    assert model.weights == tmp_path / "tiny.onnx"
    assert model.files == (tmp_path / "tiny.toml", tmp_path / "tiny.onnx")
    with pytest.raises(ValidationError):
        manifest.threshold = 0.5


def test_classes_may_stand_in_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("person\n\n  car \n")
    model = ModelFile.read(write_manifest(tmp_path, NANODET, classes='"names.txt"'))
    assert model.manifest.classes == ("person", "car")
    assert model.files[-1] == tmp_path / "names.txt"


@pytest.mark.parametrize(
    ("head", "changes", "words"),
    [
        (NANODET, {"licence": ""}, ["licence: is missing"]),
        (NANODET, {"treshold": "0.3"}, ["treshold: unknown key", "did you mean 'threshold'"]),
        (NANODET, {"input": "size = [64, 64]\nlayuot = 'nhwc'"}, ["input.layuot: unknown key", "'layout'"]),
        (NANODET, {"input": "size = [64, 64]\nlayout = 'nhcw'"}, ["input.layout:", "'nchw' or 'nhwc'"]),
        (NANODET + "\nbin = 8", {}, ["head.bin: unknown key", "did you mean 'bins'"]),
        (NANODET + "\nbins = 1", {}, ["head.bins:", "greater than or equal to 2"]),
        ('kind = "nanodent"', {}, ["head.kind: must be one of nanodet, yolox", "did you mean 'nanodet'"]),
        ("bins = 8", {}, ["head.kind: must be one of"]),
        (NANODET, {"name": '"Not Good"'}, ["name:"]),
        (NANODET, {"file": '"../elsewhere.onnx"'}, ["file:"]),
        (NANODET, {"sha256": '"abc"'}, ["sha256:"]),
        (NANODET, {"classes": '["person", "person"]'}, ["classes has the same name twice"]),
        (NANODET, {"classes": '"../names.txt"'}, ["classes:", "beside the manifest"]),
        (NANODET, {"classes": '"missing.txt"'}, ["classes: cannot read missing.txt"]),
        (NANODET, {"threshold": "1.5"}, ["threshold:", "less than 1"]),
        (NANODET, {"input": "size = [64, 64]\nstd = [1, 1, 0]"}, ["input: std must be positive"]),
        (NANODET, {"input": "size = [64, 60]\nstride = 32"}, ["size must be a multiple of stride 32"]),
        (
            NANODET,
            {"input": "size = [64, 64]\ndtype = 'uint8'\nmean = [1, 1, 1]"},
            ["input: a uint8 input takes pixels as they are"],
        ),
        ('kind = "ssd"', {}, ["head.boxes: is missing", "head.scores: is missing"]),
    ],
)
def test_an_error_names_file_key_and_cure(tmp_path, head, changes, words):
    path = write_manifest(tmp_path, head, **changes)
    text = read_error(path)
    assert text.startswith(str(path))
    for word in words:
        assert word in text


def test_all_errors_are_told_at_once(tmp_path):
    text = read_error(write_manifest(tmp_path, NANODET, licence="", threshold="2.0"))
    assert len(text.splitlines()) == 2


def test_what_is_not_toml_or_not_there_is_said(tmp_path):
    path = tmp_path / "broken.toml"
    assert "cannot be read" in read_error(path)
    path.write_text("name = ")
    assert "is not TOML" in read_error(path)
    path.write_bytes(b"\xff\xfe")
    assert "is not TOML" in read_error(path)
    path.write_text("head = 3")
    assert "head" in read_error(path)


def test_the_files_content_is_vouched_for(tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(b"weights")
    model = ModelFile.read(write_manifest(tmp_path, NANODET))
    assert model.verified_bytes() == b"weights"
    (tmp_path / "tiny.onnx").write_bytes(b"weightz")
    with pytest.raises(IntegrityError, match=hashlib.sha256(b"weightz").hexdigest()):
        model.verified_bytes()
    (tmp_path / "tiny.onnx").unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        model.verified_bytes()


def test_every_key_has_a_meaning_for_the_reader():
    assert InputSpec.model_fields["stride"].description

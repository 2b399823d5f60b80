"""Three lines that nothing crosses, checked on every file: no identities, no faces, no picture unredacted."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from api.center.app import create_app as centre_app
from api.center.config import CenterConfig
from api.node import create_app as node_app
from edge.config import Config
from edge.privacy import CameraPrivacyConfig, PrivacyConfig
from models.manifest import _HEADS
from tests.support.api_node import STATUS

ROOT = Path(__file__).parents[2]
PACKAGES = ("streams", "models", "edge", "api")

WORDS = frozenset(
    """
    face faces facial identity identities reid reidentification plate plates embedding embeddings biometric
    biometrics gender sex ethnicity race emotion emotions demographic demographics fingerprint iris gait
    watchlist blacklist whitelist passport pedestrian_attributes license_number
    """.split()  # noqa: SIM905 - a table of words is easier to read so
)
WHOLE = frozenset(
    {"age", "ages", "age_years", "person_id", "person_ids", "people_ids", "track_id", "track_ids"}
)
"""Not to be parts of names: much has an age here, such as a frame."""


def guilty(name: str) -> bool:
    """Whether a name speaks of who somebody is."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return plain in WHOLE or not WORDS.isdisjoint(re.split(r"[^a-z0-9]+", plain))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(*packages: str) -> list[Path]:
    files = sorted(path for package in packages or PACKAGES for path in (ROOT / package).rglob("*.py"))
    assert files
    return files


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def names_of(schema: Any) -> Iterator[str]:
    """Names of properties and parameters, and values of closed tables, anywhere in a JSON schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        if isinstance(schema.get("name"), str) and "in" in schema:
            yield schema["name"]
        for value in schema.get("enum", ()):
            yield str(value)
        for value in schema.values():
            yield from names_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from names_of(value)


class _Blank(SimpleNamespace):
    """Parts that only a served request would need."""

    def __getattr__(self, name: str) -> None:
        return None


def _schemas() -> dict[str, Any]:
    view, desk = _Blank(status=lambda: STATUS), _Blank(version="1")
    folder = ROOT / "edge" / "schema"
    return {
        "event": json.loads((folder / "event.v1.json").read_text(encoding="utf-8")),
        "asyncapi": yaml.safe_load((folder / "asyncapi.yaml").read_text(encoding="utf-8")),
        "node's interface": node_app(view).openapi(),  # type: ignore[arg-type]
        "centre's interface": centre_app(desk).openapi(),  # type: ignore[arg-type]
        "configuration": Config.model_json_schema(),
        "centre's configuration": CenterConfig.model_json_schema(),
    }


def test_no_schema_has_a_place_for_an_identity() -> None:
    for where, schema in _schemas().items():
        names = set(names_of(schema))
        assert len(names) > 8, where
        assert not {name for name in names if guilty(name)}, where


def test_no_class_of_edge_or_api_has_a_field_for_an_identity() -> None:
    found, fields = [], 0
    for path in sources("edge", "api"):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ClassDef):
                continue
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    fields += 1
                    if guilty(part.target.id):
                        found.append(f"{short(path)}:{part.lineno} {node.name}.{part.target.id}")
    assert found == []
    assert fields > 500


@pytest.mark.parametrize(
    "name",
    [
        "face",
        "faceBox",
        "plate_number",
        "person_id",
        "age",
        "gender",
        "face-embedding",
        "identity",
        "Embedding",
    ],
)
def test_the_guard_knows_what_it_is_for(name: str) -> None:
    assert guilty(name)


@pytest.mark.parametrize(
    "name", ["age_s", "frame_age_s", "surface", "interface", "facade", "template", "tracks"]
)
def test_the_guard_leaves_other_words_alone(name: str) -> None:
    assert not guilty(name)


FACE_MODULES = re.compile(
    r"^(face_recognition|insightface|deepface|facenet.*|mtcnn|retinaface|dlib|torchreid|fastreid|mediapipe"
    r"|lpr|openalpr|hyperlpr.*|easyocr|paddleocr|pytesseract)(\.|$)"
)
FACE_NAMES = re.compile(
    r"FaceDetector|FaceRecognizer|[Ff]acemark|CascadeClassifier|haarcascade|lbpcascade|^face$"
)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_nothing_imports_what_recognises_people_or_plates() -> None:
    files = [*sources(), *sources("benchmarks")]
    found = [
        f"{short(path)}:{line} {name}"
        for path in files
        for line, name in imported(path)
        if FACE_MODULES.match(name)
    ]
    for path in files:
        for node in ast.walk(tree(path)):
            used = node.attr if isinstance(node, ast.Attribute) else None
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
                used = node.value if "cascade" in node.value else used
            if used and FACE_NAMES.search(used):
                found.append(f"{short(path)}:{node.lineno} {used}")
    assert found == []


def test_no_dependency_recognises_people_or_plates() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = [re.split(r"[\[<>=~! ]", one)[0].replace("-", "_") for one in wanted]
    assert len(names) > 10
    assert not [name for name in names if FACE_MODULES.match(name)]


def test_no_model_that_ships_tells_who_somebody_is() -> None:
    manifests = sorted((ROOT / "models").rglob("*.toml"))
    assert manifests
    for path in manifests:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        classes = data["classes"]
        if isinstance(classes, str):
            classes = (path.parent / classes).read_text(encoding="utf-8").split("\n")
        words = [data.get("name", path.stem), *classes, data.get("head", {}).get("kind", "")]
        assert not [word for word in words if guilty(word)], short(path)
    stems = {path.stem for path in manifests}
    assert {path.stem for path in (ROOT / "models").rglob("*.onnx")} <= stems


def test_kinds_of_models_are_a_closed_table() -> None:
    """A kind that gives vectors of people would have to be added here, before everybody's eyes."""
    assert set(_HEADS) == {"nanodet", "yolox", "yolov8", "ssd", "detr", "density", "classifier"}


WRITERS = frozenset(
    {"imencode", "imencodemulti", "imwrite", "imwritemulti", "VideoWriter", "add_stream", "add_mux_stream"}
)
"""Calls that make a file, or bytes, of pixels."""
PICTURE_LIBRARIES = re.compile(r"^(PIL|imageio|tifffile|skimage|matplotlib|simplejpeg|turbojpeg)(\.|$)")
PICTURES_OF_ITS_OWN = {
    "api/report/page.py": "draws ground and figures of a report, with no camera picture",
    "api/ground_picture.py": "draws the metre grid of `sharpeyes calibrate`",
    "models/training/data.py": "spoils drawn pictures that models learn from",
    "models/training/scenes.py": "writes drawn pictures that models learn from",
    "streams/sim/clip.py": "writes drawn clips",
    "streams/sim/encode.py": "encodes drawn pictures, as the simulated camera",
}
"""Files that encode pixels without a RedactedPicture, and why they may."""
ENCODES_REDACTED: dict[str, str] = {
    "edge/clip.py": "snapshots and clips of incidents",
    "edge/live_encoder.py": "live view",
}
"""Files that encode pictures of cameras, and what for; each must take `RedactedPicture`."""


def _opens_for_writing(call: ast.Call) -> bool:
    """`av.open(.., "w")`, `CodecContext.create(.., "w")`, and what says its mode by keyword."""
    modes = [*call.args[1:], *(word.value for word in call.keywords if word.arg == "mode")]
    return any(isinstance(one, ast.Constant) and one.value in ("w", "wb", "a") for one in modes)


def encodes(path: Path) -> Iterator[str]:
    """Where a file makes bytes of pixels."""
    text = tree(path)
    for line, name in imported(path):
        if PICTURE_LIBRARIES.match(name):
            yield f"{line} {name}"
    av_like = any(name == "av" or name.startswith("av.") for _, name in imported(path))
    for node in ast.walk(text):
        if isinstance(node, ast.Attribute) and node.attr in WRITERS:
            yield f"{node.lineno} {node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module in ("cv2", "av"):
            yield from (f"{node.lineno} {one.name}" for one in node.names if one.name in WRITERS)
        if not (av_like and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in ("open", "create") and _opens_for_writing(node):
            yield f"{node.lineno} {node.func.attr}"


def test_nothing_encodes_a_camera_picture_that_is_not_redacted() -> None:
    found = {short(path): list(encodes(path)) for path in sources()}
    writing = {name for name, where in found.items() if where}
    assert writing == {*PICTURES_OF_ITS_OWN, *ENCODES_REDACTED}, {name: found[name] for name in writing}


def test_encoders_of_cameras_take_redacted_pictures() -> None:
    for name in ENCODES_REDACTED:
        assert "RedactedPicture" in (ROOT / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    "code",
    [
        "import cv2\ncv2.imencode('.jpg', x)",
        "from cv2 import imwrite",
        "import av\nav.open(path, 'w', format='mp4')",
        "import av\nav.open(path, mode='w')",
        "import av\ncontainer.add_stream('h264')",
        "import av\nav.CodecContext.create('libx264', 'w')",
        "from PIL import Image",
    ],
)
def test_the_guard_sees_an_unredacted_way_out(code: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(code)
    assert list(encodes(path))


def test_only_the_redactor_makes_redacted_pictures() -> None:
    for path in sources():
        if short(path) == "edge/redactor.py":
            continue
        names = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        called = {
            node.func.id
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "RedactedPicture" not in called, short(path)
        assert "_SEAL" not in names, short(path)
        assert "edge.redactor._SEAL" not in {name for _, name in imported(path)}, short(path)


def test_no_key_of_the_configuration_turns_redaction_off() -> None:
    for section in (PrivacyConfig, CameraPrivacyConfig):
        schema = section.model_json_schema()
        values = {value for value in json.dumps(schema["properties"]["cover"]).split('"') if value.isalpha()}
        assert {"heads", "people"} <= values
        assert values.isdisjoint({"off", "none", "false", "nothing", "boolean"})
        assert set(schema["properties"]) <= {"cover", "blind_after_s", "masks"}

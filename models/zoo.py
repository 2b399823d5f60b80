"""Which models there are: those that ship with the package and those the user added."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.detector import Detector
from models.errors import ManifestError
from models.manifest import ModelFile, suggestion
from models.session import Session

BUILT_IN = Path(__file__).parent / "weights"


def user_folder() -> Path:
    """Where the user's own models lie: SHARPEYES_MODELS, or the XDG data folder."""
    if folder := os.environ.get("SHARPEYES_MODELS"):
        return Path(folder)
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "sharpeyes" / "models"


def list_models() -> dict[str, ModelFile]:
    """All models by name; one of the user's hides a built-in one of the same name.

    Raises ManifestError when a manifest in one of the two folders is broken.
    """
    found = {}
    for folder in (BUILT_IN, user_folder()):
        for path in sorted(folder.glob("*.toml")):
            model = ModelFile.read(path)
            found[model.manifest.name] = model
    return found


def find_model(name_or_path: str) -> ModelFile:
    """The model of that name, or of the TOML manifest at that path; raises ManifestError if there is none."""
    if name_or_path.endswith(".toml"):
        return ModelFile.read(Path(name_or_path))
    models = list_models()
    if name_or_path not in models:
        hint = suggestion(name_or_path, models)
        raise ManifestError(f"no model {name_or_path!r}; there are {', '.join(models)}{hint}")
    return models[name_or_path]


def load_detector(name_or_path: str, providers: Sequence[str] = (), threads: int = 1) -> Detector:
    """Load a detector by name or by its manifest's path, ready to look at pictures.

    Raises ManifestError, IntegrityError, ProviderError or SessionError (all ModelError).
    """
    model = find_model(name_or_path)
    return Detector(model, Session(model, providers, threads))


def add_model(manifest: Path, folder: Path | None = None) -> ModelFile:
    """Take a model into the user's folder, after a trial inference on a grey picture.

    Copies the manifest (with its classes, if they stand in a file) and the ONNX file beside it.
    Raises ModelError if anything is wrong with it, also if the name is taken; then nothing is copied.
    """
    model = ModelFile.read(manifest)
    target = folder or user_folder()
    if (target / f"{model.manifest.name}.toml").exists() or (
        BUILT_IN / f"{model.manifest.name}.toml"
    ).exists():
        raise ManifestError(f"{manifest}: name: there is already a model {model.manifest.name!r}")
    Detector(model, Session(model, ("cpu",))).detect(_Grey())
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model.weights, target / model.manifest.file)
    shutil.copyfile(manifest, target / f"{model.manifest.name}.toml")
    return ModelFile.read(target / f"{model.manifest.name}.toml")


class _Grey:
    """A picture of nothing."""

    width, height = 640, 360

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return np.full((height, width, 3), 114, np.uint8)

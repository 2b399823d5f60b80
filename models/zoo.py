"""Which models there are: those that ship with the package and those the user added."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.density import DensityModel
from models.detector import Detector
from models.errors import ManifestError
from models.fallen import FallenModel, Place
from models.fallen import check as tells_who_lies
from models.fire import FireModel, spec_of
from models.manifest import ClassifierHead, DensityHead, ModelFile, suggestion
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
    return {model.manifest.name: model for model in map(ModelFile.read, _manifests())}


def find_model(name_or_path: str) -> ModelFile:
    """The model of that name, or of the TOML manifest at that path; raises ManifestError if there is none.

    Another model's broken manifest does no harm unless the name is not found elsewhere.
    """
    if name_or_path.endswith(".toml"):
        return ModelFile.read(Path(name_or_path))
    models: dict[str, ModelFile] = {}
    broken = ""
    for path in _manifests():
        try:
            model = ModelFile.read(path)
        except ManifestError as error:
            broken += f"\n{error}"
        else:
            models[model.manifest.name] = model
    if name_or_path not in models:
        hint = suggestion(name_or_path, models)
        raise ManifestError(f"no model {name_or_path!r}; there are {', '.join(models)}{hint}{broken}")
    return models[name_or_path]


def _manifests() -> Iterator[Path]:
    for folder in (BUILT_IN, user_folder()):
        yield from sorted(folder.glob("*.toml"))
        yield from sorted(folder.glob("[!.]*/*.toml"))


def load_detector(name_or_path: str, providers: Sequence[str] = (), threads: int = 1) -> Detector:
    """Load a detector by name or by its manifest's path, ready to look at pictures.

    Raises ManifestError, IntegrityError, ProviderError or SessionError (all ModelError).
    """
    model = find_model(name_or_path)
    return Detector(model, Session(model, providers, threads))


def head_counter(name_or_path: str) -> ModelFile:
    """As `find_model`; raises ManifestError, too, when the model counts no heads."""
    model = find_model(name_or_path)
    if not isinstance(model.manifest.head, DensityHead):
        known = [name for name, one in list_models().items() if isinstance(one.manifest.head, DensityHead)]
        raise ManifestError(
            f"{model.manifest.name} is a detector and counts no heads; {', '.join(known)} does"
        )
    return model


def load_density(name_or_path: str, providers: Sequence[str] = (), threads: int = 1) -> DensityModel:
    """Load a head counter by name or by its manifest's path, ready to look at pictures.

    Raises ManifestError, IntegrityError, ProviderError or SessionError (all ModelError).
    """
    model = head_counter(name_or_path)
    return DensityModel(model, Session(model, providers, threads))


def fire_model(name_or_path: str) -> ModelFile:
    """As `find_model`; raises ManifestError, too, when the model does not say what means fire or smoke."""
    model = find_model(name_or_path)
    spec_of(model)
    return model


def load_fire(name_or_path: str, providers: Sequence[str] = (), threads: int = 1) -> FireModel:
    """Load a model of fire by name or by its manifest's path, ready to look at pictures.

    Raises ManifestError, IntegrityError, ProviderError or SessionError (all ModelError).
    """
    model = fire_model(name_or_path)
    return FireModel(model, Session(model, providers, threads))


def fallen_model(name_or_path: str) -> ModelFile:
    """As `find_model`; raises ManifestError, too, when the model does not tell who lies."""
    model = find_model(name_or_path)
    tells_who_lies(model)
    return model


def load_fallen(name_or_path: str, providers: Sequence[str] = (), threads: int = 1) -> FallenModel:
    """Load a model that tells who lies by name or by its manifest's path, ready to look at pictures.

    Raises ManifestError, IntegrityError, ProviderError or SessionError (all ModelError).
    """
    model = fallen_model(name_or_path)
    return FallenModel(model, Session(model, providers, threads))


def add_model(manifest: Path, folder: Path | None = None) -> ModelFile:
    """Take a model into the user's folder, after a trial inference on a grey picture.

    Copies the manifest, the ONNX file and, if there is one, the file of class names into a folder of the
    model's name. Raises ModelError if anything is wrong, also if the name is taken; then nothing is left.
    """
    model = ModelFile.read(manifest)
    name = model.manifest.name
    if name in list_models():
        raise ManifestError(f"{manifest}: name: there is already a model {name!r}")
    session = Session(model, ("cpu",))
    if isinstance(model.manifest.head, DensityHead):
        DensityModel(model, session).count(_Grey())
    elif isinstance(model.manifest.head, ClassifierHead):
        if model.manifest.fire is not None:
            FireModel(model, session).look(_Grey(), {"all": [(0.0, 0.0, 1.0, 1.0)]})
        else:
            FallenModel(model, session).look(_Grey(), [Place((0.5, 0.5), 0.2)])
    else:
        Detector(model, session).detect(_Grey())
    root = folder if folder is not None else user_folder()
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".adding-", dir=root))
    try:
        for path in model.files:
            shutil.copyfile(path, staging / path.name)
        staging.rename(root / name)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise ManifestError(f"{root / name}: cannot be written: {error.strerror}") from None
    return ModelFile.read(root / name / manifest.name)


class _Grey:
    """A picture of nothing."""

    width, height = 640, 360

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return np.full((height, width, 3), 114, np.uint8)

    def crop(self, _part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        return self.bgr(width, height)

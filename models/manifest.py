"""A model's manifest: a TOML file that says what a network eats and how to read what it says."""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import IntegrityError, ManifestError
from models.letterbox import Placement

Triple = tuple[float, float, float]
Fire = Literal["fire", "smoke"]
FIRES: tuple[Fire, ...] = ("fire", "smoke")
"""What a model of fire can tell."""
FALLEN = "fallen"
"""The class of a model that tells who lies."""
Side = Annotated[int, Field(ge=16, le=4096)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(Section):
    """What the network's input tensor holds."""

    size: tuple[Side, Side] = Field(description="Width and height in pixels, the largest if `stride` is set.")
    name: str | None = Field(None, description="The tensor's name; the only input if left out.")
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "uint8"] = "float32"
    colour: Literal["bgr", "rgb"] = "rgb"
    scale: float = Field(1.0, gt=0, description="Factor on the pixels 0 to 255 before mean and std.")
    mean: Triple = Field((0.0, 0.0, 0.0), description="Subtracted after `scale`, in the order of `colour`.")
    std: Triple = Field((1.0, 1.0, 1.0), description="Divided by after `mean`, in the order of `colour`.")
    letterbox: Placement = Field("top-left", description="Where the picture lies, or stretched to fill.")
    pad: int = Field(0, ge=0, le=255, description="Grey level of the border, before scale and mean.")
    stride: int = Field(0, ge=0, le=256, description="Sides may be any multiple of this; 0: `size` alone.")

    @model_validator(mode="after")
    def _consistent(self) -> "InputSpec":
        if self.dtype == "uint8" and (self.scale, self.mean, self.std) != (1.0, (0.0,) * 3, (1.0,) * 3):
            raise ValueError("a uint8 input takes pixels as they are: leave out scale, mean and std")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        if self.stride and any(side % self.stride for side in self.size):
            raise ValueError(f"size must be a multiple of stride {self.stride}")
        return self


class NanoDetHead(Section):
    """NanoDet: class scores and, for each side, a distribution over distances from the cell's centre."""

    kind: Literal["nanodet"]
    strides: tuple[int, ...] = Field((8, 16, 32), min_length=1, description="Cell sizes in output order.")
    bins: int = Field(8, ge=2, le=64, description="Distances of the distribution: reg_max + 1.")
    scores: Literal["sigmoid", "logits"] = Field("sigmoid", description="Whether scores are activated.")
    order: Literal["cells-first", "channels-first"] = "cells-first"
    offset: float = Field(
        0.5, description="Where in its cell a centre lies, in cells: 0.5, or 0 for NanoDet-Plus."
    )


class YoloxHead(Section):
    """YOLOX: (x, y, w, h), objectness, class scores for each cell."""

    kind: Literal["yolox"]
    strides: tuple[int, ...] = Field((8, 16, 32), min_length=1, description="Cell sizes in output order.")
    decoded: bool = Field(False, description="The graph itself turned offsets into input pixels.")


class Yolov8Head(Section):
    """YOLOv8 and its kin (v5 to v12): decoded (x, y, w, h) in input pixels, class scores."""

    kind: Literal["yolov8"]
    order: Literal["channels-first", "cells-first"] = "channels-first"
    objectness: bool = Field(False, description="A column of objectness stands before the classes (v5, v7).")


class SsdHead(Section):
    """Decoded boxes, classes and scores as separate outputs, as in the SSD family."""

    kind: Literal["ssd"]
    boxes: str = Field(description="Name of the output with boxes (1, n, 4).")
    scores: str = Field(description="Name of the output with scores (1, n), or (1, n, classes).")
    labels: str | None = Field(
        None, description="Name of the output with classes (1, n); none: best of scores."
    )
    corners: Literal["yxyx", "xyxy"] = "yxyx"
    units: Literal["fractions", "pixels"] = Field("fractions", description="Of the network's input.")
    first_class: int = Field(0, ge=0, le=1, description="Number of the first class; 1 if 0 is background.")


class DetrHead(Section):
    """DETR and its kin: one row a query, no duplicates to suppress."""

    kind: Literal["detr"]
    boxes: str = Field("pred_boxes", description="Name of the output (1, n, 4): x, y, w, h as fractions.")
    logits: str = Field("logits", description="Name of the output (1, n, classes).")
    activation: Literal["softmax", "sigmoid"] = Field(
        "sigmoid", description="softmax: the last class means no object."
    )


class DensityHead(Section):
    """No detector: expected heads (1, h, w) in each cell, and how far off they are.

    The variance of the error of a cell that counts n heads is `empty` + `poisson` n + (`shared` n)^2; only
    the last part is common to all cells of a picture.
    """

    kind: Literal["density"]
    stride: int = Field(8, ge=1, le=64, description="Input pixels a cell is wide and high.")
    empty: float = Field(0.0, ge=0, description="Variance of an empty cell, persons squared.")
    poisson: float = Field(
        1.0, ge=0, description="Variance per head, persons squared, independent from cell to cell."
    )
    shared: float = Field(0.0, ge=0, description="Standard error, as a share of the count, common to all.")


class ClassifierHead(Section):
    """No detector: one score for each class, (1, classes), of the picture as a whole."""

    kind: Literal["classifier"]
    output: str | None = Field(None, description="Name of the output; the only one if left out.")
    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "softmax", description="What turns the output into probabilities; none: they are already."
    )


HeadSpec = Annotated[
    NanoDetHead | YoloxHead | Yolov8Head | SsdHead | DetrHead | DensityHead | ClassifierHead,
    Field(discriminator="kind"),
]


class FireSpec(Section):
    """Which classes of a detector or classifier mean fire, and which smoke; all others mean neither."""

    fire: tuple[str, ...] = Field((), description="Classes that mean flames.")
    smoke: tuple[str, ...] = Field((), description="Classes that mean smoke.")
    tiles: int = Field(
        4, ge=1, le=16, description="Parts, at most, of a zone that a classifier looks at one by one."
    )

    @model_validator(mode="after")
    def _something(self) -> "FireSpec":
        if not (self.fire or self.smoke):
            raise ValueError("names no class that means fire or smoke")
        return self

    @property
    def known(self) -> frozenset[Fire]:
        """What the model can tell."""
        return frozenset(what for what in FIRES if getattr(self, what))


class Manifest(Section):
    """Everything there is to know about a model file, and the file's hash."""

    format: Literal[1] = Field(1, description="Version of this file's format.")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="How configurations call it.")
    file: str = Field(pattern=r"^[^/\\]+\.onnx$", description="The ONNX file beside this manifest.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the ONNX file.")
    licence: str = Field(min_length=1, description="SPDX expression.")
    source: str = Field(min_length=1, description="Where it comes from.")
    description: str = ""
    classes: tuple[str, ...] = Field(min_length=1, description="Names by class index.")
    threshold: float = Field(0.35, gt=0, lt=1, description="Score from which a detection counts by default.")
    nms_iou: float = Field(0.6, gt=0, le=1, description="Overlap above which the weaker box goes.")
    max_detections: int = Field(300, ge=1, le=10_000, description="Best detections kept in a picture.")
    input: InputSpec
    head: HeadSpec
    fire: FireSpec | None = Field(None, description="What its classes mean to `hazard.fire`; none: nothing.")

    @model_validator(mode="after")
    def _distinct(self) -> "Manifest":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes has the same name twice")
        if isinstance(self.head, DensityHead) and (self.input.layout, self.input.dtype) != ("nhwc", "uint8"):
            raise ValueError("head.kind density takes layout nhwc and dtype uint8")
        if isinstance(self.head, ClassifierHead) and self.fire is None and FALLEN not in self.classes:
            raise ValueError(
                f"head.kind classifier needs a section [fire], which says which classes mean fire or smoke, "
                f"or a class {FALLEN!r}"
            )
        if isinstance(self.head, DensityHead) and self.fire is not None:
            raise ValueError("a model that counts heads tells no fire: leave out the section [fire]")
        for name in (*self.fire.fire, *self.fire.smoke) if self.fire is not None else ():
            if name not in self.classes:
                raise ValueError(f"fire: {name!r} is none of classes{suggestion(name, self.classes)}")
        return self


class ModelFile:
    """A manifest and where it lies: the pair that a session is opened from."""

    def __init__(self, manifest: Manifest, path: Path, class_file: str | None = None) -> None:
        self.manifest = manifest
        self.path = path
        self._class_file = class_file

    @property
    def weights(self) -> Path:
        """The ONNX file, beside the manifest."""
        return self.path.parent / self.manifest.file

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the model: manifest, weights and, if its names stand in a file, the class names."""
        names = () if self._class_file is None else (self.path.parent / self._class_file,)
        return (self.path, self.weights, *names)

    @classmethod
    def read(cls, path: Path) -> "ModelFile":
        """Read and check a manifest; raises ManifestError naming the file, the key and a likely cure.

        `classes` may also be a file beside the manifest with one name a line, written as a string.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: is not TOML: {error}") from None
        class_file = data.get("classes") if isinstance(data.get("classes"), str) else None
        if class_file is not None:
            data["classes"] = _class_names(path, class_file)
        try:
            return cls(Manifest.model_validate(data), path, class_file)
        except ValidationError as error:
            raise ManifestError("\n".join(f"{path}: {text}" for text in _explain(error, data))) from None

    def verified_bytes(self) -> bytes:
        """The ONNX file's content, or IntegrityError if it is missing or has another hash.

        What was hashed is what is returned, so nobody can swap the file between check and use.
        """
        try:
            content = self.weights.read_bytes()
        except OSError as error:
            raise IntegrityError(f"{self.weights}: cannot be read: {error.strerror}") from None
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.manifest.sha256:
            raise IntegrityError(
                f"{self.weights}: has SHA-256 {digest}, but {self.path.name} vouches for "
                f"{self.manifest.sha256}; restore the file, or correct the manifest if you trust the new one"
            )
        return content


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` when something known resembles `word`, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _class_names(path: Path, name: str) -> list[str]:
    if Path(name).name != name:
        raise ManifestError(f"{path}: classes: {name!r} must be a list, or a file beside the manifest")
    try:
        text = (path.parent / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: classes: cannot read {name}: {error}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


_HEADS: dict[str, type[Section]] = {
    "nanodet": NanoDetHead, "yolox": YoloxHead, "yolov8": Yolov8Head, "ssd": SsdHead, "detr": DetrHead,
    "density": DensityHead, "classifier": ClassifierHead,
}  # fmt: skip


def _explain(error: ValidationError, data: dict[str, Any]) -> Iterable[str]:
    for item in error.errors(include_url=False, include_context=False):
        where = [str(part) for part in item["loc"]]
        # pydantic puts the chosen head's kind into the path; the file has no such level.
        if len(where) > 1 and where[0] == "head" and where[1] in _HEADS:
            del where[1]
        key = ".".join(where) or "manifest"
        message = re.sub(r"^Value error, ", "", item["msg"])
        if item["type"] == "extra_forbidden":
            message = f"unknown key{suggestion(where[-1], _keys(where[:-1], data))}"
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            key, kind = "head.kind", str((data.get("head") or {}).get("kind", ""))
            message = f"must be one of {', '.join(_HEADS)}{suggestion(kind, _HEADS)}"
        yield f"{key}: {message}"


def _keys(section: list[str], data: dict[str, Any]) -> Iterable[str]:
    if section == ["head"]:
        return _HEADS[data["head"]["kind"]].model_fields
    sections: dict[str, type[Section]] = {"input": InputSpec, "fire": FireSpec}
    return sections.get(".".join(section), Manifest).model_fields

"""Reading what networks say: one decoder for each family of detectors."""

from models.errors import ManifestError
from models.heads.common import Candidates, Head, Outputs
from models.heads.detr import DetrDecoder
from models.heads.nanodet import NanoDetDecoder
from models.heads.ssd import SsdDecoder
from models.heads.yolo import Yolov8Decoder, YoloxDecoder
from models.manifest import (
    ClassifierHead,
    DensityHead,
    DetrHead,
    Manifest,
    NanoDetHead,
    SsdHead,
    YoloxHead,
)

__all__ = ["Candidates", "Head", "Outputs", "make_head"]


def make_head(manifest: Manifest) -> Head:
    """The decoder that a manifest's head names; raises ManifestError if it finds no objects."""
    spec, classes = manifest.head, len(manifest.classes)
    if isinstance(spec, DensityHead):
        raise ManifestError(f"{manifest.name} counts heads; it is no detector")
    if isinstance(spec, ClassifierHead):
        raise ManifestError(f"{manifest.name} is a classifier and finds no objects; it is no detector")
    if isinstance(spec, NanoDetHead):
        return NanoDetDecoder(spec, classes)
    if isinstance(spec, YoloxHead):
        return YoloxDecoder(spec, classes)
    if isinstance(spec, SsdHead):
        return SsdDecoder(spec, classes)
    if isinstance(spec, DetrHead):
        return DetrDecoder(spec, classes)
    return Yolov8Decoder(spec, classes)

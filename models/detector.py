"""From a picture to detections: letterbox, inference, decoding, suppression."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models import boxes
from models.detections import Detections
from models.heads import Candidates, Outputs, make_head
from models.letterbox import Letterbox
from models.manifest import InputSpec, ModelFile
from models.session import Session


class Picture(Protocol):
    """What a detector needs of a picture."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        ...

    @property
    def height(self) -> int:
        """Height in pixels."""
        ...

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled: (height, width, 3) uint8, blue first."""
        ...


class Preparation:
    """Turns pictures into input tensors, writing into one buffer for each size of picture and input."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._buffer = lru_cache(maxsize=16)(self._new_buffer)
        self._order = (0, 1, 2) if spec.colour == "bgr" else (2, 1, 0)
        self._factor = [spec.scale / std for std in spec.std]
        self._offset = [-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)]

    def __call__(
        self, picture: Picture, size: tuple[int, int] | None = None
    ) -> tuple[Letterbox, NDArray[Any]]:
        """The letterbox and the tensor (1, ...) of the manifest's layout; valid until the next call.

        `size` is the largest input (width, height) in place of the manifest's, for networks of free size.
        """
        box, tensor, inner = self._buffer((picture.width, picture.height), size or self._spec.size)
        pixels = picture.bgr(box.inner_width, box.inner_height)
        if self._spec.dtype == "uint8" and self._spec.colour == "bgr":
            inner[...] = pixels
            return box, tensor
        for channel, source in enumerate(self._order):
            if self._spec.dtype == "uint8":
                inner[..., channel] = pixels[..., source]
            else:
                np.multiply(pixels[..., source], self._factor[channel], out=inner[..., channel])
                if self._offset[channel]:
                    inner[..., channel] += self._offset[channel]
        return box, tensor

    def _new_buffer(
        self, picture: tuple[int, int], size: tuple[int, int]
    ) -> tuple[Letterbox, NDArray[Any], NDArray[Any]]:
        """Letterbox, tensor with its border filled, and the view (height, width, 3) where pictures go."""
        spec = self._spec
        box = Letterbox.fit(picture, size, spec.letterbox, spec.stride)
        level = np.array(spec.pad * np.array(self._factor) + self._offset, spec.dtype)
        tensor: NDArray[Any]
        if spec.layout == "nhwc":
            tensor = np.empty((1, box.height, box.width, 3), spec.dtype)
            canvas = tensor[0]
        else:
            tensor = np.empty((1, 3, box.height, box.width), spec.dtype)
            canvas = tensor[0].transpose(1, 2, 0)
        canvas[...] = level
        return box, tensor, box.inner(canvas)


class Detector:
    """A detector, ready to look at pictures. Used from one thread at a time."""

    def __init__(self, model: ModelFile, session: Session) -> None:
        manifest = model.manifest
        self.name = manifest.name
        self.sha256 = manifest.sha256
        self.class_names = manifest.classes
        self.threshold = manifest.threshold
        self.manifest = manifest
        self.session = session
        self.prepare = Preparation(manifest.input)
        self._head = make_head(manifest)

    def detect(
        self, picture: Picture, threshold: float = 0.1, size: tuple[int, int] | None = None
    ) -> Detections:
        """Objects scoring at least `threshold`, best first, as fractions of the picture.

        `size` is the largest input (width, height) in place of the manifest's, for networks of free size.
        Raises SessionError when inference fails or the outputs are not what the manifest says.
        """
        box, tensor = self.prepare(picture, size)
        return self.read(self.session.run(tensor), box, threshold)

    def detect_many(self, pictures: Sequence[Picture], threshold: float = 0.1) -> list[Detections]:
        """As `detect` for each picture; those that make inputs of one shape share a run.

        For networks that take batches (`session.batches`).
        """
        prepared = [(box, tensor.copy()) for box, tensor in map(self.prepare, pictures)]
        shapes: dict[tuple[int, ...], list[int]] = {}
        for index, (_, tensor) in enumerate(prepared):
            shapes.setdefault(tensor.shape, []).append(index)
        found: dict[int, Detections] = {}
        for indices in shapes.values():
            outputs = self.session.run(np.concatenate([prepared[index][1] for index in indices]))
            for row, index in enumerate(indices):
                own = {name: values[row : row + 1] for name, values in outputs.items()}
                found[index] = self.read(own, prepared[index][0], threshold)
        return [found[index] for index in range(len(pictures))]

    def read(self, outputs: Outputs, box: Letterbox, threshold: float) -> Detections:
        """What the network's outputs say about the picture that lies in `box`. Outputs: as `Head.decode`."""
        found = self._head.decode(outputs, (box.width, box.height), threshold)
        kept = self._best(found)
        detections = Detections(box.to_fractions(found.xyxy[kept]), found.scores[kept], found.labels[kept])
        solid = np.asarray((detections.xyxy[:, 2:] > detections.xyxy[:, :2]).all(1))
        return detections if solid.all() else detections.select(solid)

    def _best(self, found: Candidates) -> NDArray[np.intp]:
        limit = self.manifest.max_detections
        if self._head.suppress:
            return boxes.suppress(found.xyxy, found.scores, found.labels, self.manifest.nms_iou)[:limit]
        return np.argsort(-found.scores, kind="stable")[:limit]

    def close(self) -> None:
        """Nothing outlives the object; here so that an exit stack can hold it."""

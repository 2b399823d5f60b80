"""From a picture to detections: letterbox, inference, decoding, suppression."""

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
    """Turns pictures into input tensors, reusing one canvas for each picture size."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._canvas = lru_cache(maxsize=16)(self._new_canvas)
        self._factor = np.array([spec.scale / s for s in spec.std], np.float32)
        self._offset = np.array([-m / s for m, s in zip(spec.mean, spec.std, strict=True)], np.float32)

    def _new_canvas(self, size: tuple[int, int]) -> tuple[Letterbox, NDArray[np.uint8]]:
        box = Letterbox.fit(size, self._spec.size, self._spec.letterbox, self._spec.stride)
        return box, box.canvas(self._spec.pad)

    def __call__(self, picture: Picture) -> tuple[Letterbox, NDArray[Any]]:
        """The letterbox and the tensor (1, ...) of the manifest's layout; valid until the next call."""
        box, canvas = self._canvas((picture.width, picture.height))
        box.place(picture.bgr(box.inner_width, box.inner_height), canvas)
        spec = self._spec
        tensor: NDArray[Any] = canvas if spec.colour == "bgr" else canvas[..., ::-1]
        if spec.dtype == "float32":
            tensor = tensor * self._factor + self._offset
        if spec.layout == "nchw":
            tensor = tensor.transpose(0, 3, 1, 2)
        return box, np.ascontiguousarray(tensor)


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

    def detect(self, picture: Picture, threshold: float = 0.1) -> Detections:
        """Objects scoring at least `threshold`, best first, as fractions of the picture.

        Raises SessionError when inference fails or the outputs are not what the manifest says.
        """
        box, tensor = self.prepare(picture)
        return self.read(self.session.run(tensor), box, threshold)

    def read(self, outputs: Outputs, box: Letterbox, threshold: float) -> Detections:
        """What the network's outputs say about the picture that lies in `box`."""
        found = self._head.decode(outputs, (box.width, box.height), threshold)
        kept = self._best(found)
        xyxy = box.to_fractions(found.xyxy[kept])
        solid = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        kept = kept[solid]
        scores = np.minimum(found.scores[kept], np.float32(1.0))
        return Detections(xyxy[solid], scores, found.labels[kept])

    def _best(self, found: Candidates) -> NDArray[np.intp]:
        limit = self.manifest.max_detections
        if self._head.suppress:
            return boxes.suppress(found.xyxy, found.scores, found.labels, self.manifest.nms_iou)[:limit]
        return np.argsort(-found.scores, kind="stable")[:limit]

    def close(self) -> None:
        """Nothing outlives the object; here so that an exit stack can hold it."""

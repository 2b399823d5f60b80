"""What a picture as a whole shows, by a network with one score for each class."""

import numpy as np
from numpy.typing import NDArray

from models.detector import Picture, Preparation
from models.errors import ManifestError, SessionError
from models.heads.common import Outputs, floats, sigmoid, softmax
from models.manifest import ClassifierHead, ModelFile
from models.session import Session

_ROUNDING = 1e-3
"""Probabilities leave 0 to 1 by this much where a network is quantised."""


class Classifier:
    """One probability for each class of a picture. Used from one thread at a time."""

    def __init__(self, model: ModelFile, session: Session) -> None:
        """Raises ManifestError when the model is no classifier."""
        head = model.manifest.head
        if not isinstance(head, ClassifierHead):
            raise ManifestError(f"{model.manifest.name} is no classifier")
        self._name = model.manifest.name
        self._classes = len(model.manifest.classes)
        self._session = session
        self._head = head
        self._prepare = Preparation(model.manifest.input)

    def __call__(self, picture: Picture) -> NDArray[np.float32]:
        """Probabilities of a picture's classes: (classes,) float32.

        Raises:
            SessionError: inference fails, or the outputs are not what the manifest says.
        """
        _, tensor = self._prepare(picture)
        return self._probabilities(self._session.run(tensor))

    def joined(self, scores: NDArray[np.float32]) -> float:
        """That it is one of (k,) classes: by softmax they exclude each other, otherwise the surest."""
        total = scores.sum() if self._head.activation == "softmax" else scores.max()
        return min(max(float(total), 0.0), 1.0)

    def _probabilities(self, outputs: Outputs) -> NDArray[np.float32]:
        name = self._head.output
        if name is None and len(outputs) != 1:
            raise SessionError(f"{self._name}: head.output: must name one of {', '.join(outputs)}")
        values = floats(outputs, name if name is not None else next(iter(outputs)))
        if values.shape != (self._classes,) or not np.isfinite(values).all():
            raise SessionError(
                f"{self._name}: expected {self._classes} finite scores, one a class, got {values.shape}"
            )
        if self._head.activation == "softmax":
            return softmax(values)
        if self._head.activation == "sigmoid":
            return sigmoid(values)
        if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
            raise SessionError(
                f"{self._name}: scores from {values.min():g} to {values.max():g} are no probabilities; is "
                f"head.activation softmax or sigmoid?"
            )
        return values

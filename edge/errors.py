"""What can go wrong at the edge. Messages never hold a secret."""

from collections.abc import Sequence
from dataclasses import dataclass


class EdgeError(Exception):
    """Base of everything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration.

    Attributes:
        file: the file as it was named.
        line: counted from 1; None where no line is to blame.
        key: path to the key, such as `cameras[0].zones[1].polygon`; empty for the file as a whole.
        text: what is wrong and, where known, the cure. Never holds a value that may be secret.
    """

    file: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(EdgeError, ValueError):
    """The configuration cannot be used; `problems` names all that is wrong with it, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CameraError(EdgeError, ValueError):
    """One key of a camera's configuration asks for what cannot be.

    Attributes:
        key: path below the camera to what is wrong, such as `ground[3]` or `rules[2].classes`.
        text: what is wrong and, where known, the cure.
        camera: the camera's id; empty where it is not known.
    """

    def __init__(self, key: str, text: str, camera: str = "") -> None:
        self.key = key
        self.text = text
        self.camera = camera
        super().__init__(f"camera {camera!r}: {key}: {text}" if camera else f"{key}: {text}")


class SiteError(CameraError):
    """A camera's zones, lines or surveyed points contradict each other or the picture."""


class RuleError(CameraError):
    """A rule asks for what this camera's detector or site cannot give."""


class EventError(EdgeError, ValueError):
    """An event breaks its own contract: closed schema, or too large."""


class OutboxError(EdgeError):
    """The outbox on disk cannot be opened, read or written."""


class PublishError(EdgeError):
    """Events could not be handed to Redis; they stay in the outbox."""


class BrokerError(EdgeError):
    """The embedded server did not start or did not answer."""

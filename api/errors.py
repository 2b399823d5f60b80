"""From exceptions to one line that names the thing and the cure, and an exit code."""

import re
from collections.abc import Sequence

USAGE = 2
"""Exit code where the command line or the configuration is to blame."""
FAILURE = 1
"""Exit code where the work failed."""

_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s'\"<>]*@", re.IGNORECASE)


class CommandError(Exception):
    """A command cannot do what it was asked; the text names the thing and the cure."""

    def __init__(self, text: str, code: int = FAILURE) -> None:
        self.code = code
        super().__init__(text)


def without_credentials(text: str) -> str:
    """`text` with what stands between `://` and `@` of any URL removed.

    >>> without_credentials("cannot open rtsp://admin:p@ss@10.0.0.7/live")
    'cannot open rtsp://10.0.0.7/live'
    """
    return _CREDENTIALS.sub(r"\1", text)


def explain(error: Exception) -> tuple[Sequence[str], int]:
    """Lines to show for `error`, without credentials, and the exit code it calls for.

    What the packages raise on purpose is told as it is; anything else is named a defect with the way to
    its traceback.
    """
    from edge.errors import ConfigError

    if isinstance(error, ConfigError):
        lines: list[str] = [str(problem) for problem in error.problems]
        code = USAGE
    else:
        lines, code = _explain_one(error)
    return [without_credentials(line) for line in lines], code


def _explain_one(error: Exception) -> tuple[list[str], int]:
    from edge.errors import EdgeError
    from models.errors import ModelError
    from streams.errors import SourceUrlError, StreamError

    if isinstance(error, CommandError):
        return [str(error)], error.code
    if isinstance(error, SourceUrlError):
        return [str(error)], USAGE
    if isinstance(error, EdgeError | StreamError | ModelError):
        return [str(error)], FAILURE
    if isinstance(error, OSError) and error.filename is not None:
        return [f"{error.filename}: {error.strerror or type(error).__name__}"], FAILURE
    return [f"defect, {type(error).__name__}: {error} (--debug shows where)"], FAILURE

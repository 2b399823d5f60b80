"""Small state that outlives the process, as JSON; a file that is of no use is begun anew."""

from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from edge.durable import replace_file

log = structlog.get_logger(__name__)

MAX_BYTES = 16 * 2**20
"""A larger file was not written by this."""

Model = TypeVar("Model", bound=BaseModel)


def read_kept(path: Path, model: type[Model]) -> Model:
    """What was kept; the model's defaults where there is nothing, or nothing of use, which is logged."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        return model.model_validate_json(raw[:MAX_BYTES])
    except FileNotFoundError:
        return model()
    except OSError as exc:
        log.warning("kept state cannot be read; beginning anew", file=path.name, reason=exc.strerror)
    except ValidationError as exc:
        log.warning("kept state is of no use; beginning anew", file=path.name, faults=exc.error_count())
    return model()


def keep(path: Path, state: BaseModel) -> None:
    """Write it in place of what was kept; on the disk when this returns.

    Raises:
        OSError: the disk refuses; what was kept stays.
    """
    replace_file(path, state.model_dump_json().encode() + b"\n")

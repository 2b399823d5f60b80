"""How the program logs: to stderr, for people on a terminal, as JSON lines elsewhere."""

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

from api.errors import CommandError, without_credentials

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _redact(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """The last line of defence: nothing that looks like a URL's credentials is written."""
    return {key: without_credentials(v) if isinstance(v, str) else v for key, v in entry.items()}


def configure(default: str = "info") -> None:
    """Set up logging once, at `SHARPEYES_LOG` (debug, info, warning, error) or else at `default`.

    Raises:
        CommandError: the variable holds something else.
    """
    name = os.environ.get("SHARPEYES_LOG", default).lower()
    if name not in LEVELS:
        raise CommandError(f"SHARPEYES_LOG is {name!r}; it may be {', '.join(LEVELS)}", 2)
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            structlog.processors.format_exc_info,
            _redact,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[name]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries that use the standard library's logging (uvicorn, redis) speak up only about trouble.
    logging.basicConfig(
        stream=sys.stderr,
        level=max(LEVELS[name], logging.WARNING),
        format="%(levelname)s %(name)s: %(message)s",
    )

"""What every test relies on."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# The same examples everywhere, and none fails because the machine was busy.
settings.register_profile(
    "sharpeyes", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sharpeyes")


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Undo what a command under test configured: its log would write to a stream that is closed by now."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()

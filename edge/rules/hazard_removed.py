"""`hazard.removed`: something that stood in a zone has been taken away."""

from typing import ClassVar, Literal

from pydantic import Field

from edge.sections import Hold
from edge.still_rule import StillRule


class RemovedRule(StillRule):
    """`hazard.removed`: something that stood in a zone, such as an extinguisher, has been taken away."""

    PUT: ClassVar[bool] = False

    kind: Literal["hazard.removed"]
    min_age_s: Hold = Field(20.0, description="Seconds that it must be gone before it counts.")


RULE = RemovedRule

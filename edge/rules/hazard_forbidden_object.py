"""`hazard.forbidden_object`: something is brought where it may not be, such as a motorcycle into a lobby."""

from typing import Literal

from pydantic import Field

from edge.presence_rule import PresenceRule


class ForbiddenObjectRule(PresenceRule):
    """`hazard.forbidden_object`: an object of a class that may not be in a zone."""

    kind: Literal["hazard.forbidden_object"]
    classes: tuple[str, ...] = Field(
        ("bicycle", "motorcycle"), min_length=1, description="Object classes that count."
    )


RULE = ForbiddenObjectRule

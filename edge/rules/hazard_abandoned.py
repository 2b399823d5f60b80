"""`hazard.abandoned`: something was put down in a zone and stays there."""

from typing import Literal

from edge.still_rule import StillRule


class AbandonedRule(StillRule):
    """`hazard.abandoned`: something was put down in a zone and stays there."""

    kind: Literal["hazard.abandoned"]


RULE = AbandonedRule

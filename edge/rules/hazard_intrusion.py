"""`hazard.intrusion`: somebody stands in a zone where nobody may be."""

from typing import Literal

from edge.presence_rule import PresenceRule


class IntrusionRule(PresenceRule):
    """`hazard.intrusion`: somebody stands in a zone where nobody may be."""

    kind: Literal["hazard.intrusion"]


RULE = IntrusionRule

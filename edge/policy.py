"""How steady trouble must be before anything is told of it."""

from dataclasses import dataclass

_URGENT = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """How steady a rule must be.

    Attributes:
        hold_s: seconds for which a level must be kept up, from the look that first calls for it, before the
            incident begins or rises to it.
        release_s: seconds without a level before the incident falls from it, or ends.
        urgent_hold_s: as `hold_s`, for levels 2 and 1 where that is shorter; None is no shorter.
        cooldown_s: seconds after an incident in which nothing begins that is no more severe. What goes on
            for longer begins then; crossings are told together.
        evidence_s: seconds that the rule itself waits for before it calls for a level.
    """

    hold_s: float = 0.0
    release_s: float = 0.0
    urgent_hold_s: float | None = None
    cooldown_s: float = 0.0
    evidence_s: float = 0.0

    def __post_init__(self) -> None:
        times = (self.hold_s, self.release_s, self.urgent_hold_s or 0.0, self.cooldown_s, self.evidence_s)
        if min(times) < 0:
            raise ValueError(f"times must not be negative, got {self}")

    def hold_of(self, level: int, strictness: float = 1.0) -> float:
        """Seconds for which a level must be kept up before it counts.

        `strictness`, 1 or more: what all waiting is multiplied by, the rule's own included.
        """
        urgent = level <= _URGENT and self.urgent_hold_s is not None
        hold = min(self.hold_s, self.urgent_hold_s or 0.0) if urgent else self.hold_s
        return hold + (strictness - 1) * max(hold, self.evidence_s)

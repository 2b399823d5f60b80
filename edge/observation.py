"""What the analytics say after each look; `incidents` turns a row of these into begin, update and end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the picture."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One rule's verdict on one moment of one camera.

    Attributes:
        kind: event family and name without prefix and version, such as `crowd.density`.
        zone: id of the zone, line or camera that the rule watches; with `kind` it names the rule.
        level: severity 1 (red, most severe) to 4 (blue) that this look alone would call for; None is calm.
        sustains: severity that this look is enough to keep up where an incident has reached it already (the
            value has not yet fallen clearly below that threshold); `level` where it is not more severe.
        measures: numbers with their unit in the name, such as `density_mean_per_m2`.
        confidence: 0 to 1.
        boxes: what to show, fractions of the picture; no identities.
        instant: the thing happens in a moment (a line is crossed): its incident begins and ends at once.
        yardstick: the measure whose highest value sums up an incident; empty where there is none.
    """

    kind: str
    zone: str
    level: int | None
    measures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    confidence: float = 1.0
    boxes: tuple[Box, ...] = ()
    instant: bool = False
    sustains: int | None = None
    yardstick: str = ""

    def __post_init__(self) -> None:
        for name, level in (("level", self.level), ("sustains", self.sustains)):
            if level is not None and level not in (1, 2, 3, 4):
                raise ValueError(f"{name} must be 1 to 4 or None, got {level}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must be within 0 and 1, got {self.confidence}")
        if self.yardstick and self.yardstick not in self.measures:
            raise ValueError(f"yardstick {self.yardstick!r} is not among the measures")

    @property
    def sustained(self) -> int | None:
        """The more severe of `level` and `sustains`."""
        return min((x for x in (self.level, self.sustains) if x is not None), default=None)

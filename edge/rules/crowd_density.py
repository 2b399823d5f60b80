"""`crowd.density`: persons per square metre against danger levels, or share of a declared capacity."""

from typing import Literal, Self

from pydantic import Field, model_validator

from edge.crowd import most_severe
from edge.density_levels import DensityLevels, Pace, step_pace
from edge.errors import SiteError
from edge.field import ZoneDensity
from edge.observation import Observation
from edge.rule_base import Setting, Severity, Urgent, Watcher, ZoneRule, person_needed, rising
from edge.site import Site
from edge.view import View


class DensityRule(Urgent, DensityLevels, ZoneRule):
    """`crowd.density`: persons per square metre against danger levels, or share of a declared capacity."""

    FLOOR_FPS = 0.5  # a crowd fills or empties over many seconds; urgent_hold_s covers two looks

    kind: Literal["crowd.density"]
    capacity_shares: tuple[float, float, float, float] = Field(
        (0.8, 0.9, 1.0, 1.2), description="Shares of the zone's capacity at which levels 4, 3, 2, 1 begin."
    )

    @model_validator(mode="after")
    def _shares_rise(self) -> Self:
        rising(self.capacity_shares, "capacity_shares must be positive and rise")
        return self

    def check(self, site: Site) -> None:
        """Refuse a zone with neither ground nor a capacity.

        Raises:
            SiteError: it is one; with the key below the rule.
        """
        zone = site.zone(self.zone)
        if zone.floor is None and zone.capacity is None:
            raise SiteError(
                "zone",
                f"density in {self.zone!r} cannot be measured: give the camera four or more surveyed ground "
                f"points, or the zone a capacity, of which the share is watched instead",
            )

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Density(self)


RULE = DensityRule


class _Density(Watcher):
    """Density where the ground is known, share of capacity where that is declared; the worse of the two.

    All thresholds are multiplied by the view's factor; an event that was judged by other ones than usual says
    so.
    """

    def __init__(self, rule: DensityRule) -> None:
        self._rule = rule
        self._pace = Pace()

    def step(self, view: View) -> list[Observation]:
        rule, factor = self._rule, view.density_factor
        zone, count = view.site.zone(rule.zone), view.counted(rule.zone)[0]
        measures = {"count": round(count, 2)}
        if factor != 1:
            measures["threshold_ratio"] = factor
        rows = boxed = view.rows_in(rule.zone)
        yardstick, found = "count", []
        if zone.capacity is not None:
            share = count / zone.capacity
            measures["capacity_share"] = round(share, 4)
            yardstick = "capacity_share"
            found.append(Severity.of(share, [s * factor for s in rule.capacity_shares], rule.keep))
        density = view.density(rule.zone, rule.cell_m2)
        if density is not None:
            members = view.members_of(rule.zone)[density.worst.members]
            found.append(self._judge(view, density, measures))
            yardstick = "density_worst_cell_per_m2"
            boxed = view.tracks_of(members)
        sustains = most_severe(*(severity.sustains for severity in found))
        seen = Observation(
            rule.kind,
            rule.zone,
            most_severe(*(severity.level for severity in found)),
            measures,
            confidence=view.sureness(rows),
            boxes=view.boxes(boxed) if sustains is not None else (),
            sustains=sustains,
            yardstick=yardstick,
        )
        return [seen]

    def _judge(self, view: View, density: ZoneDensity, measures: dict[str, float]) -> Severity:
        rule, worst = self._rule, density.worst
        crowd = view.people_in(rule.zone).select(worst.members)
        self._pace = step_pace(self._pace, crowd, view.pts_s, view.noise, rule)
        standing = self._pace.stands(rule)
        measures["density_worst_cell_per_m2"] = round(worst.density_per_m2, 3)
        measures["density_worst_cell_stderr_per_m2"] = round(worst.stderr_per_m2, 3)
        measures["density_mean_per_m2"] = round(density.mean_per_m2, 4)
        measures["density_stderr_per_m2"] = round(density.stderr_per_m2, 4)
        if self._pace.speed_m_s is not None:
            measures["speed_m_s"] = round(self._pace.speed_m_s, 3)
        measures["standing_s"] = round(self._pace.standing_s, 1)
        steps = rule.steps(standing, view.density_factor)
        return Severity.of(worst.density_per_m2, steps, rule.keep)

"""What a centre is told beforehand: regions, who handles what by when, and which incidents are one case."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from api.center.lifecycle import STAGES, State
from edge.envelope import KINDS

K = TypeVar("K")
V = TypeVar("V")

Depth = Literal["district", "street", "community", "grid"]
"""Levels of the tree of regions (区、街道、社区、网格), from above."""

DIGITS: Final[Mapping[Depth, int]] = MappingProxyType(
    {"district": 6, "street": 9, "community": 12, "grid": 15}
)
"""Digits of a region's code by depth: each region's code begins with that of the region it lies in."""

CASE_KINDS: Final = tuple(kind for kind in KINDS if not kind.startswith("node."))
"""Kinds that make cases; a node's own events make none."""

USUAL, SURGE = "usual", "surge"
"""Profiles in times of peace and of surge (平战结合)."""

_DEPTHS: Final[Mapping[int, Depth]] = MappingProxyType({digits: depth for depth, digits in DIGITS.items()})
_CAMERA = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")


def _frozen(mapping: Mapping[K, V]) -> Mapping[K, V]:
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True, slots=True)
class Region:
    """A district, street, community or grid.

    Attributes:
        code: 6, 9, 12 or 15 digits.
        name: for people.
    """

    code: str
    name: str

    def __post_init__(self) -> None:
        if len(self.code) not in _DEPTHS or not (self.code.isascii() and self.code.isdigit()):
            raise ValueError(f"a region's code has 6, 9, 12 or 15 digits, got {self.code!r}")

    @property
    def depth(self) -> Depth:
        """Its level in the tree."""
        return _DEPTHS[len(self.code)]


@dataclass(frozen=True, slots=True)
class RegionTree:
    """All regions of a centre; who lies in whom is said by the codes.

    Attributes:
        regions: in any order, each code once; levels may be missing.
        district: the centre's own; what lies in no region is its matter. Empty: that of the place's code.
    """

    regions: tuple[Region, ...] = ()
    district: str = ""
    _by_code: Mapping[str, Region] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_code = {region.code: region for region in self.regions}
        if len(by_code) != len(self.regions):
            raise ValueError("a region is listed twice")
        object.__setattr__(self, "_by_code", _frozen(by_code))

    def find(self, code: str) -> Region | None:
        """The region with exactly this code."""
        return self._by_code.get(code)

    def nearest(self, code: str, depth: Depth = "grid") -> Region | None:
        """The region at a depth in which a place lies, or the next one above it that exists.

        Args:
            code: of the place, any number of digits.
            depth: not deeper than this.
        """
        for digits in sorted(_DEPTHS, reverse=True):
            if digits <= min(DIGITS[depth], len(code)) and (found := self._by_code.get(code[:digits])):
                return found
        return None

    def above(self, code: str) -> Region | None:
        """The next region above the one with this code; None at the top."""
        return self.nearest(code[:-1])


@dataclass(frozen=True, slots=True)
class Duty:
    """Whose matter a kind of case is.

    Attributes:
        category, department: codes.
    """

    category: str
    department: str


@dataclass(frozen=True, slots=True)
class Urgency:
    """What a level asks for.

    Attributes:
        told: depths of the regions that are told at once. The deepest of them is responsible.
        deadline_min: minutes that a case may stay in each stage.
    """

    told: tuple[Depth, ...]
    deadline_min: Mapping[State, float]

    def __post_init__(self) -> None:
        if not self.told or len(set(self.told)) != len(self.told) or not set(self.told) <= set(DIGITS):
            raise ValueError("told must name one or more of district, street, community, grid, each once")
        if set(self.deadline_min) != set(STAGES):
            raise ValueError(f"deadline_min must name each of {', '.join(STAGES)}, and no other")
        if not all(0 < minutes <= 525_600 for minutes in self.deadline_min.values()):
            raise ValueError("a deadline must be above 0 minutes, and at most a year")
        object.__setattr__(self, "told", tuple(sorted(self.told, key=DIGITS.__getitem__)))
        object.__setattr__(self, "deadline_min", _frozen(self.deadline_min))


@dataclass(frozen=True, slots=True)
class Triage:
    """The tables of triage (分流处置).

    Attributes:
        kinds: whose matter each kind of case is.
        levels: what each level, 1 to 4, asks for.
        profiles: share of a deadline that holds, by profile: `usual` and `surge`.
        causes: why an alarm was false: text for people by code.
        names: of categories and departments, for people, by code.
    """

    kinds: Mapping[str, Duty]
    levels: Mapping[int, Urgency]
    profiles: Mapping[str, float]
    causes: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if lacking := sorted(set(CASE_KINDS) - set(self.kinds)):
            raise ValueError(f"kinds lacks {', '.join(lacking)}")
        if unknown := sorted(set(self.kinds) - set(CASE_KINDS)):
            raise ValueError(f"kinds names {', '.join(unknown)}, which no node sends")
        if set(self.levels) != {1, 2, 3, 4}:
            raise ValueError("levels must be 1, 2, 3 and 4")
        if set(self.profiles) != {USUAL, SURGE} or not all(0 < s <= 10 for s in self.profiles.values()):
            raise ValueError("profiles must be usual and surge, each a factor above 0, to 10")
        if not self.causes:
            raise ValueError("causes must name why alarms are false")
        codes = [*self.causes, *(c for duty in self.kinds.values() for c in (duty.category, duty.department))]
        if bad := [code for code in codes if not _CODE.fullmatch(code)]:
            raise ValueError(f"a code is lower-case letters, digits and '_', got {bad[0]!r}")
        for name in ("kinds", "levels", "profiles", "causes", "names"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    def deadline_ms(self, level: int, stage: State, profile: str = USUAL) -> int:
        """Milliseconds that a case may stay in a stage."""
        return round(self.levels[level].deadline_min[stage] * self.profiles[profile] * 60_000)


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """Which incidents are one case.

    Attributes:
        window_s: seconds between an incident and a case, at most.
        radius_m: metres between their cameras, at most; 0 looks at no distance.
        neighbours: groups of cameras, as `node/camera`, that watch the same place.
    """

    window_s: float = 120.0
    radius_m: float = 50.0
    neighbours: tuple[tuple[str, ...], ...] = ()
    _beside: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.window_s <= 86_400:
            raise ValueError(f"window_s must be 0 to 86400, got {self.window_s}")
        if not 0 <= self.radius_m <= 10_000:
            raise ValueError(f"radius_m must be 0 to 10000, got {self.radius_m}")
        beside: dict[str, set[str]] = {}
        for group in self.neighbours:
            for camera in group:
                if not _CAMERA.fullmatch(camera):
                    raise ValueError(f"a camera is written node/camera, got {camera!r}")
                beside.setdefault(camera, set()).update(group)
        object.__setattr__(self, "_beside", _frozen({k: frozenset(v - {k}) for k, v in beside.items()}))

    def beside(self, camera: str) -> frozenset[str]:
        """The cameras that watch the same place as this one, without it."""
        return self._beside.get(camera, frozenset())


def ordered(codes: Iterable[str]) -> tuple[str, ...]:
    """Codes of regions from above, each once."""
    return tuple(sorted(set(codes), key=lambda code: (len(code), code)))

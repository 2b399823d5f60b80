"""What sections of the configuration are made of, and the places they name: data only, frozen."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Point = tuple[float, float]
Level = Annotated[int, Field(ge=1, le=4)]
Hold = Annotated[float, Field(ge=0, le=3600)]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not fit together: path below the section, and what is wrong in plain words."""

    path: tuple[str | int, ...]
    text: str


class FaultsError(ValueError):
    """All that does not fit together in a section; the loader tells each with its line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, fault.path))}: {fault.text}" for fault in faults))


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to add to an error about an unknown word: the nearest known one, or all of them.

    >>> suggestion("plazza", ["plaza", "gate"])
    "; did you mean 'plaza'?"
    >>> suggestion("x", ["plaza", "gate"])
    '; known: plaza, gate'
    """
    names = list(known)
    if near := difflib.get_close_matches(word, names, 1):
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def _distinct(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(set(points)) != len(points):
        raise ValueError("has the same point twice: leave one of the two out")
    return points


Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=64), AfterValidator(_distinct)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Place(Section):
    """Where a camera hangs, as the centre knows it."""

    name: str = Field("", max_length=100, description="Name of the place.")
    grid: str | None = Field(None, pattern=r"^\d{15}$", description="15-digit grid code.")
    gb28181: str | None = Field(None, pattern=r"^\d{20}$", description="20-digit GB/T 28181 device id.")
    longitude: float | None = Field(None, ge=-180, le=180, description="Degrees, WGS 84.")
    latitude: float | None = Field(None, ge=-90, le=90, description="Degrees, WGS 84.")


class GroundPoint(Section):
    """A surveyed point: where it is in the picture and on the ground."""

    image: Point = Field(description="Fractions of the picture's width and height.")
    ground: Point = Field(description="Metres on the ground, any flat frame.")


class ZoneConfig(Section):
    """An area, as a polygon in the picture or on the ground."""

    id: Id
    polygon: Polygon = Field(description="Corners, as fractions of the picture (image) or metres (ground).")
    units: Literal["image", "ground"] = "image"
    walkable_m2: float | None = Field(None, gt=0, description="Walkable area in m2 if less than the polygon.")
    capacity: int | None = Field(None, ge=1, description="Persons the place is declared to hold.")

    @field_validator("capacity", mode="before")
    @classmethod
    def _holds_somebody(cls, value: object) -> object:
        if isinstance(value, int) and value < 1:
            raise ValueError(
                "must be at least 1, the persons that it may hold; leave it out where none is declared"
            )
        return value


class LineConfig(Section):
    """A line with a direction: crossing from its left to its right side is `right`."""

    id: Id
    points: tuple[Point, Point] = Field(description="Start and end.")
    units: Literal["image", "ground"] = "image"

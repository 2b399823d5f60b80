"""Configuration of what is covered before a picture may leave the node. No key covers nothing."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from edge.geometry import self_intersects
from edge.sections import Polygon, Section

Cover = Literal["heads", "people"]
BlindAfter = Annotated[float, Field(gt=0, le=2)]


def _within(polygon: Polygon) -> Polygon:
    if not all(0.0 <= value <= 1.0 for point in polygon for value in point):
        raise ValueError("has a corner outside the picture: corners are fractions of it, 0 to 1")
    if self_intersects(polygon):
        raise ValueError("crosses itself: give the corners in their order around it")
    return polygon


_MaskPolygon = Annotated[Polygon, AfterValidator(_within)]


def _no_way_out(value: object) -> object:
    """YAML 1.1 reads a bare `off`, `no` and `false` as false."""
    if value is False or value in ("off", "none", "no"):
        raise ValueError("must be heads or people: a picture without redaction does not exist")
    return value


class PrivacyConfig(Section):
    """What is covered in the pictures of all cameras."""

    cover: Cover = Field("heads", description="heads, or whole people.")
    blind_after_s: BlindAfter = Field(
        1.0, description="Pictures farther from every look are covered wholly, in seconds."
    )

    _way = field_validator("cover", mode="before")(_no_way_out)


class CameraPrivacyConfig(Section):
    """What is covered in one camera's pictures; what is left out holds as for all cameras."""

    cover: Cover | None = Field(None, description="heads, or whole people; empty: as the node's.")
    blind_after_s: BlindAfter | None = Field(
        None, description="Pictures farther from every look are covered wholly; empty: as the node's."
    )
    masks: tuple[_MaskPolygon, ...] = Field(
        (), max_length=32, description="Always covered: windows, say; corners as fractions of the picture."
    )

    _way = field_validator("cover", mode="before")(_no_way_out)

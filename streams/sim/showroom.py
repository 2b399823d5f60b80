"""What things look like on a day: their bodies, colours and shadows, in the order of their distance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from streams.sim import cycles, detour, goods, vehicles
from streams.sim.camera import Camera, Points
from streams.sim.canvas import Plane, Sprite
from streams.sim.light import Light
from streams.sim.solid import Colour, Size, Solid, outline, solid_shadow, solid_sprite
from streams.sim.things import FOOTPRINTS, Kind, Thing

Box = tuple[float, float, float, float]

GAITS = 8
"""Poses in a dog's stride."""
STRIDE_M = 0.9
_KEPT = 64

_CLOTH: tuple[Colour, ...] = (
    (48.0, 44.0, 42.0), (110.0, 62.0, 34.0), (40.0, 40.0, 140.0), (62.0, 92.0, 60.0), (60.0, 96.0, 140.0),
)  # fmt: skip
_BUSES: tuple[Colour, ...] = (
    (226.0, 226.0, 224.0),
    (46.0, 42.0, 170.0),
    (168.0, 96.0, 46.0),
    (66.0, 176.0, 214.0),
)
PALETTES: dict[Kind, tuple[Colour, ...]] = {
    "bag": _CLOTH,
    "suitcase": _CLOTH,
    "box": ((96.0, 140.0, 178.0), (84.0, 128.0, 166.0), (110.0, 150.0, 182.0)),
    "bicycle": vehicles.PAINTS,
    "motorcycle": vehicles.PAINTS,
    "car": vehicles.PAINTS,
    "van": vehicles.PAINTS,
    "bus": _BUSES,
    "truck": vehicles.PAINTS,
    "dog": ((46.0, 78.0, 128.0), (40.0, 44.0, 50.0), (120.0, 160.0, 190.0), (60.0, 96.0, 150.0)),
}
"""Blue, green and red that a thing may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A thing as it is seen.

    Attributes:
        thing: which.
        sprite: its piece of picture; None where nothing of it is in the picture.
        shadow: x, y and (h, w) of what it leaves of the light, of 255; None for nowhere.
        box: left, top, right, bottom in pixels, possibly beyond the picture.
        depth_m: along the optical axis; greater is drawn first.
    """

    thing: Thing
    sprite: Sprite | None
    shadow: tuple[int, int, Plane] | None
    box: Box
    depth_m: float


@lru_cache(maxsize=_KEPT)
def _body(kind: Kind, paint: Colour, ridden: bool, gait: int) -> Solid:
    plain: dict[Kind, Callable[[Colour], Solid]] = {
        "bag": goods.bag,
        "suitcase": goods.suitcase,
        "box": goods.box,
        "car": vehicles.car,
        "van": vehicles.van,
        "bus": vehicles.bus,
        "truck": vehicles.truck,
    }
    if kind == "dog":
        return goods.dog(paint, gait / GAITS)
    if kind == "bicycle":
        return cycles.bicycle(paint, ridden=ridden)
    if kind == "motorcycle":
        return cycles.motorcycle(paint, ridden=ridden)
    return plain[kind](paint)


def body(thing: Thing, seed: int) -> Solid:
    """The thing's body where it is, in the colour that it has on this day."""
    palette = PALETTES[thing.kind]
    # A stream of its own: other things' colours shall not depend on how many people there are.
    rng = np.random.Generator(np.random.PCG64((seed, 9, thing.number)))
    paint = palette[int(rng.integers(len(palette)))]
    gait = int(thing.moved_m / STRIDE_M * GAITS) % GAITS if thing.kind == "dog" else 0
    return _body(thing.kind, paint, thing.ridden, gait).standing(thing.ground, thing.heading, thing.up_m)


class Showroom:
    """Draws things; keeps the pictures of those that stand still.

    Args:
        camera: of the picture's aspect.
        light: its colour and direction.
        seed: of the colours.
        size: width and height of the picture in pixels.
        pedestal: taken off the brightness, as the noise will bring it back.
    """

    def __init__(self, camera: Camera, light: Light, seed: int, size: Size, pedestal: int) -> None:
        self._camera, self._light, self._seed = camera, light, seed
        self._size, self._pedestal = size, pedestal
        self._kept: dict[int, Shown] = {}

    def show(self, things: Sequence[Thing], people: Points) -> list[Shown]:
        """All things that may be seen, the farthest first; `people` are (n, 2) metres."""
        shown = [one for one in map(self._shown, things) if one is not None]
        self._kept = {one.thing.number: one for one in shown}
        placed = [replace(one, depth_m=self._order(one.thing, people)) for one in shown]
        return sorted(placed, key=lambda one: -one.depth_m)

    def _shown(self, thing: Thing) -> Shown | None:
        kept = self._kept.get(thing.number)
        if kept is not None and _pose(kept.thing) == _pose(thing):
            return replace(kept, thing=thing)
        solid = body(thing, self._seed)
        box = outline(solid, self._camera, self._size)
        if box is None or not _near(box, self._size):
            return None
        sprite = solid_sprite(solid, self._camera, self._light, self._size, self._pedestal)
        shadow = solid_shadow(solid, self._camera, self._light, self._size)
        left, top, right, bottom = box.tolist()
        return Shown(thing, sprite, shadow, (left, top, right, bottom), 0.0)

    def _order(self, thing: Thing, people: Points) -> float:
        """Depth that sorts the thing after the people behind it and before those in front of it."""
        middle = float(self._camera.depth(np.array([thing.ground]))[0])
        if not len(people):
            return middle
        length, width = FOOTPRINTS[thing.kind]
        rectangle = np.array([*thing.ground, thing.heading, length / 2, width / 2])
        share = detour.rays(np.array(self._camera.position_m), people, rectangle, 0.25)
        depths = self._camera.depth(people)
        hidden, before = depths[share < 1.0], depths[np.isfinite(share) & (share >= 1.0)]
        # Who stands behind decides where the two cannot both be had.
        return float(min(max(middle, before.max(initial=-np.inf) + 1e-3), hidden.min(initial=np.inf) - 1e-3))


def _pose(thing: Thing) -> tuple[object, ...]:
    return thing.kind, thing.ground, thing.heading, thing.up_m, thing.ridden


def _near(box: NDArray[np.float64], size: Size) -> bool:
    """Whether a thing is in the picture, or so little beyond that its shadow may be."""
    margin = 0.5 * max(size)
    return bool(
        box[2] > -margin and box[3] > -margin and box[0] < size[0] + margin and box[1] < size[1] + margin
    )

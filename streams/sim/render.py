"""The camera's picture of a moment: background, shadows, people and things in painter's order, noise."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.background import background
from streams.sim.canvas import Canvas, Plane, Sprite, window
from streams.sim.figure import View, head_cover
from streams.sim.furniture import box_sprite
from streams.sim.layout import Box, Placed, Sight, lay_out
from streams.sim.light import Light
from streams.sim.places import Place
from streams.sim.scene import Moment
from streams.sim.showroom import Shown, Showroom
from streams.sim.wardrobe import Outfit, colour_table, outfit

NOISE_SIGMA = 1.4
PEDESTAL = 6
"""The scene is drawn so much too dark and the noise is so much too bright, so one addition makes both."""
_NOISE_MARGIN = 64
_NOISE_TILE = 512
_PAINT_LIMIT_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture and what is in it.

    Attributes:
        yuv: (height * 3 / 2, width) uint8, planar Y, U, V in video range.
        people: the figures in it, the farthest first.
        visible: one a figure: the share of it that is in the picture and not hidden, 0 to 1; empty unless
            asked for.
        things: the things in it, the farthest first.
        things_visible: one a thing, as `visible`.
        heads: (height, width) int16, row in `people` of whose head each pixel shows, -1 for none; None unless
            asked for. Who rides a vehicle is drawn with it, and is no figure.
    """

    yuv: Plane
    people: tuple[Placed, ...]
    visible: tuple[float, ...]
    things: tuple[Shown, ...] = ()
    things_visible: tuple[float, ...] = ()
    heads: NDArray[np.int16] | None = None


class Renderer:
    """Makes pictures of one place on one day.

    Args:
        place: what the camera looks at.
        seed: of the light, the clothes, wear and noise.
        size: width and height in pixels, even.
        sensor_noise: whether to add it; without, a still scene gives equal pictures.
        light: another hour of the day than the seed's.

    Raises:
        ValueError: the size is odd.
    """

    def __init__(
        self,
        place: Place,
        seed: int,
        size: tuple[int, int],
        *,
        sensor_noise: bool = True,
        light: Light | None = None,
    ) -> None:
        width, height = size
        if width % 2 or height % 2:
            raise ValueError(f"size must be even, got {width}x{height}")
        self.camera = place.camera.with_aspect(width / height)
        self.size = size
        self._seed = seed
        self._light = light or Light.by_seed(seed)
        self._sight = Sight(self.camera, self._light, size)
        self._still = background(place, self.camera, self._light, seed, size)
        self._still[:height] = np.maximum(self._still[:height], 16 + PEDESTAL) - PEDESTAL
        self._standing = self._furniture(place)
        self._showroom = Showroom(self.camera, self._light, seed, size, PEDESTAL)
        self._wardrobe: dict[int, tuple[Outfit, NDArray[np.uint32]]] = {}
        self._paint: dict[tuple[int, View, int], NDArray[np.uint8]] = {}
        self._paint_bytes = 0
        self._sprites: dict[int, tuple[object, Sprite]] = {}
        self._noise = _noise_bank(seed, size) if sensor_noise else None

    def shoot(self, moment: Moment, *, visibility: bool = False, heads: bool = False) -> Shot:
        """The picture of a moment.

        Args:
            moment: of a scene at this renderer's place.
            visibility: whether to work out how much of each person is to be seen.
            heads: whether to tell which pixels show heads.
        """
        self._dress(moment)
        outfits = [self._wardrobe[int(number)][0] for number in moment.number]
        placed = lay_out(moment, outfits, self._sight)
        yuv = self._still.copy()
        canvas = Canvas(yuv)
        for one in placed:
            self._shade(canvas, one)
        shown = self._showroom.show(moment.things, moment.ground) if moment.things else []
        for item in shown:
            if item.shadow is not None:
                canvas.darken(*item.shadow)
        owners = _Owners(self.size, len(placed) + len(shown)) if visibility else None
        crowns = _Heads(self.size) if heads else None
        things = iter([*self._solid(shown, len(placed)), (-1.0, None, -1)])
        thing_depth, thing, owner = next(things)
        for order, one in enumerate(placed):
            while thing is not None and thing_depth > one.depth_m:
                self._lay(canvas, thing, (owners, crowns), owner)
                thing_depth, thing, owner = next(things)
            sprite = self._sprite(one, int(moment.number[one.row]))
            if sprite is not None:
                self._lay(canvas, sprite, (owners, crowns), order)
                if crowns is not None:
                    crowns.show(*self._crown(one), order)
        while thing is not None:
            self._lay(canvas, thing, (owners, crowns), owner)
            _, thing, owner = next(things)
        self._add_noise(canvas, moment.time_s)
        boxes = [*(one.box for one in placed), *(item.box for item in shown)]
        extents = [_extent(box, self.size) for box in boxes]
        visible = owners.visible(extents) if owners else ()
        seen = crowns.map if crowns else None
        return Shot(yuv, tuple(placed), visible[: len(placed)], tuple(shown), visible[len(placed) :], seen)

    def _solid(self, shown: list[Shown], first: int) -> list[tuple[float, Sprite | None, int]]:
        """Furniture and things, the farthest first: depth, picture and owner; owners count from `first`."""
        things = [(depth, sprite, -1) for depth, sprite in self._standing]
        things += [
            (one.depth_m, one.sprite, first + k) for k, one in enumerate(shown) if one.sprite is not None
        ]
        return sorted(things, key=lambda thing: -thing[0])

    def _furniture(self, place: Place) -> list[tuple[float, Sprite | None]]:
        things: list[tuple[float, Sprite | None]] = []
        for box in (*place.boxes, *(panel for fence in place.fences for panel in fence.panels)):
            sprite = box_sprite(box, self.camera, self._light, self.size, PEDESTAL)
            if sprite is not None:
                depth = float(self.camera.depth(box.base.mean(axis=0)[None])[0])
                things.append((depth, sprite))
        return sorted(things, key=lambda thing: -thing[0])

    def _dress(self, moment: Moment) -> None:
        """Clothe who is new, forget who has left."""
        numbers = set(moment.number.tolist())
        for gone in [number for number in self._wardrobe if number not in numbers]:
            del self._wardrobe[gone]
            self._sprites.pop(gone, None)
        for number in numbers - self._wardrobe.keys():
            clothes = outfit(self._seed, number)
            self._wardrobe[number] = (clothes, colour_table(clothes, self._light, PEDESTAL))

    def _sprite(self, one: Placed, number: int) -> Sprite | None:
        """The figure's piece of picture; kept while the person's view stays, as in a crowd that stands."""
        left, top, right, bottom = (math.floor(edge) for edge in one.frame)
        x, y = left & ~1, top & ~1
        shape = ((bottom - y + 2) & ~1, (right - x + 2) & ~1)
        inner = (one.x - x, one.y - y, one.width, one.height)
        key = (one.view, one.lean, one.foot_y - one.y if one.lean else 0.0, shape, inner)
        kept = self._sprites.get(number)
        if kept is None or kept[0] != key:
            kept = self._sprites[number] = (key, self._drawn(one, number, shape, inner))
        sprite = kept[1]
        return Sprite(x, y, *sprite.planes).within(self.size)

    def _drawn(
        self, one: Placed, number: int, shape: tuple[int, int], at: tuple[int, int, int, int]
    ) -> Sprite:
        return Sprite.from_layers(_scaled(self._painted(one, number), one, shape, at), 0, 0)

    def _crown(self, one: Placed) -> tuple[int, int, Plane]:
        """Where a figure's head is: left, top, and (h, w) uint8, at least 128 where it is drawn."""
        cover = head_cover(one.view.canonical)[:: one.step, :: -one.step if one.view.mirrored else one.step]
        left, top, right, bottom = (math.floor(edge) for edge in one.frame)
        at = (one.x - left, one.y - top, one.width, one.height)
        return left, top, _scaled(np.ascontiguousarray(cover), one, (bottom - top + 2, right - left + 2), at)

    def _painted(self, one: Placed, number: int) -> NDArray[np.uint8]:
        """The figure in the person's colours; kept, as the same poses come again with every stride."""
        height = _kept_height(one.height)
        key = (number, one.view, height)
        painted = self._paint.get(key)
        if painted is None:
            index = one.figure.index[:: one.step, :: -one.step if one.view.mirrored else one.step]
            painted = self._wardrobe[number][1].take(index).view(np.uint8).reshape(*index.shape, 4)
            if height < 0.9 * len(index):
                size = (max(1, round(height / len(index) * index.shape[1])), height)
                painted = np.asarray(cv2.resize(painted, size, interpolation=cv2.INTER_LINEAR), np.uint8)
            self._paint[key] = painted
            self._paint_bytes += painted.nbytes
            while self._paint_bytes > _PAINT_LIMIT_BYTES:
                self._paint_bytes -= self._paint.pop(next(iter(self._paint))).nbytes
        return painted

    def _shade(self, canvas: Canvas, one: Placed) -> None:
        """Lay the figure's shadow: its outline, laid down on the ground away from the sun."""
        place = window(one.shadow_box, self.size)
        if place is None:
            return
        x, y, width, height = place
        matrix = (one.shadow_matrix - ((0.0, 0.0, x), (0.0, 0.0, y))) / 2
        cover = cv2.warpAffine(one.figure.shadow, matrix, (width // 2, height // 2), flags=cv2.INTER_LINEAR)
        keep = cv2.convertScaleAbs(cover, alpha=-self._light.shadow, beta=255)
        keep = cv2.resize(keep, (width, height), interpolation=cv2.INTER_LINEAR)
        canvas.darken(x, y, np.asarray(keep, np.uint8))

    @staticmethod
    def _lay(
        canvas: Canvas, sprite: Sprite, truth: "tuple[_Owners | None, _Heads | None]", owner: int
    ) -> None:
        canvas.lay(sprite)
        owners, crowns = truth
        if owners is not None:
            owners.claim(sprite, owner)
        if crowns is not None:
            crowns.hide(sprite)

    def _add_noise(self, canvas: Canvas, time_s: float) -> None:
        if self._noise is None:
            canvas.y += PEDESTAL
            return
        rng = np.random.Generator(np.random.PCG64((self._seed, 4, round(time_s * 1000))))
        x, y = rng.integers(0, _NOISE_MARGIN, 2)
        width, height = self.size
        cv2.add(canvas.y, self._noise[y : y + height, x : x + width], dst=canvas.y)


def _scaled(
    painted: NDArray[np.uint8], one: Placed, shape: tuple[int, int], at: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """A figure's (h, w) or (h, w, n) layers, scaled into `shape` at (x, y, width, height), leaning."""
    layers = np.zeros((*shape, *painted.shape[2:]), np.uint8)
    x, y, width, height = at
    if one.lean == 0.0:
        inner = layers[y : y + height, x : x + width]
        cv2.resize(painted, (width, height), dst=inner, interpolation=cv2.INTER_LINEAR)
    else:
        wide, high = width / painted.shape[1], height / painted.shape[0]
        shift = x + one.lean * (one.foot_y - one.y)
        matrix = np.array([[wide, -one.lean * high, shift], [0.0, high, y]])
        cv2.warpAffine(painted, matrix, shape[::-1], dst=layers, flags=cv2.INTER_LINEAR)
    return layers


def _kept_height(height: int) -> int:
    """The height in pixels at which a figure is kept that is shown `height` high: a few sizes serve all."""
    steps = math.ceil(2.0 * math.log2(max(height, 8) * 1.06))
    return round(math.sqrt(2.0**steps))


def _noise_bank(seed: int, size: tuple[int, int]) -> Plane:
    """Noise somewhat larger than the picture, in tiles; each picture takes another part of it."""
    rng = np.random.Generator(np.random.PCG64((seed, 5)))
    noise = rng.standard_normal((_NOISE_TILE, _NOISE_TILE), np.float32)
    tile = np.clip(np.rint(noise * NOISE_SIGMA + PEDESTAL), 0, 2 * PEDESTAL).astype(np.uint8)
    width, height = (extent + _NOISE_MARGIN for extent in size)
    whole = np.tile(tile, (-(-height // _NOISE_TILE), -(-width // _NOISE_TILE)))
    return np.ascontiguousarray(whole[:height, :width])


class _Owners:
    """Whose each pixel is, at half the picture's size, to tell how much of each figure is hidden."""

    def __init__(self, size: tuple[int, int], count: int) -> None:
        self._map = np.full((size[1] // 2, size[0] // 2), -1, np.int16)
        self._shown = np.zeros(count, np.int64)

    def claim(self, sprite: Sprite, owner: int) -> None:
        x, y = sprite.x // 2, sprite.y // 2
        height, width = sprite.chroma_clear.shape
        mask = sprite.chroma_clear < 128
        self._map[y : y + height, x : x + width][mask] = owner
        if owner >= 0:
            self._shown[owner] = np.count_nonzero(mask)

    def visible(self, extents: list[float]) -> tuple[float, ...]:
        """Share of each owner's figure that is left, after what is beyond the picture's edge is taken off."""
        left = np.bincount(self._map[self._map >= 0], minlength=len(self._shown))
        share = left / np.maximum(self._shown, 1) * np.array(extents)
        return tuple(float(value) for value in np.clip(share, 0.0, 1.0))


class _Heads:
    """Whose head each pixel of the picture shows: -1 for nobody's.

    A pixel counts from half coverage on, so that a head's soft edge is part of it where it prevails.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.map = np.full((size[1], size[0]), -1, np.int16)

    def hide(self, sprite: Sprite) -> None:
        """Take away what a sprite stands before."""
        height, width = sprite.luma_clear.shape
        part = self.map[sprite.y : sprite.y + height, sprite.x : sprite.x + width]
        part[sprite.luma_clear < 128] = -1

    def show(self, left: int, top: int, cover: Plane, owner: int) -> None:
        """Show a head, (h, w) of at least 128 where it is, at a place that may reach beyond the picture."""
        height, width = cover.shape
        x0, y0 = max(0, -left), max(0, -top)
        x1, y1 = min(width, self.map.shape[1] - left), min(height, self.map.shape[0] - top)
        if x1 > x0 and y1 > y0:
            part = self.map[top + y0 : top + y1, left + x0 : left + x1]
            part[cover[y0:y1, x0:x1] >= 128] = owner


def _extent(box: Box, size: tuple[int, int]) -> float:
    """Share of a box that is within the picture."""
    left, top, right, bottom = box
    wide = max(0.0, min(right, size[0]) - max(left, 0.0)) / max(right - left, 1e-9)
    high = max(0.0, min(bottom, size[1]) - max(top, 0.0)) / max(bottom - top, 1e-9)
    return wide * high

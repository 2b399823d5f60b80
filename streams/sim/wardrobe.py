"""What simulated people wear: build, size and colours drawn by seed, and the tables that colour a figure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.sim.body import BUILDS, MATERIALS, Build
from streams.sim.figure import SHADES
from streams.sim.light import Light, to_yuv

Colour = tuple[int, int, int]

_SKINS: tuple[Colour, ...] = ((150, 178, 220), (130, 160, 208), (110, 140, 190), (75, 100, 150))
_HAIR: tuple[Colour, ...] = ((24, 24, 28), (30, 32, 40), (40, 52, 74), (120, 122, 126))
_TOPS: tuple[Colour, ...] = (
    (62, 58, 58), (120, 70, 40), (60, 62, 150), (70, 96, 58), (190, 190, 188), (128, 128, 126),
    (150, 118, 72), (60, 116, 176), (84, 60, 104), (44, 44, 48), (210, 205, 195), (96, 130, 160),
)  # fmt: skip
_BOTTOMS: tuple[Colour, ...] = (
    (92, 66, 50),
    (48, 46, 46),
    (62, 60, 60),
    (120, 96, 72),
    (88, 108, 128),
    (38, 38, 44),
)
_BAGS: tuple[Colour, ...] = ((40, 40, 44), (40, 52, 128), (60, 80, 104), (110, 84, 44), (42, 96, 60))


@dataclass(frozen=True, slots=True)
class Outfit:
    """One simulated person's looks.

    Attributes:
        build: clothes and luggage.
        height_m: stature.
        girth: ratio of the width to that of the drawn figure.
        colours: blue, green, red of 0 to 255 for each of `body.MATERIALS`; the first is unused.
    """

    build: Build
    height_m: float
    girth: float
    colours: tuple[Colour, ...]

    def __post_init__(self) -> None:
        if len(self.colours) != len(MATERIALS):
            raise ValueError(f"colours must be {len(MATERIALS)}, got {len(self.colours)}")


def outfit(seed: int, number: int) -> Outfit:
    """What the person `number` of the scene with `seed` wears."""
    rng = np.random.Generator(np.random.PCG64((seed, 2, number)))

    def pick(colours: tuple[Colour, ...], spread: float) -> Colour:
        chosen = np.array(colours[int(rng.integers(len(colours)))]) + rng.normal(0.0, spread, 3)
        blue, green, red = np.clip(np.rint(chosen), 12, 235).astype(int).tolist()
        return blue, green, red

    build = BUILDS[int(rng.choice(len(BUILDS), p=(0.38, 0.14, 0.12, 0.16, 0.14, 0.06)))]
    height = float(np.clip(rng.normal(1.70, 0.08), 1.50, 1.92))
    girth = float(rng.uniform(0.95, 1.18))
    skin, hair, top = pick(_SKINS, 5), pick(_HAIR, 4), pick(_TOPS, 12)
    bottom, bag = pick(_BOTTOMS, 9), pick(_BAGS, 10)
    shirt = pick(((205, 205, 205), top, (70, 70, 72)), 8)
    shoes = pick(((34, 34, 38), (50, 56, 70), (176, 176, 176)), 6)
    return Outfit(build, height, girth, ((0, 0, 0), skin, hair, top, bottom, shoes, bag, shirt))


def colour_table(clothes: Outfit, light: Light, pedestal: int) -> NDArray[np.uint32]:
    """What each of a figure's indices looks like.

    Args:
        clothes: the colours.
        light: what it does to them.
        pedestal: taken off the brightness, as the noise will bring it back.

    Returns:
        (256,) uint32, each four bytes: Y, U, V and coverage; 0 for nothing.
    """
    shade = 0.42 + 0.062 * np.arange(SHADES)
    table = np.zeros((256, 4), np.uint8)
    for material, colour in enumerate(clothes.colours[1:], start=1):
        lit = np.array(colour) * np.array(light.tint) * shade[:, None]
        rows = table[material * SHADES : (material + 1) * SHADES]
        rows[:, :3] = to_yuv(lit)
        rows[:, 0] = np.maximum(rows[:, 0], 16 + pedestal) - pedestal
        rows[:, 3] = 255
    return table.view(np.uint32)[:, 0].copy()

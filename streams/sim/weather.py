"""Weather and light that come and go over a scene, told by a line of text, as in `weather=rain@20-60,trees`.

None of it is an event: it is what rules must not mistake for one. How it looks is `overlays`' business.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streams.errors import SourceUrlError
from streams.sim.timed import parse_timed

WeatherKind = Literal["rain", "trees", "shadows", "headlights", "insects", "changing"]
OVERLAYS: tuple[WeatherKind, ...] = ("rain", "trees", "shadows", "headlights", "insects")
"""What there is to be seen, in the order in which it is laid over the picture."""
WEATHER: tuple[WeatherKind, ...] = (*OVERLAYS, "changing")
"""Every kind by its name; `changing` is one after another by the scene's seed."""

COMES_S = 4.0
"""How long weather takes to come and to go; a scene may begin in the middle of it."""
TURN_S = 40.0
"""How long each lasts while it is changing."""
MAX_STRENGTH = 3.0


@dataclass(frozen=True, slots=True)
class Spell:
    """A time of some weather.

    Attributes:
        kind: what.
        begin_s, end_s: scene time from which it comes, and at which it is gone; infinite if it never goes.
        strength: factor on its usual strength, above 0 and up to `MAX_STRENGTH`.

    Raises:
        SourceUrlError: a value is not possible.
    """

    kind: WeatherKind
    begin_s: float = 0.0
    end_s: float = math.inf
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in WEATHER:
            raise SourceUrlError(f"unknown weather {self.kind!r}; there are {', '.join(WEATHER)}")
        if not 0 < self.strength <= MAX_STRENGTH:
            raise SourceUrlError(f"weather's strength must be above 0 and up to 3, got {self.strength}")
        if not 0 <= self.begin_s < self.end_s:
            raise SourceUrlError(
                f"{self.kind} must end after it begins, got {self.begin_s} to {self.end_s} s"
            )

    def share(self, time_s: float) -> float:
        """How far it is there, 0 to 1."""
        comes_s = 0.0 if self.begin_s == 0.0 else min(COMES_S, (self.end_s - self.begin_s) / 2)
        came = 1.0 if not comes_s else (time_s - self.begin_s) / comes_s
        goes = 1.0 if math.isinf(self.end_s) else (self.end_s - time_s) / max(comes_s, 1e-9)
        return min(max(min(came, goes), 0.0), 1.0) if time_s >= self.begin_s else 0.0


def parse_weather(text: str) -> tuple[Spell, ...]:
    """Understand `KIND[:STRENGTH][@BEGIN[-END]]`, several with commas between; times in seconds.

    >>> parse_weather("rain:2@20-60")
    (Spell(kind='rain', begin_s=20.0, end_s=60.0, strength=2.0),)

    Raises:
        SourceUrlError: the text is something else, or asks for what there is not.
    """
    spells = []
    for one in parse_timed(text, "weather looks like rain@20-40, trees or insects:0.5@20"):
        if one.word:
            raise SourceUrlError(f"{one.kind} has no {one.word!r}; there is only one way")
        spells.append(Spell(one.kind, one.begin_s, one.end_s, one.strength))  # type: ignore[arg-type]  # checked
    return tuple(spells)


def amounts(spells: tuple[Spell, ...], time_s: float, seed: int) -> dict[WeatherKind, float]:
    """How much there is at scene time `time_s` of what there is of `OVERLAYS`, in usual strengths."""
    found: dict[WeatherKind, float] = {}
    for spell in spells:
        share = spell.share(time_s) * spell.strength
        parts = _changing(time_s, seed) if spell.kind == "changing" else {spell.kind: 1.0}
        for kind, part in parts.items():
            if part * share > 0.0:
                found[kind] = max(found.get(kind, 0.0), part * share)
    return found


def _changing(time_s: float, seed: int) -> dict[WeatherKind, float]:
    """One kind after another, all of them in each round of `TURN_S` seconds each, in an order of its own."""
    found: dict[WeatherKind, float] = {}
    turn = int(time_s // TURN_S)
    for number in (turn - 1, turn):
        if number >= 0:
            lap, place = divmod(number, len(OVERLAYS))
            order = np.random.Generator(np.random.PCG64((seed, 30, lap))).permutation(len(OVERLAYS))
            begin_s = number * TURN_S
            # It overlaps with the next by as long as that takes to come.
            share = Spell("rain", begin_s, begin_s + TURN_S + COMES_S).share(time_s)
            found[OVERLAYS[int(order[place])]] = share
    return found

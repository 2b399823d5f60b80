"""The scenes that redaction is measured on: people run, walk, sit, fall and crowd, in rain and at night."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.sim.scenario import SCENARIOS
from streams.sim.spec import SceneSpec

SIZE, FPS = (1280, 720), 12.5
PLACES = ("plaza", "gate", "platform")
"""Where a scenario plays that can play anywhere; every further seed takes the next."""


@dataclass(frozen=True, slots=True)
class Theme:
    """A kind of scene.

    Attributes:
        scenario: of the simulator.
        seconds: of a scene.
        night: see `redaction_seen.pictures`.
    """

    scenario: str
    seconds: float = 60.0
    night: bool = False


THEMES: Mapping[str, Theme] = {
    "surge": Theme("surge"),
    "walk": Theme("walk"),
    "fall": Theme("fall"),
    "crowding": Theme("crowding"),
    "counterflow": Theme("counterflow", 45.0),
    "rain": Theme("distractors"),
    "night": Theme("walk", night=True),
}
QUICK = ("surge", "fall")
"""Of a quick run, with scenes half as long."""


def spec_of(name: str, seed: int, *, quick: bool = False) -> SceneSpec:
    """The scene of a theme and a seed: people, light, places and cameras' angles change with it."""
    theme = THEMES[name]
    places = SCENARIOS[theme.scenario].places or (("plaza",) if name in ("surge", "crowding") else PLACES)
    seconds = theme.seconds / 2 if quick else theme.seconds
    return SceneSpec(theme.scenario, places[seed % len(places)], seed, SIZE, FPS, seconds, view=seed + 1)

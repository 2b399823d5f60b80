"""What is to be simulated, and how a `sim://` URL says so."""

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from streams.errors import SourceUrlError
from streams.sim.faults import Fault, parse_faults
from streams.sim.places import PLACES, Place
from streams.sim.scenario import MAX_PEOPLE, SCENARIOS, build, known
from streams.sim.scene import Scene
from streams.sim.weather import Spell, parse_weather

MAX_SECONDS = 24 * 3600.0
_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A scene and its camera's settings; checked when made.

    Attributes:
        scenario: one of `scenario.SCENARIOS`.
        place: one of `places.PLACES`.
        seed: other seeds give other people, timing, light and wear.
        size: width and height in pixels, even.
        fps: pictures a second, 1 to 60.
        seconds: how long; None for an endless scene.
        people: passers-by on average, or the crowd of a scenario that is one; None for its own number.
        weather: what comes and goes over the scene, as `weather.parse_weather` takes it; empty for what the
            scenario has.
        view: 0 for the place's camera as it hangs; others hang and look a little differently.
        fault: what is wrong with the camera, and when, as `faults.parse_faults` takes it.

    Raises:
        SourceUrlError: a value is not possible; the message names what is.
    """

    scenario: str = "walk"
    place: str = "plaza"
    seed: int = 0
    size: tuple[int, int] = (1280, 720)
    fps: float = 12.5
    seconds: float | None = None
    people: int | None = None
    weather: str = ""
    fault: str = ""
    view: int = 0

    def __post_init__(self) -> None:
        known(PLACES, self.place, "place")
        known(SCENARIOS, self.scenario, "scenario").check_place(self.place)
        width, height = self.size
        if width % 2 or height % 2 or not (64 <= width <= 3840 and 64 <= height <= 2160):
            raise SourceUrlError(f"size must be even and 64x64 to 3840x2160, got {width}x{height}")
        if not 1 <= self.fps <= 60:
            raise SourceUrlError(f"fps must be 1 to 60, got {self.fps}")
        if self.seconds is not None and not (1 / self.fps <= self.seconds <= MAX_SECONDS):
            raise SourceUrlError(f"seconds must be one picture's to {MAX_SECONDS:.0f}, got {self.seconds}")
        if self.seed < 0:
            raise SourceUrlError(f"seed must not be negative, got {self.seed}")
        if self.view < 0:
            raise SourceUrlError(f"view must not be negative, got {self.view}")
        parse_weather(self.weather)
        parse_faults(self.fault)
        if self.people is not None and not 0 <= self.people <= MAX_PEOPLE:
            raise SourceUrlError(f"people must be 0 to {MAX_PEOPLE}, got {self.people}")

    @property
    def where(self) -> Place:
        """The place with the zones that the scenario needs, and with the camera as it hangs."""
        place = SCENARIOS[self.scenario].at(self.place)
        return replace(place, camera=place.camera.elsewhere(self.view)) if self.view else place

    @property
    def spells(self) -> tuple[Spell, ...]:
        """The weather."""
        return parse_weather(self.weather or SCENARIOS[self.scenario].weather)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the camera."""
        return parse_faults(self.fault)

    @property
    def pictures(self) -> int | None:
        """How many pictures there are; None for an endless scene."""
        return None if self.seconds is None else max(1, round(self.seconds * self.fps))

    def scene(self) -> Scene:
        """The scene at time 0."""
        return build(
            self.scenario, place=self.place, seed=self.seed, seconds=self.seconds, people=self.people
        )


@dataclass(frozen=True, slots=True)
class Address:
    """A `sim://` URL, understood.

    Attributes:
        spec: the scene.
        loop: start again at the end of `spec.seconds`, with the clock going on.
    """

    spec: SceneSpec = field(default_factory=SceneSpec)
    loop: bool = False


_KEYS = ("scenario", "seed", "size", "fps", "seconds", "people", "loop", "weather", "fault", "view")


def parse_address(url: str) -> Address:
    """Understand `sim://PLACE?scenario=NAME&seed=N&size=WxH&fps=F&seconds=S&people=N&loop=1`.

    There are also `weather=W`, `fault=F` and `view=N`; see `SceneSpec`.

    Raises:
        SourceUrlError: not such a URL, an unknown or repeated parameter, or an impossible value.
    """
    parts = urlsplit(url)
    if parts.scheme != "sim":
        raise SourceUrlError("a simulated camera's URL begins with sim://")
    if parts.path.strip("/") or parts.fragment:
        raise SourceUrlError(
            f"a simulated camera's URL is sim://PLACE?key=value, with keys {', '.join(_KEYS)}"
        )
    values: dict[str, Any] = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _KEYS:
            raise SourceUrlError(f"unknown parameter {key!r}; there are {', '.join(_KEYS)}")
        if key in values:
            raise SourceUrlError(f"parameter {key!r} is given twice")
        values[key] = _value(key, text)
    loop = bool(values.pop("loop", False))
    if loop and "seconds" not in values:
        raise SourceUrlError("loop=1 needs seconds=S: without it the scene never ends anyway")
    plot = known(SCENARIOS, values.get("scenario", "walk"), "scenario")
    return Address(SceneSpec(place=parts.hostname or plot.home, **values), loop)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels from `1280x720`.

    Raises:
        SourceUrlError: the text is something else.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SourceUrlError(f"size must look like 1280x720, got {text!r}")
    return int(match[1]), int(match[2])


def _value(key: str, text: str) -> object:
    if key == "size":
        return parse_size(text)
    if key in ("scenario", "weather", "fault"):
        return text
    if key == "loop":
        if text not in ("0", "1"):
            raise SourceUrlError(f"loop must be 0 or 1, got {text!r}")
        return text == "1"
    try:
        number = float(text) if key in ("fps", "seconds") else int(text)
    except ValueError:
        raise SourceUrlError(f"{key} must be a number, got {text!r}") from None
    if not math.isfinite(number):
        raise SourceUrlError(f"{key} must be finite, got {text!r}")
    return number

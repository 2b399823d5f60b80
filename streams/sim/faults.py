"""What can be wrong with a camera, and when: told by a line of text, as in `fault=freeze@20-40,dark@50-60`.

Each fault grows to its full strength and goes away again; it is true while it is there in full. How it
spoils pictures is `spoiling`'s business; packets are lost here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from streams.errors import SourceUrlError
from streams.sim.timed import parse_timed
from streams.sim.truth import Kind, TruthEvent

FaultKind = Literal["freeze", "dark", "blurred", "covered", "moved", "noise", "loss"]


@dataclass(frozen=True, slots=True)
class _Nature:
    """What a kind of fault is like.

    Attributes:
        variants: ways of it; the first, or one by seed where `by_seed`, unless told otherwise.
        rise_s, fall_s: how long it takes to come and to go, unless its variant says otherwise.
        truth: what the node should tell of it; None for what is no event of its own.
    """

    variants: tuple[str, ...] = ()
    by_seed: bool = False
    rise_s: float = 0.0
    fall_s: float = 0.0
    truth: Kind | None = None


_NATURES: Mapping[str, _Nature] = MappingProxyType({
    "freeze": _Nature(("still", "clock"), truth="camera.frozen"),
    "dark": _Nature(("blackout", "gradual"), truth="camera.dark"),
    "blurred": _Nature(rise_s=1.5, fall_s=1.0, truth="camera.blurred"),
    "covered": _Nature(("hand", "cloth", "spray"), True, 0.6, 0.6, "camera.covered"),
    "moved": _Nature(("turn", "tilt"), True, 1.0, 1.0, "camera.moved"),
    "noise": _Nature(),
    "loss": _Nature(),
})  # fmt: skip
_RISES_S = {"gradual": 10.0, "spray": 2.0}
FAULTS: tuple[str, ...] = tuple(_NATURES)
"""Every kind by its name."""

MAX_STRENGTH = 4.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a camera for a time.

    Attributes:
        kind: what.
        begin_s, end_s: scene time from which it comes, and from which it goes; infinite if it never does.
        variant: which way of it; empty for one by the scene's seed, or where there is only one.
        strength: factor on its usual strength, above 0 and up to `MAX_STRENGTH`.

    Raises:
        SourceUrlError: a value is not possible.
    """

    kind: FaultKind
    begin_s: float = 0.0
    end_s: float = math.inf
    variant: str = ""
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in _NATURES:
            raise SourceUrlError(f"unknown fault {self.kind!r}; there are {', '.join(FAULTS)}")
        variants = _NATURES[self.kind].variants
        if self.variant and self.variant not in variants:
            choice = f"there are {', '.join(variants)}" if variants else "there is only one way"
            raise SourceUrlError(f"{self.kind} has no {self.variant!r}; {choice}")
        if not 0 < self.strength <= MAX_STRENGTH:
            raise SourceUrlError(f"a fault's strength must be above 0 and up to 4, got {self.strength}")
        if not 0 <= self.begin_s < self.end_s:
            raise SourceUrlError(
                f"{self.kind} must end after it begins, got {self.begin_s} to {self.end_s} s"
            )

    @property
    def rise_s(self) -> float:
        """Seconds until it is there in full: at most half of the time it has."""
        usual = 0.0 if self.begin_s == 0.0 else _RISES_S.get(self.variant, _NATURES[self.kind].rise_s)
        return min(usual, (self.end_s - self.begin_s) / 2)

    @property
    def fall_s(self) -> float:
        """Seconds it takes to go."""
        return _NATURES[self.kind].fall_s

    def share(self, time_s: float) -> float:
        """How far it is there, 0 to 1."""
        if time_s < self.begin_s or time_s >= self.end_s + self.fall_s:
            return 0.0
        if time_s >= self.end_s:
            return 1.0 - (time_s - self.end_s) / self.fall_s
        rise_s = self.rise_s
        return min(1.0, (time_s - self.begin_s) / rise_s) if rise_s else 1.0

    def way(self, seed: int) -> str:
        """The variant: as told, or one for the scene's seed; empty where there is only one."""
        nature = _NATURES[self.kind]
        if self.variant or not nature.variants:
            return self.variant
        if not nature.by_seed:
            return nature.variants[0]
        rng = np.random.Generator(np.random.PCG64((seed, 20, FAULTS.index(self.kind), round(self.begin_s))))
        return nature.variants[int(rng.integers(len(nature.variants)))]


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Understand `KIND[:VARIANT][:STRENGTH][@BEGIN[-END]]`, several with commas between; times in seconds.

    >>> parse_faults("freeze:clock@20-40")
    (Fault(kind='freeze', begin_s=20.0, end_s=40.0, variant='clock', strength=1.0),)

    Raises:
        SourceUrlError: the text is something else, or asks for what there is not.
    """
    return tuple(
        Fault(one.kind, one.begin_s, one.end_s, one.word, one.strength)  # type: ignore[arg-type]  # checked
        for one in parse_timed(text, "a fault looks like freeze@20-40, dark:gradual@20-40 or blurred:0.5@20")
    )


def fault_events(faults: tuple[Fault, ...], end_s: float) -> tuple[TruthEvent, ...]:
    """What is true of the camera until `end_s`, in order of its beginning; the zone is empty: all of it.

    A fault is true from when it is there in full until it begins to go.
    """
    found = []
    for fault in faults:
        truth, begin_s = _NATURES[fault.kind].truth, fault.begin_s + fault.rise_s
        if truth is not None and begin_s <= end_s:
            found.append(TruthEvent(truth, "", round(begin_s, 3), round(min(fault.end_s, end_s), 3)))
    return tuple(sorted(found, key=lambda event: (event.begin_s, event.kind)))


LOSS_SHARE = 0.05
"""Packets that are lost at a strength of 1; half of them whole, the others from their middle on."""


class Uplink:
    """What a bad network makes of packets.

    Args:
        faults: of which only losses count.
        seed: of the scene.
    """

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._losses = [fault for fault in faults if fault.kind == "loss"]
        self._seed = seed

    @property
    def sound(self) -> bool:
        """Whether it never loses anything."""
        return not self._losses

    def carry(self, payload: bytes, time_s: float) -> bytes | None:
        """What arrives of the picture of scene time `time_s`: all, garbage from its middle on, or None."""
        lost = sum(LOSS_SHARE * fault.strength * fault.share(time_s) for fault in self._losses)
        if not lost:
            return payload
        rng = np.random.Generator(np.random.PCG64((self._seed, 21, round(time_s * 1000))))
        if rng.random() >= lost:
            return payload
        keep = len(payload) // 2
        if rng.random() < 0.5 or keep < 64:
            return None
        # No zeros: they would look like the beginning of another picture.
        return payload[:keep] + rng.integers(1, 256, len(payload) - keep, dtype=np.uint8).tobytes()

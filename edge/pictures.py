"""What it takes to show something of a camera: its packets, what was seen there, what must be covered."""

from dataclasses import dataclass

from edge.config import CameraConfig
from edge.cover import CoverOptions
from edge.privacy import PrivacyConfig
from edge.redactor import Sightings
from streams.ring import PacketRing


@dataclass(frozen=True, slots=True, eq=False)
class CameraPictures:
    """One camera's, for any threads.

    Attributes:
        ring: its last packets, from its reader.
        sightings: what analysis has seen lately, at the same camera times.
        cover: what is covered before anything leaves the node.
    """

    ring: PacketRing
    sightings: Sightings
    cover: CoverOptions

    @classmethod
    def of(cls, privacy: PrivacyConfig, camera: CameraConfig) -> "CameraPictures":
        """Empty ones."""
        return cls(PacketRing(), Sightings(), CoverOptions.of(privacy, camera.privacy))

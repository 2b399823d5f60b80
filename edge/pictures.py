"""What it takes to show something of a camera: its packets, what was seen there, what must be covered."""

from dataclasses import dataclass

from edge.config import CameraConfig
from edge.cover import CoverOptions
from edge.evidence_config import EvidenceConfig
from edge.privacy import PrivacyConfig
from edge.redactor import Sightings
from streams.ring import PacketRing

WORK_S = 10.0
"""How long after a clip's end its packets are still there for who makes it."""
LIVE_S = 1.0
"""Who watches live begins with the newest GOP, which is kept in any case."""


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
    def of(cls, privacy: PrivacyConfig, evidence: EvidenceConfig, camera: CameraConfig) -> "CameraPictures":
        """Empty ones, with room for a clip where evidence is kept.

        Args:
            privacy: what is covered at all cameras.
            evidence: how long clips are.
            camera: what is covered at this one.
        """
        keep_s = evidence.before_s + evidence.after_s + WORK_S if evidence.enabled else LIVE_S
        return cls(PacketRing(keep_s), Sightings(), CoverOptions.of(privacy, camera.privacy))

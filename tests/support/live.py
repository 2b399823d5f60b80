"""Live view for tests: a node's hub whose camera plays a drawn clip again and again."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

from edge.cover import CoverOptions
from edge.footage import decoded
from edge.live import LiveHub
from edge.live_config import LiveConfig
from edge.pictures import CameraPictures
from edge.redactor import Sightings
from streams.packet import Packet
from streams.ring import Kept, PacketRing
from streams.tiles import LUMA_SIZE
from tests.support.evidence import NOW, camera_of
from tests.support.looks import look

FPS = 12.5


class Player:
    """Puts a clip's packets into a ring, over and over, at the clip's pace; as a context."""

    def __init__(self, clip: Path, *, known: bool = True, gate: threading.Event | None = None) -> None:
        source = self._source = camera_of(clip).ring
        self._packets: list[Kept] = source.clip(-1.0, 1e9)
        self.camera = CameraPictures(PacketRing(), Sightings(), CoverOptions())
        self.camera.ring.opened(source.info(1))
        self._known, self._gate = known, gate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Self:
        if self._known:
            self._learn()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _learn(self) -> None:
        """Have the empty place known, as after half a minute of looks at who walks through it."""
        lumas = [one.picture.luma(*LUMA_SIZE) for one in decoded(self._source, self._packets)]
        for k in range(60):
            self.camera.sightings.take(look(k / 2 - 30.0, luma=lumas[(7 * k) % len(lumas)]))

    def _play(self) -> None:
        for lap in range(1000):
            for k, kept in enumerate(self._packets):
                raw_s = kept.packet.pts_s
                assert raw_s is not None
                pts_s = raw_s + lap * len(self._packets) / FPS
                if k % 3 == 0 and self._known:
                    self.camera.sightings._looks.append(look(pts_s))
                packet: Packet = replace(kept.packet, pts_s=pts_s)
                packet.payload.pts = packet.payload.dts = round(pts_s / packet.payload.time_base)
                self.camera.ring.put(packet, pts_s, time.monotonic(), NOW)
                if self._stop.wait(1 / FPS):
                    return


def hub(player: Player, **config: object) -> LiveHub:
    """A hub with one camera, `gate-2`."""
    return LiveHub(
        {"gate-2": player.camera},
        {"gate-2": [((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))]},
        LiveConfig.model_validate(config),
        lambda id_: None,
        time.thread_time,
    )

"""The packet gate: how well packet sizes tell motion, what an idle camera costs, and what is missed.

    python benchmarks/gate.py                              # simulator clips, and real footage where it is
    python benchmarks/gate.py --quick --json               # fewer clips, one object on standard output
    python benchmarks/gate.py --media ../shared/media      # where the real footage lies

Each clip goes through the gated decoder and through full decoding. `auc` is that of the self-calibration at
the clip's end; CPU is the thread's own time by activity while packets are trusted, for each second of video.
Recall is of the true events of simulator clips, told by the same detector, tracker and rules behind either.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import scenes
from benchmarks.common import parsed, save, show
from edge.config import CameraConfig
from edge.events import Event, EventContext
from edge.identifiers import Uuid7
from edge.watch import CameraWatch
from models.detector import Detector
from models.tracker import Tracker
from models.zoo import load_detector
from streams.activity import GateOptions
from streams.decode import Decoder
from streams.errors import StreamEndedError
from streams.gated import GatedDecoder, Seen, Shown
from streams.packet import Packet
from streams.sim.encode import EncoderOptions
from streams.sim.spec import SceneSpec
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl

ANALYSED_FPS = 5.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAPS = 2
"""Each clip plays so often: the first time the gate calibrates."""
HD, MEDIUM = (1920, 1080), (960, 540)
CAMERA_CRF = 19.0
"""Fine enough that the sensor's noise is coded, as cameras do."""
FOOTAGE = ("one-by-one-person-detection.mp4", "bottle-detection.mp4", "car-detection.mp4", "plaza.avi")


@dataclass(frozen=True, slots=True)
class Case:
    """A simulated clip: what happens, how it is coded, and what is to be told."""

    spec: SceneSpec
    crf: float
    rule: str


def cases(quick: bool) -> list[Case]:
    """Quiet places in which something happens once in a while; idle and active time in one clip."""
    both = [
        Case(SceneSpec("quiet", place, seed, HD, 25.0, 36.0), CAMERA_CRF, rule)
        for place, seed, rule in (
            ("plaza", 4, "hazard.intrusion"),
            ("gate", 4, "hazard.line"),
            ("gate", 5, "hazard.intrusion"),
            ("plaza", 2, "hazard.line"),
        )
    ]
    if quick:
        return both[:2]
    return both + [
        Case(SceneSpec(scenario, place, seed, MEDIUM, 25.0, 60.0, 0), crf, f"hazard.{scenario}")
        for scenario, place, seed, crf in (
            ("intrusion", "plaza", 5, 24.0),
            ("intrusion", "gate", 6, 24.0),
            ("intrusion", "platform", 7, 24.0),
            ("line", "gate", 8, 24.0),
            ("line", "platform", 9, 24.0),
            ("intrusion", "plaza", 10, 19.0),
        )
    ]


def packets(path: Path) -> tuple[list[Packet], float]:
    """All packets of a file, and the seconds it lasts."""
    found: list[Packet] = []
    source = open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))
    with closing(source), suppress(StreamEndedError):
        found.extend(source.packets())
    times = [packet.pts_s for packet in found if packet.pts_s is not None]
    return found, max(times) - min(times) + (max(times) - min(times)) / max(1, len(times) - 1)


class Playing:
    """A clip on its way through the gated decoder, lap after lap, with the CPU time it takes by state."""

    def __init__(self, path: Path, *, gate: bool) -> None:
        self.packets, self.seconds = packets(path)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.video: defaultdict[str, float] = defaultdict(float)
        self.gated = GatedDecoder(ANALYSED_FPS, GateOptions(enabled=gate), realtime=False)
        self._path = path

    def play(self, laps: int) -> Iterator[Shown]:
        """Decoded pictures in turn; each lap opens the clip anew, as a camera after an outage."""
        step_s = self.seconds / len(self.packets)
        for lap in range(laps):
            source = open_source(SourceUrl.parse(str(self._path)), SourceOptions(realtime=False))
            with closing(source):
                self.gated.opened(Decoder(source.info, loop_filter=False), again=lap > 0)
                for packet in self.packets:
                    now = Seen(packet.pts_s or 0.0, EPOCH)
                    gate = self.gated.gate
                    before = gate.state
                    begun_s = time.thread_time()
                    shown = self.gated.feed(packet, now)
                    spent_s = time.thread_time() - begun_s
                    # Catching up is the price of waking, not of rest.
                    state = f"{gate.trust} {gate.state if gate.state == before else 'changing'}"
                    self.cpu[state] += spent_s
                    self.video[state] += step_s
                    yield from shown

    def per_second(self, state: str) -> float | None:
        """Milliseconds of CPU for a second of video in a state; None without two seconds of it."""
        return 1e3 * self.cpu[state] / self.video[state] if self.video[state] >= 2.0 else None


def told(clip: Path, camera: CameraConfig, detector: Detector, *, gate: bool) -> tuple[list[Any], int]:
    """Events of a clip and the seconds they were told at, and how many pictures were analysed for them."""
    now = EPOCH
    new_id = Uuid7(lambda: now)
    context = EventContext("bench", "000000", new_id, camera.id, camera.place)
    watch = CameraWatch(camera, detector, context, Tracker(0.35), new_id)
    playing, events, looks, pts_s = Playing(clip, gate=gate), [], 0, 0.0
    for shown in playing.play(1):
        if not shown.wanted or shown.picture is None:
            continue
        looks, pts_s = looks + 1, shown.pts_s
        now = EPOCH + timedelta(seconds=pts_s)
        drafts = watch.update(detector.detect(shown.picture.picture), pts_s, now)
        playing.gated.gate.attention = bool(watch.open_incidents) or any(
            zone.count for zone in watch.zones.values()
        )
        events += [(pts_s, Event.number(draft, 1)) for draft in drafts]
    events += [(pts_s, Event.number(draft, 1)) for draft in watch.close(now)]
    return events, looks


def recall(case: Case, detector: Detector) -> dict[str, Any]:
    """True events told with and without the gate."""
    clip = scenes.clip(case.spec, None, encoding(case))
    camera = scenes.camera(clip, [{"kind": case.rule}])
    row: dict[str, Any] = {}
    for name, gate in (("off", False), ("on", True)):
        events, looks = told(clip.path, camera, detector, gate=gate)
        found = scenes.incidents(events)
        score = scenes.score(clip.truth, found, [case.rule])
        true_s = sorted(event.begin_s for event in clip.truth.events if event.kind == case.rule)
        begun_s = sorted(incident.begin_s for incident in found)
        late = [b - t for b, t in zip(begun_s, true_s, strict=False)]
        row |= {
            "true": score.true,
            f"told_{name}": score.matched,
            f"false_{name}": score.told - score.matched,
            f"late_s_{name}": round(sum(late) / len(late), 2) if late else None,
            f"looks_{name}": looks,
        }
    return row


def encoding(case: Case) -> EncoderOptions:
    """Variable bit rate, two seconds from keyframe to keyframe."""
    return EncoderOptions(case.spec.size, case.spec.fps, "file", case.crf, round(2 * case.spec.fps))


def cost(path: Path) -> dict[str, Any]:
    """AUC, trust, CPU by activity and what was decoded, of one clip."""
    whole = Playing(path, gate=False)
    for _ in whole.play(1):
        pass
    playing = Playing(path, gate=True)
    decoded = sum(1 for _ in playing.play(LAPS))
    counts = playing.gated.counts()
    return {
        "trust": counts.trust,
        "auc": None if counts.auc is None else round(counts.auc, 3),
        "everything_ms_per_s": round(1e3 * sum(whole.cpu.values()) / sum(whole.video.values()), 1),
        "idle_ms_per_s": _rounded(playing.per_second("trusted idle")),
        "active_ms_per_s": _rounded(playing.per_second("trusted active")),
        "decoded_share": round(decoded / (LAPS * len(playing.packets)), 3),
        "missed": counts.missed,
        "false_wakes": counts.false_wakes,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def measure(quick: bool, media: Path | None) -> dict[str, Any]:
    """All clips, one after the other."""
    cv2.setNumThreads(1)
    clips: dict[str, dict[str, Any]] = {}
    detector = load_detector("nanodet-g-416-int8")
    for case in cases(quick):
        clip = scenes.clip(case.spec, None, encoding(case))
        clips[clip.path.stem] = cost(clip.path) | recall(case, detector)
    footage = [media / name for name in FOOTAGE] if media is not None and not quick else []
    clips |= {path.name: cost(path) for path in footage if path.is_file()}
    detector.close()
    true = sum(row.get("true", 0) for row in clips.values())
    idle = [row["idle_ms_per_s"] for name, row in clips.items() if "1920x1080" in name]
    known = [value for value in idle if value is not None]
    return {
        "true": true,
        "told_off": sum(row.get("told_off", 0) for row in clips.values()),
        "told_on": sum(row.get("told_on", 0) for row in clips.values()),
        "idle_ms_per_s_worst": max(known) if known else None,
        "clips": clips,
    }


COLUMNS = ("trust", "auc", "everything_ms_per_s", "idle_ms_per_s", "active_ms_per_s", "decoded_share")
RECALL = ("true", "told_off", "told_on", "false_off", "false_on", "late_s_off", "late_s_on")
LOOKS = ("looks_off", "looks_on")


def main() -> None:
    """Run it as a program."""
    media = {"type": Path, "help": "folder with real footage"}
    args = parsed(__doc__, ("--media", media), quick="two clips only")
    result = measure(args.quick, args.media)
    clips = result["clips"]
    show(
        "Packets against pixels (CPU ms for a second of video)",
        ("clip", *COLUMNS, "missed", "false wakes"),
        [(n, *(row[c] for c in COLUMNS), row["missed"], row["false_wakes"]) for n, row in clips.items()],
    )
    show(
        "Events told without and with the gate",
        ("clip", *RECALL, *LOOKS),
        [(n, *(row[c] for c in RECALL + LOOKS)) for n, row in clips.items() if "true" in row],
    )
    save("gate-quick" if args.quick else "gate", result)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()

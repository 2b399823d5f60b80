"""What a configuration will cost and what it will see, before it runs."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from api.terminal import table
from edge.config import BudgetConfig, CameraConfig, Config
from edge.control import CameraReading, assumed_stream, capacity_of, demand_of, usable_cores, with_lane
from edge.costs import SOURCE_KINDS, CostMeter, CostTable, Stream, kept_table, load_table
from edge.floors import watches_fire
from edge.opening import address, source_options
from streams.budget import plan
from streams.clock import Clock
from streams.demand import DEGRADATION, Allocation, Capacity, Demand, Shortfall, Tier
from streams.errors import StreamError
from streams.hardware import OFF
from streams.packet import Packet, PacketSource
from streams.service import PACES_S, Service
from streams.sim.encode import EncoderOptions
from streams.sim.spec import parse_address
from streams.source import OpenSource, open_source

_PROBE_PACKETS: Final = 500
_PROBE_S: Final = 10.0
_NAMES: Final = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """What a camera's stream is taken to be like, and why.

    Attributes:
        stream: its size, rate and keyframes.
        how: `seen`, `declared` (a simulated camera's address says it), or `assumed`.
        trouble: why it could not be seen, without credentials; empty where it was not tried.
    """

    stream: Stream
    how: str
    trouble: str = ""


def look_at(
    camera: CameraConfig, budget: BudgetConfig, clock: Clock, *, reach: bool, opener: OpenSource = open_source
) -> Seen:
    """What the analysed stream is like: simulated ones say so, files are read, others opened only if `reach`.

    Args:
        camera: its configuration.
        budget: what is assumed of streams that are not seen.
        clock: ends the look at a live stream after ten seconds.
        reach: whether cameras on the network are opened.
        opener: opens sources.
    """
    url = address(camera)
    kind = SOURCE_KINDS[url.scheme]
    assumed = replace(assumed_stream(budget), kind=kind)
    if camera.source.sub is not None:
        width, height = budget.sub_picture_size
        assumed = replace(assumed, width=width, height=height)
    if kind == "sim":
        spec = parse_address(url.full).spec
        (width, height), gop = spec.size, EncoderOptions(spec.size, spec.fps).gop
        return Seen(Stream(width, height, spec.fps, gop / spec.fps, "h264", "sim"), "declared")
    if kind != "file" and not reach:
        return Seen(assumed, "assumed")
    try:
        options = source_options(camera, realtime=False)
        with closing(opener(url, options, clock=clock, stop=threading.Event())) as source:
            return Seen(_measured(source, assumed, clock), "seen")
    except StreamError as error:
        return Seen(assumed, "assumed", str(error))


def _measured(source: PacketSource, assumed: Stream, clock: Clock) -> Stream:
    packets = list(_some(source, clock))
    stamps = sorted({packet.pts_s for packet in packets if packet.pts_s is not None})
    span_s = stamps[-1] - stamps[0] if stamps else 0.0
    fps = (len(stamps) - 1) / span_s if span_s > 0 else assumed.fps
    keyframes = sum(packet.keyframe for packet in packets)
    keyframe_s = len(packets) / fps / keyframes if keyframes > 1 else max(assumed.keyframe_s, span_s)
    info = source.info
    width, height = (info.width, info.height) if info.width else (assumed.width, assumed.height)
    return Stream(width, height, min(max(fps, 0.1), 240.0), keyframe_s, info.codec, assumed.kind)


def _some(source: PacketSource, clock: Clock) -> Iterator[Packet]:
    """Packets up to a keyframe, `_PROBE_PACKETS` or `_PROBE_S` at most."""
    until_s = clock.monotonic() + _PROBE_S
    count = 0
    try:
        for packet in source.packets():
            yield packet
            count += 1
            if count >= _PROBE_PACKETS or clock.monotonic() > until_s:
                return
    except StreamError:  # a file that ends has shown what it is
        if not count:
            raise


@dataclass(frozen=True, slots=True)
class Prediction:
    """What will be.

    Attributes:
        config: what was planned.
        cores: that there are to use.
        costs: what it was reckoned with.
        seen: streams by camera id.
        planned: what each camera will get on average, and what that costs.
        wanted: the same if there were no limit.
        rush: what each will get while something moves before all cameras at once.
    """

    config: Config
    cores: float
    costs: CostTable
    seen: Mapping[str, Seen]
    planned: Allocation
    wanted: Allocation
    rush: Allocation

    def percent(self, cpu_ms: float) -> float:
        """CPU a second as per cent of the cores."""
        return 100.0 * cpu_ms / (1000.0 * self.cores)

    @property
    def overloaded(self) -> bool:
        """Whether something is given up even on average."""
        return any(self.planned.given_up.values()) or bool(self.planned.below_floor)


def predict(config: Config, costs: CostTable, seen: Mapping[str, Seen]) -> Prediction:
    """Plan a configuration as its node will, for its expected share of activity.

    Args:
        config: with `budget` as it is to be reckoned with.
        costs: of a packet, a picture, a look.
        seen: by camera id, as `look_at` gives them.
    """
    budget, threads = config.budget, config.model.threads
    meter = CostMeter(costs, config.model.detector, config.model.density, config.model.fire)
    prices = {
        camera.id: with_lane(
            meter.cost(camera.id, seen[camera.id].stream, fire=watches_fire(camera)), threads
        )
        for camera in config.cameras
    }
    capacity = capacity_of(budget, threads, costs.node_ms_per_s)
    unlimited = Capacity(math.inf, math.inf, costs.node_ms_per_s)
    usual = list(_demands(config, seen, budget.active_share))
    return Prediction(
        config,
        budget.cores or usable_cores(),
        costs,
        seen,
        planned=plan(usual, prices, capacity),
        wanted=plan(usual, prices, unlimited),
        rush=plan(list(_demands(config, seen, 1.0)), prices, capacity),
    )


def _demands(config: Config, seen: Mapping[str, Seen], share: float) -> Iterator[Demand]:
    up = CameraReading(up=True, activity="active" if share == 1.0 else "idle")
    for camera in config.cameras:
        yield demand_of(camera, seen[camera.id].stream, up, share)


# -- telling ----------------------------------------------------------------------------------------------


def document(prediction: Prediction) -> dict[str, Any]:
    """The prediction as JSON; `docs/budget.md` explains each key."""
    planned, budget = prediction.planned, prediction.config.budget
    return {
        "cores": prediction.cores,
        "target_load_percent": 100 * budget.target_load,
        "active_share": budget.active_share,
        "costs_from": prediction.costs.machine,
        "wanted_percent": round(prediction.percent(prediction.wanted.cpu_ms), 1),
        "load_percent": round(prediction.percent(planned.cpu_ms), 1),
        "load_ms_per_s": round(planned.cpu_ms, 1),
        "inference_ms_per_s": round(planned.lane_ms, 1),
        "cameras": [_camera(prediction, camera) for camera in prediction.config.cameras],
        "below_floor": [short._asdict() for short in planned.below_floor],
        "given_up": _given_up(planned),
        "all_active": {
            "load_percent": round(prediction.percent(prediction.rush.cpu_ms), 1),
            "services": {id_: _service(service) for id_, service in prediction.rush.services.items()},
            "below_floor": [short._asdict() for short in prediction.rush.below_floor],
            "given_up": _given_up(prediction.rush),
        },
        "words": list(words(prediction)),
    }


def _camera(prediction: Prediction, camera: CameraConfig) -> dict[str, Any]:
    seen, planned = prediction.seen[camera.id], prediction.planned
    stream = seen.stream
    return {
        "id": camera.id,
        "priority": camera.priority,
        "stream": {
            "source": _which(camera),
            "width": stream.width,
            "height": stream.height,
            "fps": round(stream.fps, 2),
            "keyframe_s": round(stream.keyframe_s, 2),
            "codec": stream.codec,
            "how": seen.how,
            "trouble": seen.trouble or None,
        },
        "wanted_fps": camera.analysed_fps,
        "service": _service(planned.services[camera.id]),
        "load_ms_per_s": round(planned.camera_ms[camera.id], 1),
    }


def _which(camera: CameraConfig) -> str:
    """Which of the camera's streams is analysed, and so what it costs."""
    return "main" if camera.source.sub is None else "sub"


def _service(service: Service) -> dict[str, Any]:
    return {
        "fps": service.fps, "tiles": service.tiles, "density": service.density, "shed": service.shed,
        "pace_s": service.pace_s,
    }  # fmt: skip


def _given_up(allocation: Allocation) -> list[dict[str, Any]]:
    return [{"what": what, "cameras": allocation.given_up[tier]} for tier, what in DEGRADATION]


def table_of(prediction: Prediction) -> Table:
    """One line a camera: its stream, what it gets, what that costs."""
    made = table(
        f"Node {prediction.config.node.id}",
        "camera", "priority", "stream", "wanted fps", "gets fps", "all active", "ms/s",
        right=("priority", "wanted fps", "gets fps", "all active", "ms/s"),
    )  # fmt: skip
    for camera in prediction.config.cameras:
        seen = prediction.seen[camera.id]
        stream = f"{seen.stream.width}x{seen.stream.height} {seen.stream.fps:.3g} fps, {seen.how}"
        if camera.source.sub is not None:
            stream = f"sub {stream}"
        made.add_row(
            camera.id,
            str(camera.priority),
            stream,
            f"{camera.analysed_fps:g}",
            _rate(prediction.planned.services[camera.id]),
            _rate(prediction.rush.services[camera.id]),
            f"{prediction.planned.camera_ms[camera.id]:.0f}",
        )
    return made


def _rate(service: Service) -> str:
    return "shed" if service.shed else f"{service.fps:g}" if service.fps else "keyframes"


def words(prediction: Prediction) -> Iterator[str]:
    """The prediction in plain words, most important first."""
    budget, planned = prediction.config.budget, prediction.planned
    cores = f"{prediction.cores:g} {'core' if prediction.cores == 1 else 'cores'}"
    wanted, used = prediction.percent(prediction.wanted.cpu_ms), prediction.percent(planned.cpu_ms)
    share = f"something moving {100 * budget.active_share:.3g} % of the time"
    if not prediction.overloaded:
        yield f"{used:.0f} % of {cores} with {share}: every camera gets what it asks for"
    else:
        told = f"of {100 * budget.target_load:.0f} % that may be used, {used:.0f} % are"
        yield f"{wanted:.0f} % of {cores} asked for with {share}; {told}"
        yield from _falls(prediction.config.cameras, planned)
    busy = prediction.rush
    if set(busy.below_floor) != set(planned.below_floor):
        yield "while something moves before all cameras at once:"
        yield from (f"  {line}" for line in _falls(prediction.config.cameras, busy))
    elif busy.given_up[Tier.QUIET_RATE] and not prediction.overloaded:
        yield "while something moves before all cameras at once, some are analysed less often, none is blind"
    if (device := prediction.config.node.hardware_decode) != OFF:
        yield f"hardware_decode: {device} is not reckoned with, unless the costs were measured with it"


def _falls(cameras: Sequence[CameraConfig], allocation: Allocation) -> Iterator[str]:
    """What cameras fall to, those of the same fate together."""
    blind: dict[str, list[Shortfall]] = {}
    for short in allocation.below_floor:
        blind.setdefault(short.camera_id, []).append(short)
    fates: dict[tuple[Service, tuple[str, ...]], list[str]] = {}
    for camera in cameras:
        service = allocation.services[camera.id]
        lost = {f"{s.task.split('/')[0]} (needs {s.floor_fps:g} fps)" for s in blind.get(camera.id, ())}
        if lost or service.fps < camera.analysed_fps - 1e-9:
            fates.setdefault((replace(service, pace_s=0.0), tuple(sorted(lost))), []).append(camera.id)
    wanted = {camera.id: camera.analysed_fps for camera in cameras}
    for (service, tasks), ids in sorted(fates.items(), key=lambda fate: fate[0][0].rank):
        ends = "s" if len(ids) == 1 else ""
        if service.shed:
            level = "is shed" if ends else "are shed"
        elif all(service.fps >= wanted[id_] for id_ in ids):
            level = f"want{ends} no more than {service.fps:g} fps"
        else:
            level = f"fall{ends} to " + ("keyframes" if service.keyframes_only else f"{service.fps:g} fps")
        yield f"{_names(ids)} {level}" + (f": blind for {', '.join(tasks)}" if tasks else "")
    for pace_s in PACES_S[:-1]:
        if thinned := [id_ for id_, service in allocation.services.items() if service.pace_s == pace_s]:
            yield f"{_names(thinned)}: while quiet, keyframes are looked at {pace_s:g} s apart"


def _names(ids: Iterable[str]) -> str:
    """`camera a`, `cameras a, b, c`, or the first few and how many more.

    >>> _names(["gate"]), _names(["a", "b"])
    ('camera gate', 'cameras a, b')
    """
    names = list(ids)
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"camera{'s' * (len(names) > 1)} {', '.join(names[:_NAMES])}{more}"


def costs_for(config: Config, path: Path | None) -> CostTable:
    """The costs to reckon with: a file's, else what this node measured when it ran, else those that ship.

    Raises:
        CostError: the file cannot be used.
    """
    return load_table(path) if path is not None else kept_table(config.node.data_dir)


def with_budget(config: Config, **changes: float | None) -> Config:
    """The configuration with some of `budget` changed; None leaves a value as it is."""
    wanted = {key: value for key, value in changes.items() if value is not None}
    budget = BudgetConfig.model_validate(config.budget.model_dump() | wanted)
    return config.model_copy(update={"budget": budget})

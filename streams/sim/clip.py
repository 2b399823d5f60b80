"""Simulated clips: an MP4 file, and what is true of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from streams.errors import SourceUrlError
from streams.sim.camera import Camera, Points
from streams.sim.chronicle import Chronicle
from streams.sim.crowds import Look
from streams.sim.encode import TIME_BASE, EncoderOptions, carried, configure, video_frame
from streams.sim.faults import Uplink, fault_events
from streams.sim.lens import Lens
from streams.sim.marshal import Marshal
from streams.sim.postures import POSTURES
from streams.sim.render import Shot
from streams.sim.riders import Riders
from streams.sim.scene import Moment
from streams.sim.spec import SceneSpec
from streams.sim.truth import (
    Box,
    Point,
    Truth,
    TruthEvent,
    TruthFlow,
    TruthFrame,
    TruthPerson,
    TruthShape,
    TruthThing,
)
from streams.sim.witness import Witness

Progress = Callable[[int, int], None]
"""Told after each picture: how many are done, and how many there are."""

CLIP_CRF = 24.0


@dataclass(frozen=True, slots=True)
class CrowdTruth:
    """What `Truth` also has of a crowd: looks, flows and moments; see there."""

    looks: tuple[Look, ...]
    flows: tuple[TruthFlow, ...]
    moments: tuple[TruthEvent, ...]


def write_clip(
    spec: SceneSpec,
    out: Path,
    truth_path: Path | None = None,
    progress: Progress | None = None,
    encoding: EncoderOptions | None = None,
) -> Truth:
    """Render a scene into an MP4 file whose index is at its beginning.

    Args:
        spec: what to simulate; it must have `seconds`.
        out: the file to write.
        truth_path: where to write the truth as JSON; None for nowhere.
        progress: told after each picture.
        encoding: how to encode; size and fps must be the scene's. None for camera-like variable bit rate.

    Returns:
        What is true of the clip.

    Raises:
        SourceUrlError: the scene has no end.
        OSError: a file cannot be written.
    """
    count = spec.pictures
    if count is None:
        raise SourceUrlError("a clip needs seconds")
    options = encoding or EncoderOptions(spec.size, spec.fps, "file", CLIP_CRF)
    if (options.size, options.fps) != (spec.size, spec.fps):
        raise ValueError(
            f"encoding is for {options.size} at {options.fps}/s, the scene is {spec.size} at {spec.fps}/s"
        )
    scene, witness, chronicle = spec.scene(), Witness(spec.where), Chronicle(spec.where)
    marshal, riders = Marshal(spec.where), Riders(spec.where)
    scene.observe(witness)
    scene.observe(chronicle)
    scene.observe_things(marshal)
    scene.observe_things(riders)
    lens = Lens(spec)
    frames = []
    with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264")
        configure(stream.codec_context, options)
        for done in range(count):
            moment = scene.at(done / spec.fps)
            shot = lens.shoot(moment, visibility=True)
            frames.append(_frame(moment, shot, spec.size))
            _mux(container, stream.encode(video_frame(shot.yuv, moment.time_s)), lens.uplink)
            if progress is not None:
                progress(done + 1, count)
        _mux(container, stream.encode(None), lens.uplink)
    end_s = (count - 1) / spec.fps
    truth = _truth(spec, lens.camera, frames, _events(spec, (witness, marshal, riders), end_s))
    truth = replace(
        truth,
        looks=chronicle.looks(end_s),
        flows=chronicle.flows(end_s),
        moments=chronicle.moments(end_s),
    )
    if truth_path is not None:
        truth.save(truth_path)
    return truth


def scene_truth(spec: SceneSpec) -> tuple[TruthEvent, ...]:
    """The events of a scene with an end, without drawing it.

    Raises:
        SourceUrlError: the scene has no end.
    """
    if spec.pictures is None:
        raise SourceUrlError("only a scene with seconds has a whole truth")
    scene, witness, marshal = spec.scene(), Witness(spec.where), Marshal(spec.where)
    riders = Riders(spec.where)
    scene.observe(witness)
    scene.observe_things(marshal)
    scene.observe_things(riders)
    end_s = (spec.pictures - 1) / spec.fps
    scene.at(end_s)
    return _events(spec, (witness, marshal, riders), end_s)


def _events(spec: SceneSpec, seers: tuple[Witness, Marshal, Riders], end_s: float) -> tuple[TruthEvent, ...]:
    """What happened before the camera, and to it."""
    seen = (event for seer in seers for event in seer.events(end_s))
    events = (*seen, *fault_events(spec.faults, end_s))
    return tuple(sorted(events, key=lambda event: (event.begin_s, event.kind)))


def _mux(container: OutputContainer, packets: "list[av.Packet[av.VideoStream]]", uplink: Uplink) -> None:
    """Write what the line to the camera leaves of packets."""
    for packet in packets:
        time_s = float((packet.pts or 0) * TIME_BASE)
        arrived = packet if uplink.sound else carried(packet, partial(uplink.carry, time_s=time_s))
        if arrived is not None:
            container.mux(arrived)


def crowd_truth(spec: SceneSpec) -> CrowdTruth:
    """What is true of a scene's crowd, without drawing it.

    Raises:
        SourceUrlError: the scene has no end.
    """
    if spec.pictures is None:
        raise SourceUrlError("only a scene with seconds has a whole truth")
    scene, chronicle = spec.scene(), Chronicle(spec.where)
    scene.observe(chronicle)
    end_s = (spec.pictures - 1) / spec.fps
    scene.at(end_s)
    return CrowdTruth(chronicle.looks(end_s), chronicle.flows(end_s), chronicle.moments(end_s))


def _in_order(witness: Witness, marshal: Marshal, end_s: float) -> tuple[TruthEvent, ...]:
    events = (*witness.events(end_s), *marshal.events(end_s))
    return tuple(sorted(events, key=lambda event: (event.begin_s, event.kind)))


def _frame(moment: Moment, shot: Shot, size: tuple[int, int]) -> TruthFrame:
    people = []
    for one, visible in zip(shot.people, shot.visible, strict=True):
        box = _fractions(one.box, size)
        if box[0] < box[2] and box[1] < box[3]:
            ground, velocity = (_rounded(of[one.row], 3) for of in (moment.ground, moment.velocity))
            number = int(moment.number[one.row])
            kind = int(moment.posture[one.row])
            posture = POSTURES[kind] if kind else None
            people.append(TruthPerson(number, ground, box, round(visible, 3), velocity, posture))
    return TruthFrame(
        round(moment.time_s, 6), tuple(sorted(people, key=lambda person: person.actor)), _things(shot, size)
    )


def _things(shot: Shot, size: tuple[int, int]) -> tuple[TruthThing, ...]:
    return tuple(
        TruthThing(
            one.thing.number,
            one.thing.kind,
            _rounded(np.array(one.thing.ground), 3),
            _fractions(one.box, size),
            round(visible, 3),
            round(one.thing.parked_s, 2),
        )
        for one, visible in sorted(
            zip(shot.things, shot.things_visible, strict=True), key=lambda pair: pair[0].thing.number
        )
    )


def _fractions(box: Box, size: tuple[int, int]) -> Box:
    shares = np.clip(np.array(box) / (*size, *size), 0.0, 1.0)
    left, top, right, bottom = np.round(shares, 5).tolist()
    return left, top, right, bottom


def _truth(
    spec: SceneSpec, camera: Camera, frames: list[TruthFrame], events: tuple[TruthEvent, ...]
) -> Truth:
    place = spec.where
    return Truth(
        place=spec.place,
        scenario=spec.scenario,
        seed=spec.seed,
        fps=spec.fps,
        width=spec.size[0],
        height=spec.size[1],
        homography=tuple(tuple(row) for row in camera.homography.tolist()),
        zones=tuple(_shape(zone.id, zone.corners, camera, zone.towards) for zone in place.zones),
        lines=(_shape(place.line.id, place.line.ends, camera),),
        frames=tuple(frames),
        events=events,
    )


def _shape(name: str, ground: Points, camera: Camera, towards: Point | None = None) -> TruthShape:
    return TruthShape(
        name,
        tuple(_rounded(point, 4) for point in ground),
        tuple(_rounded(point, 6) for point in camera.project(ground)),
        towards,
    )


def _rounded(point: Points, digits: int) -> Point:
    return round(float(point[0]), digits), round(float(point[1]), digits)

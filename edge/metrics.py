"""The node's metrics for Prometheus. Hot paths touch a few histograms; all else is read when asked for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import prometheus_client as prom
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edge.account import Covered
from edge.evidence_service import EvidenceSample
from edge.live import LiveCounts
from edge.outbox import NO_LEVEL, OutboxCounts
from edge.picture_metrics import evidence_families, live_families
from edge.precision import RuleVerdicts
from edge.status import CameraStatus, FeedbackStatus, NodeStatus, Profile
from streams.activity import Activity
from streams.demand import Allocation
from streams.reader import ReaderStatus
from streams.trust import Trust

DROP_REASONS = ("gated", "superseded", "expired")
"""Why a decoded picture is not analysed: decoded = these + delivered + waiting."""

_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
_DELAY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Faults:
    """What was wrong with one camera's stream since the start.

    Attributes:
        decode_errors: packets that could not be decoded.
        timeline_repairs: time stamps that were missing, repeated, went back or leapt.
        analysis_errors: pictures on which the analysis failed.
    """

    decode_errors: int = 0
    timeline_repairs: int = 0
    analysis_errors: int = 0


@dataclass(frozen=True, slots=True)
class NodeSample:
    """The node at the moment of a scrape.

    Attributes:
        status: what the node says of itself.
        outbox: what waits and went through.
        faults: by camera id.
        model_sha256: of the detector's weights.
        readers: by camera id, what its reader says: the activity gate's part is served.
        plan: what the budget grants; None before the first plan.
        coverage: the ledger's totals.
        replayed: events sent again at the centre's wish, since the start.
        feedback: what came from the centre.
        verdicts: on the rules that were judged.
        evidence: what is kept of incidents; None where nobody keeps any.
        live: by camera id, what live view does.
    """

    status: NodeStatus
    outbox: OutboxCounts
    faults: Mapping[str, Faults]
    model_sha256: str
    readers: Mapping[str, ReaderStatus] = field(default_factory=dict)
    plan: Allocation | None = None
    coverage: Sequence[Covered] = ()
    replayed: int = 0
    feedback: FeedbackStatus = field(default_factory=FeedbackStatus)
    verdicts: Sequence[RuleVerdicts] = ()
    evidence: EvidenceSample | None = None
    live: Mapping[str, LiveCounts] = field(default_factory=dict)


class Metrics(Collector):
    """A registry of its own with the prefix `sharpeyes_`, and the standard `process_` metrics.

    Labels are names from the configuration and closed tables: never ids of events, incidents or tracks.
    """

    def __init__(self) -> None:
        self._sample: Callable[[], NodeSample] | None = None
        self._registry = prom.CollectorRegistry()
        prom.ProcessCollector(registry=self._registry)
        self._stages = prom.Histogram(
            "sharpeyes_inference_duration_seconds",
            "Time for one picture, by model and stage (infer, analyse).",
            ["model", "stage"],
            buckets=_STAGE_BUCKETS,
            registry=self._registry,
        )
        self._frame_age = prom.Histogram(
            "sharpeyes_frame_age_seconds",
            "Age of a picture when its analysis ends, since its packet was read.",
            buckets=_DELAY_BUCKETS,
            registry=self._registry,
        )
        self._frame_to_event = prom.Histogram(
            "sharpeyes_frame_to_event_seconds",
            "From reading a picture's packet to its event on disk.",
            buckets=_DELAY_BUCKETS,
            registry=self._registry,
        )
        self._created = prom.Counter(
            "sharpeyes_events_created",
            "Events put into the outbox, by CloudEvents type and level.",
            ["type", "level"],
            registry=self._registry,
        )

        self._unredacted = prom.Counter(
            "sharpeyes_redaction_failures",
            "Pictures that were wanted and withheld, as they could not be redacted.",
            ["camera"],
            registry=self._registry,
        )

    def watch(self, sample: Callable[[], NodeSample]) -> None:
        """Have `sample` called on each scrape, on the scraping thread."""
        self._sample = sample

    def observe_stage(self, model: str, stage: str, seconds: float) -> None:
        """Count the time that a stage took for one picture."""
        self._stages.labels(model, stage).observe(seconds)

    def observe_frame_age(self, seconds: float) -> None:
        """Count the age of a picture at the end of its analysis."""
        self._frame_age.observe(seconds)

    def observe_frame_to_event(self, seconds: float) -> None:
        """Count the time from a picture to its event on disk."""
        self._frame_to_event.observe(seconds)

    def count_event(self, type_: str, level: int | None) -> None:
        """Count one event put into the outbox; level None for the node's own."""
        self._created.labels(type_, _level(level)).inc()

    def count_redaction_failure(self, camera_id: str, pictures: int = 1) -> None:
        """Count pictures that were withheld as redaction failed; 0 shows a camera's series before any did."""
        self._unredacted.labels(camera_id).inc(pictures)

    def text(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text format, and its content type."""
        return prom.generate_latest(self), prom.CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Metric]:
        """The families, as the client library asks for them."""
        for family in self._registry.collect():
            # without the moments of creation: as many series again, which nobody asks for
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
        if self._sample is not None:
            sample = self._sample()
            yield from _node_families(sample)
            yield from _feedback_families(sample)
            yield from _verdict_families(sample.verdicts)
            yield from _stream_families(sample)
            yield from _scene_families(sample.status.cameras)
            yield from _gate_families(sample.readers)
            yield from _plan_families(sample.plan)
            yield _coverage_family(sample.coverage)
            yield from evidence_families(sample.evidence)
            yield from live_families(sample.live)


def _node_families(sample: NodeSample) -> Iterator[Metric]:
    status, outbox = sample.status, sample.outbox
    build = {"version": status.version, "model": status.detector, "sha256": sample.model_sha256}
    yield InfoMetricFamily("sharpeyes_build", "Program and detector that run.", build)
    yield _gauge("redis_up", "Whether events reach Redis.", status.redis_up)
    yield _gauge("outbox_pending_events", "Events that wait for Redis.", outbox.pending)
    yield _gauge("outbox_sent_events", "Events kept until the centre receipts them.", outbox.sent)
    yield _gauge("outbox_pending_bytes", "Size of the events that are kept.", outbox.bytes)
    yield _gauge(
        "outbox_oldest_event_age_seconds", "Age of the oldest event that waits.", outbox.oldest_age_s
    )
    yield _counter("events_published", "Events that Redis has stored.", status.events_published)
    yield _counter("events_replayed", "Events sent again as the centre asked.", sample.replayed)
    evicted = CounterMetricFamily(
        "sharpeyes_outbox_evicted_events",
        "Events given up for want of space or for their age, by level.",
        labels=["level"],
    )
    for level, number in sorted(outbox.evicted.items()):
        evicted.add_metric([_level(None if level == NO_LEVEL else level)], number)
    yield evicted


def _feedback_families(sample: NodeSample) -> Iterator[Metric]:
    feedback = sample.feedback
    yield _gauge("feedback_up", "Whether the centre's words can be read.", feedback.connected)
    yield _gauge(
        "receipted_sequence",
        "The centre has all events up to this number, or knows them lost.",
        feedback.receipted,
    )
    messages = CounterMetricFamily(
        "sharpeyes_feedback_messages", "Messages of the centre to this node, by kind.", labels=["kind"]
    )
    for kind, number in sorted(feedback.messages.items()):
        messages.add_metric([kind], number)
    profile = GaugeMetricFamily(
        "sharpeyes_threshold_profile", "1 for the thresholds that hold.", labels=["profile"]
    )
    for name in get_args(Profile):
        profile.add_metric([name], feedback.profile == name)
    yield from (messages, profile)


def _verdict_families(verdicts: Sequence[RuleVerdicts]) -> Iterator[Metric]:
    where = ["camera", "rule"]
    total = CounterMetricFamily(
        "sharpeyes_rule_verdicts", "Verdicts of the centre on incidents.", labels=[*where, "verdict"]
    )
    precision = GaugeMetricFamily(
        "sharpeyes_rule_precision", "Share of judged incidents that were true.", labels=where
    )
    for one in verdicts:
        total.add_metric([one.camera, one.rule, "true"], one.true)
        total.add_metric([one.camera, one.rule, "false"], one.false)
        if one.precision is not None:
            precision.add_metric([one.camera, one.rule], one.precision)
    yield from (total, precision)


def _stream_families(sample: NodeSample) -> Iterator[Metric]:
    cameras, faults = sample.status.cameras, sample.faults
    up = GaugeMetricFamily("sharpeyes_stream_up", "Whether pictures arrive.", labels=["camera"])
    waiting = GaugeMetricFamily(
        "sharpeyes_frames_waiting", "Pictures that wait for analysis.", labels=["camera"]
    )
    dropped = CounterMetricFamily(
        "sharpeyes_frames_dropped", "Decoded pictures left out, by reason.", labels=["camera", "reason"]
    )
    for camera in cameras:
        up.add_metric([camera.id], camera.state == "up")
        waiting.add_metric([camera.id], camera.frames["waiting"])
        for reason in DROP_REASONS:
            dropped.add_metric([camera.id, reason], camera.frames[reason])
    yield from (up, waiting, dropped)
    yield _by_camera("frames_decoded", "Pictures decoded.", ((c.id, c.frames["decoded"]) for c in cameras))
    yield _by_camera(
        "frames_delivered", "Pictures analysed.", ((c.id, c.frames["delivered"]) for c in cameras)
    )
    yield _by_camera("stream_reconnects", "Streams opened again.", ((c.id, c.reconnects) for c in cameras))
    for name, text in (
        ("decode_errors", "Packets that could not be decoded."),
        ("timeline_repairs", "Time stamps that were missing or wrong."),
        ("analysis_errors", "Pictures on which the analysis failed."),
    ):
        yield _by_camera(name, text, ((id_, getattr(fault, name)) for id_, fault in faults.items()))


def _scene_families(cameras: Iterable[CameraStatus]) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "sharpeyes_last_frame_age_seconds", "Time since the last analysed picture.", labels=["camera"]
    )
    incidents = GaugeMetricFamily("sharpeyes_incidents_open", "Open incidents.", labels=["camera", "kind"])
    held_back = CounterMetricFamily(
        "sharpeyes_incidents_held_back",
        "Trouble that was kept quiet as it came within its rule's cool-down.",
        labels=["camera", "rule"],
    )
    place = ["camera", "zone"]
    persons = GaugeMetricFamily("sharpeyes_zone_occupancy_persons", "People in a zone.", labels=place)
    unit = "persons_per_square_meter"
    mean = GaugeMetricFamily(f"sharpeyes_zone_density_{unit}", "Mean density of a zone.", labels=place)
    worst = GaugeMetricFamily(
        f"sharpeyes_zone_worst_cell_density_{unit}", "Density in a zone's fullest 4 m2.", labels=place
    )
    for camera in cameras:
        if camera.frame_age_s is not None:
            age.add_metric([camera.id], camera.frame_age_s)
        for kind, number in sorted(Counter(name.split("/")[0] for name in camera.incidents).items()):
            incidents.add_metric([camera.id, kind], number)
        for rule, number in camera.held_back.items():
            held_back.add_metric([camera.id, rule], number)
        for zone in camera.zones:
            persons.add_metric([camera.id, zone.id], zone.count)
            if zone.density_mean_per_m2 is not None:
                mean.add_metric([camera.id, zone.id], zone.density_mean_per_m2)
            if zone.density_worst_cell_per_m2 is not None:
                worst.add_metric([camera.id, zone.id], zone.density_worst_cell_per_m2)
    yield from (age, incidents, held_back, persons, mean, worst)


def _gate_families(readers: Mapping[str, ReaderStatus]) -> Iterator[Metric]:
    where = ["camera", "state"]
    activity = GaugeMetricFamily("sharpeyes_activity_state", "1 for the activity gate's state.", labels=where)
    trust = GaugeMetricFamily(
        "sharpeyes_activity_trust", "1 for whether packet sizes are trusted to tell motion.", labels=where
    )
    auc = GaugeMetricFamily(
        "sharpeyes_activity_auc_ratio",
        "How well packet sizes tell motion: 0.5 is chance, 1 always.",
        labels=["camera"],
    )
    packets = GaugeMetricFamily("sharpeyes_held_packets", "Packets kept undecoded.", labels=["camera"])
    size = GaugeMetricFamily("sharpeyes_held_bytes", "Size of the packets kept undecoded.", labels=["camera"])
    lag = GaugeMetricFamily(
        "sharpeyes_stream_lag_seconds", "How far reading is behind the camera.", labels=["camera"]
    )
    for id_, reader in readers.items():
        lag.add_metric([id_], reader.lag_s)
        for state in get_args(Activity):
            activity.add_metric([id_, state], reader.activity == state)
        for state in get_args(Trust):
            trust.add_metric([id_, state], reader.trust == state)
        if reader.auc is not None:
            auc.add_metric([id_], reader.auc)
        packets.add_metric([id_], reader.held)
        size.add_metric([id_], reader.held_bytes)
    yield from (activity, trust, auc, packets, size, lag)
    counters = (
        ("packets_read", "Packets read.", "packets"),
        ("packets_undecoded", "Packets that were never decoded.", "undecoded"),
        ("packets_late", "Packets left undecoded because reading had fallen behind.", "late"),
        ("keyframe_looks", "Keyframes of an idle camera that were decoded alone.", "looks"),
        ("frames_caught_up", "Pictures decoded out of held packets.", "caught_up"),
        ("held_overflows", "Times that a run of packets was too large to hold.", "overflows"),
        ("activity_transitions", "Changes of the activity gate's state.", "transitions"),
        ("activity_missed", "Keyframes that showed motion which packets had not told.", "missed"),
        ("activity_false_wakes", "Wakes by packets that pixels did not bear out.", "false_wakes"),
    )
    for name, text, key in counters:
        yield _by_camera(name, text, ((id_, getattr(reader, key)) for id_, reader in readers.items()))


def _plan_families(plan: Allocation | None) -> Iterator[Metric]:
    if plan is None:
        return
    yield _gauge("plan_load_ratio", "Predicted load as a share of the capacity.", plan.load)
    yield _gauge("plan_cpu_cores", "Predicted processor time, in cores.", plan.cpu_ms / 1000)
    yield _gauge(
        "plan_blind_tasks", "Tasks that the plan grants less than their floor.", len(plan.below_floor)
    )
    fps = GaugeMetricFamily(
        "sharpeyes_service_fps", "Analysed pictures a second that the plan grants.", labels=["camera"]
    )
    shed = GaugeMetricFamily("sharpeyes_service_shed", "Whether the plan gave it up.", labels=["camera"])
    for id_, service in plan.services.items():
        fps.add_metric([id_], service.fps)
        shed.add_metric([id_], service.shed)
    given_up = GaugeMetricFamily(
        "sharpeyes_plan_given_up_cameras", "Cameras that go without something of a tier.", labels=["tier"]
    )
    for tier, number in sorted(plan.given_up.items()):
        given_up.add_metric([tier.name.lower()], number)
    yield from (fps, shed, given_up)


def _coverage_family(coverage: Sequence[Covered]) -> Metric:
    family = CounterMetricFamily(
        "sharpeyes_coverage_seconds",
        "Wall time by what a task saw of it, and why not more; a task's series add up to wall time.",
        labels=["camera", "task", "state", "reason"],
    )
    for one in coverage:
        family.add_metric([one.camera, one.task, one.cell.state, one.cell.reason], one.ms / 1000)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sharpeyes_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    family = CounterMetricFamily(f"sharpeyes_{name}", text)
    family.add_metric([], value)
    return family


def _by_camera(name: str, text: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"sharpeyes_{name}", text, labels=["camera"])
    for camera_id, value in values:
        family.add_metric([camera_id], value)
    return family


def _level(level: int | None) -> str:
    return "none" if level is None else str(level)

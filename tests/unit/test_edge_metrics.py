"""The metrics: what a scrape holds, that it parses, and that names and labels keep to the rules."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from edge.account import AT_RATE, SHED, Covered
from edge.evidence_maker import MakerCounts
from edge.evidence_service import EvidenceSample
from edge.evidence_store import StoreCounts
from edge.live import LiveCounts
from edge.metrics import Faults, Metrics, NodeSample
from edge.outbox import OutboxCounts
from edge.precision import RuleVerdicts
from edge.status import CameraStatus, FeedbackStatus, NodeStatus, ZoneStatus
from streams.demand import Allocation, Capacity, Shortfall, Tier
from streams.reader import ReaderStatus
from streams.service import SHED as NO_SERVICE
from streams.service import Service

SHA = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
DEPLOY = Path(__file__).parents[2] / "deploy"


def camera(id_: str, **changes: Any) -> CameraStatus:
    facts: dict[str, Any] = {
        "id": id_,
        "name": "",
        "source": "sim://plaza",
        "state": "up",
        "error": None,
        "width": 1280,
        "height": 720,
        "codec": "h264",
        "received_fps": 25.0,
        "analysed_fps": 5.0,
        "frame_age_s": 0.08,
        "frames": {"decoded": 100, "gated": 60, "superseded": 9, "expired": 1, "delivered": 29, "waiting": 1},
        "reconnects": 2,
        "zones": (ZoneStatus("plaza", 41, 2.1, 4.3), ZoneStatus("platform", 1)),
        "incidents": ("crowd.density/plaza", "hazard.intrusion/platform", "hazard.intrusion/track"),
        "calibrated": True,
        "held_back": {"hazard.line/gate": 3},
    }
    return CameraStatus(**{**facts, **changes})


def sample() -> NodeSample:
    status = NodeStatus(
        id="xihu-07",
        version="0.1.0",
        started_utc=datetime(2026, 11, 22, tzinfo=UTC),
        uptime_s=60.0,
        detector="nanodet-g-416-int8",
        provider="CPUExecutionProvider",
        redis="redis://127.0.0.1:6390/0",
        redis_up=True,
        outbox_pending=3,
        events_published=39,
        cameras=(
            camera("gate-2"),
            camera("gate-3", state="retrying", frame_age_s=None, zones=(), incidents=(), held_back={}),
        ),
    )
    outbox = OutboxCounts(45, 32, 3, 3000, 1.5, {1: 0, 2: 0, 3: 0, 4: 1, 5: 2}, 7)
    return NodeSample(
        status,
        outbox,
        {"gate-2": Faults(4, 5, 6), "gate-3": Faults()},
        SHA,
        readers(),
        plan(),
        COVERAGE,
        replayed=12,
        feedback=FeedbackStatus(True, None, 38, {"replay": 4, "malformed": 1}, "surge"),
        verdicts=(
            RuleVerdicts("gate-2", "crowd.density/plaza", 3, 1),
            RuleVerdicts("gate-2", "hazard.line/x", 0, 0),
        ),
        evidence=EvidenceSample(MakerCounts(5, {"disk": 2}, 1, 7), StoreCounts(4, 4096, {"expired": 1})),
        live={"gate-2": LiveCounts(2, 300, 4.5, Counter(redaction=1))},
    )


COVERAGE = (
    Covered("gate-2", "hazard.line/x", AT_RATE, 58_001),
    Covered("gate-2", "hazard.line/x", SHED, 1_999),
    Covered("gate-3", "camera.view/gate-3", SHED, 60_000),
)


def readers() -> dict[str, ReaderStatus]:
    idle = ReaderStatus(
        "up",
        0.0,
        packets=1500,
        activity="idle",
        trust="trusted",
        auc=0.94,
        held=40,
        held_bytes=64_000,
        undecoded=1200,
        late=7,
        lag_s=0.3,
        overflows=1,
        looks=30,
        caught_up=25,
        transitions=8,
        missed=2,
        false_wakes=3,
    )
    return {"gate-2": idle, "gate-3": ReaderStatus("retrying", 0.0)}


def plan() -> Allocation:
    return Allocation(
        services={"gate-2": Service(2.0), "gate-3": NO_SERVICE},
        cpu_ms=1500.0,
        lane_ms=900.0,
        camera_ms={"gate-2": 1500.0, "gate-3": 0.0},
        capacity=Capacity(2000.0),
        below_floor=(Shortfall("gate-3", "camera.view", 0.1, 0.0),),
        given_up={Tier.KEYFRAMES: 1, Tier.QUIET_RATE: 2},
    )


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    made.watch(sample)
    made.observe_stage("nanodet-g-416-int8", "infer", 0.011)
    made.observe_stage("nanodet-g-416-int8", "analyse", 0.001)
    made.observe_frame_age(0.04)
    made.observe_frame_to_event(0.06)
    made.count_event("org.sharpeyes.crowd.density.v1", 2)
    made.count_event("org.sharpeyes.node.heartbeat.v1", None)
    return made


def families(metrics: Metrics) -> dict[str, Metric]:
    body, content_type = metrics.text()
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def values(metrics: Metrics) -> dict[str, float]:
    """Every sample as `name{label=value}` without the prefix."""
    return {
        sample.name.removeprefix("sharpeyes_")
        + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
        for family in families(metrics).values()
        for sample in family.samples
    }


def test_a_scrape_holds_what_the_node_knows(metrics: Metrics) -> None:
    found = values(metrics)
    expected = {
        f"build_info{{model=nanodet-g-416-int8}}{{sha256={SHA}}}{{version=0.1.0}}": 1,
        "redis_up": 1,
        "events_published_total": 39,
        "events_created_total{level=2}{type=org.sharpeyes.crowd.density.v1}": 1,
        "events_created_total{level=none}{type=org.sharpeyes.node.heartbeat.v1}": 1,
        "outbox_pending_events": 3,
        "outbox_pending_bytes": 3000,
        "outbox_sent_events": 7,
        "events_replayed_total": 12,
        "feedback_up": 1,
        "receipted_sequence": 38,
        "feedback_messages_total{kind=replay}": 4,
        "feedback_messages_total{kind=malformed}": 1,
        "threshold_profile{profile=usual}": 0,
        "threshold_profile{profile=surge}": 1,
        "rule_verdicts_total{camera=gate-2}{rule=crowd.density/plaza}{verdict=true}": 3,
        "rule_verdicts_total{camera=gate-2}{rule=crowd.density/plaza}{verdict=false}": 1,
        "rule_precision{camera=gate-2}{rule=crowd.density/plaza}": 0.75,
        "outbox_oldest_event_age_seconds": 1.5,
        "outbox_evicted_events_total{level=4}": 1,
        "outbox_evicted_events_total{level=none}": 2,
        "stream_up{camera=gate-2}": 1,
        "stream_up{camera=gate-3}": 0,
        "stream_reconnects_total{camera=gate-2}": 2,
        "frames_decoded_total{camera=gate-2}": 100,
        "frames_delivered_total{camera=gate-2}": 29,
        "frames_waiting{camera=gate-2}": 1,
        "frames_dropped_total{camera=gate-2}{reason=gated}": 60,
        "frames_dropped_total{camera=gate-2}{reason=superseded}": 9,
        "frames_dropped_total{camera=gate-2}{reason=expired}": 1,
        "decode_errors_total{camera=gate-2}": 4,
        "timeline_repairs_total{camera=gate-2}": 5,
        "analysis_errors_total{camera=gate-2}": 6,
        "last_frame_age_seconds{camera=gate-2}": 0.08,
        "incidents_open{camera=gate-2}{kind=crowd.density}": 1,
        "incidents_open{camera=gate-2}{kind=hazard.intrusion}": 2,
        "incidents_held_back_total{camera=gate-2}{rule=hazard.line/gate}": 3,
        "zone_occupancy_persons{camera=gate-2}{zone=plaza}": 41,
        "zone_occupancy_persons{camera=gate-2}{zone=platform}": 1,
        "zone_density_persons_per_square_meter{camera=gate-2}{zone=plaza}": 2.1,
        "zone_worst_cell_density_persons_per_square_meter{camera=gate-2}{zone=plaza}": 4.3,
        "inference_duration_seconds_count{model=nanodet-g-416-int8}{stage=infer}": 1,
        "frame_age_seconds_count": 1,
        "frame_to_event_seconds_sum": 0.06,
        "activity_state{camera=gate-2}{state=idle}": 1,
        "activity_state{camera=gate-2}{state=active}": 0,
        "activity_state{camera=gate-3}{state=active}": 1,
        "activity_trust{camera=gate-2}{state=trusted}": 1,
        "activity_trust{camera=gate-3}{state=calibrating}": 1,
        "activity_trust{camera=gate-3}{state=cannot_tell}": 0,
        "activity_auc_ratio{camera=gate-2}": 0.94,
        "held_packets{camera=gate-2}": 40,
        "held_bytes{camera=gate-2}": 64_000,
        "packets_read_total{camera=gate-2}": 1500,
        "packets_undecoded_total{camera=gate-2}": 1200,
        "packets_late_total{camera=gate-2}": 7,
        "stream_lag_seconds{camera=gate-2}": 0.3,
        "keyframe_looks_total{camera=gate-2}": 30,
        "frames_caught_up_total{camera=gate-2}": 25,
        "held_overflows_total{camera=gate-2}": 1,
        "activity_transitions_total{camera=gate-2}": 8,
        "activity_missed_total{camera=gate-2}": 2,
        "activity_false_wakes_total{camera=gate-2}": 3,
        "plan_load_ratio": 0.75,
        "plan_cpu_cores": 1.5,
        "plan_blind_tasks": 1,
        "plan_given_up_cameras{tier=keyframes}": 1,
        "plan_given_up_cameras{tier=quiet_rate}": 2,
        "service_fps{camera=gate-2}": 2,
        "service_fps{camera=gate-3}": 0,
        "service_shed{camera=gate-3}": 1,
        "coverage_seconds_total{camera=gate-2}{reason=at_rate}{state=analysed}{task=hazard.line/x}": 58.001,
        "coverage_seconds_total{camera=gate-2}{reason=shed}{state=blind}{task=hazard.line/x}": 1.999,
        "coverage_seconds_total{camera=gate-3}{reason=shed}{state=blind}{task=camera.view/gate-3}": 60,
    }
    assert {name: found.get(name) for name in expected} == expected
    # unknown is absent, not zero
    assert "last_frame_age_seconds{camera=gate-3}" not in found
    assert "zone_density_persons_per_square_meter{camera=gate-2}{zone=platform}" not in found
    assert "activity_auc_ratio{camera=gate-3}" not in found
    assert "rule_precision{camera=gate-2}{rule=hazard.line/x}" not in found


def test_names_and_labels_keep_to_the_rules(metrics: Metrics) -> None:
    found = {name: family for name, family in families(metrics).items() if not name.startswith("process_")}
    assert len(found) > 20
    labels: set[str] = set()
    for name, family in found.items():
        assert name.startswith("sharpeyes_")
        assert family.documentation.endswith(".")
        assert family.type != "unknown"
        if family.type == "histogram":
            assert name.endswith("_seconds")
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", name)
        for one in family.samples:
            labels |= set(one.labels)
            assert not one.name.endswith("_created")
            assert (family.type == "counter") == one.name.endswith("_total")
    assert labels == {
        "camera",
        "zone",
        "kind",
        "reason",
        "level",
        "type",
        "model",
        "sha256",
        "version",
        "stage",
        "state",
        "task",
        "tier",
        "le",
        "rule",
        "verdict",
        "profile",
    }


def test_the_process_is_there_and_nothing_of_the_default_registry(metrics: Metrics) -> None:
    names = families(metrics)
    assert "process_cpu_seconds" in names
    assert not [name for name in names if name.startswith("python_")]


def test_before_the_node_is_up_a_scrape_is_answered() -> None:
    assert "sharpeyes_redis_up" not in families(Metrics())
    assert "process_cpu_seconds" in families(Metrics())


def test_without_a_plan_nothing_is_said_of_one() -> None:
    metrics = Metrics()
    metrics.watch(lambda: replace(sample(), plan=None, coverage=()))
    assert not [name for name in values(metrics) if name.startswith(("plan_", "service_", "coverage_"))]


def test_two_nodes_in_a_process_do_not_mix(metrics: Metrics) -> None:
    assert "events_created_total{level=2}{type=org.sharpeyes.crowd.density.v1}" not in values(Metrics())


def test_threads_may_observe_while_another_scrapes(metrics: Metrics) -> None:
    def observe() -> None:
        for _ in range(500):
            metrics.observe_stage("m", "infer", 0.01)
            metrics.count_event("t", 4)

    threads = [threading.Thread(target=observe) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        families(metrics)
    for thread in threads:
        thread.join(10)
    assert values(metrics)["events_created_total{level=4}{type=t}"] == 1500


# The examples that ship beside the metrics


def rules() -> Iterator[dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text("utf-8"))
    for group in document["groups"]:
        yield from group["rules"]


def test_alerts_and_dashboards_ask_for_metrics_that_exist(metrics: Metrics) -> None:
    known = {sample.name for family in families(metrics).values() for sample in family.samples}
    asked = {name for rule in rules() for name in re.findall(r"\b(?:sharpeyes|process)_\w+", rule["expr"])}
    assert len(asked) >= 8
    assert asked - known == set()


def test_the_documentation_names_every_metric_and_no_other(metrics: Metrics) -> None:
    text = (DEPLOY.parent / "docs" / "metrics.md").read_text("utf-8")
    named = {
        name
        for first in re.findall(r"^\| (`[^|]*`[^|]*) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)(?:\{[^}]*\})?`", first)
    }
    made = {
        name.removeprefix("sharpeyes_") + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for name, family in families(metrics).items()
        if name.startswith("sharpeyes_")
    }
    assert {name.removesuffix("_info") for name in named} == {name.removesuffix("_info") for name in made}


def test_each_alert_says_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 6
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_the_scrape_example_loads_the_alerts() -> None:
    document = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    assert "prometheus-alerts.yml" in document["rule_files"]
    assert all((DEPLOY / name).is_file() for name in document["rule_files"])
    assert [job["job_name"] for job in document["scrape_configs"]] == ["sharpeyes", "sharpeyes-center"]
    assert all(job.get("metrics_path", "/metrics") == "/metrics" for job in document["scrape_configs"])

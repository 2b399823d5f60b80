"""The centre's metrics, and whether alerts and documentation speak of the same ones."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api.center.entries import Queues
from api.center.metrics import Metrics, Sample
from api.center.model import Indicators, Numbers, StageTime, State
from api.center.worker import Tally

ROOT = Path(__file__).parents[2]
UNTIL = datetime(2026, 11, 22, 8, tzinfo=UTC)
NUMBERS = Numbers(
    UNTIL - timedelta(days=1),
    UNTIL,
    Indicators(0.99, 1.0, 0.98, 0.9),
    stages=(StageTime(State.REPORTED, 3, 60.0, 120.0),),
    opened=4,
    ended=3,
)
TALLY = Tally(events=Counter(stored=7, dead=1), refused=Counter(unsigned=2), seconds={"store": 0.5})
FULL = Sample(TALLY, workers=1, restarts=0, queues=Queues(9, 2, 1, 1, 2), numbers=NUMBERS)


def samples(sample: Sample) -> dict[str, list[Any]]:
    """By name; the process' own are left out."""
    text, _ = Metrics(lambda: sample).text()
    found: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for one in family.samples:
            if one.name.startswith("sharpeyes_"):
                found.setdefault(one.name, []).append(one)
    return found


def rules() -> Iterator[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "deploy" / "prometheus-alerts-center.yml").read_text("utf-8"))
    for group in document["groups"]:
        yield from group["rules"]


def value(found: dict[str, list[Any]], name: str, **labels: str) -> float:
    (one,) = [sample for sample in found[f"sharpeyes_center_{name}"] if sample.labels == labels]
    return float(one.value)


def test_what_was_done_and_what_waits_is_told() -> None:
    found = samples(FULL)
    assert value(found, "events_total", outcome="stored") == 7
    assert value(found, "events_total", outcome="duplicate") == 0  # there from the start, so that rates work
    assert value(found, "refused_total", reason="unsigned") == 2
    assert value(found, "stream_lag") == 2
    assert value(found, "case_stage_seconds", stage="REPORTED", quantile="0.9") == 120.0
    assert value(found, "indicator_ratio", indicator="availability") == 0.98


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (Sample(TALLY, 1, 0, None, NUMBERS), "redis_up"),
        (Sample(TALLY, 1, 0, FULL.queues, None), "database_up"),
    ],
)
def test_what_is_away_is_said_and_not_guessed(sample: Sample, name: str) -> None:
    found = samples(sample)
    assert value(found, name) == 0
    gone = {"redis_up": "sharpeyes_center_stream_lag", "database_up": "sharpeyes_center_indicator_ratio"}
    assert gone[name] not in found


def test_alerts_ask_for_metrics_that_exist_and_say_what_to_do() -> None:
    known = set(samples(FULL))
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 6
    for rule in rules():
        assert set(re.findall(r"\bsharpeyes_\w+", rule["expr"])) <= known, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_the_documentation_names_every_metric_and_no_other() -> None:
    text = (ROOT / "docs" / "center.md").read_text("utf-8").split("\n## Metrics\n")[1]
    named = {
        name
        for cells in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)(?:\{[^}]*\})?`", cells)
    }
    assert named - {"sharpeyes_center_"} == {name.removeprefix("sharpeyes_center_") for name in samples(FULL)}

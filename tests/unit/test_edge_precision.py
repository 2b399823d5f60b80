"""Verdicts by camera and rule: each incident counts once, whatever is said twice and whenever it restarts."""

import uuid
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge.precision
from edge.config import Config
from edge.precision import Precision, RuleVerdicts

CAMERAS = Config.model_validate(
    {
        "cameras": [
            {
                "id": "gate-2",
                "source": "x.mp4",
                "zones": [{"id": "plaza", "polygon": [[0, 0], [1, 0], [1, 1]], "capacity": 9}],
                "rules": [
                    {"kind": "crowd.density", "zone": "plaza"},
                    {"kind": "hazard.intrusion", "zone": "plaza"},
                ],
            },
            {"id": "gate-3", "source": "y.mp4"},
        ]
    }
).cameras
DENSITY, INTRUSION = "crowd.density/plaza", "hazard.intrusion/plaza"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.json"


def test_true_and_false_ones_are_counted_by_rule(path: Path) -> None:
    precision = Precision(path, CAMERAS)
    assert precision.verdicts() == []
    assert precision.add("i1", "gate-2", DENSITY, "true")
    assert precision.add("i2", "gate-2", DENSITY, "false")
    assert precision.add("i3", "gate-2", DENSITY, "true")
    assert precision.add("i4", "gate-2", INTRUSION, "false")
    assert precision.add("i5", "gate-3", "camera.offline/gate-3", "true")
    assert precision.verdicts() == [
        RuleVerdicts("gate-2", DENSITY, 2, 1),
        RuleVerdicts("gate-2", INTRUSION, 0, 1),
        RuleVerdicts("gate-3", "camera.offline/gate-3", 1, 0),
    ]
    assert [one.precision for one in precision.verdicts()] == [pytest.approx(2 / 3), 0.0, 1.0]
    assert RuleVerdicts("gate-2", DENSITY, 0, 0).precision is None
    assert Precision(path, CAMERAS).verdicts() == precision.verdicts()


@pytest.mark.parametrize(
    ("camera", "rule"),
    [
        ("gate-9", DENSITY),
        ("gate-3", DENSITY),
        ("gate-2", "crowd.density/stage"),
        ("gate-2", "camera.offline/gate-3"),
    ],
)
def test_rules_that_nobody_configured_are_not_judged(path: Path, camera: str, rule: str) -> None:
    precision = Precision(path, CAMERAS)
    assert not precision.add("i1", camera, rule, "true")
    assert precision.verdicts() == []
    assert not path.exists()


def test_a_verdict_said_again_counts_once_and_a_changed_one_moves(path: Path) -> None:
    precision = Precision(path, CAMERAS)
    precision.add("i1", "gate-2", DENSITY, "true")
    assert precision.add("i1", "gate-2", DENSITY, "true")
    assert precision.verdicts() == [RuleVerdicts("gate-2", DENSITY, 1, 0)]
    precision = Precision(path, CAMERAS)
    precision.add("i1", "gate-2", DENSITY, "false")
    assert precision.verdicts() == [RuleVerdicts("gate-2", DENSITY, 0, 1)]


def test_verdicts_of_a_rule_that_was_taken_away_stay_in_the_file(path: Path) -> None:
    Precision(path, CAMERAS).add("i1", "gate-2", DENSITY, "true")
    without = Precision(path, CAMERAS[1:])
    without.add("i2", "gate-3", "camera.offline/gate-3", "false")
    assert [one.camera for one in without.verdicts()] == ["gate-3"]
    assert len(Precision(path, CAMERAS).verdicts()) == 2


verdicts = st.tuples(
    st.integers(0, 12), st.sampled_from([DENSITY, INTRUSION]), st.sampled_from(["true", "false"])
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(verdicts | st.just(None), max_size=40))
def test_the_last_verdict_on_each_incident_counts(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, str, str] | None]
) -> None:
    path = tmp_path_factory.mktemp("verdicts") / "verdicts.json"
    precision = Precision(path, CAMERAS)
    last = {}
    for one in said:
        if one is None:
            precision = Precision(path, CAMERAS)
            continue
        number, rule, verdict = one
        precision.add(f"i{number}", "gate-2", rule, verdict)  # type: ignore[arg-type]
        last[number] = (rule, verdict)
    expected = Counter(last.values())
    found = {(one.rule, "true"): one.true for one in precision.verdicts()}
    found |= {(one.rule, "false"): one.false for one in precision.verdicts()}
    assert +Counter(found) == expected


def test_only_so_many_incidents_are_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.precision, "RECENT", 3)
    precision = Precision(path, CAMERAS)
    for _ in range(20):
        precision.add(str(uuid.uuid4()), "gate-2", DENSITY, "true")
    assert precision.verdicts() == [RuleVerdicts("gate-2", DENSITY, 20, 0)]
    assert path.read_text().count("incident") == 3


def test_a_disk_that_refuses_is_met_again_when_it_is_said_again(path: Path) -> None:
    precision = Precision(path, CAMERAS)
    part = path.with_name("verdicts.json.part")
    part.mkdir()
    with pytest.raises(OSError, match="directory"):
        precision.add("i1", "gate-2", DENSITY, "true")
    part.rmdir()
    assert precision.add("i1", "gate-2", DENSITY, "true")
    assert (
        precision.verdicts() == Precision(path, CAMERAS).verdicts() == [RuleVerdicts("gate-2", DENSITY, 1, 0)]
    )

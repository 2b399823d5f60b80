import json
from typing import get_args

import pytest
from pydantic import ValidationError

from api.review import review
from edge.config import CameraConfig, Config
from edge.envelope import KINDS
from edge.errors import RuleError, SiteError
from edge.floors import tasks_of
from edge.load import load_config
from edge.profiles import apply, profiles
from edge.rules import RULES, AnyRule
from edge.site import Site
from tests.support.afoot import analysis, camera

NAMES = ["square", "school_gate", "scenic_area", "platform", "stadium_exit"]
DENSITY = {"kind": "crowd.density", "zone": "z"}
NEEDED = {"hazard.wrongway": {"way": [[0.5, 0.7], [0.5, 0.9]]}}
RULES_OF_ALL_KINDS = [
    {
        "kind": rule.name(),
        **({"line": "l"} if rule.PLACE == "line" else {"zone": "z"}),
        **NEEDED.get(rule.name(), {}),
    }
    for rule in RULES
]


def test_every_file_of_the_rules_is_one_that_events_know():
    assert {rule.name() for rule in RULES} <= set(KINDS)
    assert set(get_args(AnyRule)) == set(RULES)
    assert len({rule.name() for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("name", NAMES)
def test_each_profile_is_right_for_each_rule(name):
    made = camera(*RULES_OF_ALL_KINDS, profile=name)
    values = profiles()[name].rules
    assert values.keys() <= {rule.name() for rule in RULES}
    for rule in made.rules:
        for key, value in values.get(rule.kind, {}).items():
            assert getattr(rule, key) == value
            default = type(rule).model_fields[key].default
            assert value != default, f"{name}: {rule.kind}.{key} is the default anyway"
    Site.from_config(made)


def test_the_profiles():
    assert list(profiles()) == NAMES


def test_a_rule_s_own_key_wins():
    (rule,) = camera({**DENSITY, "red_per_m2": 4.5}, profile="platform").rules
    assert (rule.yellow_per_m2, rule.red_per_m2) == (2.15, 4.5)
    (plain,) = camera(DENSITY).rules
    assert plain.yellow_per_m2 == 3.0


def test_its_floors_hold():
    (task,) = tasks_of(camera(DENSITY, profile="platform"))
    assert task.floor_fps == 1
    (task,) = tasks_of(camera({**DENSITY, "floor_fps": 0.5}, profile="platform"))
    assert task.floor_fps == 0.5
    (task,) = tasks_of(camera(DENSITY))
    assert task.floor_fps == 0.5


def test_from_a_file(tmp_path):
    given = camera(DENSITY, {"kind": "crowd.surge"}, profile="school_gate")
    text = json.loads(given.model_dump_json(exclude_unset=True, exclude={"source", "rules"}))
    rules = [{**DENSITY, "capacity_shares": [0.5, 0.6, 0.7, 0.8]}, {"kind": "crowd.surge"}]
    path = tmp_path / "node.yaml"
    path.write_text(json.dumps({"cameras": [{**text, "source": "x.mp4", "rules": rules}]}))
    density, surge = load_config(path).cameras[0].rules
    assert density.capacity_shares == (0.5, 0.6, 0.7, 0.8)
    assert density.red_per_m2 == 4.0
    assert surge.running_shares == (0.4, 0.5, 0.6, 0.8)


def test_a_profile_that_does_not_exist():
    with pytest.raises(ValidationError, match=r"no profile 'platfrom'; did you mean 'platform'\?"):
        camera(profile="platfrom")


@pytest.mark.parametrize("rules", [None, 5, "x", [5], [{"kind": 5}], {"kind": "crowd.density"}])
def test_what_is_no_list_of_rules_is_left_to_be_told(rules):
    assert apply("platform", rules) == (tuple(rules) if isinstance(rules, list) else rules)


def test_check_says_what_a_profile_means():
    rules = [{**DENSITY, "red_per_m2": 4.5}, {"kind": "hazard.intrusion", "zone": "z"}]
    made = camera(*rules, profile="platform")
    config = Config.model_validate({"cameras": [{"id": "x", "source": "x.mp4"}]})
    notes = review(config.model_copy(update={"cameras": (made,)}))
    about, gives, own = (note for note in notes if "platform" in note)
    assert about.startswith("camera gate: profile platform: platform of a railway")
    assert "gives crowd.density on z: blue_per_m2 1.54, yellow_per_m2 2.15" in gives
    assert "red_per_m2" not in gives.replace("standing_red_per_m2", "")
    assert own.endswith("crowd.density on z keeps its own red_per_m2 4.5 instead of 4 of platform")
    nothing = camera(rules[1], profile="platform")
    notes = review(config.model_copy(update={"cameras": (nothing,)}))
    assert any("platform changes nothing here: it has values for crowd.density" in note for note in notes)


# --- what a rule asks for


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kind": "crowd.flow", "line": "l", "capacity_per_m_min": 0}, "greater than 0"),
        ({"kind": "crowd.flow", "line": "l", "capacity_shares": (0.9, 0.8, 1.0, 1.2)}, "positive and rise"),
        ({"kind": "crowd.counterflow", "zone": "z", "blue_per_m2": 3.5}, "rise from blue to red"),
        ({"kind": "crowd.counterflow", "zone": "z", "weak_stream_share": 0.6}, "less than or equal to 0.5"),
        ({"kind": "crowd.pressure", "zone": "z", "critical_per_s2": 0.01}, "must be above warn_per_s2"),
        ({"kind": "crowd.surge", "running_shares": (0.2, 0.3, 0.4, 1.5)}, "at most 1"),
        ({"kind": "crowd.surge", "running_shares": (0.3, 0.2, 0.4, 0.5)}, "positive and rise"),
        ({"kind": "crowd.forecast", "zone": "z", "lead_min": 0}, "greater than 0"),
        ({**DENSITY, "cell_m2": 11}, "less than or equal to 10"),
        ({**DENSITY, "standing_red_per_m2": 4.0}, "rise from standing_blue to standing_red"),
        ({**DENSITY, "floor_fps": 0.1}, "at least 0.5: below that the rule is blind anywhere"),
        ({"kind": "crowd.surge", "zone": "y"}, "'y' is no zone of this camera; did you mean|'y' is no zone"),
    ],
)
def test_rules_that_cannot_be(rule, words):
    with pytest.raises(ValidationError, match=words):
        camera(rule)


def test_a_capacity_of_nobody():
    with pytest.raises(ValidationError, match="must be at least 1"):
        camera(DENSITY, zone={"capacity": 0})


def test_the_whole_view_must_not_be_a_zone():
    with pytest.raises(ValidationError, match="watches the whole picture as 'view', which is a place here"):
        camera({"kind": "crowd.surge"}, zone={"id": "view"})
    camera({"kind": "crowd.surge", "zone": "view"}, zone={"id": "view"})


SQUARE = [[0.2, 0.5], [0.8, 0.5], [0.8, 0.9], [0.2, 0.9]]


@pytest.mark.parametrize("rule", [r for r in RULES_OF_ALL_KINDS if r["kind"] != "crowd.density"])
def test_crowd_rules_need_ground(rule):
    bare = {
        "id": "gate", "source": "x.mp4", "zones": [{"id": "z", "polygon": SQUARE}],
        "lines": [{"id": "l", "points": [[0, 0.5], [1, 0.5]]}], "rules": [rule],
    }  # fmt: skip
    made = CameraConfig.model_validate(bare)
    if not rule["kind"].startswith("crowd."):
        Site.from_config(made)
        return
    with pytest.raises(SiteError, match=r"gate.*rules\[0\]\.(zone|line).*four or more.*calibrate"):
        Site.from_config(made)


def test_a_whole_view_needs_ground_too():
    made = CameraConfig.model_validate({"id": "gate", "source": "x", "rules": [{"kind": "crowd.surge"}]})
    with pytest.raises(SiteError, match=r"rules\[0\]\.kind.*without ground"):
        Site.from_config(made)


def test_a_flow_s_line_must_lie_on_the_ground():
    low = CameraConfig.model_validate(
        {
            "id": "gate",
            "source": "x",
            "ground": [
                {"image": image, "ground": ground}
                for image, ground in zip(
                    [[0.1, 0.9], [0.9, 0.9], [0.7, 0.6], [0.3, 0.6]],
                    [[-2, 2], [2, 2], [2, 8], [-2, 8]],
                    strict=True,
                )
            ],
            "lines": [{"id": "l", "points": [[0.5, 0.05], [0.5, 0.9]]}],
            "rules": [{"kind": "crowd.flow", "line": "l"}],
        }
    )
    with pytest.raises(SiteError, match=r"rules\[0\]\.line: 'l' reaches above the horizon"):
        Site.from_config(low)


@pytest.mark.parametrize("rule", [r for r in RULES_OF_ALL_KINDS if r["kind"].startswith("crowd.")])
def test_crowd_rules_need_a_detector_of_persons(rule):
    from edge.analysis import Analysis

    made = camera(rule)
    with pytest.raises(
        RuleError, match=r"camera 'gate': rules\[0\]\.kind: needs a detector that knows 'person'"
    ):
        Analysis(made, Site.from_config(made), ("car",))
    analysis(rule)

import pytest
from pydantic import SecretStr, ValidationError

from edge.config import CameraConfig, Config, NodeConfig, SourceConfig
from edge.sections import FaultsError, suggestion

ZONE = {"id": "z", "polygon": [(0, 0), (1, 0), (1, 1)]}


def faults(**more: object) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        CameraConfig.model_validate({"id": "gate", "source": "x.mp4", **more})
    (detail,) = caught.value.errors()
    error = detail["ctx"]["error"]
    assert isinstance(error, FaultsError)
    return [(fault.path, fault.text) for fault in error.faults]


def test_the_smallest_configuration():
    config = Config.model_validate({"cameras": [{"id": "gate", "source": "x.mp4"}]})
    assert config.cameras[0].analysed_fps == 5.0
    assert config.redis.url is None


def test_secrets_are_not_shown():
    camera = CameraConfig.model_validate({"id": "gate", "source": "rtsp://u:hush@h/1"})
    assert "hush" not in f"{camera} {camera!r} {camera.model_dump_json()}"


def source(value: object) -> SourceConfig:
    return CameraConfig.model_validate({"id": "gate", "source": value}).source


def test_one_address_is_both_analysed_and_evidence():
    for one in ("x.mp4", SecretStr("x.mp4"), {"main": "x.mp4"}, SourceConfig(main=SecretStr("x.mp4"))):
        given = source(one)
        assert (given.main.get_secret_value(), given.sub) == ("x.mp4", None)
        assert given.analysed is given.main


def test_of_two_streams_the_small_one_is_analysed():
    given = source({"main": "rtsp://u:hush@h/1", "sub": "rtsp://u:hush@h/2"})
    assert given.analysed.get_secret_value() == "rtsp://u:hush@h/2"
    assert "hush" not in f"{given} {given!r} {given.model_dump_json()}"


@pytest.mark.parametrize("value", [None, {}, [], 5, ["rtsp://u:hush@h/1"], {"sub": "rtsp://u:hush@h/2"}])
def test_a_source_that_is_none(value):
    with pytest.raises(ValidationError) as caught:
        source(value)
    (error,) = caught.value.errors(include_input=False)
    assert "hush" not in str(error)
    assert "main" in error["msg"]


def test_a_bare_off_is_off():
    """YAML 1.1 reads it as false."""
    assert NodeConfig.model_validate({"hardware_decode": False}).hardware_decode == "off"
    assert CameraConfig.model_validate({"id": "a", "source": "x", "gate": False}).gate == "off"
    with pytest.raises(ValidationError):
        NodeConfig.model_validate({"hardware_decode": True})


def test_ids_are_distinct():
    assert faults(zones=[ZONE, ZONE])[0][0] == ("zones", 1, "id")
    line = {"id": "l", "points": [(0, 0), (1, 1)]}
    assert faults(lines=[line, line])[0][0] == ("lines", 1, "id")
    with pytest.raises(ValidationError, match="camera id 'gate' is used twice"):
        Config.model_validate({"cameras": [{"id": "gate", "source": "x.mp4"}] * 2})


def test_rules_watch_what_is_declared():
    rules = [{"kind": "hazard.intrusion", "zone": "zz"}, {"kind": "hazard.line", "line": "z"}]
    assert faults(zones=[ZONE], rules=rules) == [
        (("rules", 0, "zone"), "'zz' is no zone of this camera; did you mean 'z'?"),
        (("rules", 1, "line"), "'z' is no line of this camera"),
    ]


def test_two_rules_of_a_kind_do_not_share_a_place():
    rules = [{"kind": "hazard.intrusion", "zone": "z"}] * 2
    ((path, text),) = faults(zones=[ZONE], rules=rules)
    assert path == ("rules", 1, "kind")
    assert "rules[0]" in text


def test_metres_need_a_survey_and_a_survey_four_points():
    point = {"image": (0.1, 0.1), "ground": (0, 0)}
    assert faults(ground=[point])[0][0] == ("ground",)
    lines = [{"id": "l", "points": [(0, 0), (1, 1)], "units": "ground"}]
    zones = [{**ZONE, "units": "ground"}]
    assert [path for path, _ in faults(zones=zones, lines=lines)] == [
        ("zones", 0, "units"),
        ("lines", 0, "units"),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        {"blue_per_m2": 3.0},
        {"red_per_m2": 1.0},
        {"capacity_shares": (0.9, 0.8, 1.0, 1.2)},
        {"capacity_shares": (0.0, 0.8, 1.0, 1.2)},
        {"hysteresis": 1.0},
        {"hold_s": -1},
    ],
)
def test_density_levels_rise(rule):
    with pytest.raises(ValidationError):
        CameraConfig.model_validate(
            {
                "id": "a",
                "source": "x",
                "zones": [ZONE],
                "rules": [{"kind": "crowd.density", "zone": "z", **rule}],
            }
        )


def test_suggestions():
    assert suggestion("sourc", ["source", "place"]) == "; did you mean 'source'?"
    assert suggestion("q", ["source"]) == "; known: source"
    assert suggestion("q", []) == ""


def test_what_is_covered_in_pictures():
    camera = {"id": "gate", "source": "x.mp4"}
    config = Config.model_validate({"cameras": [camera]})
    assert (config.privacy.cover, config.privacy.blind_after_s) == ("heads", 1.0)
    assert config.cameras[0].privacy.masks == ()
    assert config.cameras[0].privacy.cover is None


@pytest.mark.parametrize("cover", ["off", False, "none", "faces", None, ""])
def test_pictures_without_redaction_do_not_exist(cover: object):
    with pytest.raises(ValidationError, match="heads"):
        Config.model_validate({"privacy": {"cover": cover}, "cameras": [{"id": "a", "source": "x"}]})
    if cover is not None:
        with pytest.raises(ValidationError, match="heads"):
            CameraConfig.model_validate({"id": "a", "source": "x", "privacy": {"cover": cover}})


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        ([(0, 0), (1.1, 0), (1, 1)], "outside the picture"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "crosses itself"),
        ([(0, 0), (1, 1)], "at least 3"),
        ([(0, 0), (0, 0), (1, 1)], "same point twice"),
    ],
)
def test_masks_that_would_not_cover_what_they_seem_to(mask: list[tuple[float, float]], why: str):
    with pytest.raises(ValidationError, match=why):
        CameraConfig.model_validate({"id": "a", "source": "x", "privacy": {"masks": [mask]}})


@pytest.mark.parametrize("seconds", [0, -1, 2.5, float("nan")])
def test_pictures_that_nobody_looked_at_stay_covered(seconds: float):
    with pytest.raises(ValidationError):
        Config.model_validate(
            {"privacy": {"blind_after_s": seconds}, "cameras": [{"id": "a", "source": "x"}]}
        )

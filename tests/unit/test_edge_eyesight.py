from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config import CameraConfig, ModelConfig, NodeConfig
from edge.envelope import KINDS, fits_measure
from edge.eyesight import EVERY_S, Eyesight
from edge.eyesight_rules import HealthConfig
from edge.offline import Models, analyse
from models.detections import Detections
from tests.support.views import footage, seen, shoved, turned

if TYPE_CHECKING:
    from models.detector import Detector

FAULTS = {f"camera.{name}" for name in ("dark", "covered", "blurred", "frozen")}


def noisy(luma: np.ndarray, k: int, sigma: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(k).normal(0, sigma, luma.shape)
    return np.clip(np.rint(luma + noise), 0, 255).astype(np.uint8)


def usual(k: int) -> np.ndarray:
    return noisy(seen("walk", 40, 0.5 + k % 8), k)


def blurred(k: int, sigma: float = 1.3) -> np.ndarray:
    return noisy(np.asarray(cv2.GaussianBlur(usual(k), (0, 0), sigma)), k, 0.4)


def dark(k: int) -> np.ndarray:
    return noisy(np.asarray(16 + (usual(k).astype(float) - 16) * 0.03), k, 0.5)


def covered(k: int) -> np.ndarray:
    x = np.linspace(0, 1, 320)
    cover = np.tile(75 + 12 * np.sin(20 * x), (180, 1))
    cover[:, 300:] = usual(k)[:, 300:]
    return noisy(cover, k, 0.5)


def clocked(look):
    """With a clock laid over, as cameras and recorders do."""

    def laid_over(k: int) -> np.ndarray:
        luma = np.ascontiguousarray(look(k))
        text = f"2026-03-01 08:0{k // 60 % 10}:{k % 60:02d}"
        cv2.putText(luma, text, (5, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 235, 1, cv2.LINE_AA)
        return luma

    return laid_over


def frozen(k: int) -> np.ndarray:
    return usual(3)


def night(k: int) -> np.ndarray:
    return noisy(40 + (usual(k).astype(float) - 100) * 0.25, k, 4.0)


def lamp_at_night(k: int) -> np.ndarray:
    luma = dark(k)
    luma[30:42, 100:112] = 230
    return luma


def noise_at_night(k: int) -> np.ndarray:
    return noisy(np.full((180, 320), 18.0), k, 5.0)


def lights_out(k: int) -> np.ndarray:
    return noisy(16 + (usual(k).astype(float) - 16) * 0.3, k, 0.7)


def crowded(k: int) -> np.ndarray:
    return noisy(np.roll(seen("crowding", 150, 2.0), 31 * k, axis=1), k)


def shaded(k: int) -> np.ndarray:
    x = np.linspace(0, 1, 320)
    return noisy(usual(k) * np.clip(0.4 + np.abs(((x - 0.1 * k) % 1) - 0.5) * 1.6, 0.4, 1.0), k)


def played(
    eyes: Eyesight, *acts, every_s: float = EVERY_S, start_s: float = 0.0
) -> list[tuple[str, str, float]]:
    """(fault, + or -, time) while each (look, seconds) is shown."""
    told, open_, t = [], set(), start_s
    for look, seconds in acts:
        for k in range(round(seconds / every_s)):
            eyes.look(look(k), t)
            for one in eyes.observations():
                assert one.kind in KINDS
                assert one.zone == "view"
                assert all(fits_measure(name) for name in one.measures)
                if (one.level is not None) != (one.kind in open_):
                    told.append((one.kind[7:], "+" if one.level else "-", t))
                    open_ ^= {one.kind}
            t += every_s
    return told


@pytest.mark.parametrize("every_s", [1.0, 2.0])
@pytest.mark.parametrize(
    ("look", "kind", "most_s"),
    [
        (dark, "dark", 6),
        (covered, "covered", 8),
        (blurred, "blurred", 8),
        (lambda k: blurred(k, 4.0), "blurred", 8),
        (frozen, "frozen", 12),
    ],
)
def test_each_fault_is_told_once_and_ends(look, kind, most_s, every_s):
    eyes = Eyesight(HealthConfig())
    told = played(eyes, (usual, 30), (look, 40), (usual, 20), every_s=every_s)
    assert [(name, sign) for name, sign, _ in told] == [(kind, "+"), (kind, "-")]
    begin_s, end_s = (t for _, _, t in told)
    assert 30 < begin_s <= 30 + most_s + 2 * every_s
    assert 70 < end_s <= 76 + every_s
    assert eyes.blind is None
    assert not eyes.suspicious


@pytest.mark.parametrize(
    "look",
    [
        night,
        lamp_at_night,
        noise_at_night,
        lights_out,
        crowded,
        shaded,
        lambda k: seen(light=12),
    ],
    ids=["night", "lamp", "noise", "lights out", "crowd", "shadows", "other light"],
)
def test_what_is_no_fault_says_nothing(look):
    told = played(Eyesight(HealthConfig()), (usual, 30), (lambda k: noisy(look(k), k), 120), (usual, 60))
    assert told == []


@pytest.mark.parametrize(("look", "kind"), [(dark, "dark"), (covered, "covered"), (frozen, "frozen")])
def test_a_clock_that_goes_on_hides_no_fault(look, kind):
    told = played(Eyesight(HealthConfig()), (clocked(usual), 30), (clocked(look), 30), (clocked(usual), 20))
    assert [(name, sign) for name, sign, _ in told] == [(kind, "+"), (kind, "-")]


def test_a_view_elsewhere_is_neither_covered_nor_blurred():
    there = seen("walk", 40, 2.0, turned(pan=25.0))
    assert played(Eyesight(HealthConfig()), (usual, 30), (lambda k: noisy(there, k), 90), (usual, 30)) == []


def test_dusk_of_minutes_is_no_blackout_but_seconds_are():
    def dusk(seconds: float):
        return lambda k: noisy(16 + (usual(k).astype(float) - 16) * max(0.03, 1 - k / seconds), k, 0.5)

    assert played(Eyesight(HealthConfig()), (usual, 30), (dusk(1800), 2400)) == []
    told = played(Eyesight(HealthConfig()), (usual, 30), (dusk(20), 60))
    assert [(name, sign) for name, sign, _ in told] == [("dark", "+")]


def test_a_moment_is_nothing():
    def flicker(k: int):
        return (usual, dark, covered, blurred, usual, usual)[k % 6](k)

    assert played(Eyesight(HealthConfig()), (usual, 30), (flicker, 60)) == []


def test_while_nothing_is_seen_it_says_why():
    reasons = {}
    for look in (dark, covered, frozen, blurred):
        eyes = Eyesight(HealthConfig())
        played(eyes, (usual, 30), (look, 20))
        reasons[look.__name__] = eyes.blind
    assert reasons == {
        "dark": "the picture is dark",
        "covered": "the camera is covered",
        "frozen": "the picture is frozen",
        "blurred": None,
    }


def test_a_suspicion_wants_more_looks():
    eyes = Eyesight(HealthConfig())
    played(eyes, (usual, 30))
    assert not eyes.suspicious
    eyes.look(covered(0), 30.0)
    assert eyes.suspicious


def test_the_section_s_keys_hold():
    section = HealthConfig.model_validate(
        {"covered": {"enabled": False}, "dark": {"level": 1, "hold_s": 10, "schedule": [{"days": ["mon"]}]}}
    )
    assert played(Eyesight(section), (usual, 30), (covered, 30)) == []
    eyes = Eyesight(section)
    told = played(eyes, (usual, 30), (dark, 30))
    assert told == [("dark", "+", 40.0)]
    assert {one.level for one in eyes.observations() if one.kind == "camera.dark"} == {1}
    sunday = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert "camera.dark" not in {one.kind for one in eyes.observations(sunday)}


def test_with_everything_switched_off_no_look_is_wanted():
    section = HealthConfig.model_validate(
        {name: {"enabled": False} for name in ("dark", "covered", "blurred", "frozen", "moved")}
    )
    assert not Eyesight(section).due(0.0)
    assert section.enabled == ()


def test_looks_are_due_every_second_and_after_a_step_back():
    eyes = Eyesight(HealthConfig())
    assert eyes.due(5.0)
    eyes.look(usual(0), 5.0)
    assert not eyes.due(5.8)
    assert eyes.due(6.0)
    assert eyes.due(4.0)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"dark": {"hold_s": -1}}, "greater than or equal to 0"),
        ({"frozen": {"hold_s": 0}}, "greater than or equal to 2"),
        ({"frozen": {"still_share": 0.2}}, "greater than 0.5"),
        ({"blurred": {"sharpness_ratio": 1}}, "less than 1"),
        ({"covered": {"hidden_share": 1.5}}, "less than or equal to 1"),
        ({"moved": {"view_share": 0}}, "greater than 0.004"),
        ({"smudged": {}}, "not permitted"),
        ({"dark": {"brightness": 3}}, "not permitted"),
        ({"dark": {"level": 5}}, "less than or equal to 4"),
    ],
)
def test_sections_that_cannot_be(section, words):
    with pytest.raises(ValidationError, match=words):
        CameraConfig.model_validate({"id": "gate", "source": "x.mp4", "health": section})


pictures = st.sampled_from(
    [
        np.zeros((180, 320), np.uint8),
        np.full((180, 320), 255, np.uint8),
        np.random.default_rng(1).integers(0, 255, (180, 320)).astype(np.uint8),
        np.zeros((90, 160), np.uint8),
        seen(),
        shoved(seen(), 40.0),
    ]
)


@settings(max_examples=30, deadline=None)
@given(looks=st.lists(st.tuples(pictures, st.floats(-30, 300)), max_size=25))
def test_whatever_is_shown_and_whatever_the_clock_says(looks):
    eyes, t = Eyesight(HealthConfig()), 0.0
    for luma, step_s in looks:
        t += step_s
        eyes.look(luma, t)
        for one in eyes.observations():
            assert one.kind in FAULTS
            assert all(np.isfinite(value) for value in one.measures.values())


@pytest.mark.shared
@pytest.mark.parametrize("name", ["plaza.avi", "car-detection.mp4", "one-by-one-person-detection.mp4"])
def test_real_footage_has_no_fault(name):
    looks = footage(name)
    assert played(Eyesight(HealthConfig()), (lambda k: looks[k % len(looks)], 60)) == []


class Nobody:
    """A detector that finds nothing."""

    name, sha256, class_names = "nobody", "0" * 64, ("person",)

    def detect(self, picture: object, threshold: float = 0.1) -> Detections:
        return Detections.empty()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("dark:gradual", "dark"),
        ("covered:spray", "covered"),
        ("blurred", "blurred"),
        ("moved:tilt", "moved"),
        ("freeze:clock", "frozen"),
    ],
)
def test_a_clip_of_a_camera_that_fails_from_its_packets_to_its_events(fault, kind):
    source = f"sim://platform?scenario=walk&seed=4&size=640x360&fps=5&seconds=62&fault={fault}@26-52"
    camera = CameraConfig.model_validate({"id": "gate", "source": source})
    models = Models(cast("Detector", Nobody()))
    told = [
        (event.kind, event.data.phase, step.pts_s)
        for step in analyse(camera, NodeConfig(), ModelConfig(), models)
        for event in step.events
        if event.data.phase != "update"
    ]
    assert [(name, phase) for name, phase, _ in told] == [
        (f"camera.{kind}", "begin"),
        (f"camera.{kind}", "end"),
    ]
    assert 26 < told[0][2] < 50
    assert 52 < told[1][2] <= 62

"""Each rule at rates that budgets give: down to its floor it sees what happens, below it misses."""

from dataclasses import replace
from functools import cache

import pytest

from benchmarks.events_scenes import THEMES, scene_of
from benchmarks.events_score import Tally, judge
from benchmarks.events_seen import watch
from benchmarks.events_true import looks
from edge.rules import RULES

FLOORS = {rule.name(): rule.FLOOR_FPS for rule in RULES}
SEEDS = {"obstruction": (0,)}
"""Of the scenes; two of the shorter ones."""
RATES = (10.0, 5.0, 2.0, 1.0)


@cache
def played(theme: str, seed: int):
    """A scene and every look at it, ten times a second, by a detector that never errs."""
    scene = scene_of(THEMES[theme], seed, (1280, 720), 10.0, angles=False)
    return scene, tuple(looks(scene.spec, 10.0)), scene.truth


def tally(theme: str, kind: str, fps: float) -> Tally:
    total = Tally()
    for seed in SEEDS.get(theme, (0, 1)):
        scene, seen, truth = played(theme, seed)
        step = round(10 / fps)
        watched = watch(replace(scene, fps=max(fps, 1.0)).camera, seen[::step])
        total.add(judge(f"{theme} {seed}", truth, watched).get(kind, Tally()))
    return total


WATCHED = [("intrusion", "hazard.intrusion"), ("line", "hazard.line"), ("wrongway", "hazard.wrongway"),
           ("forbidden", "hazard.forbidden_object"), ("obstruction", "hazard.obstruction")]  # fmt: skip


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(("theme", "kind"), WATCHED)
def test_a_rule_sees_what_happens_down_to_its_floor(theme, kind, fps):
    found = tally(theme, kind, fps)
    assert found.events >= 1
    if fps >= FLOORS[kind]:
        assert found.found >= 0.9 * found.events, found.wrong
        assert found.right >= 0.9 * found.alarms, found.wrong


@pytest.mark.parametrize(("theme", "kind"), [("intrusion", "hazard.intrusion"), ("line", "hazard.line")])
def test_below_its_floor_a_rule_misses(theme, kind):
    floor = tally(theme, kind, FLOORS[kind])
    below = tally(theme, kind, FLOORS[kind] / 4)
    assert below.found / below.events < floor.found / floor.events

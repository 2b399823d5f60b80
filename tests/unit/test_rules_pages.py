import re
from pathlib import Path

import pytest
import yaml

from edge.config import CameraConfig
from edge.rules import RULES
from tests.support.afoot import survey

PAGES = Path(__file__).parents[2] / "docs" / "rules"
SHARED = {"kind", "zone", "line", "floor_fps", "schedule", "cooldown_s", "strictest"}
SQUARE = [[0.2, 0.5], [0.8, 0.5], [0.8, 0.9], [0.2, 0.9]]


def page(kind: str) -> str:
    return (PAGES / f"{kind.replace('.', '-')}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name())
def test_every_rule_has_a_page_with_its_keys_and_its_floor(rule):
    text = page(rule.name())
    for heading in ("## Floor", "## Parameters", "## Measured", "## Where it fails"):
        assert heading in text
    for key in rule.model_fields.keys() - SHARED:
        assert f"| `{key}` |" in text, f"the page of {rule.name()} does not name {key}"
    assert f"**{rule.FLOOR_FPS:g} pictures a second**" in text
    assert f"[`{rule.name()}`]" in (PAGES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name())
def test_what_a_page_shows_can_be_configured(rule):
    (example,) = re.findall(r"```yaml\n(.*?)```", page(rule.name()), re.DOTALL)
    rules = yaml.safe_load(example)["rules"]
    zones = [{"id": one["zone"], "polygon": SQUARE} for one in rules if "zone" in one]
    lines = [{"id": one["line"], "points": [[0, 0.5], [1, 0.5]]} for one in rules if "line" in one]
    given = {"id": "gate", "source": "x.mp4", "ground": survey(), "zones": zones, "lines": lines}
    (made,) = CameraConfig.model_validate({**given, "rules": rules}).rules
    assert made.kind == rule.name()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name())
def test_every_key_says_what_it_is(rule):
    for key, field in rule.model_fields.items():
        if key not in {"kind", "zone", "line"}:
            assert field.description, f"{rule.name()}.{key} has no description"

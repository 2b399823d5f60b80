"""A report in a real browser, where there is one: both languages, nothing fetched, nothing overlapping."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.report import page
from tests.support.browser import Page, browse, find_chromium
from tests.support.report import PLAZA, about, camera, gathered

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

OVERLAPS = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')]
    .map(text => ({text: text.textContent, box: text.getBoundingClientRect()}))
    .filter(({box}) => box.width > 0);
  const frame = svg.getBoundingClientRect();
  const clash = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  const found = boxes.filter(({box}) => box.left < frame.left - 1 || box.right > frame.right + 1)
    .map(({text}) => 'leaves the sheet: ' + text);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
    if (clash(a.box, b.box)) found.push(a.text + ' / ' + b.text);
  }));
  return found;
})
"""


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Page]:
    assert CHROMIUM is not None
    with browse(CHROMIUM, tmp_path / "profile") as opened:
        yield opened


@pytest.mark.parametrize("zones", [0, 12])
def test_a_report_is_readable_in_both_languages(tab: Page, tmp_path: Path, zones: int) -> None:
    rules = [] if zones else [{"kind": "crowd.density", "zone": PLAZA.crowd.id}]
    config = camera(rules=rules, zones=zones)
    path = tmp_path / "report.html"
    page.save(path, page.build(gathered(config), about(config)))
    tab.open(path.as_uri())
    tab.wait("document.querySelectorAll('svg').length > 2")
    for language, other, title in (("en", "zh", "Density on the ground"), ("zh", "en", "地面密度分布")):
        tab.ask(f"document.querySelector('[for=pick-{language}]').click()")
        shown = (
            f"[...document.querySelectorAll('.{language}')].every(e => getComputedStyle(e).display != 'none')"
        )
        hidden = (
            f"[...document.querySelectorAll('.{other}')].every(e => getComputedStyle(e).display == 'none')"
        )
        tab.wait(f"{shown} && {hidden}")
        assert title in tab.ask("document.body.innerText")
        assert tab.ask(OVERLAPS) == []
    assert tab.ask("performance.getEntriesByType('resource').length") == 0
    assert tab.faults == []

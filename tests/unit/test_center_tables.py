"""Regions by their codes, the tables of triage, and where cases go."""

from dataclasses import replace
from pathlib import Path

import pytest

from api.center.lifecycle import STAGES, State
from api.center.model import MergeOptions, Region, RegionTree, Urgency
from api.center.tables import CASE_KINDS, Depth
from api.center.triage import load_triage, route
from edge.errors import ConfigError
from tests.support.center import COMMUNITY, DISTRICT, GRID, REGIONS, STREET, TRIAGE

OWN = Path(__file__).parents[2] / "api" / "center" / "data" / "triage.yaml"


def test_a_region_says_its_depth_by_its_code() -> None:
    assert [region.depth for region in REGIONS.regions] == ["district", "street", "community", "grid"]
    for wrong in ("", "36010", "3601030010", "36010x", "٣٦٠١٠٣"):
        with pytest.raises(ValueError, match="6, 9, 12 or 15 digits"):
            Region(wrong, "x")


def test_a_place_lies_in_the_nearest_region_that_exists() -> None:
    sparse = RegionTree((Region(DISTRICT, "d"), Region(COMMUNITY, "c")))
    found = {depth: sparse.nearest(GRID, depth) for depth in ("district", "street", "community", "grid")}
    codes = {depth: region.code if region else None for depth, region in found.items()}
    assert codes == {"district": DISTRICT, "street": DISTRICT, "community": COMMUNITY, "grid": COMMUNITY}
    assert sparse.nearest("110101001001001") is None
    above = [region.code if (region := REGIONS.above(code)) else None for code in (GRID, STREET, DISTRICT)]
    assert above == [COMMUNITY, DISTRICT, None]
    assert sparse.above(COMMUNITY) == Region(DISTRICT, "d")
    assert REGIONS.find(STREET) == REGIONS.regions[1]
    assert REGIONS.find("3601") is None
    with pytest.raises(ValueError, match="twice"):
        RegionTree((Region(DISTRICT, "a"), Region(DISTRICT, "b")))


@pytest.mark.parametrize(
    ("level", "region", "told"),
    [
        (1, STREET, (DISTRICT, STREET)),
        (2, STREET, (STREET,)),
        (3, COMMUNITY, (COMMUNITY,)),
        (4, GRID, (GRID,)),
    ],
)
def test_severity_decides_who_is_told(level: int, region: str, told: tuple[str, ...]) -> None:
    assert route(TRIAGE, REGIONS, level, GRID) == (region, told)


def test_a_place_without_a_grid_is_the_districts() -> None:
    for level in (1, 2, 3, 4):
        assert route(TRIAGE, REGIONS, level, DISTRICT) == (DISTRICT, (DISTRICT,))
        assert route(TRIAGE, RegionTree(), level, GRID) == (DISTRICT, (DISTRICT,))


def test_the_tables_that_ship_are_whole() -> None:
    assert set(TRIAGE.kinds) == set(CASE_KINDS)
    for duty in TRIAGE.kinds.values():
        assert {duty.category, duty.department} <= set(TRIAGE.names)
    for stage in STAGES:
        deadlines = [TRIAGE.deadline_ms(level, stage) for level in (1, 2, 3, 4)]
        assert deadlines == sorted(deadlines)
        assert TRIAGE.deadline_ms(1, stage, "surge") < TRIAGE.deadline_ms(1, stage)
    totals = [sum(TRIAGE.deadline_ms(level, stage) for stage in STAGES) / 3_600_000 for level in (1, 2, 3, 4)]
    assert totals[0] == 2
    assert totals[2] <= 24
    assert totals[3] <= 72


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = OWN.read_text("utf-8")
    assert old in text
    path = tmp_path / "triage.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


def test_a_file_of_ones_own_replaces_them(tmp_path: Path) -> None:
    own = load_triage(edited(tmp_path, "surge: 0.5", "surge: 0.25"))
    assert own.profiles == {"usual": 1.0, "surge": 0.25}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "crowd.flow: {category: crowd_safety",
            "crowd.flow: {category: nonsense",
            "kinds.*not listed in categories",
        ),
        ("crowd.flow:", "crowd.flaw:", "kinds lacks crowd.flow"),
        (
            "  motion.unusual:",
            "  node.gap: {category: equipment, department: health}\n  motion.unusual:",
            "node.gap",
        ),
        ("told: [street]", "told: [city]", "told"),
        ("told: [street]", "told: [street, street]", "each once"),
        ("REPORTED: 2,", "REPORTED: 0,", "REPORTED"),
        ("REPORTED: 2, ", "", "must name each of REPORTED"),
        ('"4":', '"5":', "levels must be 1, 2, 3 and 4"),
        ("surge: 0.5", "war: 0.5", "profiles must be usual and surge"),
        ("animal: 动物", "animal: 1", "causes"),
        ("animal: 动物", "animal: 动物\n  animal: 动物", "given twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, error: str) -> None:
    with pytest.raises(ConfigError, match=rf"triage\.yaml.*{error}"):
        load_triage(edited(tmp_path, old, new))


def test_tables_made_in_code_are_checked_too() -> None:
    minutes = dict.fromkeys(STAGES, 1.0)
    told: tuple[Depth, ...] = ("grid", "district")
    assert Urgency(told, minutes).told == ("district", "grid")
    for wrong in (dict.fromkeys(STAGES, 0.0), {State.REPORTED: 1.0}):
        with pytest.raises(ValueError, match="deadline"):
            Urgency(told, wrong)
    for change, error in (
        ({"causes": {}}, "causes must name"),
        ({"causes": {"Not a code": "x"}}, "a code is lower-case"),
        ({"levels": {1: TRIAGE.levels[1]}}, "levels must be"),
    ):
        with pytest.raises(ValueError, match=error):
            replace(TRIAGE, **change)


def test_neighbours_know_each_other() -> None:
    options = MergeOptions(neighbours=(("n/a", "n/b"), ("n/b", "m/c")))
    assert options.beside("n/b") == {"n/a", "m/c"}
    assert options.beside("n/a") == {"n/b"}
    assert options.beside("x/y") == frozenset()
    for wrong in ({"window_s": -1}, {"radius_m": 20_000}, {"neighbours": (("a", "b"),)}):
        with pytest.raises(ValueError, match=r"window_s|radius_m|node/camera"):
            MergeOptions(**wrong)  # type: ignore[arg-type]

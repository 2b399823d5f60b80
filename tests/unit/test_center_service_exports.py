"""Exports: nothing of them runs in a spreadsheet, no code is made up."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.center.exports import (
    COLUMNS,
    FIELDS,
    FORMULA,
    cell,
    csv_lines,
    every,
    gbt31000_lines,
    load_gbt31000,
)
from api.center.model import Case, CaseQuery, Place, Region, RegionTree, Standing, State
from api.center.tables import CASE_KINDS
from api.center.triage import load_triage
from edge.errors import ConfigError

UTC_0 = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
REGIONS = RegionTree((Region("360103001", "=北站街道"),))
EVIL = "=cmd|' /C calc'!A1"


def make(id_: int, **more) -> Case:
    base = Case(
        id=id_,
        version=1,
        standing=Standing(),
        kind="crowd.density",
        category="crowd_safety",
        department="emergency_management",
        level=2,
        region="360103001",
        told=("360103001",),
        place=Place('北门, "广场"\n1', "360103001001001", 115.9, -28.68),
        opened=UTC_0,
        first=UTC_0,
        last=UTC_0,
        due=None,
        late=False,
        missed=0,
        calm=True,
        incidents=1,
        event_count=3,
    )
    return replace(base, **more)


class Shelf:
    def __init__(self, cases: list[Case]) -> None:
        self.all = cases
        self.asked: list[CaseQuery] = []

    def cases(self, query: CaseQuery) -> list[Case]:
        self.asked.append(query)
        return [c for c in self.all if query.before is None or c.id < query.before][: query.limit]


def read(lines: list[bytes]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(lines).decode("utf-8-sig"))))


def test_csv() -> None:
    cases = [make(2, place=Place(EVIL, "360103", None, None)), make(1, verdict=False, cause="weather")]
    head, first, second = (
        dict(zip(COLUMNS, row, strict=True)) for row in read(list(csv_lines(cases, REGIONS)))
    )
    assert tuple(head.values()) == COLUMNS
    assert first["place"] == "'" + EVIL
    assert first["region_name"] == "'=北站街道"
    assert (second["place"], second["latitude"]) == ('北门, "广场"\n1', "-28.68")
    assert (second["verdict"], second["cause"], second["due"]) == ("false", "weather", "")
    assert second["opened"] == "2026-11-22T18:30:00.000Z"


@given(st.text())
def test_no_text_becomes_a_formula(text: str) -> None:
    shown = cell(text)
    assert not shown.lstrip(" \u3000").startswith(FORMULA)
    row = read([_line(shown)])
    assert row == [[shown]] or "\r" in shown


def _line(text: str) -> bytes:
    from api.center.exports import _line as line

    return line([text]).replace(b"\xef\xbb\xbf", b"")


def test_pages_are_walked_to_the_end() -> None:
    shelf = Shelf([make(id_) for id_ in range(1201, 0, -1)])
    assert [case.id for case in every(shelf, CaseQuery(kind="crowd"))] == list(range(1201, 0, -1))
    assert [query.before for query in shelf.asked] == [None, 702, 202]
    assert {query.kind for query in shelf.asked} == {"crowd"}


def test_records() -> None:
    cases = [make(42), make(41, standing=Standing(State.REJECTED), cause="animal", kind="hazard.fire")]
    tables = load_gbt31000()
    found = json.loads(b"".join(gbt31000_lines(cases, tables, load_triage(), UTC_0)))
    first, second = found["records"]
    assert first == {
        "案(事)件编号": "360103-000000000042",
        "案(事)件名称": '北门, "广场"\n1 人群密度过高',
        "发生日期": "20261123",  # by China's clocks it is the next day
        "发生地": "360103",
        "发生地详址": '北门, "广场"\n1',
        "案(事)件分级": "重大",
        "案(事)件类型": "人群密度过高",
        "案(事)件情况": "状态 REPORTED；涉及事件 3 条；处置部门 应急管理",
        "事件规模": None,
    }
    assert "误报原因 动物" in second["案(事)件情况"]
    assert found["code_tables"]["案(事)件分级"]["1"] == {"code": None, "name": "特别重大"}
    assert json.loads(b"".join(gbt31000_lines([], tables, load_triage())))["records"] == []


def test_codes_come_from_the_table(tmp_path: Path) -> None:
    tables = load_gbt31000()
    text = json.dumps(
        {**tables.model_dump(), "grade": {"2": {"code": "02", "name": "重大"}}}, ensure_ascii=False
    )
    path = tmp_path / "codes.yaml"
    path.write_text(text, "utf-8")
    mine = load_gbt31000(path)
    found = json.loads(b"".join(gbt31000_lines([make(1), replace(make(2), level=1)], mine, load_triage())))
    assert [record["案(事)件分级"] for record in found["records"]] == ["02", "1"]


def test_the_tables_that_ship_know_every_kind_and_make_no_code_up() -> None:
    tables = load_gbt31000()
    assert set(tables.type) == set(CASE_KINDS)
    assert set(tables.grade) == {"1", "2", "3", "4"}
    assert set(tables.fields) == set(FIELDS)
    assert {term.code for term in (*tables.type.values(), *tables.grade.values())} == {None}


@pytest.mark.parametrize(
    "text", ["{}", "standard: x\nfields: {}\ngrade: {}\ntype: {}", "a: [1", "standard: 1"]
)
def test_wrong_tables_are_told_with_their_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "codes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"codes\.yaml:[12]:"):
        load_gbt31000(path)

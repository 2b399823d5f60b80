import re
import textwrap
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.errors import ConfigError, Problem
from edge.load import load_config
from edge.opening import address, evidence_address
from edge.rules import RULES
from edge.yaml_tree import MAX_BYTES, MAX_NODES

EXAMPLE = Path(__file__).parents[2] / "deploy" / "sharpeyes.example.yaml"
KINDS = [rule.name() for rule in RULES]
GOOD = """\
cameras:
  - id: gate
    source: rtsp://192.0.2.1/main
"""


@pytest.fixture
def file(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "node.yaml"
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return path

    return write


def problems(path: Path) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    for problem in caught.value.problems:
        assert problem.file == str(path)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [(p.line, p.key, p.text) for p in caught.value.problems]


def only(path: Path) -> tuple[int | None, str, str]:
    (problem,) = problems(path)
    return problem


def test_the_smallest_file(file, tmp_path):
    config = load_config(file(GOOD))
    assert config.cameras[0].id == "gate"
    assert config.node.data_dir == tmp_path / "data"


def test_the_example_loads_and_shows_every_key(file):
    load_config(EXAMPLE)
    shown = EXAMPLE.read_text()
    # What needs a model that does not ship stands there as a comment.
    whole = file(
        re.sub(r"(?m)^      # (- kind: hazard\.fire|  \w+: )", r"      \1", shown).replace(
            "fire: null", "fire: flames"
        )
    )
    config = load_config(whole)

    def keys(model) -> set[str]:
        names = set(type(model).model_fields)
        for value in (getattr(model, name) for name in type(model).model_fields):
            for item in value if isinstance(value, tuple) else (value,):
                if hasattr(type(item), "model_fields"):
                    names |= keys(item)
        return names

    assert {key for key in keys(config) if f"{key}:" not in shown} == set()
    assert {rule.kind for rule in config.cameras[0].rules} == set(KINDS)


def test_the_example_s_values_are_the_defaults_it_says_they_are():
    config, default = (
        load_config(EXAMPLE),
        Config.model_validate({"cameras": [{"id": "gate-2", "source": "x"}]}),
    )
    for section in ("redis", "outbox", "surge", "http", "tls", "access", "model"):
        assert getattr(config, section) == getattr(default, section)
    plain = {"transport", "open_timeout_s", "read_timeout_s", "offline_after_s", "analysed_fps", "max_age_s"}
    camera, other = config.cameras[0], default.cameras[0]
    assert camera.model_dump(include=plain) == other.model_dump(include=plain)
    for rule in camera.rules:
        required = {name for name, field in type(rule).model_fields.items() if field.is_required()}
        given = rule.model_dump(exclude={"zone", "line", "kind", *required})
        fresh = {name: field.default for name, field in type(rule).model_fields.items() if name in given}
        assert given == fresh


def test_all_problems_at_once_in_the_file_s_order(file):
    path = file("""\
        node:
          id: Bad Name
          district: 360103
        http: {port: "80", prt: 5}
        outbox:
        cameras:
          - id: gate
            source: rtsp://h/x
            analysed_fps: fast
            zones:
              - id: a
                polygon: [[0, 0], [1, 1]]
              - {id: b, polygon: [[0, 0], [1, 1], [1, 0]], wakable_m2: 3}
            rules:
              - kind: hazard.intrusio
                zone: a
              - {kind: hazard.intrusion, zone: a, levl: 2, classes: person}
              - zone: a
              - {kind: crowd.density, zone: a, blue_per_m2: 9}
            analysed_fps: 2
            place: {longitude: .nan, latitude: 95, name: 5}
          - 5
          - source: x
        """)
    section = "must be a section with keys of its own, or be left out"
    assert problems(path) == [
        (
            2,
            "node.id",
            "must be 1 to 63 lower-case letters, digits, '.', '_' or '-', and begin with a letter or digit",
        ),
        (3, "node.district", "must be text: put it in quotes"),
        (4, "http.port", "must be a whole number"),
        (4, "http.prt", "unknown key; did you mean 'port'?"),
        (5, "outbox", section),
        (12, "cameras[0].zones[0].polygon", "must have at least 3 entries, has 2"),
        (13, "cameras[0].zones[1].wakable_m2", "unknown key; did you mean 'walkable_m2'?"),
        (
            15,
            "cameras[0].rules[0]",
            "there is no rule of kind 'hazard.intrusio'; did you mean 'hazard.intrusion'?",
        ),
        (17, "cameras[0].rules[1].classes", "must be a list"),
        (17, "cameras[0].rules[1].levl", "unknown key; did you mean 'level'?"),
        (18, "cameras[0].rules[2]", f"needs a `kind`; known: {', '.join(KINDS)}"),
        (19, "cameras[0].rules[3]", "thresholds must rise from blue to red"),
        (20, "cameras[0].analysed_fps", "is given twice, first in line 9"),
        (21, "cameras[0].place.latitude", "must be at most 90"),
        (21, "cameras[0].place.longitude", "must be a finite number"),
        (21, "cameras[0].place.name", "must be text: put it in quotes"),
        (22, "cameras[1]", section),
        (23, "cameras[2].id", "is missing"),
    ]


def test_what_types_cannot_say_is_told_with_its_line(file):
    path = file("""\
        redis:
          url: redi://localhost
        cameras:
          - id: gate
            source: ftp://h/x
            zones:
              - id: a
                polygon:
                  - [0, 0]
                  - [1, 1.5]
                  - [1, 0]
          - id: hall
            source: clip.mp4
            zones: [{id: a, polygon: [[0, 0], [1, 1], [1, 0]]}]
            rules:
              - kind: crowd.density
                zone: a
        """)
    found = problems(path)
    assert [(line, key) for line, key, _ in found] == [
        (2, "redis.url"),
        (5, "cameras[0].source"),
        (10, "cameras[0].zones[0].polygon[1]"),
        (17, "cameras[1].rules[0].zone"),
    ]
    assert "did you mean redis://" in found[0][2]


def test_what_does_not_fit_together_is_told_one_by_one(file):
    path = file("""\
        cameras:
          - id: gate
            source: clip.mp4
            rules:
              - {kind: hazard.intrusion, zone: a}
              - {kind: hazard.line, line: b}
        """)
    assert [(line, key) for line, key, _ in problems(path)] == [
        (5, "cameras[0].rules[0].zone"),
        (6, "cameras[0].rules[1].line"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"", None, "is empty"),
        (b"# nothing but a comment\n", None, "is empty"),
        (b"cameras:\n  - id: \xff\xfe\n", 2, "not UTF-8"),
        ("cameras: []\n".encode("utf-16"), 1, "not UTF-8"),
        (b"a: 1\nb: [1, 2\nc: 3\n", 3, "not valid YAML"),
        (b"a: 1\n\tb: 2\n", 2, "not valid YAML"),
        (b"a: \x07\n", None, "not valid YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "not valid YAML"),
        (b"[" * 5000, None, "nested deeper"),
        (b"a: " + b"[" * 30 + b"]" * 30, 1, "nested deeper"),
        (b"a: &a [*a]\n", 1, "nested deeper"),
        (b"a: &a {<<: *a}\n", None, "nested deeper"),
        (b"x" * (MAX_BYTES + 1), None, "larger than 1 MiB"),
    ],
)
def test_files_that_are_no_configuration(file, text, line, words):
    found, key, told = only(file(text))
    assert (found, key) == (line, "")
    assert words in told


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("- 1\n", 1, "", "section"),
        ("cameras: !!python/object:os.system []\n", 1, "cameras", "tag"),
        ("cameras: !secret x\n", 1, "cameras", "cannot be read"),
        ("cameras: !!int x\n", 1, "cameras", "cannot be read"),
        ("1: x\n" + GOOD, 1, "", "must be text"),
        ("<<: 5\n" + GOOD, 1, "", "takes a mapping"),
        ("http: {port: yes}\n" + GOOD, 1, "http.port", "whole number"),
        ("http: {port: 80.5}\n" + GOOD, 1, "http.port", "whole number"),
        ("http: {port: 99999}\n" + GOOD, 1, "http.port", "at most 65535"),
        ("node: {heartbeat_s: .inf}\n" + GOOD, 1, "node.heartbeat_s", "finite"),
        ("node: {district: '12'}\n" + GOOD, 1, "node.district", "6 digits"),
        ("node: {id: }\n" + GOOD, 1, "node.id", "is empty"),
        ("node: {id: [a]}\n" + GOOD, 1, "node.id", "must be text"),
        ("node: {data_dir: 5}\n" + GOOD, 1, "node.data_dir", "quotes"),
        ("node: {id: '${env:X}'}\n" + GOOD, 1, "node.id", "for secrets"),
        ("cameras: []\n", 1, "cameras", "at least 1"),
        ("redis: {url: 'redis://'}\n" + GOOD, 1, "redis.url", "names no host"),
        ("redis: {url: 'redis://h:99999'}\n" + GOOD, 1, "redis.url", "malformed"),
        ("redis: {url: 'unix://'}\n" + GOOD, 1, "redis.url", "names no socket"),
        ("redis: {url: 'x'}\n" + GOOD, 1, "redis.url", "must begin with"),
        ("redis: {url: 'redis+sentinel://h1,h2'}\n" + GOOD, 1, "redis.url", "names no service"),
        ("redis: {url: 'redis+cluster://h1,h2/3'}\n" + GOOD, 1, "redis.url", "names a database"),
        (GOOD + "    transport: tpc\n", 4, "cameras[0].transport", "'tcp' or 'udp'"),
        (
            GOOD + "    ground: [{image: [0.1], ground: [0, 0, 0]}]\n",
            4,
            "cameras[0].ground[0].ground",
            "at most 2",
        ),
    ],
)
def test_single_mistakes(file, text, line, key, words):
    found = problems(file(text))
    assert any((found_line, k) == (line, key) and words in told for found_line, k, told in found), found


def test_yaml_bombs_are_refused_cheaply(file):
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    path = file("a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + levels)
    tracemalloc.start()
    try:
        assert f"more than {MAX_NODES} values" in only(path)[2]
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_a_merge_lends_what_is_not_given(file):
    path = file("""\
        cameras:
          - &base
            id: gate
            source: clip.mp4
            analysed_fps: 2
          - <<: *base
            id: hall
          - <<: [{analysed_fps: 3}, *base]
            id: yard
            source: ftp://x/y
        """)
    assert [(line, key) for line, key, _ in problems(path)] == [(10, "cameras[2].source")]
    good = file(path.read_text().replace("ftp", "http"))
    assert [(c.id, c.analysed_fps) for c in load_config(good).cameras] == [
        ("gate", 2),
        ("hall", 2),
        ("yard", 3),
    ]


def test_files_that_cannot_be_read(tmp_path):
    assert only(tmp_path / "none.yaml")[2] == "there is no such file"
    assert "folder" in only(tmp_path)[2]
    odd = tmp_path / "a.yaml"
    odd.symlink_to(odd)
    assert "cannot be read" in only(odd)[2]


def test_dates_and_the_like_are_taken_as_they_are_written(file):
    config = load_config(file(GOOD + "    place: {name: 2026-11-22}\n"))
    assert config.cameras[0].place.name == "2026-11-22"


def test_a_byte_order_mark_is_no_mistake(file):
    assert load_config(file(b"\xef\xbb\xbf" + GOOD.encode())).cameras[0].id == "gate"


def test_relative_paths_start_from_the_file(file, tmp_path):
    config = load_config(
        file("""\
            node: {data_dir: ../state}
            model: {detector: models/mine.toml}
            cameras:
              - {id: a, source: clips/one.mp4}
              - {id: b, source: /clips/two.mp4}
              - {id: c, source: "file:///clips/three.mp4"}
              - {id: d, source: "sim://plaza?seed=3"}
            """)
    )
    assert config.node.data_dir == tmp_path / "../state"
    assert config.model.detector == str(tmp_path / "models/mine.toml")
    sources = [camera.source.main.get_secret_value() for camera in config.cameras]
    assert sources == [
        str(tmp_path / "clips/one.mp4"),
        "/clips/two.mp4",
        "/clips/three.mp4",
        "sim://plaza?seed=3",
    ]


def test_two_streams_of_one_camera(file, tmp_path, monkeypatch):
    monkeypatch.setenv("GATE", "p@ss")
    config = load_config(
        file("""\
            node: {hardware_decode: off}
            cameras:
              - id: gate
                source:
                  main: rtsp://viewer:${env:GATE}@192.0.2.1/101
                  sub: rtsp://viewer:${env:GATE}@192.0.2.1/102
              - {id: hall, source: {main: large.mp4, sub: /clips/small.mp4}}
              - {id: yard, source: {main: large.mp4}}
            """)
    )
    gate, hall, yard = config.cameras
    assert address(gate).full == "rtsp://viewer:p%40ss@192.0.2.1/102"
    assert evidence_address(gate).full == "rtsp://viewer:p%40ss@192.0.2.1/101"
    assert (str(address(gate)), str(evidence_address(gate))) == (
        "rtsp://***@192.0.2.1/102",
        "rtsp://***@192.0.2.1/101",
    )
    assert "p%40ss" not in f"{config!r}"
    assert (address(hall).full, evidence_address(hall).full) == (
        "/clips/small.mp4",
        str(tmp_path / "large.mp4"),
    )
    assert address(yard) == evidence_address(yard)
    assert address(yard).full == str(tmp_path / "large.mp4")


def test_a_source_that_is_no_two_streams_is_told_by_line_and_key(file):
    path = file("""\
        cameras:
          - id: a
            source:
              sub: rtsp://u:hush@h/2
          - id: b
            source: {}
          - id: c
            source:
          - id: d
            source:
              mian: rtsp://u:hush@h/1
              sub: rtsp://u:hush@h/2
              extra: 1
          - id: e
            source:
              main:
              sub: [rtsp://u:hush@h/2]
          - id: f
            source: 5
          - id: g
            source: {main: 5}
        """)
    wanted = "an address, or `main`, the large picture, and `sub` to analyse"
    assert problems(path) == [
        (3, "cameras[0].source.main", "is missing: name the large picture that `sub` belongs to"),
        (6, "cameras[1].source", f"is empty: {wanted}"),
        (8, "cameras[2].source", f"is empty: {wanted}"),
        (10, "cameras[3].source.main", "is missing"),
        (11, "cameras[3].source.mian", "unknown key; did you mean 'main'?"),
        (13, "cameras[3].source.extra", "unknown key; known: main, sub"),
        (16, "cameras[4].source.main", "is empty"),
        (17, "cameras[4].source.sub", "must be text"),
        (19, "cameras[5].source", f"must be text or a section: {wanted}"),
        (21, "cameras[6].source.main", "must be text: put it in quotes"),
    ]


def test_a_word_that_is_no_stream_is_told(file):
    path = file("""\
        cameras:
          - id: a
            source:
              main: rtsp://h/1
              subb: rtsp://u:hush@h/2
          - id: b
            source: {main: "ftp://u:hush@h/1", sub: "rtsp:///x"}
        """)
    assert only(path) == (5, "cameras[0].source.subb", "unknown key; did you mean 'sub'?")
    path = file(path.read_text().replace("subb", "sub"))
    found = problems(path)
    assert [(line, key) for line, key, _ in found] == [
        (7, "cameras[1].source.main"),
        (7, "cameras[1].source.sub"),
    ]
    assert "hush" not in str(found)


def test_a_secret_of_a_stream_that_cannot_be_had(file):
    path = file("""\
        cameras:
          - id: a
            source:
              main: rtsp://h/1
              sub: rtsp://u:${env:SHARPEYES_NOT_SET}@h/2
              third: ${env:SHARPEYES_NOT_SET}
        """)
    assert [(line, key) for line, key, _ in problems(path)] == [
        (5, "cameras[0].source.sub"),
        (6, "cameras[0].source.third"),
    ]


def test_a_device_that_nobody_knows(file):
    line, key, text = only(file("node: {hardware_decode: cida}\n" + GOOD))
    assert (line, key) == (1, "node.hardware_decode")
    assert "'auto', 'off', 'cuda'" in text


class TestSecrets:
    def test_they_come_from_the_environment_and_from_files(self, file, tmp_path, monkeypatch):
        monkeypatch.setenv("GATE_USER", "viewer")
        monkeypatch.setenv("REDIS_URL", "rediss://:p%40ss@centre:6379/0")
        (tmp_path / "gate.password").write_text("p@ss/w:rd#1\n")
        config = load_config(
            file("""\
                redis: {url: "${env:REDIS_URL}"}
                cameras:
                  - {id: gate, source: "rtsp://${env:GATE_USER}:${file:gate.password}@192.0.2.1/main"}
                """)
        )
        assert config.redis.url.get_secret_value() == "rediss://:p%40ss@centre:6379/0"
        source = config.cameras[0].source.main.get_secret_value()
        assert source == "rtsp://viewer:p%40ss%2Fw%3Ard%231@192.0.2.1/main"

    def test_a_group_s_url_takes_one(self, file, monkeypatch):
        monkeypatch.setenv("HUSH", "p@ss/w")
        url = "redis+sentinel://node-1:${env:HUSH}@h1:26379,h2:26379/district"
        config = load_config(file(f"redis: {{url: '{url}'}}\n" + GOOD))
        resolved = config.redis.url.get_secret_value()
        assert resolved == "redis+sentinel://node-1:p%40ss%2Fw@h1:26379,h2:26379/district"

    def test_after_the_host_they_are_taken_as_they_are(self, file, monkeypatch):
        monkeypatch.setenv("HOST", "192.0.2.7:554")
        monkeypatch.setenv("QUERY", "a=1&b=2")
        config = load_config(file("cameras: [{id: a, source: 'rtsp://u:p@${env:HOST}/x?${env:QUERY}'}]"))
        assert config.cameras[0].source.main.get_secret_value() == "rtsp://u:p@192.0.2.7:554/x?a=1&b=2"

    @pytest.mark.parametrize(
        ("reference", "words"),
        [
            ("${env:SHARPEYES_NOT_SET}", "SHARPEYES_NOT_SET is not set"),
            ("${file:none.txt}", "none.txt cannot be read: No such file"),
            ("${file:empty.txt}", "empty.txt is empty"),
            ("${file:binary.txt}", "binary.txt is not UTF-8"),
            ("${vault:x}", "is written `${env:NAME}`"),
            ("${env:", "is written `${env:NAME}`"),
        ],
    )
    @pytest.mark.parametrize("where", ["redis.url", "cameras[0].source"])
    def test_a_missing_one_is_told_by_key(self, file, tmp_path, reference, words, where):
        (tmp_path / "empty.txt").write_text("\n")
        (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xff")
        source, url = ("x.mp4", reference) if where == "redis.url" else (reference, "redis://h")
        line, key, text = only(file(f"redis: {{url: '{url}'}}\ncameras: [{{id: a, source: '{source}'}}]\n"))
        assert (line, key) == (1 if where == "redis.url" else 2, where)
        assert words in text

    def test_no_error_holds_one(self, file, monkeypatch):
        monkeypatch.setenv("HUSH", "tell-nobody")
        path = file("""\
            redis: {url: "redsi://:${env:HUSH}@h", max_entries: no}
            cameras:
              - {id: a, source: "ftp://u:${env:HUSH}@h/x", sorce: "rtsp://u:also-hidden@h"}
              - {id: b, source: ["rtsp://u:also-hidden@h"], transport: "also-hidden"}
              - "rtsp://u:also-hidden@h"
            """)
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert "tell-nobody" not in str(caught.value)
        assert "also-hidden" not in str(caught.value)
        path = file("""\
            redis: {url: "redsi://:${env:HUSH}@h"}
            cameras:
              - {id: a, source: "ftp://u:${env:HUSH}@h/x"}
              - {id: b, source: "rtsp://u:also-hidden@h:port/x"}
            """)
        found = problems(path)
        assert [key for _, key, _ in found] == ["redis.url", "cameras[0].source", "cameras[1].source"]
        assert not any("tell-nobody" in text or "also-hidden" in text for _, _, text in found)

    def test_a_syntax_error_quotes_no_line(self, file):
        _, _, text = only(file("cameras:\n  - source: 'rtsp://u:also-hidden@h\n    id: [\n"))
        assert "also-hidden" not in text


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "kind", "zones", "rules", "polygon", "ground", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["node", "redis", "http", "model", "outbox", "cameras", "camras"]), junk, max_size=4
    )
)
def test_junk_gives_problems_with_lines_and_never_another_error(file, data):
    import yaml

    path = file(yaml.safe_dump(data, allow_unicode=True))
    for line, _, text in problems(path):
        assert line is None or line >= 1
        assert text


def test_problems_read_like_a_compiler_s():
    assert str(Problem("a.yaml", 3, "node.id", "is missing")) == "a.yaml:3: node.id: is missing"
    assert str(Problem("a.yaml", None, "", "is empty")) == "a.yaml: is empty"

"""The centre's configuration: every error with file, line, key and cure."""

import re
from pathlib import Path

import pytest
import yaml

from api.center.config import CenterConfig, load_center
from api.center.servers import url_fault
from edge.access_config import is_loopback
from edge.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "center.example.yaml"


def load(folder: Path, text: str) -> CenterConfig:
    path = folder / "center.yaml"
    path.write_text(text, "utf-8")
    return load_center(path)


def problems(folder: Path, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [(problem.line, problem.key, problem.text) for problem in caught.value.problems]


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    config = load(tmp_path, "redis: {url: 'redis://127.0.0.1/0'}")
    assert config.center.workers == 1
    assert config.database_url == f"sqlite:///{tmp_path / 'center' / 'center.db'}"
    assert config.http.host == "127.0.0.1"
    assert not config.center.accept_unsigned


def test_the_example_shows_every_key_with_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = load_center(EXAMPLE)
    # every key stands there, in a comment where it has no default
    text = EXAMPLE.read_text("utf-8")
    for name, section in CenterConfig.model_fields.items():
        assert re.search(rf"^#? ?{name}:", text, re.MULTILINE), name
        keys = getattr(section.annotation, "model_fields", {})
        assert [key for key in keys if not re.search(rf"^ *#? *{key}:", text, re.MULTILINE)] == []
    defaults = load(tmp_path, "redis: {url: 'redis://127.0.0.1:6379/0'}\ncenter: {district: '360103'}")
    assert shown.model_dump(exclude={"regions", "center"}) == defaults.model_dump(
        exclude={"regions", "center"}
    )
    assert shown.center.model_copy(update={"data_dir": 0}) == defaults.center.model_copy(
        update={"data_dir": 0}
    )
    # and what the comments show is right, too
    monkeypatch.setenv("CENTER_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("REDIS_PASSWORD", "p@ss/word")
    opened = re.sub(r"^( *)# (token|url): ", r"\1\2: ", text, flags=re.MULTILINE)
    assert load(tmp_path, opened).http.token is not None


def test_every_error_has_its_line(tmp_path: Path) -> None:
    text = """\
center:
  district: 360103
  workers: 2
  worker: 1
redis:
  url: http://10.0.0.5/
  batch: 0
http:
  host: 0.0.0.0
regions:
  - {code: "36010", name: a}
"""
    found = problems(tmp_path, text)
    assert found == [
        (2, "center.district", "must be text: put it in quotes"),
        (4, "center.worker", "unknown key; did you mean 'workers'?"),
        (7, "redis.batch", "must be at least 1"),
        (11, "regions[0].code", "does not fit: 6, 9, 12 or 15 digits, in quotes."),
    ]


def test_what_does_not_fit_together(tmp_path: Path) -> None:
    text = """\
center: {district: "360103", workers: 2}
redis: {url: "redis://127.0.0.1/0"}
http: {host: 0.0.0.0}
regions:
  - {code: "360103", name: a}
  - {code: "360103001001", name: b, parent: "360103"}
  - {code: "360103001001001", name: c, parent: "360103"}
  - {code: "360103", name: d}
  - {code: "360104", name: e, parent: "360103"}
"""
    found = problems(tmp_path, text)
    assert [(line, key) for line, key, _ in found] == [
        (1, "center.workers"),
        (3, "http.host"),
        (7, "regions[2].parent"),
        (8, "regions[3].code"),
        (9, "regions[4].code"),
        (9, "regions[4].parent"),
    ]
    assert "name a PostgreSQL database" in found[0][2]
    assert "http.token" in found[1][2]
    assert "360103001001" in found[2][2]


def test_postgresql_may_have_several_workers(tmp_path: Path) -> None:
    text = "redis: {url: 'redis://h/0'}\ncenter: {workers: 8}\ndatabase: {url: 'postgresql://u:p@h/db'}"
    assert load(tmp_path, text).center.workers == 8
    assert problems(tmp_path, text.replace("postgresql", "mysql")) == [
        (3, "database.url", "must begin with postgresql:// or sqlite://")
    ]


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a very secret token")
    (tmp_path / "password").write_text("p@ss/word\n")
    text = (
        "redis: {url: 'redis://center:${file:password}@10.0.0.5/0'}\n"
        "http: {host: 0.0.0.0, token: '${env:TOKEN}'}\n"
    )
    config = load(tmp_path, text)
    assert config.redis.url.get_secret_value() == "redis://center:p%40ss%2Fword@10.0.0.5/0"
    assert "secret token" not in repr(config)
    monkeypatch.delenv("TOKEN")
    assert problems(tmp_path, text) == [
        (2, "http.token", "the environment variable TOKEN is not set, or empty")
    ]


def test_secrets_only_where_they_belong(tmp_path: Path) -> None:
    found = problems(tmp_path, "redis: {url: 'redis://h/0'}\ncenter: {name: '${env:HOME}'}")
    assert (2, "center.name") in [(line, key) for line, key, _ in found]
    assert any("redis.url, database.url, http.token" in text for _, _, text in found)


@pytest.mark.parametrize("token", ["short", "x" * 15, "sixteen\ncharacters", "北" * 16])
def test_tokens_that_cannot_be_or_could_be_guessed(tmp_path: Path, token: str) -> None:
    text = yaml.safe_dump({"redis": {"url": "redis://h/0"}, "http": {"token": token}})
    assert [key for _, key, _ in problems(tmp_path, text)] == ["http.token"]


@pytest.mark.parametrize(
    "url", ["http://h", "redis//h", "redis://h:port/0", "redis://u:pa/ss@h:6379", "", "redis://h:6379?x=%"]
)
def test_addresses_of_no_redis_are_told_without_their_password(tmp_path: Path, url: str) -> None:
    fault = url_fault(url)
    if fault:
        found = problems(tmp_path, yaml.safe_dump({"redis": {"url": url}}))
        assert [key for _, key, _ in found] == ["redis.url"]
        assert "ss@h" not in str(found)


def test_whole_files_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_center(tmp_path / "none.yaml")
    assert problems(tmp_path, "{}") == [(1, "redis", "is missing")]
    assert problems(tmp_path, "redis: {url: 'redis://h'}\nredis: 1")[0][2].startswith("is given twice")


def test_paths_start_from_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, "redis: {url: 'redis://h'}\ntables: {triage: t.yaml}\ncenter: {data_dir: /var/c}")
    assert config.tables.triage == tmp_path / "t.yaml"
    assert str(config.center.data_dir) == "/var/c"


def test_loopback() -> None:
    assert is_loopback("::1")
    assert not is_loopback("example.org")

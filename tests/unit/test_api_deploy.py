"""What ships in deploy/ fits the rest of the repository. There is no container engine in the tests."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml

from api.commands.health import health
from edge.access_config import open_door
from edge.load import load_config

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent


def docker_lines() -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_everything_copied_into_the_image_exists_and_is_let_through() -> None:
    sources = [
        source
        for line in docker_lines()
        if line.startswith("COPY") and "--from" not in line
        for source in shlex.split(line)[1:-1]
    ]
    allowed = [
        line[1:].removesuffix("/**")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    ]
    assert set(sources) == set(allowed)
    for source in sources:
        assert (ROOT / source).exists()


def test_the_image_runs_as_nobody_special_and_checks_its_health() -> None:
    lines = docker_lines()
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM")) :]
    assert any(re.fullmatch(r"USER \d{4,}:\d{4,}", line) for line in final)
    assert any(line.startswith("HEALTHCHECK") and '"sharpeyes", "health"' in line for line in final)
    assert health.__doc__


@pytest.fixture
def compose() -> dict[str, dict[str, dict[str, object]]]:
    loaded = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_compose_hardens_every_service(compose: dict[str, dict[str, dict[str, object]]]) -> None:
    assert set(compose["services"]) == {"node", "redis", "prometheus"}
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["mem_limit"]
        assert not service.get("privileged")
        for port in service.get("ports", []):  # type: ignore[attr-defined]
            assert port.startswith("127.0.0.1:")
    assert "ports" not in compose["services"]["redis"]


def test_compose_starts_with_a_configuration_that_is_right(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    for entry in compose["configs"].values():
        if "content" in entry:
            assert "node:8080" in str(entry["content"])
            continue
        path = re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(entry["file"]))
        assert (DEPLOY / path).is_file(), path
    config = load_config(DEPLOY / "sharpeyes.compose.yaml")
    assert config.redis.url is not None
    assert config.redis.url.get_secret_value() == "redis://redis:6379/0"
    assert str(config.node.data_dir) == "/var/lib/sharpeyes"
    opened = config.http.model_copy(update={"host": "0.0.0.0"})  # noqa: S104 - as compose.yaml starts it
    assert open_door(opened, config.tls, config.access) == ""


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("sharpeyes", "run /etc/sharpeyes/sharpeyes.yaml"),
        ("sharpeyes-center", "center /etc/sharpeyes-center/center.yaml"),
    ],
)
def test_the_services_are_locked_up(name: str, command: str) -> None:
    unit = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / f"{name}.service")
    service = unit["Service"]
    for key, value in {
        "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
        "PrivateTmp": "yes", "PrivateDevices": "yes", "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "StateDirectory": name,
        "MemoryMax": "2G",
        "RestartPreventExitStatus": "2",
    }.items():  # fmt: skip
        assert service[key] == value, key
    assert service["ExecStart"].endswith(f"/sharpeyes {command}")

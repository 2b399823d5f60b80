"""`sharpeyes key`: what the centre must be told, and never the private half."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from edge.signing import Signer, key_id_of

CONFIG = "node: {id: xihu-07, data_dir: state}\ncameras: [{id: gate, source: x.mp4}]\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(CONFIG)
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["key", *(str(argument) for argument in arguments)])


def told(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines())


def test_it_shows_what_to_admit(config: Path) -> None:
    shown = told(invoke(config))
    signer = Signer.open(config.parent / "state")
    assert shown == {"node": "xihu-07", "key": signer.key_id, "public": signer.public}
    assert told(invoke(config)) == shown


def test_the_next_key_takes_over_when_it_is_activated(config: Path) -> None:
    first = told(invoke(config))
    following = told(invoke(config, "--next"))
    assert following["node"] == "xihu-07"
    assert following["key"] == key_id_of(following["public"]) != first["key"]
    assert told(invoke(config, "--next")) == following
    assert told(invoke(config)) == first
    result = invoke(config, "--activate")
    assert told(result) == following
    assert "until it is restarted" in result.stderr
    assert told(invoke(config)) == following


def test_no_private_key_is_shown(config: Path) -> None:
    output = invoke(config).output + invoke(config, "--next").output + invoke(config, "--activate").output
    for pem in (config.parent / "state" / "keys").iterdir():
        secret = pem.read_text().splitlines()[1]
        assert secret not in output
        assert secret[20:50] not in output


def test_the_two_steps_are_two(config: Path) -> None:
    result = invoke(config, "--next", "--activate")
    assert result.exit_code == 2
    assert "in between" in result.stderr
    result = invoke(config, "--activate")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr


def test_it_has_help_with_examples() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert "sharpeyes key sharpeyes.yaml --next" in result.output

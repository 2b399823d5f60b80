from pathlib import Path

from typer.testing import CliRunner

from api.cli import app
from edge.normality_store import NORMALITY, NormalityStore

CONFIG = """
node: {{data_dir: {data}}}
cameras:
  - id: gate
    source: sim://plaza
    rules: [{{kind: {kind}}}]
"""


def forgets(tmp_path: Path, kind: str) -> tuple[int, str]:
    config = tmp_path / "site.yaml"
    config.write_text(CONFIG.format(data=tmp_path, kind=kind))
    result = CliRunner().invoke(app, ["forget", str(config), "--camera", "gate"])
    return result.exit_code, result.output


def test_a_camera_is_asked_to_forget(tmp_path):
    code, said = forgets(tmp_path, "motion.unusual")
    assert code == 0
    assert "camera gate forgets what is usual there" in said
    assert NormalityStore(tmp_path / NORMALITY).asked_to_forget("gate")


def test_a_camera_that_learns_nothing_has_nothing_to_forget(tmp_path):
    config = tmp_path / "site.yaml"
    config.write_text(f"node: {{data_dir: {tmp_path}}}\ncameras: [{{id: gate, source: 'sim://plaza'}}]\n")
    result = CliRunner().invoke(app, ["forget", str(config)])
    assert result.exit_code == 2
    assert not (tmp_path / NORMALITY).exists()

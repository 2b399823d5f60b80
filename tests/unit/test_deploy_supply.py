"""What is known of the product's parts: weaknesses that somebody found, and the bill of materials."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy import audit, sbom

ROOT = Path(__file__).resolve().parents[2]
REPORT = {
    "dependencies": [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3"]}]},
        {"name": "worse", "version": "3", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]},
        {"name": "hidden", "skip_reason": "not found"},
    ]
}
BOM = {
    "metadata": {"component": {"bom-ref": "root"}},
    "components": [
        {"bom-ref": "a", "name": "Some_Lib", "version": "1.0"},
        {"bom-ref": "b", "name": "pytest", "version": "9"},
    ],
    "dependencies": [
        {"ref": "root", "dependsOn": ["a", "b"]},
        {"ref": "a", "dependsOn": ["b"]},
        {"ref": "b"},
    ],
}


def test_a_known_weakness_fails_and_names_the_mended_version() -> None:
    verdict = audit.read(REPORT)
    status, lines = audit.told(verdict, require=False)
    assert status == 1
    assert (verdict.audited, verdict.unknown) == (3, ("hidden",))
    assert "  bad 2: PYSEC-1 (mended in 2.1, 3)" in lines
    assert "  worse 3: PYSEC-2 (mended in no version yet)" in lines


@pytest.mark.parametrize(("require", "status"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("verdict", [None, audit.Verdict(1, (), ("hidden",))])
def test_what_nobody_could_say_is_told_and_fails_where_that_is_asked_for(
    verdict: audit.Verdict | None, require: bool, status: int
) -> None:
    found, lines = audit.told(verdict, require=require)
    assert found == status
    assert any("nothing" in line for line in lines)


def test_an_index_that_cannot_be_asked_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    assert audit.ask([tmp_path / "pins.txt"]) is None


def test_the_bill_leaves_out_what_only_tests_need_and_names_the_models() -> None:
    models = sbom.weights(ROOT / "models" / "weights")
    bom = sbom.shipped(BOM, {"some-lib": "1.0"}, models)
    assert [one["name"] for one in bom["components"]] == ["Some_Lib", *(one["name"] for one in models)]
    root, lib = bom["dependencies"]
    assert root["dependsOn"] == ["a", *(one["bom-ref"] for one in models)]
    assert lib["dependsOn"] == []
    assert {one["name"] for one in models} >= {"nanodet-g-416-int8", "heads-448-int8", "fallen-112-fp32"}
    assert all(len(one["hashes"][0]["content"]) == 64 for one in models)


def test_a_bill_of_what_is_not_installed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not installed as pinned: gone, some-lib"):
        sbom.shipped(BOM, {"some-lib": "1.1", "gone": "1"}, [])


def test_pins_are_read_whatever_their_names_look_like() -> None:
    lines = ["# made", "a.b_C[extra]==1.0", 'd==2 ; python_version < "3.12"', "", "--flag"]
    assert sbom.pinned(lines) == {"a-b-c": "1.0", "d": "2"}


def test_the_bill_of_this_environment_is_valid() -> None:
    tools = ROOT / ".venv" / "tools" / "bin" / "python"
    if not tools.exists():
        pytest.skip("needs the tools of `make check`")
    out = ROOT / "build" / "test-sbom.json"
    done = subprocess.run(
        [tools, "deploy/sbom.py", "--output", out], cwd=ROOT, capture_output=True, text=True, check=False
    )
    try:
        assert done.returncode == 0, done.stderr
        assert " libraries, " in done.stdout
    finally:
        out.unlink(missing_ok=True)

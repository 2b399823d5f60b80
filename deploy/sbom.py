"""Write the product's bill of materials: its libraries as installed, and its model weights, as CycloneDX 1.6.

    make sbom                      build/sharpeyes.cdx.json

Libraries are those that `requirements/run.txt` pins, with the licences that they state; weights carry the
hash that is checked before they are loaded.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "models" / "weights"


def plain(name: str) -> str:
    """A library's name as indices compare it (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")


def pinned(lines: Iterable[str]) -> dict[str, str]:
    """Versions by plain name, of a file of pins."""
    pins = (line.split(";")[0].split("#")[0].strip() for line in lines)
    pairs = (pin.split("==", 1) for pin in pins if "==" in pin)
    return {plain(name.split("[")[0]): version.strip() for name, version in pairs}


def weights(folder: Path) -> list[dict[str, Any]]:
    """The models as components, from their manifests."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        manifest = tomllib.loads(path.read_text("utf-8"))
        found.append(
            {
                "type": "machine-learning-model",
                "bom-ref": f"model:{manifest['name']}",
                "name": manifest["name"],
                "version": manifest["sha256"][:12],
                "description": f"{manifest['description']}; from {manifest['source']}",
                "hashes": [{"alg": "SHA-256", "content": manifest["sha256"]}],
                "licenses": [{"license": {"id": manifest["licence"]}}],
            }
        )
    return found


def shipped(bom: dict[str, Any], pins: dict[str, str], models: list[dict[str, Any]]) -> dict[str, Any]:
    """The bill without what is installed for tests only, and with the models.

    Raises:
        ValueError: a pinned library is not installed in that version.
    """
    libraries = [one for one in bom["components"] if plain(one["name"]) in pins]
    installed = {plain(one["name"]): one["version"] for one in libraries}
    if wrong := sorted(name for name, version in pins.items() if installed.get(name) != version):
        raise ValueError(f"not installed as pinned: {', '.join(wrong)}; run `make test` or `make run` first")
    root = bom["metadata"]["component"]["bom-ref"]
    refs = {one["bom-ref"] for one in (*libraries, *models)} | {root}
    dependencies = [
        {**one, "dependsOn": sorted(refs.intersection(one.get("dependsOn", ())))}
        for one in bom.get("dependencies", ())
        if one["ref"] in refs
    ]
    for one in dependencies:
        if one["ref"] == root:
            one["dependsOn"] = sorted({*one["dependsOn"], *(model["bom-ref"] for model in models)})
    return {**bom, "components": [*libraries, *models], "dependencies": dependencies}


def scan(python: Path) -> dict[str, Any]:
    """What is installed in an environment, by cyclonedx-py."""
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--pyproject",
        str(ROOT / "pyproject.toml"),
    ]
    command += ["--output-reproducible", "--sv", "1.6", "--of", "JSON", str(python)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    bom: dict[str, Any] = json.loads(done.stdout)
    return bom


def fault(text: str) -> str | None:
    """Why a bill is not valid CycloneDX 1.6; None where it is."""
    # of the tools' environment (requirements/audit.txt), which tests of the rest do without
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return None if error is None else str(error)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", type=Path, default=ROOT / ".venv/bin/python", help="where it is installed"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build/sharpeyes.cdx.json")
    arguments = parser.parse_args()
    pins = pinned((ROOT / "requirements/run.txt").read_text("utf-8").splitlines())
    try:
        bom = shipped(scan(arguments.python), pins, weights(WEIGHTS))
    except ValueError as exc:
        print(f"sbom: {exc}", file=sys.stderr)
        return 1
    text = json.dumps(bom, indent=2, sort_keys=True) + "\n"
    if error := fault(text):
        print(f"sbom: not valid CycloneDX 1.6: {error}", file=sys.stderr)
        return 1
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, "utf-8")
    models = sum(one["type"] == "machine-learning-model" for one in bom["components"])
    print(f"{arguments.output}: {len(bom['components']) - models} libraries, {models} models")
    return 0


if __name__ == "__main__":
    sys.exit(main())

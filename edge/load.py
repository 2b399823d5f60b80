"""Reading a configuration file: every error with file, line and key, all at once, no secret in any."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr, ValidationError

from edge.config import SECRET_REFERENCE, CameraConfig, Config
from edge.errors import CameraError, ConfigError, Problem
from edge.plain_words import explain
from edge.redis_address import fault_of
from edge.site import Site
from edge.yaml_tree import Key, Tree, path_text, read_tree
from streams.errors import SourceUrlError
from streams.url import SourceUrl

_MAX_SECRET_BYTES = 65_536
_SECRETS: tuple[Key, ...] = (("redis", "url"), ("access", "oidc", "client_secret"))
_PLACES = "in a camera's source, redis.url and access.oidc.client_secret"
_PART = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")


def load_config(path: Path) -> Config:
    """Read and check a configuration.

    `${env:NAME}` and `${file:PATH}` are resolved in `source`, `redis.url` and the secret of OIDC; before a
    URL's `@` they are escaped, so a secret holds the password as it is. Relative paths start from the
    configuration's folder.

    Args:
        path: of a YAML file.

    Raises:
        ConfigError: with one problem for each thing that is wrong.
    """
    tree = read_tree(path)
    folder = path.absolute().parent
    problems = list(tree.problems)
    data = _resolve(tree, (), tree.data, folder, problems)
    try:
        # JSON's strict mode takes lists for tuples and text for paths, but neither "5" nor yes for a number.
        config = Config.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as exc:
        blamed = {problem.key for problem in problems}
        found = (tree.problem(key, text) for key, text in explain(exc, tree.data))
        problems += [problem for problem in found if problem.key not in blamed]
        raise ConfigError(_in_order(problems)) from None
    problems += _check_meaning(tree, config)
    if problems:
        raise ConfigError(_in_order(problems))
    return _anchored(config, folder)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line or 0, problem.key))


def _takes_secrets(key: Key) -> bool:
    if key in _SECRETS:
        return True
    return key[:1] == ("cameras",) and key[2:] in (("source",), ("source", "main"), ("source", "sub"))


def _resolve(tree: Tree, key: Key, value: object, folder: Path, problems: list[Problem]) -> object:
    """The same data with secrets in their places."""
    if isinstance(value, Mapping):
        return {k: _resolve(tree, (*key, k), v, folder, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(tree, (*key, k), v, folder, problems) for k, v in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    if not _takes_secrets(key):
        problems.append(tree.problem(key, f"`${{...}}` is for secrets, {_PLACES} only"))
        return value
    try:
        return with_secrets(value, folder)
    except SecretError as exc:
        problems.append(tree.problem(key, str(exc)))
        return "sim://unresolved" if key[0] == "cameras" else None


class SecretError(Exception):
    """A secret cannot be had; the message names its reference, never its value."""


def with_secrets(text: str, folder: Path) -> str:
    """`text` with what `${env:NAME}` and `${file:PATH}` stand for; before a URL's `@` it is escaped.

    Raises:
        SecretError: a secret cannot be had.
    """

    def replace(match: re.Match[str]) -> str:
        secret = _from_env(match[2]) if match[1] == "env" else _from_file(match[2], folder)
        authority_ends = re.search(r"[/?#]|$", text[match.end() :])
        rest = text[match.end() : match.end() + authority_ends.start()] if authority_ends else ""
        return quote(secret, safe="") if "@" in rest else secret

    resolved = SECRET_REFERENCE.sub(replace, text)
    if "${" in SECRET_REFERENCE.sub("", text):
        raise SecretError("a secret is written `${env:NAME}` or `${file:PATH}`")
    return resolved


def _from_env(name: str) -> str:
    if not (secret := os.environ.get(name, "")):
        raise SecretError(f"the environment variable {name} is not set, or empty")
    return secret


def _from_file(name: str, folder: Path) -> str:
    try:
        with (folder / name).open("rb") as stream:
            raw = stream.read(_MAX_SECRET_BYTES + 1)
    except OSError as exc:
        raise SecretError(f"the secret's file {name} cannot be read: {exc.strerror}") from None
    try:
        secret = raw.decode().strip()
    except UnicodeDecodeError:
        raise SecretError(f"the secret's file {name} is not UTF-8 text") from None
    if not secret or len(raw) > _MAX_SECRET_BYTES:
        raise SecretError(f"the secret's file {name} is empty, or too large for a secret")
    return secret


def _check_meaning(tree: Tree, config: Config) -> Iterator[Problem]:
    """What types cannot say: addresses, and whether places fit the picture and the ground."""
    if config.redis.url is not None and (text := fault_of(config.redis.url.get_secret_value())):
        yield tree.problem(("redis", "url"), text)
    for k, camera in enumerate(config.cameras):
        key: Key = ("cameras", k)
        for name, address in _addresses(camera):
            named = (*key, "source", name)
            try:
                SourceUrl.parse(address.get_secret_value())
            except SourceUrlError as exc:
                yield tree.problem(named if named in tree.lines else named[:-1], str(exc))
        try:
            Site.from_config(camera)
        except CameraError as exc:
            yield tree.problem((*key, *_parsed(exc.key)), exc.text)


def _parsed(text: str) -> Key:
    """`ground[3].image` as a path."""
    return tuple(match[1] or int(match[2]) for match in _PART.finditer(text))


def _anchored(config: Config, folder: Path) -> Config:
    """Relative paths start from the configuration's folder, wherever the program was started."""
    node = config.node.model_copy(update={"data_dir": folder / config.node.data_dir})
    model = config.model
    if model.detector.endswith(".toml"):
        model = model.model_copy(update={"detector": str(folder / model.detector)})
    cameras = tuple(_anchored_source(camera, folder) for camera in config.cameras)
    files = {name: folder / path for name in ("certificate", "key") if (path := getattr(config.tls, name))}
    tls = config.tls.model_copy(update=files)
    return config.model_copy(update={"node": node, "model": model, "cameras": cameras, "tls": tls})


def _anchored_source(camera: CameraConfig, folder: Path) -> CameraConfig:
    if camera.tls_ca_file is not None:
        camera = camera.model_copy(update={"tls_ca_file": folder / camera.tls_ca_file})
    files = {}
    for name, address in _addresses(camera):
        url = SourceUrl.parse(address.get_secret_value())
        if url.scheme == "file":
            files[name] = SecretStr(str(folder / url.full))
    return camera.model_copy(update={"source": camera.source.model_copy(update=files)}) if files else camera


def _addresses(camera: CameraConfig) -> Iterator[tuple[str, SecretStr]]:
    yield "main", camera.source.main
    if camera.source.sub is not None:
        yield "sub", camera.source.sub


__all__ = ["SecretError", "load_config", "path_text", "with_secrets"]

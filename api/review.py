"""What a configuration means, for people: a table of cameras, and what is accepted but worth knowing."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from api.access.roles import grants_of
from api.terminal import table
from edge.analysis import Analysis
from edge.config import CameraConfig, Config
from edge.errors import CameraError, Problem
from edge.fires import check_known
from edge.opening import address, evidence_address
from edge.profiles import profiles
from edge.rules import AnyRule
from edge.site import Site, Zone
from edge.yaml_tree import Tree, read_tree
from models.errors import ModelError
from models.fire import spec_of
from models.manifest import ModelFile
from models.zoo import fallen_model, find_model, fire_model, head_counter
from streams.hardware import trouble


def table_of(config: Config) -> Table:
    """Cameras with source and rate, ground error, zones with their area, lines, and rules."""
    made = table(f"Node {config.node.id}", "camera", "ground error", "zones and lines", "rules")
    for camera in config.cameras:
        site = Site.from_config(camera)
        made.add_row(
            f"{camera.id}\n{camera.analysed_fps:g} pictures/s{' of sub' if camera.source.sub else ''}",
            _error(site),
            "\n".join((*(_zone(zone) for zone in site.zones), *(f"{line.id}, line" for line in site.lines))),
            "\n".join(_rule(rule) for rule in camera.rules),
            end_section=True,
        )
    return made


def _error(site: Site) -> str:
    if site.ground is None:
        return "not surveyed"
    return "unknown (4 points)" if site.ground_error_m is None else f"{site.ground_error_m:.2f} m"


def _zone(zone: Zone) -> str:
    parts = [zone.id]
    if zone.floor is not None:
        parts.append(f"{zone.floor.area_m2:.0f} m²")
    if zone.capacity is not None:
        parts.append(f"holds {zone.capacity}")
    return ", ".join(parts)


def _rule(rule: AnyRule) -> str:
    return f"{rule.kind} on {rule.subject}"


def problems(path: Path, config: Config) -> list[Problem]:
    """What only the rest of the program can tell: models and the classes that they know, and roles."""
    tree = read_tree(path)
    found = list(_wrong_roles(tree, config))
    try:
        if config.model.density is not None:
            head_counter(config.model.density)
    except ModelError as error:
        found.append(tree.problem(("model", "density"), str(error)))
    fire: ModelFile | None = None
    try:
        fire = fire_model(config.model.fire) if config.model.fire is not None else None
    except ModelError as error:
        found.append(tree.problem(("model", "fire"), str(error)))
    try:
        if config.model.fallen is not None:
            fallen_model(config.model.fallen)
    except ModelError as error:
        found.append(tree.problem(("model", "fallen"), str(error)))
    try:
        class_names = find_model(config.model.detector).manifest.classes
    except ModelError as error:
        return [*found, tree.problem(("model", "detector"), str(error))]
    for index, camera in enumerate(config.cameras):
        try:
            Analysis(camera, Site.from_config(camera), class_names)
            if fire is not None:
                check_known(camera, spec_of(fire), fire.manifest.name)
        except CameraError as error:
            below = (name or int(number) for name, number in _PART.findall(error.key))
            found.append(tree.problem(("cameras", index, *below), error.text))
    return found


def _wrong_roles(tree: Tree, config: Config) -> Iterator[Problem]:
    for value, text in config.access.oidc.roles.items() if config.access.oidc else ():
        try:
            grants_of(text.split())
        except ValueError as error:
            yield tree.problem(("access", "oidc", "roles", value), str(error))


_PART = re.compile(r"([A-Za-z_]+)|\[([0-9]+)\]")


def review(config: Config) -> Sequence[str]:
    """What is accepted but worth knowing, one line each."""
    return [*_node_notes(config), *(note for camera in config.cameras for note in _camera_notes(camera))]


def _node_notes(config: Config) -> Iterator[str]:
    if config.node.district == "000000":
        yield "node.district is 000000: set the GB/T 2260 code, it names the stream that the centre reads"
    if config.redis.url is None:
        yield "redis.url is not set: events stay in an embedded server on this machine"
    if not _loopback(config.http.host):
        yield f"http.host {config.http.host}: whoever reaches port {config.http.port} may try to sign in"
    if reason := trouble("h264", config.node.hardware_decode):
        yield f"node.hardware_decode {config.node.hardware_decode}: {reason}; so software decodes here"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _source_notes(camera: CameraConfig) -> Iterator[str]:
    small, large = address(camera), evidence_address(camera)
    for url in (large, small):
        if url.scheme in ("rtsp", "http") and url.display != url.full:
            yield f"{url.scheme}:// shows the password to the network; prefer {url.scheme}s://"
        elif url.scheme in ("rtsp", "rtsps") and url.display == url.full:
            yield "no user and password; anybody on its network can watch it"
    if camera.source.sub is not None and small == large:
        yield "main and sub are the same stream; leave sub out, or name the camera's smaller stream"


def _camera_notes(camera: CameraConfig) -> Iterator[str]:
    yield from dict.fromkeys(f"camera {camera.id}: {note}" for note in _source_notes(camera))
    if not camera.rules:
        yield f"camera {camera.id}: no rules, so it reports only when it is offline or was moved"
    watched = {rule.subject for rule in camera.rules}
    for zone in camera.zones:
        if zone.id not in watched:
            yield f"camera {camera.id}: zone {zone.id} is counted, but no rule watches it"
    for line in camera.lines:
        if line.id not in watched:
            yield f"camera {camera.id}: no rule watches line {line.id}"
    yield from (f"camera {camera.id}: {note}" for note in _profile_notes(camera))
    for note in Site.from_config(camera).notes:
        yield f"camera {camera.id}: {note}"


def _profile_notes(camera: CameraConfig) -> Iterator[str]:
    """What a camera's profile means for its rules, and where these have it otherwise."""
    if camera.profile is None:
        return
    profile = profiles()[camera.profile]
    yield f"profile {camera.profile}: {profile.about}"
    touched = False
    for rule in camera.rules:
        values = profile.rules.get(rule.kind, {})
        kept = [f"{key} {_plain(value)}" for key, value in values.items() if getattr(rule, key) == value]
        own = [
            f"{key} {_plain(getattr(rule, key))} instead of {_plain(value)}"
            for key, value in values.items()
            if getattr(rule, key) != value
        ]
        touched = touched or bool(values)
        if kept:
            yield f"profile {camera.profile} gives {rule.kind} on {rule.subject}: {', '.join(kept)}"
        if own:
            yield f"{rule.kind} on {rule.subject} keeps its own {', '.join(own)} of {camera.profile}"
    if not touched:
        yield f"profile {camera.profile} changes nothing here: it has values for {', '.join(profile.rules)}"


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:g}" if isinstance(value, float | int) else str(value)

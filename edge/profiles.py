"""Site profiles: what rules watch for at places of a kind, as data in `data/profiles.yaml`."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Any

from pydantic import Field, TypeAdapter

from edge.sections import Section
from edge.yaml_tree import read_tree

Values = Mapping[str, Any]


class Profile(Section):
    """A kind of place.

    Attributes:
        about: what place it is, and where its numbers come from.
        rules: by a rule's kind, values of its keys that differ from the defaults.
    """

    about: str = Field(min_length=1)
    rules: dict[str, dict[str, int | float | str | tuple[float, ...]]]


@cache
def profiles() -> Mapping[str, Profile]:
    """All profiles by name."""
    with as_file(files("edge") / "data" / "profiles.yaml") as path:
        return TypeAdapter(dict[str, Profile]).validate_python(read_tree(path).data)


def apply(profile: str | None, rules: object) -> object:
    """Rules as they were written, with a profile's values where a rule gives none of its own.

    Lists become tuples: what has passed through here is no longer taken for JSON.

    Args:
        profile: its name; one that does not exist changes nothing.
        rules: as written, right or not.
    """
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        return rules
    known = profiles().get(profile) if profile is not None else None
    values = known.rules if known is not None else {}
    return tuple(_tuples(_filled(rule, values)) for rule in rules)


def _filled(rule: object, values: Mapping[str, Values]) -> object:
    if not isinstance(rule, Mapping) or not isinstance(rule.get("kind"), str):
        return rule
    return {**values.get(rule["kind"], {}), **rule}


def _tuples(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value

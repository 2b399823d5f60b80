"""Pydantic's errors in plain words, with the nearest known key, and never with the value that was given."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.config import Config
from edge.rules import RULES
from edge.sections import FaultsError, suggestion
from edge.yaml_tree import Key

_WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a section with keys of its own, or be left out",
    "model_attributes_type": "must be a section with keys of its own, or be left out",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries, has {actual_length}",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
}
_ID_RULE = "must be 1 to 63 lower-case letters, digits, '.', '_' or '-', and begin with a letter or digit"


def explain(
    error: ValidationError, data: object, root: type[BaseModel] = Config
) -> Iterator[tuple[Key, str]]:
    """What is wrong, one by one: the path to it and the words.

    Args:
        error: from validating a `root`.
        data: what was validated, as plain data, before secrets were put in.
        root: the whole configuration's model.
    """
    for detail in error.errors(include_url=False, include_input=False):
        key = _in_data(detail["loc"], data, detail["type"] == "missing")
        if detail["type"] == "too_short" and len(_at(key, data)) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the right entries only; the wrong ones are told on their own
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, FaultsError):
            yield from (((*key, *fault.path), fault.text) for fault in cause.faults)
        else:
            yield key, _words(detail, key, data, root)


def _words(detail: ErrorDetails, key: Key, data: object, root: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _TELLERS:
        return _TELLERS[kind](key, data, root)
    if kind == "value_error":
        return str(context["error"])
    if kind in _WORDS:
        return _WORDS[kind].format(**context)
    return detail["msg"]


def _unknown(key: Key, data: object, root: type[BaseModel]) -> str:
    return f"unknown key{suggestion(str(key[-1]), _model(key[:-1], data, root).model_fields)}"


def _rule_kind(key: Key, data: object, _root: type[BaseModel]) -> str:
    given = _at((*key, "kind"), data)
    kinds = [rule.name() for rule in RULES]
    if isinstance(given, str):
        return f"there is no rule of kind {given!r}{suggestion(given, kinds)}"
    return f"needs a `kind`{suggestion('', kinds)}"


def _text_wanted(key: Key, data: object, _root: type[BaseModel]) -> str:
    value = _at(key, data)
    if isinstance(value, int | float):
        return "must be text: put it in quotes"
    return "is empty" if value is None else "must be text"


def _pattern(key: Key, data: object, root: type[BaseModel]) -> str:
    field = _model(key[:-1], data, root).model_fields.get(str(key[-1])) if key else None
    if key[-1] in ("id", "zone", "line"):
        return _ID_RULE
    return f"does not fit: {field.description}" if field and field.description else "has the wrong form"


def _in_data(loc: tuple[str | int, ...], data: object, missing: bool) -> Key:
    """A path as the file has it: pydantic puts a rule's kind into it, where the file has no key."""
    key: list[str | int] = []
    for n, part in enumerate(loc):
        if isinstance(data, Mapping):
            if part not in data and not (missing and n + 1 == len(loc)):
                continue
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif isinstance(part, str):
            continue
        key.append(part)
    return tuple(key)


def _at(key: Key, data: object) -> Any:
    for part in key:
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return data


def _model(key: Key, data: object, root: type[BaseModel]) -> type[BaseModel]:
    """The section at a path."""
    model = root
    for n, part in enumerate(key):
        if not isinstance(part, str) or part not in model.model_fields:
            continue
        sections = list(_sections(model.model_fields[part].annotation))
        kind = getattr(_at((*key[: n + 2],), data), "get", lambda _: None)("kind")
        for section in sections:
            kinds = (
                get_args(section.model_fields["kind"].annotation) if "kind" in section.model_fields else ()
            )
            if len(sections) == 1 or kind in kinds:
                model = section
    return model


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


_TELLERS: dict[str, Callable[[Key, object, type[BaseModel]], str]] = {
    "extra_forbidden": _unknown,
    "missing": lambda _key, _data, _root: "is missing",
    "string_type": _text_wanted,
    "string_pattern_mismatch": _pattern,
    "union_tag_invalid": _rule_kind,
    "union_tag_not_found": _rule_kind,
}

"""YAML as plain data with the line of every value; careful with files that mean harm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge.errors import ConfigError, Problem

MAX_BYTES = 2**20
MAX_NODES = 100_000
"""Values after aliases are expanded: a few lines of YAML can otherwise stand for billions."""
MAX_DEPTH = 24

Key = tuple[str | int, ...]
_MERGE, _MAP, _SEQUENCE, _TEXT = (f"tag:yaml.org,2002:{kind}" for kind in ("merge", "map", "seq", "str"))
_PLAIN = (str, bool, int, float, type(None))


def path_text(key: Key) -> str:
    """A path as people write it.

    >>> path_text(("cameras", 0, "zones", 1, "polygon"))
    'cameras[0].zones[1].polygon'
    """
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass(frozen=True, slots=True)
class Tree:
    """A YAML document.

    Attributes:
        file: as it was named.
        data: dicts, lists, text, numbers, booleans and None only.
        lines: line of each value, counted from 1, by path; that of the key where it has one.
        problems: doubled keys and values of no plain kind; they are left out of `data`.
    """

    file: str
    data: object
    lines: Mapping[Key, int]
    problems: tuple[Problem, ...] = ()

    def problem(self, key: Key, text: str) -> Problem:
        """A problem at a path, with the line of its nearest known part."""
        nearest = next((key[:n] for n in range(len(key), -1, -1) if key[:n] in self.lines), None)
        return Problem(
            self.file, self.lines.get(nearest) if nearest is not None else None, path_text(key), text
        )


def read_tree(path: Path) -> Tree:
    """Read and take apart a YAML file of one document.

    Raises:
        ConfigError: it cannot be read, is too large, not UTF-8, not YAML, empty, or expands without bounds.
    """
    file = str(path)
    text = _read(path, file)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is None:
            raise _failed(file, None, "is empty; it needs at least `cameras:`")
        return _Builder(file).build(root)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise _failed(file, mark.line + 1 if mark else None, f"not valid YAML: {_why(exc)}") from None
    except yaml.YAMLError as exc:
        raise _failed(file, None, f"not valid YAML: {getattr(exc, 'reason', 'unreadable')}") from None
    except RecursionError:
        raise _failed(file, None, f"nested deeper than {MAX_DEPTH} levels") from None


def _failed(file: str, line: int | None, text: str) -> ConfigError:
    return ConfigError([Problem(file, line, "", text)])


def _why(exc: yaml.MarkedYAMLError) -> str:
    """The parser's own words, without the piece of the file that it would quote, which may hold a secret."""
    return ", ".join(part for part in (exc.context, exc.problem) if part)


def _read(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _failed(file, None, "there is no such file") from None
    except IsADirectoryError:
        raise _failed(file, None, "is a folder, not a file") from None
    except OSError as exc:
        raise _failed(file, None, f"cannot be read: {exc.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise _failed(file, None, f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise _failed(file, line, "is not UTF-8 text; save it as UTF-8") from None


@dataclass(slots=True)
class _Builder:
    file: str
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0
    scalars: SafeConstructor = field(default_factory=SafeConstructor)

    def build(self, root: Node) -> Tree:
        data = self._value(root, ())
        return Tree(self.file, data, self.lines, tuple(self.problems))

    def _value(self, node: Node, key: Key) -> object:
        self.lines.setdefault(key, node.start_mark.line + 1)
        self._count(node, key)
        if isinstance(node, MappingNode) and node.tag == _MAP:
            return self._mapping(node, key)
        if isinstance(node, SequenceNode) and node.tag == _SEQUENCE:
            return [self._value(child, (*key, k)) for k, child in enumerate(node.value)]
        return self._scalar(node, key)

    def _count(self, node: Node, key: Key) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _failed(self.file, node.start_mark.line + 1, f"expands to more than {MAX_NODES} values")
        if len(key) > MAX_DEPTH:
            raise _failed(self.file, node.start_mark.line + 1, f"nested deeper than {MAX_DEPTH} levels")

    def _scalar(self, node: Node, key: Key) -> object:
        if not isinstance(node, ScalarNode):
            self._blame(node, key, f"the tag {node.tag} is not known here")
            return None
        try:
            value = self.scalars.construct_object(node)
        except (ConstructorError, ValueError, OverflowError):
            self._blame(node, key, f"cannot be read as {node.tag.rpartition(':')[2] or 'a value'}")
            return None
        # Dates and the like mean nothing here: what was written is what is meant.
        return value if isinstance(value, _PLAIN) else node.value

    def _mapping(self, node: MappingNode, key: Key) -> dict[str, object]:
        data: dict[str, object] = {}
        for name_node, child in node.value:
            if name_node.tag == _MERGE:
                for source in self._merged(child, key):
                    data = {**self._mapping(source, key), **data}
        first: dict[str, int] = {}
        for name_node, child in node.value:
            if name_node.tag == _MERGE:
                continue
            if not isinstance(name_node, ScalarNode) or name_node.tag != _TEXT:
                self._blame(name_node, key, "a key must be text: put it in quotes")
                continue
            name, line = name_node.value, name_node.start_mark.line + 1
            if name in first:
                self._blame(name_node, (*key, name), f"is given twice, first in line {first[name]}")
                continue
            if name in data:  # from a merge: its lines go with it
                self._forget((*key, name))
            first[name] = self.lines[(*key, name)] = line
            data[name] = self._value(child, (*key, name))
        return data

    def _forget(self, key: Key) -> None:
        for stale in [k for k in self.lines if k[: len(key)] == key]:
            del self.lines[stale]

    def _merged(self, node: Node, key: Key) -> Iterator[MappingNode]:
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            self._count(source, key)
            if isinstance(source, MappingNode):
                yield source
            else:
                self._blame(source, key, "`<<` takes a mapping or a list of mappings")

    def _blame(self, node: Node, key: Key, text: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, path_text(key), text))

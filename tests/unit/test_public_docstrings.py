"""What is public says what it is: shapes of arrays, units of numbers, errors that it raises.

Read from the syntax tree, so nothing is imported and private parts are free.
"""

import ast
import gc
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("streams", "models", "edge", "api")
COMMANDS = ROOT / "api" / "commands"
"""Docstrings there are the program's help."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef

REFERENCE = re.compile(r"\b(?:[Ss]ee|[Aa]s) `([\w.]+)`")

TERM = r"[a-z0-9_.]+(?: ?[*+/] ?[a-z0-9_.]+)*|\.\.\."
SHAPE = re.compile(rf"\((?:{TERM}),(?: (?:{TERM}),?)*\)|\bany shape\b", re.IGNORECASE)
"""`(n,)`, `(n, 4)`, `(height * 3 / 2, width)`, or any shape."""

UNIT_IN_NAME = re.compile(
    r"(^|_)(s|seconds|ms|s2|m|m2|px|fps|hz|deg|rad|bytes|cores|share|shares|ratio|persons|pixels|mps|iou|auc)(_|$)|_per_"
)
"""The unit stands in the name: `hold_s`, `analysed_fps`, `density_mean_per_m2`, `s_per_px`."""

PURE_NUMBER = re.compile(
    r"(^|_)(score|scores|threshold|confidence|factor|weight|exponent|sigma|probability|hysteresis|seed)(_|$)"
)
"""Numbers without a unit that their name explains."""

UNIT_WORD = re.compile(
    r"\b(seconds?|minutes?|hours?|days?|milliseconds?|ms|metres?|m2|m/s|pixels?|px|fractions?|shares?|ratio|degrees?|radians?"
    r"|WGS 84|persons?|fps|bytes|Hz|probability|factors?|times|lengths?|grey levels?|cores|cells"
    r"|octaves|units?|0 to 1|0 to 255|0\.\.1|within 0 and 1)\b|\[0, 1\]|%",
    re.IGNORECASE,
)
"""How a docstring names a unit or a range."""


@dataclass(frozen=True)
class Public:
    """Something public and where it stands."""

    where: str
    node: Documented
    owner: ast.ClassDef | None

    @property
    def doc(self) -> str:
        """Its docstring, a method's with its class's, and that of what it refers to (See `x`, As `x.y`)."""
        own = ast.get_docstring(self.node) or ""
        file = self.where.split(":")[0]
        known, names = docstrings(), REFERENCE.findall(own)
        texts = [own, *(known.get(f"{file} {name}") or known.get(name, "") for name in names)]
        return "\n".join(texts if self.owner is None else [*texts, ast.get_docstring(self.owner) or ""])


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    code = path.read_text("utf-8")
    # While CPython 3.11 builds a tree, a collection that runs other code can end it with a SystemError about
    # its recursion depth; seen once in some hundred runs.
    gc.disable()
    try:
        return ast.parse(code, str(path))
    finally:
        gc.enable()


@cache
def docstrings() -> dict[str, str]:
    """By name, such as `plan` or `Head.decode`, and by file and name."""
    found = {}
    for path in sources():
        for part in public_parts(path):
            file, name = part.where.split(":")[0], part.where.split()[-1]
            found[name] = found[f"{file} {name}"] = ast.get_docstring(part.node) or ""
    return found


def is_public(name: str) -> bool:
    return not name.startswith("_")


def public_parts(path: Path) -> Iterator[Public]:
    name = str(path.relative_to(ROOT))
    for node in tree(path).body:
        if isinstance(node, Documented) and is_public(node.name):
            yield Public(f"{name}:{node.lineno} {node.name}", node, None)
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, Function) and (is_public(part.name) or part.name == "__init__"):
                        yield Public(f"{name}:{part.lineno} {node.name}.{part.name}", part, node)


def decorators(node: Documented) -> set[str]:
    return {ast.unparse(d).split("(")[0].split(".")[-1] for d in node.decorator_list}


def annotations(part: Public) -> Iterator[tuple[str, ast.expr]]:
    """Names and annotations: of a function's parameters and result, of a class's fields."""
    node = part.node
    if isinstance(node, ast.ClassDef):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id, field.annotation
        return
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    yield from ((a.arg, a.annotation) for a in arguments if a.annotation is not None)
    if node.returns is not None:  # what a function gives has its name
        yield node.name, node.returns


def names_in(annotation: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}


@cache
def array_names() -> frozenset[str]:
    """What arrays are called in annotations: numpy's names and the project's aliases of them."""
    known = {"NDArray", "ArrayLike", "ndarray"}
    for path in sources():
        for node in tree(path).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Subscript):
                continue
            if isinstance(node.targets[0], ast.Name) and names_in(node.value) & known:
                known.add(node.targets[0].id)
    return frozenset(known)


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_has_a_docstring(package: str) -> None:
    files = [path for path in sources() if path.relative_to(ROOT).parts[0] == package]
    assert files
    bare = [str(path.relative_to(ROOT)) for path in files if not ast.get_docstring(tree(path))]
    for path in files:
        for part in public_parts(path):
            if part.where.endswith(".__init__") or decorators(part.node) & {"overload", "override"}:
                continue
            if not ast.get_docstring(part.node):
                bare.append(part.where)
    assert bare == []


def test_who_takes_or_gives_an_array_says_its_shape() -> None:
    silent = [
        part.where
        for path in sources()
        for part in public_parts(path)
        if any(names_in(a) & array_names() for _, a in annotations(part)) and not SHAPE.search(part.doc)
    ]
    assert silent == []


def test_numbers_have_units_in_their_names_or_in_the_docstring() -> None:
    silent = []
    for path in sources():
        for part in public_parts(path):
            for name, annotation in annotations(part):
                if names_in(annotation) != {"float"} or not is_public(name):
                    continue
                if UNIT_IN_NAME.search(name) or PURE_NUMBER.search(name):
                    continue
                if not UNIT_WORD.search(about(name, part)):
                    silent.append(f"{part.where}: {name}")
    assert silent == []


def about(name: str, part: Public) -> str:
    """The lines of the docstring that name a parameter or field, or all of it where none does."""
    paragraphs = re.split(r"\n(?=\s*[\w, ]+: )", part.doc)
    entries = [p for p in paragraphs if re.match(rf"\s*(\w+, )*{name}(, \w+)*: ", p)]
    return "\n".join([*entries, *descriptions(name, part.node)]) or part.doc


def descriptions(name: str, node: Documented) -> Iterator[str]:
    """What a pydantic field says of itself."""
    for field in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == name:
            for call in (part for part in ast.walk(field) if isinstance(part, ast.keyword)):
                if call.arg == "description" and isinstance(call.value, ast.Constant):
                    yield str(call.value.value)


@cache
def project_errors() -> dict[str, set[str]]:
    """Every error class of the project with its ancestors' names."""
    bases: dict[str, set[str]] = {}
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                bases[node.name] = names_of(node.bases)

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(base) for base in bases.get(name, ()) if base in bases))

    return {name: ancestors(name) for name in bases}


def names_of(nodes: list[ast.expr]) -> set[str]:
    return {ast.unparse(node).split(".")[-1] for node in nodes}


def raised(function: Function) -> set[str]:
    """Errors that a function raises in its own body, nested functions excluded."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            target = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found.add(ast.unparse(target).split(".")[-1])
        waiting += ast.iter_child_nodes(node)
    return found


def test_who_raises_one_of_our_errors_says_so() -> None:
    errors = project_errors()
    assert len(errors) > 10
    silent = []
    for path in sources():
        for part in public_parts(path):
            if not isinstance(part.node, Function) or path.parent == COMMANDS:
                continue
            unsaid = {
                error for error in raised(part.node) & errors.keys() if not says(part.doc, errors[error])
            }
            silent += [f"{part.where}: {error}" for error in sorted(unsaid)]
    assert silent == []


def says(doc: str, names: set[str]) -> bool:
    return any(re.search(rf"\b{name}\b", doc) for name in names)


def test_the_rules_find_what_they_look_for() -> None:
    code = """
class Track:
    '''A track.'''
    age: float
    seen_s: float

def blur(picture: NDArray[np.uint8], radius: float) -> None:
    '''Blur it.'''
    raise EventError("no")
"""
    module = ast.parse(code)
    track, blur = (Public(node.name, node, None) for node in module.body if isinstance(node, Documented))
    assert [name for name, _ in annotations(track)] == ["age", "seen_s"]
    assert not UNIT_IN_NAME.search("age")
    assert UNIT_IN_NAME.search("seen_s")
    assert not SHAPE.search(blur.doc)
    assert not UNIT_WORD.search(about("radius", blur))
    assert isinstance(blur.node, ast.FunctionDef)
    assert raised(blur.node) == {"EventError"}
    assert UNIT_WORD.search(about("x", blur)) is None
    for text in ("(n,) int64", "(n, 4) float32", "an (h, w, 3) uint8 picture"):
        assert SHAPE.search(text)

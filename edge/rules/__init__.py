"""The rules. Each is one file here: its section of the configuration, its memory, its step.

A new rule is a new file that names its section `RULE`: the configuration takes it, its task has a floor, and
analysis runs it. Its kind must be one of `edge.envelope.KINDS`.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from edge.rule_base import RuleSection

RULES: tuple[type[RuleSection], ...] = tuple(
    import_module(f"{__name__}.{found.name}").RULE
    for found in sorted(iter_modules(__path__), key=lambda found: found.name)
)
"""Sections of all rules, by the names of their files."""

if TYPE_CHECKING:
    AnyRule = RuleSection
else:
    AnyRule = Union[RULES]  # noqa: UP007 - `|` takes no tuple

Rule = Annotated[AnyRule, Field(discriminator="kind")]
"""Any rule, told apart by its kind."""

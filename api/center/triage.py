"""Triage (分流处置): the tables from a file, and where a case goes. The routing is pure."""

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from api.center.lifecycle import State
from api.center.tables import Depth, Duty, RegionTree, Triage, Urgency, ordered
from edge.errors import ConfigError
from edge.sections import Fault, FaultsError, Section
from edge.yaml_tree import read_tree

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Minutes = Annotated[float, Field(gt=0, le=525_600)]


class Route(NamedTuple):
    """Where a case goes.

    Attributes:
        region: code of the responsible region.
        told: codes of all that are told, from above.
    """

    region: str
    told: tuple[str, ...]


def route(triage: Triage, regions: RegionTree, level: int, code: str) -> Route:
    """Route by severity: to the depths that the level tells, each falling up to the nearest that exists.

    Args:
        triage: the tables.
        regions: those that exist.
        level: 1 to 4.
        code: of the place, 15 digits of a grid or 6 of a district.

    Example:
        >>> from api.center.tables import Region
        >>> tree = RegionTree((Region("360103", "西湖区"), Region("360103001", "北站街道")))
        >>> route(load_triage(), tree, 1, "360103001001001")
        Route(region='360103001', told=('360103', '360103001'))
        >>> route(load_triage(), tree, 4, "360103001001001")
        Route(region='360103001', told=('360103001',))
    """
    told = [found.code for depth in triage.levels[level].told if (found := regions.nearest(code, depth))]
    # where no region is listed, the district: a case without anybody would be lost
    codes = ordered(told or [regions.district or code[:6]])
    return Route(codes[-1], codes)


class _Duty(Section):
    category: Code
    department: Code


class _Urgency(Section):
    told: tuple[Depth, ...] = Field(min_length=1)
    deadline_min: dict[State, Minutes]


class _Tables(Section):
    """The file's shape; what fits together is said by `Triage`."""

    categories: dict[Code, Name]
    departments: dict[Code, Name]
    kinds: dict[str, _Duty]
    levels: dict[str, _Urgency]
    profiles: dict[str, float]
    causes: dict[Code, Name]

    @model_validator(mode="after")
    def _listed(self) -> Self:
        faults = [
            Fault(("kinds", kind, key), f"{getattr(duty, key)!r} is not listed in {table}")
            for kind, duty in self.kinds.items()
            for key, table in (("category", "categories"), ("department", "departments"))
            if getattr(duty, key) not in getattr(self, table)
        ]
        if faults:
            raise FaultsError(faults)
        return self

    def triage(self) -> Triage:
        """The tables as the centre uses them.

        Raises:
            ValueError: they are not complete.
        """
        return Triage(
            kinds={kind: Duty(duty.category, duty.department) for kind, duty in self.kinds.items()},
            levels={
                int(level) if level in ("1", "2", "3", "4") else 0: Urgency(row.told, row.deadline_min)
                for level, row in self.levels.items()
            },
            profiles=self.profiles,
            causes=self.causes,
            names={**self.categories, **self.departments},
        )


def load_triage(path: Path | None = None) -> Triage:
    """Read the tables of triage.

    Args:
        path: of a YAML file that replaces the one that ships.

    Raises:
        ConfigError: with file, line and key of each thing that is wrong.
    """
    if path is None:
        with as_file(files("api.center") / "data" / "triage.yaml") as own:
            return _read(own)
    return _read(path)


def _read(path: Path) -> Triage:
    from edge.plain_words import explain

    tree = read_tree(path)
    problems = list(tree.problems)
    try:
        # JSON's strict mode takes lists for tuples, but no text for a number
        tables = _Tables.model_validate_json(json.dumps(tree.data), strict=True)
        triage = tables.triage()
    except ValidationError as exc:
        problems += [tree.problem(key, text) for key, text in explain(exc, tree.data, _Tables)]
        raise ConfigError(problems) from None
    except ValueError as exc:
        raise ConfigError([*problems, tree.problem((), str(exc))]) from None
    if problems:
        raise ConfigError(problems)
    return triage

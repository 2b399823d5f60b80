"""The centre's configuration: its shape, and reading it with file, line, key and cure in every error."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, model_validator

from edge.access_config import AccessConfig, HttpConfig, TlsConfig, is_loopback
from edge.errors import ConfigError, Problem
from edge.sections import Fault, FaultsError, Id, Section
from edge.yaml_tree import Key, Tree, read_tree

SECRETS: Mapping[Key, str] = {
    ("redis", "url"): "redis://unresolved",
    ("database", "url"): "sqlite:///unresolved",
    ("http", "token"): "unresolved-unresolved",
    ("access", "oidc", "client_secret"): "unresolved",
}
"""Keys that take `${env:NAME}` and `${file:PATH}`, and what stands there where that cannot be had: one
fault is told, and not others that come of it."""

MIN_TOKEN = 16
"""Characters a token has at least; fewer could be guessed."""

Camera = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}$")]


class CenterSection(Section):
    """Who this centre is and how it works."""

    name: Id = Field("center", description="Begins its consumers' names; distinct on each machine.")
    district: str = Field("000000", pattern=r"^\d{6}$", description="GB/T 2260 code, 6 digits, in quotes.")
    data_dir: Path = Field(Path("center"), description="The SQLite database lives here.")
    workers: int = Field(1, ge=1, le=64, description="Processes that take events in; SQLite has one.")
    accept_unsigned: bool = Field(
        False, description="Take the events of nodes without an admitted key, unchecked."
    )
    escalate_every_s: float = Field(10.0, ge=0.1, le=3600, description="Seconds between looks at deadlines.")


class DatabaseSection(Section):
    """Where cases are kept."""

    url: SecretStr | None = Field(None, description="postgresql:// or sqlite:// URL; none: SQLite.")


class RedisSection(Section):
    """Where events come from."""

    url: SecretStr = Field(description="URL of the server that the nodes use.")
    batch: int = Field(256, ge=1, le=4096, description="Events taken in one database transaction.")
    claim_idle_s: float = Field(60.0, ge=1, le=86400, description="Seconds until another takes over.")
    max_deliveries: int = Field(5, ge=1, le=100, description="Then a dead letter.")


class HttpSection(HttpConfig):
    """The centre's HTTP interface."""

    port: int = Field(8090, ge=0, le=65535, description="Port; 0 takes a free one.")
    token: SecretStr | None = Field(None, description="What `Authorization: Bearer` must bring.")


class RegionEntry(Section):
    """A district (6 digits), street (9), community (12) or grid (15)."""

    code: str = Field(pattern=r"^\d{6}(\d{3}){0,3}$", description="6, 9, 12 or 15 digits, in quotes.")
    name: str = Field(min_length=1, max_length=100)
    parent: str | None = Field(None, description="Code of the region it lies in; none: the longest prefix.")


class MergeSection(Section):
    """Which incidents are one case."""

    window_s: float = Field(120.0, ge=0, le=86400, description="Seconds between them, at most.")
    radius_m: float = Field(50.0, ge=0, le=10_000, description="Metres between cameras, at most.")
    neighbours: tuple[Annotated[tuple[Camera, ...], Field(min_length=2)], ...] = Field(
        (), description="Lists of cameras, as node/camera, that watch the same place."
    )


class TablesSection(Section):
    """Tables of your own instead of those that ship."""

    triage: Path | None = Field(None, description="YAML: departments, deadlines, who is told.")
    gbt31000: Path | None = Field(None, description="YAML: code tables of the GB/T 31000-style export.")


class CenterConfig(Section):
    """The whole configuration of a centre."""

    center: CenterSection = CenterSection()
    database: DatabaseSection = DatabaseSection()
    redis: RedisSection
    http: HttpSection = HttpSection()
    tls: TlsConfig = TlsConfig()
    access: AccessConfig = AccessConfig()
    regions: tuple[RegionEntry, ...] = Field((), max_length=100_000)
    merge: MergeSection = MergeSection()
    tables: TablesSection = TablesSection()

    @property
    def database_url(self) -> str:
        """Where cases are kept, credentials included."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.center.data_dir / 'center.db'}"

    @property
    def opens_the_network(self) -> bool:
        """Whether others than this machine could come in without being asked who they are."""
        guarded = self.http.token is not None or (self.access.users and self.tls.on)
        return not guarded and not is_loopback(self.http.host)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if faults := [*self._service_faults(), *self._region_faults()]:
            raise FaultsError(faults)
        return self

    def _service_faults(self) -> Iterator[Fault]:
        url = self.database_url
        if not url.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
            yield Fault(("database", "url"), "must begin with postgresql:// or sqlite://")
        elif url.startswith("sqlite:") and self.center.workers > 1:
            yield Fault(
                ("center", "workers"),
                "SQLite takes one worker; write 1, or name a PostgreSQL database in database.url",
            )
        token = self.http.token.get_secret_value() if self.http.token else ""
        if self.opens_the_network:
            needed = "that needs a secret in http.token, or tls and access.users"
            yield Fault(("http", "host"), f"opens the centre to the network: {needed}")
        if self.http.token and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
            yield Fault(("http", "token"), f"must have {MIN_TOKEN} or more printable ASCII characters")

    def _region_faults(self) -> Iterator[Fault]:
        codes = {region.code for region in self.regions}
        seen: set[str] = set()
        for k, region in enumerate(self.regions):
            if region.code in seen:
                yield Fault(("regions", k, "code"), f"the region {region.code} is listed twice")
            seen.add(region.code)
            if not region.code.startswith(self.center.district):
                yield Fault(("regions", k, "code"), "lies outside of center.district; its first 6 digits say")
            shorter = (region.code[:n] for n in (12, 9, 6) if n < len(region.code))
            above = next((code for code in shorter if code in codes), None)
            if region.parent is not None and region.parent != above:
                nearest = f"the nearest listed is {above}" if above else "none of those is listed"
                yield Fault(("regions", k, "parent"), f"must be what the code begins with; {nearest}")


def load_center(path: Path) -> CenterConfig:
    """Read and check a centre's configuration. Relative paths start from its folder.

    Args:
        path: of a YAML file.

    Raises:
        ConfigError: with one problem for each thing that is wrong.
    """
    from api.center.servers import url_fault
    from edge.plain_words import explain

    tree = read_tree(path)
    folder = path.absolute().parent
    problems = list(tree.problems)
    data = _resolve(tree, (), tree.data, folder, problems)
    try:
        # JSON's strict mode takes lists for tuples and text for paths, but neither "5" nor yes for a number.
        config = CenterConfig.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as exc:
        blamed = {problem.key for problem in problems}
        found = (tree.problem(key, text) for key, text in explain(exc, tree.data, CenterConfig))
        problems += [problem for problem in found if problem.key not in blamed]
        raise ConfigError(_in_order(problems)) from None
    if fault := url_fault(config.redis.url.get_secret_value()):
        problems.append(tree.problem(("redis", "url"), fault))
    if problems:
        raise ConfigError(_in_order(problems))
    return _anchored(config, folder)


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line or 0, problem.key))


def _resolve(tree: Tree, key: Key, value: object, folder: Path, problems: list[Problem]) -> object:
    """The same data with secrets in their places."""
    from edge.load import SecretError, with_secrets

    if isinstance(value, Mapping):
        return {k: _resolve(tree, (*key, k), v, folder, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(tree, (*key, k), v, folder, problems) for k, v in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    if key not in SECRETS:
        places = ", ".join(".".join(map(str, secret)) for secret in SECRETS)
        problems.append(tree.problem(key, f"`${{...}}` is for secrets, in {places} only"))
        return value
    try:
        return with_secrets(value, folder)
    except SecretError as exc:
        problems.append(tree.problem(key, str(exc)))
        return SECRETS[key]


def _anchored(config: CenterConfig, folder: Path) -> CenterConfig:
    center = config.center.model_copy(update={"data_dir": folder / config.center.data_dir})
    paths = {name: folder / path for name in ("triage", "gbt31000") if (path := getattr(config.tables, name))}
    tables = config.tables.model_copy(update=paths)
    files = {name: folder / path for name in ("certificate", "key") if (path := getattr(config.tls, name))}
    tls = config.tls.model_copy(update=files)
    return config.model_copy(update={"center": center, "tables": tables, "tls": tls})

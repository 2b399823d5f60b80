"""Opens what the centre works with, by its configuration."""

import base64
from datetime import UTC, datetime
from pathlib import Path

from api.center.config import CenterConfig
from api.center.model import MergeOptions, Region, RegionTree, Triage
from api.center.refusal import Keyring
from api.center.store import Store
from api.center.stream import DistrictStream
from api.center.triage import load_triage


def open_stream(config: CenterConfig, role: str) -> DistrictStream:
    """The district's stream, as the consumer named after the centre and a role.

    Raises:
        StreamAwayError: the URL is malformed.
    """
    center = config.center
    return DistrictStream(config.redis.url.get_secret_value(), center.district, f"{center.name}-{role}")


def open_store(config: CenterConfig) -> Store:
    """The database, made or brought up to date where needed.

    Raises:
        ConfigError: the tables of triage are wrong.
        StoreAwayError: it cannot be opened.
    """
    if config.database.url is None:
        Path(config.center.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Store.open(
        config.database_url,
        triage_of(config),
        regions_of(config),
        merge_of(config),
        clock=lambda: datetime.now(UTC),
    )


def triage_of(config: CenterConfig) -> Triage:
    """The tables of triage.

    Raises:
        ConfigError: with file, line and key of each thing that is wrong.
    """
    return load_triage(config.tables.triage)


def regions_of(config: CenterConfig) -> RegionTree:
    """The tree of regions."""
    regions = tuple(Region(region.code, region.name) for region in config.regions)
    return RegionTree(regions, config.center.district)


def merge_of(config: CenterConfig) -> MergeOptions:
    """Which incidents are one case."""
    merge = config.merge
    return MergeOptions(merge.window_s, merge.radius_m, merge.neighbours)


def keyring(store: Store, config: CenterConfig) -> Keyring:
    """Who may speak now.

    Raises:
        StoreAwayError: the database is away.
    """
    keys = store.keys()
    valid = {key.id: (key.node, base64.b64encode(key.public).decode()) for key in keys if key.revoked is None}
    nodes = frozenset(key.node for key in keys)
    return Keyring(valid, nodes, config.center.accept_unsigned, config.center.district)

"""Whose accounts and audit log a configuration stands for: a node's or a centre's."""

from dataclasses import dataclass
from pathlib import Path

from edge.access_config import AccessConfig, HttpConfig, TlsConfig


@dataclass(frozen=True, slots=True)
class Premises:
    """What node and centre have in common.

    Attributes:
        data_dir: where accounts, keys and audit log lie.
        access, tls, http: sections of the configuration.
    """

    data_dir: Path
    access: AccessConfig
    tls: TlsConfig
    http: HttpConfig


def load_premises(path: Path) -> Premises:
    """Read a node's configuration, or a centre's, which has a section `center`.

    Raises:
        ConfigError: with one problem for each thing that is wrong.
    """
    from edge.load import load_config
    from edge.yaml_tree import read_tree

    data = read_tree(path).data
    if isinstance(data, dict) and "center" in data:
        from api.center.config import load_center

        centre = load_center(path)
        return Premises(centre.center.data_dir, centre.access, centre.tls, centre.http)
    node = load_config(path)
    return Premises(node.node.data_dir, node.access, node.tls, node.http)

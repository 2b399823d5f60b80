"""From a camera's configuration to what `streams` opens."""

from edge.config import CameraConfig
from streams.reach import Network
from streams.source import SourceOptions
from streams.url import SourceUrl


def address(camera: CameraConfig) -> SourceUrl:
    """Where the stream is that analysis reads: the small one, if there are two; shown without credentials.

    Raises:
        SourceUrlError: the address is malformed, or its scheme is not allowed.
    """
    return SourceUrl.parse(camera.source.analysed.get_secret_value())


def evidence_address(camera: CameraConfig) -> SourceUrl:
    """Where the stream is that evidence is kept of: the large one; the same if there is only one.

    Raises:
        SourceUrlError: as `address`.
    """
    return SourceUrl.parse(camera.source.main.get_secret_value())


def source_options(
    camera: CameraConfig, *, realtime: bool, networks: tuple[Network, ...] = ()
) -> SourceOptions:
    """How the camera's streams are opened.

    Args:
        camera: its configuration.
        networks: where cameras may be; empty: anywhere.
        realtime: whether a file plays at its own pace, like a camera, or as fast as it can be read.
    """
    return SourceOptions(
        camera.transport,
        camera.open_timeout_s,
        camera.read_timeout_s,
        realtime,
        camera.tls_verify,
        camera.tls_ca_file,
        networks=networks,
    )

"""From a camera's configuration to what `streams` opens."""

from edge.config import CameraConfig
from streams.source import SourceOptions
from streams.url import SourceUrl


def address(camera: CameraConfig) -> SourceUrl:
    """Where the camera's stream is; shown without its credentials.

    Raises:
        SourceUrlError: the address is malformed, or its scheme is not allowed.
    """
    return SourceUrl.parse(camera.source.get_secret_value())


def source_options(camera: CameraConfig, *, realtime: bool) -> SourceOptions:
    """How the camera's stream is opened.

    Args:
        camera: its configuration.
        realtime: whether a file plays at its own pace, like a camera, or as fast as it can be read.
    """
    return SourceOptions(
        camera.transport,
        camera.open_timeout_s,
        camera.read_timeout_s,
        realtime,
        camera.tls_verify,
        camera.tls_ca_file,
    )

"""Live view: sections of the configuration."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from edge.sections import Section

Overlay = Literal["zones", "boxes"]
_ICE = re.compile(r"^(stun|turn|turns):[A-Za-z0-9.\[\]:_-]{1,253}(\?transport=(udp|tcp))?$")


def _ice(value: str) -> str:
    if not _ICE.match(value):
        raise ValueError("is no address of an ICE server; write it as in stun:stun.example:3478")
    return value


class IceServer(Section):
    """A STUN or TURN server that helps viewers behind routers to reach the node."""

    url: Annotated[str, AfterValidator(_ice)] = Field(description="stun:, turn: or turns: and a host.")
    username: str = Field("", max_length=100, description="For turn: and turns:.")
    credential: SecretStr | None = Field(None, description="Its password, as ${env:...} or ${file:...}.")


class LiveConfig(Section):
    """Redacted pictures as they come, for who may and says why."""

    enabled: bool = Field(True, description="Whether cameras can be watched live.")
    fps: float = Field(12.5, ge=1, le=30, description="Pictures a second, at most.")
    max_height: int = Field(540, ge=180, le=1080, description="Lines of pictures; more are scaled down.")
    bitrate_kbps: int = Field(800, ge=100, le=20_000, description="Kilobits a second that a viewer gets.")
    max_viewers: int = Field(32, ge=1, le=256, description="Viewers of all cameras at once.")
    overlays: tuple[Overlay, ...] = Field(
        ("zones", "boxes"), max_length=2, description="What is drawn on top: zones, boxes."
    )
    ice_servers: tuple[IceServer, ...] = Field((), max_length=4, description="STUN and TURN servers.")

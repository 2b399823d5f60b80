"""What is kept of incidents: sections of the configuration."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from edge.sections import Section


class EvidenceConfig(Section):
    """Redacted pictures of incidents: how much of each, in what quality, and until when."""

    enabled: bool = Field(True, description="Whether a snapshot and a clip are kept of every incident.")
    before_s: float = Field(10.0, ge=0, le=20, description="Seconds of the clip before the incident is told.")
    after_s: float = Field(10.0, ge=0, le=20, description="Seconds of the clip after that.")
    fps: float = Field(12.5, ge=1, le=30, description="Pictures a second of the clip, at most.")
    max_height: int = Field(720, ge=180, le=2160, description="Lines of pictures; more are scaled down.")
    ttl_h: float = Field(72.0, gt=0, le=720, description="Hours until it is deleted.")
    quota_mb: int = Field(
        2048, ge=16, le=10**7, description="Megabytes (2^20 bytes) of all; then the least severe goes first."
    )
    base_url: str = Field(
        "",
        max_length=200,
        description="Where others reach this node, put before links in events: https://...",
    )

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            host = parts.hostname
        except ValueError:
            raise ValueError("is no address; write it as in https://gate-2.example:8080") from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in value:
            raise ValueError("must be http:// or https:// and a host, without user, query or fragment")
        return value.rstrip("/")

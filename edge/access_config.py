"""Who may reach a node's HTTP interface, and how it shows who it is: sections of the configuration."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from edge.sections import Fault, FaultsError, Section

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:-]{0,252}[A-Za-z0-9])?$")]


class HttpConfig(Section):
    """The node's HTTP interface."""

    host: str = Field("127.0.0.1", description="Address to bind to; beyond loopback with TLS and users only.")
    port: int = Field(8080, ge=0, le=65535, description="Port; 0 takes a free one.")
    names: tuple[HostName, ...] = Field(
        (), max_length=16, description="Other names and addresses that it answers under."
    )


class TlsConfig(Section):
    """The certificate that the HTTP interface shows: one of your own, or one that the node makes."""

    certificate: Path | None = Field(None, description="Certificate chain, PEM; read again when it changes.")
    key: Path | None = Field(None, description="Its private key, PEM, without a password.")
    generate: bool = Field(False, description="Make a self-signed one, and renew it before it expires.")

    @property
    def on(self) -> bool:
        """Whether the interface speaks TLS."""
        return self.generate or self.certificate is not None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            there, missing = ("certificate", "key") if self.key is None else ("key", "certificate")
            raise FaultsError([Fault((there,), f"needs tls.{missing} beside it")])
        if self.generate and self.certificate is not None:
            raise FaultsError([Fault(("generate",), "is for nodes without a certificate of their own")])
        return self


class OidcConfig(Section):
    """Single sign-on by OpenID Connect."""

    discovery_url: str = Field(description="The provider's .well-known/openid-configuration.")
    client_id: str = Field(min_length=1, max_length=200, description="The node's name at the provider.")
    client_secret: SecretStr = Field(description="Its secret; by ${env:NAME} or ${file:PATH}.")
    callback_url: str = Field(description="This node's https://.../login/oidc/callback, as registered there.")
    scopes: tuple[str, ...] = Field(("openid", "profile"), description="What is asked for.")
    name_claim: str = Field("preferred_username", description="Claim that holds the user's name.")
    unit_claim: str = Field(
        "organization", description="Claim that holds the organisation, for the audit log."
    )
    role_claim: str = Field("roles", description="Claim with text or a list of texts, mapped by `roles`.")
    roles: Mapping[str, str] = Field(
        description="From a value of that claim to a grant such as operator@gate-*,region:360103."
    )

    @field_validator("discovery_url", "callback_url")
    @classmethod
    def _safe(cls, value: str) -> str:
        if not is_safe_url(value):
            raise ValueError("must be an https:// address (http:// on this machine only), without a password")
        return value


class AccessConfig(Section):
    """Who may use the HTTP interface. Without users, this machine may read, without video."""

    users: bool = Field(False, description="Ask everybody who they are: users, tokens, single sign-on.")
    unit: str = Field(
        "", max_length=100, description="The organisation that users belong to, if none is said."
    )
    session_idle_s: float = Field(1800.0, ge=60, le=86_400, description="A session unused for so long ends.")
    session_max_s: float = Field(43_200.0, ge=60, le=604_800, description="Every session ends after so long.")
    oidc: OidcConfig | None = Field(None, description="Single sign-on; none: local users only.")

    @model_validator(mode="after")
    def _oidc_is_for_users(self) -> Self:
        if self.oidc is not None and not self.users:
            raise FaultsError([Fault(("oidc",), "needs access.users: true, or nobody is asked to sign in")])
        return self


def is_safe_url(url: str) -> bool:
    """Whether a URL is https://, or http:// on this machine, and holds no credentials.

    >>> is_safe_url("https://id.example/x"), is_safe_url("http://127.0.0.1:9/"), is_safe_url("http://id.example/")
    (True, True, False)
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("192.0.2.1")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_door(http: HttpConfig, tls: TlsConfig, access: AccessConfig) -> str:
    """Why the interface may not be bound as configured; empty where it may."""
    if is_loopback(http.host):
        return ""
    missing = [
        text
        for text, there in (
            ("TLS (`tls.generate: true`, or `tls.certificate` and `tls.key`)", tls.on),
            ("users (`access.users: true`)", access.users),
        )
        if not there
    ]
    if not missing:
        return ""
    return (
        f"opens the node to the network, which needs {' and '.join(missing)}: docs/access.md; or bind it to "
        "127.0.0.1"
    )

"""The node's own certificate: made once, for its names, renewed in time, private."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.certificate import VALID_DAYS, CertificateError, own_certificate, read_certificate

NAMES = ["node-1.example", "192.0.2.7", "::1", "localhost"]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def utc(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return 0.0

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.is_set()


def test_it_is_made_once_and_private(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, NAMES, Clock())
    assert made.names == set(NAMES)
    assert made.chain.stat().st_mode & 0o777 == 0o600
    assert made.chain.parent.stat().st_mode & 0o777 == 0o700
    assert len(made.sha256) == 95
    assert own_certificate(tmp_path, reversed(NAMES), Clock()) == made
    assert b"PRIVATE" not in made.chain.with_name("certificate.pem").read_bytes()


def test_a_client_that_trusts_it_connects_by_its_names(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, NAMES, Clock())
    trusting = ssl.create_default_context(cafile=made.chain.with_name("certificate.pem"))
    for name in NAMES:
        shake(made.context(), trusting, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(made.context(), trusting, "other.example")


def shake(serving: ssl.SSLContext, asking: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    assert client.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize(
    ("days", "renewed"), [(VALID_DAYS - 31, False), (VALID_DAYS - 29, True), (VALID_DAYS + 9, True)]
)
def test_it_is_renewed_before_it_expires(tmp_path: Path, days: int, renewed: bool) -> None:
    clock = Clock()
    first = own_certificate(tmp_path, NAMES, clock)
    clock.now += timedelta(days=days)
    second = own_certificate(tmp_path, NAMES, clock)
    assert (second.sha256 != first.sha256) == renewed
    assert second.expires > clock.now


def test_other_names_damage_and_open_doors_ask_for_a_new_one(tmp_path: Path) -> None:
    seen = {own_certificate(tmp_path, NAMES, Clock()).sha256}
    path = tmp_path / "tls" / "node.pem"
    changes = (
        lambda: None,
        lambda: path.write_bytes(path.read_bytes()[:300]),
        lambda: path.chmod(0o644),
        lambda: path.write_bytes(path.with_name("certificate.pem").read_bytes()),
    )
    for change in changes:
        change()
        seen.add(own_certificate(tmp_path, ["other.example"], Clock()).sha256)
    assert len(seen) == 5
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_s_own_is_read_and_what_is_none_is_told(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, NAMES, Clock())
    certificate = made.chain.with_name("certificate.pem")
    assert read_certificate(certificate, made.key).sha256 == made.sha256
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    junk.chmod(0o600)
    with pytest.raises(CertificateError, match="no certificate in PEM"):
        read_certificate(junk, made.key)
    with pytest.raises(CertificateError, match="cannot be read"):
        read_certificate(tmp_path / "missing.pem", made.key)
    with pytest.raises(CertificateError, match=r"correct tls\.certificate"):
        read_certificate(certificate, junk).context()
    junk.chmod(0o644)
    with pytest.raises(CertificateError, match="chmod 600"):
        read_certificate(certificate, junk)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(CertificateError, match="cannot be written"):
        own_certificate(tmp_path, NAMES, Clock())

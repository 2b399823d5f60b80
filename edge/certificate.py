"""The certificate that a node makes for itself where it has none of its own: ECDSA P-256, self-signed."""

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.durable import replace_file
from edge.errors import EdgeError
from streams.clock import Clock

log = structlog.get_logger(__name__)

VALID_DAYS, RENEWED_DAYS_BEFORE = 365, 30
_OTHERS = 0o077
_ALLOWANCE = timedelta(hours=1)
"""A client's clock may be behind by so much."""


class CertificateError(EdgeError):
    """A certificate or its key cannot be read, made or used; the text names the file and the cure."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and where it lies.

    Attributes:
        chain: PEM file of the certificate, and of those above it.
        key: PEM file of its private key; may be the same.
        sha256: of the certificate, as browsers show it.
        expires: aware UTC time.
        names: host names and addresses that it is for.
    """

    chain: Path
    key: Path
    sha256: str
    expires: datetime
    names: frozenset[str]

    def context(self) -> ssl.SSLContext:
        """What a server needs to show it: TLS 1.2 or later.

        Raises:
            CertificateError: certificate and key do not fit together.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(made)
        return made

    def load_into(self, context: ssl.SSLContext) -> None:
        """Show it to whoever connects from now on.

        Raises:
            CertificateError: certificate and key do not fit together.
        """
        try:
            context.load_cert_chain(self.chain, self.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError):
            raise CertificateError(
                f"{self.chain} and {self.key} are no certificate with its key in PEM without a password; "
                "correct tls.certificate and tls.key"
            ) from None


def read_certificate(chain: Path, key: Path) -> Certificate:
    """A certificate of one's own.

    Args:
        chain: PEM file of the certificate, followed by those above it.
        key: PEM file of its private key, without a password.

    Raises:
        CertificateError: it cannot be read.
    """
    try:
        if key.stat().st_mode & 0o007:
            raise CertificateError(f"{key} is open to everybody on this machine; run `chmod 600`")
        found = x509.load_pem_x509_certificate(chain.read_bytes())
    except OSError as exc:
        raise CertificateError(f"{exc.filename} cannot be read: {exc.strerror}") from None
    except ValueError:
        raise CertificateError(f"{chain} holds no certificate in PEM; correct tls.certificate") from None
    return _told(found, chain, key)


def own_certificate(data_dir: Path, names: Iterable[str], clock: Clock) -> Certificate:
    """The certificate that the node made; a new one where there is none, for other names, before it expires.

    It lies with its key in `tls/node.pem` below the data directory, for the node's user only, and without the
    key in `tls/certificate.pem`, to be given to those who shall trust it.

    Args:
        data_dir: of the node.
        names: host names and addresses that it is for.
        clock: wall time.

    Raises:
        CertificateError: it cannot be written.
    """
    wanted = sorted(set(names))
    path = data_dir / "tls" / "node.pem"
    now = clock.utc()
    found = _found(path)
    if found is not None and found.names == set(wanted):
        if now < found.expires - timedelta(days=RENEWED_DAYS_BEFORE):
            return found
        log.info("the node's certificate is renewed: it expires soon", expires=found.expires.isoformat())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate, pem = _made(wanted, now)
        replace_file(path, pem)
        replace_file(path.with_name("certificate.pem"), certificate.public_bytes(Encoding.PEM))
    except OSError as exc:
        raise CertificateError(f"{path} cannot be written: {exc.strerror}") from None
    made = _told(certificate, path, path)
    log.info("the node made itself a certificate", sha256=made.sha256, names=wanted)
    return made


def _found(path: Path) -> Certificate | None:
    try:
        if path.stat().st_mode & _OTHERS:
            log.warning("the node's certificate was open to other users; a new one is made", file=str(path))
            return None
        found = _told(x509.load_pem_x509_certificate(path.read_bytes()), path, path)
        found.context()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, CertificateError):
        log.warning("the node's certificate is damaged; a new one is made", file=str(path))
        return None
    return found


def _made(names: Sequence[str], now: datetime) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sharp Eyes node")])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _ALLOWANCE)
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate, certificate.public_bytes(Encoding.PEM) + secret


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _told(certificate: x509.Certificate, chain: Path, key: Path) -> Certificate:
    digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
    pairs = ":".join(digest[k : k + 2] for k in range(0, len(digest), 2))
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names: frozenset[str] = frozenset()
    else:
        addresses = map(str, alternative.get_values_for_type(x509.IPAddress))
        names = frozenset({*alternative.get_values_for_type(x509.DNSName), *addresses})
    return Certificate(chain, key, pairs, certificate.not_valid_after_utc, names)


def _no_password() -> str:
    """Nobody sits at the node who could type one."""
    raise ValueError

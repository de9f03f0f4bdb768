"""The line's own authority, and the certificates that it signs: the broker's, and one for each login.

    <directory>/certificates/authority.pem   made once
    <directory>/certificates/authority.key   whoever has it can play the broker
    <directory>/certificates/server.pem      with its key; made anew when names are added, and in time before its end

All are valid from 1970 on, because a Raspberry Pi without a battery starts there until it has heard the time.
"""

import fcntl
import ipaddress
import re
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.files import write_private
from pcb_bus.errors import ConfigError

_BEGIN, _EARLIEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
_AUTHORITY_LIFE, _LIFE = timedelta(days=365 * 30), timedelta(days=730)
RENEWED_BEFORE = timedelta(days=60)
"""A certificate that ends sooner is made anew."""
_LONGEST_NAME = 64
_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_SIOCGIFADDR = 0x8915  # ioctl of Linux: the IPv4 address of an interface


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files in `directory/certificates`."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "certificates" / "authority.pem"

    @property
    def authority_key(self) -> Path:
        return self.authority.with_suffix(".key")

    @property
    def server(self) -> Path:
        return self.authority.with_name("server.pem")

    @property
    def server_names(self) -> tuple[str, ...]:
        """Host names and addresses of the broker's certificate; none if it is not there.

        Raises:
            ConfigError: it cannot be read.
        """
        return _names_of(_read(self.server)) if self.server.exists() else ()

    @property
    def server_ends(self) -> datetime:
        """
        Raises:
            ConfigError: it cannot be read.
        """
        return _read(self.server).not_valid_after_utc

    def make(self, names: Iterable[str] = ()) -> bool:
        """Make what is missing, ends soon or lacks a name; what the certificate named before, it goes on naming.

        Args:
            names: host names and addresses under which nodes find the broker, besides those that this machine has now.

        Returns:
            Whether the broker's certificate is another one now.

        Raises:
            ConfigError: a file that is there cannot be used, or a name is none.
        """
        self.authority.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.authority.exists():
            if (now := datetime.now(UTC)) < _EARLIEST:
                raise ConfigError(f"this machine's clock says {now:%Y-%m-%d}: set it before certificates are made")
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name(f"Boardline {socket.gethostname()}"[:_LONGEST_NAME])
            write_private(self.authority_key, _key_pem(key))
            write_private(self.authority, _pem(_authority(name, key)))
        known = self.server_names
        wanted = tuple(dict.fromkeys((*known, *own_names(), *names)))
        if wanted == known and self.server_ends - datetime.now(UTC) > RENEWED_BEFORE:
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        server = self._sign("broker", key, ExtendedKeyUsageOID.SERVER_AUTH, wanted)
        write_private(self.server, _pem(server) + _key_pem(key))
        return True

    def for_login(self, username: str) -> tuple[str, str]:
        """A certificate whose common name is the login, and its key, as PEM.

        Raises:
            ConfigError: the login's name is too long for a certificate.
        """
        if len(username) > _LONGEST_NAME:
            raise ConfigError(f"{username}: a certificate's name has {_LONGEST_NAME} characters at most")
        key = ec.generate_private_key(ec.SECP256R1())
        return _pem(self._sign(username, key, ExtendedKeyUsageOID.CLIENT_AUTH)), _key_pem(key)

    def login_ends(self, certificate: str) -> datetime:
        """Until when the PEM of `for_login` is valid; the epoch if it is none of this authority's."""
        with suppress(ValueError):
            read = x509.load_pem_x509_certificate(certificate.encode())
            if read.issuer == _read(self.authority).subject:
                return read.not_valid_after_utc
        return _BEGIN

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, usage: x509.ObjectIdentifier, names: Iterable[str] = ()
    ) -> x509.Certificate:
        authority, signer = _read(self.authority), _read_key(self.authority_key)
        end = min(datetime.now(UTC) + _LIFE, authority.not_valid_after_utc)
        builder = _builder(_name(name), authority.subject, key, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(_signed_by(signer), critical=False)
        if names := list(names):
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False
            )
        return builder.sign(signer, hashes.SHA256())


def own_names() -> tuple[str, ...]:
    """Under which names and IPv4 addresses this machine can be found now; link-local IPv6 has none that serve."""
    host = socket.gethostname()
    names = ["localhost", "127.0.0.1", "::1", *((host, f"{host}.local") if _is_name(host) else ())]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, interface in socket.if_nameindex():
            with suppress(OSError):  # it has no address
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
                names.append(socket.inet_ntoa(answer[20:24]))
    return tuple(dict.fromkeys(names))


def _is_name(text: str) -> bool:
    try:
        return _HOST_NAME.fullmatch(text.encode("idna").decode()) is not None
    except UnicodeError:
        return False


def _general_name(text: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(text))
    if not _is_name(text):
        raise ConfigError(f"--names: {text!r} is neither a host name nor an address")
    return x509.DNSName(text.encode("idna").decode())


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(each.value) for each in found)


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(
        key_cert_sign=True, crl_sign=True, digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, name, key, datetime.now(UTC) + _AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True).add_extension(_signed_by(key), critical=False)
    return builder.sign(key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=_BEGIN,
        not_valid_after=end,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _signed_by(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a certificate that can be read: {error}") from None


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a key that can be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: not a key of an elliptic curve, as `python -m broker` makes them")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()

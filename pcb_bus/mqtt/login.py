"""Who a node is at the broker, and whom it trusts: its credentials file, and what TLS makes of it."""

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcb_bus.contract.codec import read_yaml
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import remember
from pcb_bus.runtime.settings import BrokerSettings

_PLAIN_PORT, _TLS_PORT = 1883, 8883
_NEEDED, _MORE = ("username", "password"), ("client_id", "authority", "certificate", "key")
_EARLY, _EXPIRED = 9, 10  # OpenSSL's numbers of what is wrong with a certificate
_OTHER_NAME = (62, 64)  # of a host, of an address


@dataclass(frozen=True, slots=True)
class Login:
    """How one node reaches the broker.

    Args:
        client_id: the name of its session there. Whoever knew it could take the session over, so it is a secret too.
        authority: PEM of the authority that signed the broker's certificate; None: no TLS, or as `broker.tls` says.
        certificate, key: PEM of the node's own, where the broker asks for them.
        file: where all this stands.
    """

    broker: BrokerSettings
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = field(default=None, repr=False)
    authority: str | None = None
    certificate: str | None = None
    key: str | None = field(default=None, repr=False)
    file: Path | None = None

    @property
    def encrypted(self) -> bool:
        return self.authority is not None or self.broker.tls is not None

    @property
    def port(self) -> int:
        return self.broker.port or (_TLS_PORT if self.encrypted else _PLAIN_PORT)

    def again(self) -> "Login":
        """As its file says now.

        Raises:
            ConfigError: the file cannot be used.
        """
        return self if self.file is None else login_of(self.file, self.broker)

    def tls_context(self) -> ssl.SSLContext:
        """Trusts what this login says, and nothing else.

        Raises:
            ConfigError: a certificate or a key cannot be used.
        """
        tls = self.broker.tls
        ca_file = None if tls is None else tls.ca_file
        try:
            context = ssl.create_default_context(cafile=ca_file, cadata=None if ca_file else self.authority)
            if tls is not None and tls.cert_file is not None:
                context.load_cert_chain(tls.cert_file, tls.key_file)
            elif self.certificate is not None:
                self.show_certificate(context)
        except (OSError, ValueError) as error:
            where = "broker.tls" if tls is not None else f"broker.credentials: {self.file}"
            raise ConfigError(f"{where}: {error}") from None
        return context

    def show_certificate(self, context: ssl.SSLContext) -> None:
        """Have the context show this node's certificate. Python loads one from a file only."""
        with tempfile.NamedTemporaryFile("w") as pem:
            pem.write(f"{self.certificate}\n{self.key or ''}")
            pem.flush()
            context.load_cert_chain(pem.name)


def read_login(broker: BrokerSettings, node: str, root: str = "pcb") -> Login:
    """That of a node: what the settings say, else `<credentials>/<root>/<node>.yaml`, else `<credentials>/<node>.yaml`.

    Nobody's, without a username, where neither file is there.

    Raises:
        ConfigError: the file is there but cannot be used.
    """
    if broker.username is not None:
        return Login(broker, broker.username, broker.password)
    for folder in (broker.credentials / root, broker.credentials):
        file = folder / f"{node}.yaml"
        try:
            login = login_of(file, broker)
        except ConfigError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                continue
            raise
        who, _, line = (login.username or "").partition("@")
        if who == node and line not in ("", root):  # another broker's login may have an @ of its own
            raise ConfigError(f"broker.credentials: {file} is a login of the line {line}; this line's root is {root}")
        return login
    return Login(broker)


def login_of(file: Path, broker: BrokerSettings) -> Login:
    """What a credentials file says.

    Raises:
        ConfigError: it cannot be used.
    """
    login = Login(broker, **_read(file), file=file)
    remember({"password": [login.password, login.client_id]})
    return login


def _read(file: Path) -> dict[str, Any]:
    try:
        data = read_yaml(file, secret=True)
    except ConfigError as error:
        raise ConfigError(f"broker.credentials: {error}") from error.__cause__
    known = (
        {key: data[key] for key in (*_NEEDED, *_MORE) if data.get(key) is not None} if isinstance(data, dict) else {}
    )
    if not known.keys() >= set(_NEEDED) or not all(isinstance(each, str) and each for each in known.values()):
        raise ConfigError(f"broker.credentials: {file} needs username and password, a number in quotes")
    return known


def why_no_tls(failure: Exception, host: str) -> str | None:
    """What an operator can do about a connection that failed in TLS; None if it failed elsewhere."""
    code = getattr(failure, "verify_code", None)
    if code in _OTHER_NAME:
        return f"its certificate does not name {host}; on its machine: python -m broker certificates --names {host}"
    if code == _EXPIRED:
        return "its certificate has expired; start the broker again, which renews it, or look at this machine's clock"
    if code == _EARLY:
        return "its certificate is not valid yet: this machine's clock is behind; set it (docs/clocks.md)"
    if code is not None:
        return "its certificate is of an authority that we do not trust; copy our credentials file from it again"
    if isinstance(failure, ConnectionResetError | ssl.SSLEOFError):
        return "it hangs up; is this its port with TLS? Leave broker.port out for 8883"
    return f"it says {failure}" if isinstance(failure, ssl.SSLError) else None

"""Mosquitto's configuration file: `mosquitto.conf` beside this module, and what was provisioned."""

import getpass
from dataclasses import dataclass
from pathlib import Path

from broker.certificates import Certificates

BASE = Path(__file__).with_name("mosquitto.conf")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where the broker listens.

    Args:
        plain: port without TLS.
        tls: port with TLS; None: no TLS at all.
        websocket: port for browsers, with TLS where there is TLS.
        address: of the plain port, and of the websocket without TLS; None: every interface.
        tls_address: of the others.
        certificates_required: on the TLS port a client shows a certificate, whose common name is its login.
    """

    plain: int
    tls: int | None = None
    websocket: int | None = None
    address: str | None = LOOPBACK
    tls_address: str | None = LOOPBACK
    certificates_required: bool = False

    @property
    def ports(self) -> tuple[tuple[int, str | None], ...]:
        """Each with its address."""
        found = [(self.plain, self.address)]
        found += [(self.tls, self.tls_address)] if self.tls else []
        found += [(self.websocket, self._websocket_address)] if self.websocket else []
        return tuple(found)

    @property
    def _websocket_address(self) -> str | None:
        return self.tls_address if self.tls else self.address

    def lines(self, certificates: Certificates) -> list[str]:
        files = [f"certfile {certificates.server}", f"keyfile {certificates.server}"]
        lines = ["", _listener(self.plain, self.address)]
        if self.tls is not None:
            lines += ["", _listener(self.tls, self.tls_address), *files, "tls_version tlsv1.2"]
            if self.certificates_required:
                lines += [
                    f"cafile {certificates.authority}",
                    "require_certificate true",
                    "use_identity_as_username true",
                ]
        if self.websocket is not None:
            lines += ["", _listener(self.websocket, self._websocket_address), "protocol websockets"]
            lines += files if self.tls else []
            # Mosquitto 2.0.11 ignores a websockets listener's address, and over IPv6 its interface too.
            lines += ["bind_interface lo", "socket_domain ipv4"] if self._websocket_address == LOOPBACK else []
        return lines


def mosquitto_conf(directory: Path, listeners: Listeners, user: str | None = None) -> str:
    """The file's content; `directory` is where `provision` wrote the logins."""
    folder = directory.resolve()
    added = [
        "",
        "# --- Added by `python -m broker` ---",
        f"password_file {folder}/passwords",
        f"acl_file {folder}/acl",
        "# Started as root, Mosquitto would turn into the user `mosquitto`, who may not read the files above.",
        f"user {user or getpass.getuser()}",
        "persistence true",
        f"persistence_location {folder}/data/",
        *listeners.lines(Certificates(folder)),
    ]
    base = [line for line in BASE.read_text(encoding="utf-8").splitlines() if not line.startswith("listener ")]
    return "\n".join([*base, *added]) + "\n"


def _listener(port: int, address: str | None) -> str:
    return f"listener {port} {address}" if address else f"listener {port}"

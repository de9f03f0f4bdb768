"""Mosquitto's configuration file, filled in from `mosquitto.conf` beside this module."""

import getpass
from dataclasses import dataclass
from pathlib import Path
from string import Template

TEMPLATE = Path(__file__).with_name("mosquitto.conf")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where the broker listens; `address` none: on every interface."""

    port: int
    websocket_port: int | None = None
    address: str | None = LOOPBACK

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port,) if self.websocket_port is None else (self.port, self.websocket_port)


def mosquitto_conf(directory: Path, listeners: Listeners, user: str | None = None) -> str:
    """The file's content; `directory` is where `provision` wrote the logins."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).safe_substitute(
        directory=directory.resolve(),
        user=user or getpass.getuser(),
        listeners="\n".join(_listener_lines(listeners)),
    )


def _listener_lines(listeners: Listeners) -> list[str]:
    address = f" {listeners.address}" if listeners.address else ""
    lines = [f"listener {listeners.port}{address}"]
    if listeners.websocket_port is not None:
        lines += ["", f"listener {listeners.websocket_port}{address}", "protocol websockets"]
        # Mosquitto 2.0.11 ignores a websockets listener's address, and over IPv6 its interface too.
        lines += ["bind_interface lo", "socket_domain ipv4"] if listeners.address == LOOPBACK else []
    return lines

"""`python -m broker run|provision|certificates|rotate`: the broker of a real line."""

import os
import shlex
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from broker.certificates import Certificates
from broker.config import LOOPBACK, Listeners
from broker.errors import PortTaken
from broker.files import write_private
from broker.provision import provision, rotate
from broker.roles import Role, roles_of_lines
from broker.server import limit_memory, make_trust, prepare
from pcb_bus.contract.messages import Name
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import BoardlineError, BrokerError
from pcb_bus.runtime.settings import LineSettings, Port, load_settings

USAGE = "usage: python -m broker run|provision|certificates [--help] [options], or python -m broker rotate LOGIN..."
_PID = "mosquitto.pid"
_WIDE_OPEN = """\
WARNING: broker.plain is lan: port {port} takes logins and messages without TLS from the whole network. Whoever listens
there reads every password. It is meant for a network that nobody else can reach."""


class ServerSettings(LineSettings):
    """Run Mosquitto for a line, with a login for each role."""

    directory: Path = Path("var/broker")
    """Folder of logins, certificates, stored sessions and configuration."""
    listen: str | None = None
    """Address of the ports with TLS; none: every interface. Websockets know 127.0.0.1 or every interface only."""
    plain_port: Port = 1883
    """Port without TLS: for this machine alone, unless `broker.plain` is lan."""
    websocket_port: Port | None = 9001
    """Port for MQTT over websockets with TLS, which browsers speak; none: not served."""
    names: tuple[str, ...] = ()
    """Host names and addresses for the broker's certificate, besides those that this machine has."""
    client_certificates: bool = False
    """On the TLS port each client shows a certificate; those in the credentials files serve."""
    lines: dict[str, Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]] = Field({})
    """Further lines that this broker serves, by their roots: the sides of each."""

    @field_validator("lines")
    @classmethod
    def _roots_are_topics(cls, lines: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for root in lines:
            Topics(root)
        return lines

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if len({self.tls_port, self.plain_port, self.websocket_port}) < 3:
            raise ValueError(
                f"broker.port ({self.tls_port}) is the one with TLS: it, plain_port ({self.plain_port}) and "
                f"websocket_port ({self.websocket_port}) must differ; leave broker.port out for 8883"
            )
        return self

    @property
    def tls_port(self) -> int:
        return self.broker.port or 8883

    @property
    def listeners(self) -> Listeners:
        plain = None if self.broker.plain == "lan" else LOOPBACK
        required = self.client_certificates
        return Listeners(self.plain_port, self.tls_port, self.websocket_port, plain, self.listen, required)

    @property
    def roles(self) -> tuple[Role, ...]:
        lines: Mapping[str, Sequence[str]] = {self.root: self.sides, **self.lines}
        return roles_of_lines(lines)


def greeting(settings: ServerSettings, new: Sequence[str]) -> str:
    """What an operator needs to know to look on."""
    folder = settings.directory / "credentials"
    viewer = shlex.quote(str(folder / "viewer.yaml"))
    authority = shlex.quote(str(Certificates(settings.directory).authority))
    password = f"\"$(sed -n 's/^password: //p' {viewer})\""
    login, topic = f"-u viewer -P {password}", f"-t '{settings.topics.verdict}'"
    host = socket.gethostname()
    websockets = f", or wss://{host}:{settings.websocket_port}" if settings.websocket_port else ""
    lines = [
        f"Logins are in {folder}/, one file per role. Copy <node>.yaml to that node's machine: it is all it needs.",
        "To look on without a chance to change anything, use the login `viewer`. On this machine:",
        f"  mosquitto_sub -V 5 -p {settings.plain_port} {login} {topic}",
        "On another one, with copies of both files:",
        f"  mosquitto_sub -V 5 -h {host} -p {settings.tls_port} --cafile {authority} {login} {topic}",
        f"MQTTnet, Node-RED, browsers: mqtts://{host}:{settings.tls_port}{websockets}, with that login,",
        f"and {authority} as the certificate authority; docs/security.md shows each.",
    ]
    return "\n".join([f"New logins: {', '.join(new)}.", *lines] if new else lines)


def run(settings: ServerSettings) -> None:
    """Become Mosquitto."""
    make_trust(settings.directory, settings.listeners, settings.names)
    try:
        command, new = prepare(settings.directory, settings.listeners, settings.roles)
    except PortTaken as error:
        option = {settings.tls_port: "PORT", settings.plain_port: "PLAIN_PORT"}.get(error.port, "WS_PORT")
        raise BrokerError(f"{error}; another one: make broker {option}={error.port + 1}") from None
    ports = f"port {settings.tls_port} with TLS, {settings.plain_port} without"
    ports += f", websockets {settings.websocket_port} with TLS" if settings.websocket_port else ""
    print(f"{greeting(settings, new)}\nBroker on {ports}; Ctrl-C ends it.", flush=True)
    if settings.broker.plain == "lan":
        print(_WIDE_OPEN.format(port=settings.plain_port), file=sys.stderr, flush=True)
    write_private(settings.directory / _PID, f"{os.getpid()}\n")  # the one that it has as Mosquitto, too
    limit_memory(os.getpid())
    os.execv(command[0], command)


def make_logins(settings: ServerSettings) -> None:
    """Write certificates and logins without starting anything."""
    trust = make_trust(settings.directory, settings.listeners, settings.names)
    new = provision(settings.directory, settings.roles, trust)
    print(greeting(settings, new))
    _reload(settings.directory)


def make_certificates(settings: ServerSettings) -> None:
    """Make or renew the broker's certificate, with more names if there are any."""
    certificates = Certificates(settings.directory)
    changed = certificates.make(settings.names)
    provision(settings.directory, settings.roles, make_trust(settings.directory, settings.listeners))
    print(
        f"{certificates.server}: {'made anew' if changed else 'as before'}, until {certificates.server_ends:%Y-%m-%d}"
    )
    print(f"It names {', '.join(certificates.server_names)}; more: --names host,address")
    if changed and _reload(settings.directory):
        print("The broker that runs shows it from now on; on the websockets after its next start.")


def change_passwords(settings: ServerSettings, logins: Sequence[str]) -> None:
    """Give these logins a new password each. The nodes go on as soon as they have the new file; no restart."""
    for file in rotate(settings.directory, settings.roles, logins):
        print(f"{file} has a new password; copy it to the node's machine, which takes it without a restart")
    if not _reload(settings.directory):
        print("No broker runs here: it will know the new passwords when it starts.")


def _reload(directory: Path) -> bool:
    """Have the broker that runs from this folder read its files again; whether there is one."""
    with suppress(OSError, ValueError):
        pid = int((directory / _PID).read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto":
            os.kill(pid, signal.SIGHUP)
            return True
    return False


def main(argv: list[str]) -> int:
    commands = {"run": run, "provision": make_logins, "certificates": make_certificates}
    command, arguments = "".join(argv[:1]), argv[1:]
    logins = list(takewhile(lambda each: not each.startswith("-"), arguments)) if command == "rotate" else []
    if command not in commands and not logins:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        settings = load_settings(ServerSettings, arguments[len(logins) :], program=f"python -m broker {command}")
        if logins:
            change_passwords(settings, logins)
        else:
            commands[command](settings)
    except (BoardlineError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m broker provision|run`: the broker of a real line."""

import os
import shlex
import sys
from pathlib import Path

from broker.config import Listeners
from broker.errors import PortTaken
from broker.provision import provision
from broker.roles import Role, roles_of
from broker.server import prepare
from pcb_bus.errors import BoardlineError
from pcb_bus.runtime.settings import LineSettings, Port, load_settings

USAGE = "usage: python -m broker provision|run [--help] [options]"


class ServerSettings(LineSettings):
    """Run Mosquitto for a line, with a login for each role."""

    directory: Path = Path("var/broker")
    """Folder of logins, stored sessions and configuration."""
    listen: str | None = None
    """Address to listen on; none: every interface. Websockets know 127.0.0.1 or every interface only."""
    websocket_port: Port | None = 9001
    """Port for MQTT over websockets, which browsers speak; none: not served."""

    @property
    def listeners(self) -> Listeners:
        return Listeners(self.broker.port, self.websocket_port, self.listen)

    @property
    def roles(self) -> tuple[Role, ...]:
        return roles_of(self.topics, self.sides)


def greeting(settings: ServerSettings, new: tuple[str, ...]) -> str:
    """What an operator needs to know to look on."""
    folder = settings.directory / "credentials"
    viewer = shlex.quote(str(folder / "viewer.yaml"))
    password = f"\"$(sed -n 's/^password: //p' {viewer})\""
    topic, port = settings.topics.verdict, settings.broker.port
    lines = [
        f"Logins are in {folder}/, one file per role. Copy <node>.yaml to the machine of that node.",
        "To look on without a chance to change anything, use the login `viewer`:",
        f"  mosquitto_sub -V 5 -p {port} -u viewer -P {password} -t '{topic}'",
    ]
    return "\n".join([f"New logins: {', '.join(new)}.", *lines] if new else lines)


def run(settings: ServerSettings) -> None:
    """Become Mosquitto."""
    command, new = prepare(settings.directory, settings.listeners, settings.roles)
    ports = f"port {settings.broker.port}"
    ports += f", websockets {settings.websocket_port}" if settings.websocket_port else ""
    print(f"{greeting(settings, new)}\nBroker on {ports}; Ctrl-C ends it.", flush=True)
    os.execv(command[0], command)


def make_logins(settings: ServerSettings) -> None:
    """Write the logins without starting anything."""
    print(greeting(settings, provision(settings.directory, settings.roles)))


def main(argv: list[str]) -> int:
    commands = {"run": run, "provision": make_logins}
    if not argv or argv[0] not in commands:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        commands[argv[0]](load_settings(ServerSettings, argv[1:], program=f"python -m broker {argv[0]}"))
    except PortTaken as error:
        print(f"{error}; another one: make broker PORT={error.port + 1}", file=sys.stderr)
        return 2
    except BoardlineError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

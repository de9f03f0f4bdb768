"""`python -m pcb_bus command`, `watch` and `nodes`: a line from a shell."""

import json
import logging
import queue
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Frame, NodeStatus
from pcb_bus.contract.times import NS_PER_S, now_ns, to_datetime
from pcb_bus.contract.topics import TopicFilter
from pcb_bus.errors import BoardlineError, BrokerError, ConfigError, MessageRejected
from pcb_bus.mqtt.login import login_of, read_login
from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime.process import EXIT_CONFIG, EXIT_FAULT, EXIT_OK, keep_to_ourselves
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.settings import LineSettings, load_settings
from pcb_bus.telling import clock_of, tell

PROGRAM = "python -m pcb_bus"
_USAGE = """\
usage: {program} command NODE COMMAND [NAME=VALUE …] [settings]   for example  command edge-left set fps=5
       {program} watch [settings]                                 what is said on the line, as it comes
       {program} nodes [settings]                                 the nodes, and how they are

NODE: edge-<side>, inference, actuator, recorder, dashboard. topics.md has the commands. VALUE is JSON, or else a text:
5, 0.4, null, auto, '"7"'. `command … snapshot` writes the picture into this folder, and prints its name.
Commands take the login operator, the others viewer: --credentials FOLDER has them (default: var/broker/credentials).
Any setting of the line may follow, as in --broker HOST or --root pcb/line2.
Exit code: 0 done, 1 refused, no answer or no broker, 2 wrong usage."""
_CONNECT_S, _PATIENCE_S, _NODES_S = 8.0, 5.0, 3.0
_MARK = TopicFilter("$SYS/broker/version")  # retained by the broker, and so sent after what was subscribed to before
_COLOURS = {"online": "green", "degraded": "yellow", "offline": "red"}


class ShellLine(LineSettings):
    """Where the line's broker is, and who asks."""

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "broker.credentials": "credentials"}


def main(argv: list[str]) -> int:
    """The exit code; a failure is one line on stderr."""
    if not argv or argv[0] not in _COMMANDS or {"-h", "--help"} & set(argv):
        asked = bool({"-h", "--help"} & set(argv))
        print(_USAGE.format(program=PROGRAM), file=sys.stdout if asked else sys.stderr)
        return EXIT_OK if asked else EXIT_CONFIG
    words = next((place for place, each in enumerate(argv) if each.startswith("--")), len(argv))
    program = f"{PROGRAM} {argv[0]}"
    try:
        run, given = _COMMANDS[argv[0]], argv[1:words]
        settings = load_settings(ShellLine, argv[words:], program=program)
        run(given, settings)
    except ConfigError as error:
        return _fail(program, error, EXIT_CONFIG)
    except BoardlineError as error:
        return _fail(program, error, EXIT_FAULT)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stdout = None  # whoever read it is gone: nothing is left to be flushed
    return EXIT_OK


def _fail(program: str, error: Exception, code: int) -> int:
    print(f"{program}: {redact(str(error))}", file=sys.stderr)
    return code


# command


def command(words: Sequence[str], settings: ShellLine) -> None:
    """Ask, and print the answer."""
    if len(words) < 2:
        raise ConfigError("needs a node and a command, as in: command edge-left set fps=5")
    node, name, *pairs = words
    params = dict(map(_parameter, pairs))
    with _connected(settings, "operator") as session:
        requester = Requester(session, settings.topics, "operator")
        if name == "snapshot":
            print(_save(requester.fetch(Frame, node, name, _PATIENCE_S, **params)))
        else:
            _print_answer(requester.ask(node, name, _PATIENCE_S, **params))


def _parameter(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not (name and equals):
        raise ConfigError(f"{pair}: a parameter is NAME=VALUE, as fps=5")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _save(frame: Frame) -> Path:
    file = Path(f"{frame.side}-{to_datetime(frame.captured_at):%Y%m%d-%H%M%S}.jpg")
    try:
        file.write_bytes(frame.jpeg)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    return file


def _print_answer(result: Mapping[str, Any]) -> None:
    print(json.dumps(result, ensure_ascii=False))
    if result.get("outlives_restart") is False:
        print("this holds until the node restarts; its configuration file keeps a value for good", file=sys.stderr)


# watch


def watch(words: Sequence[str], settings: ShellLine) -> None:
    """Print the line's messages as they come, until Ctrl-C."""
    _no_words(words)
    come: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
    everything = Subscription(settings.topics.everything, come.put, qos=0, retained=True)
    with _connected(settings, "viewer", everything):
        logging.basicConfig(level=logging.WARNING, format="# %(message)s")  # when the broker is away
        while True:
            each = come.get()
            about, said = tell(each.topic, each.payload, settings.root)
            at = datetime.fromtimestamp(each.received_at / NS_PER_S).astimezone()
            print(f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  {about:<20}  {redact(said)}", flush=True)


# nodes


def nodes(words: Sequence[str], settings: ShellLine) -> None:
    """Print a table of the nodes."""
    _no_words(words)
    try:
        from rich import box
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except ModuleNotFoundError:
        raise ConfigError("the table needs rich: pip install rich") from None
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("node", "state", "version", "host", "heard", "clock of inference ahead by", "detail"):
        table.add_column(heading, overflow="fold")
    for each in _statuses(settings):
        heard = f"{max(0, (now_ns() - each.updated_at) // NS_PER_S)} s ago"
        cells = (each.version, each.host, heard, clock_of(each), redact(each.detail))
        table.add_row(each.node, f"[{_COLOURS[each.state]}]{each.state}", *map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _statuses(settings: ShellLine) -> list[NodeStatus]:
    """What the broker has retained of each node.

    Raises:
        BrokerError: nothing.
    """
    found: dict[str, NodeStatus] = {}
    told: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def hear(delivery: Delivery) -> None:
        try:
            status = decode_json(NodeStatus, delivery.payload)
        except MessageRejected:
            return  # cleared, or somebody else's
        found[status.node] = status

    statuses = Subscription(settings.topics.all_status, hear, qos=0, retained=True)
    mark = Subscription(_MARK, lambda _: told.put(True), qos=0, retained=True)
    with _connected(settings, "viewer", statuses, mark), suppress(queue.Empty):  # of a broker that says no version
        told.get(timeout=_NODES_S)
    if not found:
        raise BrokerError(f"no node has ever been on the line {settings.root}")
    return sorted(found.values(), key=lambda each: each.node)


def _no_words(words: Sequence[str]) -> None:
    if words:
        raise ConfigError(f"{' '.join(words)}: takes settings alone, as --root pcb/line2")


@contextmanager
def _connected(settings: ShellLine, role: str, *interests: Subscription) -> Iterator[MqttSession]:
    """A session with the login of `role`.

    Raises:
        BrokerError: the broker cannot be reached, or refuses.
        ConfigError: the login cannot be used.
    """
    folder = settings.broker.credentials
    login = login_of(folder, settings.broker) if folder.is_file() else read_login(settings.broker, role, settings.root)
    login = replace(login, client_id=None, file=None)  # a node whose login this is keeps its session
    logging.getLogger("pcb_bus").addHandler(logging.NullHandler())  # what went wrong is said below
    session = MqttSession(f"pcb-{role}-{uuid.uuid4().hex[:8]}", login, root=settings.root)
    for each in interests:
        session.subscribe(each)
    session.start()
    try:
        end = time.monotonic() + _CONNECT_S
        while not session.wait_connected(0.02) and not session.trouble and time.monotonic() < end:
            pass
        if not session.connected:
            raise BrokerError(_why(session.trouble or "the broker does not answer", login.username, role, folder))
        yield session
    finally:
        session.stop()


def _why(trouble: str, username: str | None, role: str, folder: Path) -> str:
    if " refuses " not in trouble:
        return f"{trouble}; --broker HOST names another"
    copy = f"copy {role}.yaml from the broker's machine into {folder}"
    return f"{trouble}; {copy}, or name its folder: --credentials" if username is None else f"{trouble}; {copy} again"


_COMMANDS: Mapping[str, Callable[[Sequence[str], ShellLine], None]] = {
    "command": command,
    "watch": watch,
    "nodes": nodes,
}

if __name__ == "__main__":
    keep_to_ourselves()
    sys.exit(main(sys.argv[1:]))

"""A node: one process with a name on the bus. Birth, life and will, events, and commands with their answers."""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Command, CommandReply, Event, Level, NodeState, NodeStatus
from pcb_bus.contract.times import now_ns
from pcb_bus.contract.topics import exactly
from pcb_bus.errors import BoardlineError, ConfigError, MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession, SessionOptions, Subscription, Will
from pcb_bus.runtime import metrics
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.settings import BrokerSettings, LineSettings

log = logging.getLogger(__name__)

CommandHandler = Callable[[dict[str, Any]], dict[str, Any]]
_HEARTBEAT_S = 15.0
_LEVELS = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which service this is, and the node's name, the last level of its topics and its login at the broker."""

    service: str
    node: str


class Node:
    """Owns the session of a process and speaks for it.

    Services declare subscriptions on `session` and commands with `on_command`, then call `start`.

    Raises:
        ConfigError: the credentials file cannot be used.
    """

    def __init__(self, identity: Identity, settings: LineSettings, options: SessionOptions | None = None) -> None:
        self.identity = identity
        self.topics = settings.topics
        client_id = f"{settings.root}-{identity.node}".replace("/", "-")
        broker = with_credentials(settings.broker, identity.node)
        self.session = MqttSession(client_id, broker, options, settings.root)
        self._commands: dict[str, CommandHandler] = {"ping": lambda _: {}}
        self._inbox: Inbox[Delivery] = Inbox(100)
        self._worker = threading.Thread(target=self._serve, name="node", daemon=True)
        self._started_at = now_ns()
        self._condition: tuple[NodeState, str] = "online", ""
        self._condition_lock = threading.Lock()
        self.session.set_will(Will(self.topics.status(identity.node), self._status("offline", "connection lost")))
        self.session.subscribe(Subscription(exactly(self.topics.command(identity.node)), self._inbox.put))
        self.session.on_up(self._publish_status)

    def on_command(self, name: str, handler: CommandHandler) -> None:
        """Answer `name` with what `handler(params)` returns; a `BoardlineError` or `ValueError` is an error reply."""
        self._commands[name] = handler

    def start(self) -> None:
        self._worker.start()
        self.session.start()

    def stop(self) -> None:
        """Say goodbye; what was published before goes out first."""
        with self._condition_lock:
            self._inbox.close()
            self._condition = "offline", "stopped"
        self._publish_status()
        self.session.stop()

    def set_state(self, state: NodeState, detail: str = "") -> None:
        """Tell the line how this node is. Says nothing when nothing changed, or once it has said goodbye."""
        with self._condition_lock:
            if self._inbox.closed or (state, detail) == self._condition:
                return
            self._condition = state, detail
        log.log(logging.INFO if state == "online" else logging.WARNING, "%s %s", state, detail)
        self._publish_status()

    def event(self, level: Level, message: str, **details: Any) -> None:
        """Log, and publish what a person should know."""
        log.log(_LEVELS[level], "%s %s", message, details or "")
        node = self.identity.node
        event = Event(level=level, source=node, message=message, details=details, at=now_ns())
        self.session.publish(self.topics.event(node), encode_json(event))

    def reject(self, kind: str, rejection: MessageRejected) -> None:
        """Count a payload that breaks the contract, and log it (seldom: a flood of them is one line)."""
        metrics.REJECTED.labels(kind, rejection.reason).inc()
        self.session.complain(f"{kind} {rejection.reason}", f"rejected a {kind} message: {rejection}")

    def _publish_status(self) -> None:
        told = None
        # Another thread may change it meanwhile: the last status told, which the broker retains, must be the true one.
        while self.session.connected and told is not self._condition:
            told = self._condition
            self.session.publish(self.topics.status(self.identity.node), self._status(*told), retain=True)

    def _status(self, state: NodeState, detail: str) -> bytes:
        status = NodeStatus(
            state=state,
            service=self.identity.service,
            node=self.identity.node,
            version=package_version(),
            host=socket.gethostname(),
            started_at=self._started_at,
            updated_at=now_ns(),
            detail=detail,
        )
        return encode_json(status)

    def _serve(self) -> None:
        beat = time.monotonic() + _HEARTBEAT_S
        while not self._inbox.closed:
            delivery = self._inbox.take(timeout=max(0.0, beat - time.monotonic()))
            if delivery is not None:
                self._answer(delivery)
            elif not self._inbox.closed:
                self._publish_status()
                beat = time.monotonic() + _HEARTBEAT_S

    def _answer(self, delivery: Delivery) -> None:
        try:
            command = decode_json(Command, delivery.payload)
        except MessageRejected as rejection:
            self.reject("command", rejection)
            reply = encode_json(CommandReply(error=str(rejection)))
        else:
            reply = self._obey(command)
        if delivery.response_topic and valid_response_topic(delivery.response_topic, self.topics.root):
            self._reply(delivery.response_topic, delivery.correlation, reply)

    def _obey(self, command: Command) -> bytes:
        handler = self._commands.get(command.command)
        if handler is None:
            known = ", ".join(sorted(self._commands))
            return encode_json(CommandReply(error=f"unknown command; this node knows {known}"))
        try:
            return encode_json(CommandReply(result=handler(command.params)))
        except (BoardlineError, ValueError) as error:
            return encode_json(CommandReply(error=str(error)))
        except Exception as error:
            # A stranger's parameters must not end the service; what is wrong here is ours to mend.
            metrics.HANDLER_ERRORS.labels("command").inc()
            log.exception("fault in the command %s", command.command)
            return encode_json(CommandReply(error=f"fault in this node: {type(error).__name__}: {error}"))

    def _reply(self, topic: str, correlation: bytes | None, reply: bytes) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if correlation is not None:
            properties.CorrelationData = correlation
        self.session.publish(topic, reply, properties=properties)


def with_credentials(broker: BrokerSettings, name: str) -> BrokerSettings:
    """`broker` with the login of `<credentials>/<name>.yaml`, unless it has one or there is no such file.

    Raises:
        ConfigError: the file is there but cannot be used.
    """
    path = broker.credentials / f"{name}.yaml"
    if broker.username is not None or not path.exists():
        return broker
    try:
        login = yaml.safe_load(path.read_text(encoding="utf-8"))
        return broker.model_copy(update={"username": str(login["username"]), "password": str(login["password"])})
    except OSError as error:
        raise ConfigError(f"broker.credentials: cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise ConfigError(f"broker.credentials: {path} needs username and password") from None


def valid_response_topic(topic: str, root: str) -> bool:
    """Whether an answer may go there: below `<root>/reply/`, without wildcards."""
    return re.fullmatch(rf"{re.escape(root)}/reply/[^+#\0]+", topic) is not None


def package_version() -> str:
    """Version of the installed package; `dev` in a bare checkout."""
    try:
        return version("boardline")
    except PackageNotFoundError:
        return "dev"

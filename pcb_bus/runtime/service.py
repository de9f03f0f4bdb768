"""A node of a line: a service declares what it hears, answers and does now and then; this does the rest.

    service = Service("actuator", "actuator", settings)
    service.on(service.topics.trigger, Trigger, on_trigger, queue=256)
    service.every(0.5, check)
    service.command("disarm", on_disarm, urgent=True)
    service.health["camera"] = "no picture for 5 s"

Threads are made by their names; what has the same `thread` runs one after the other.
"""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from pydantic import ValidationError

from pcb_bus.contract.codec import decode_json, encode_json, encode_msgpack, first_error
from pcb_bus.contract.messages import Command, CommandReply, Event, Level, Message, NodeState, NodeStatus, WireModel
from pcb_bus.contract.times import NS_PER_S, ns_to_ms
from pcb_bus.contract.topics import Topic, TopicFilter, exactly
from pcb_bus.errors import BoardlineError, CommandFailed, ConfigError, MessageRejected
from pcb_bus.mqtt.login import read_login
from pcb_bus.mqtt.session import Delivery, MqttSession, SessionOptions, Subscription
from pcb_bus.runtime import metrics
from pcb_bus.runtime.clock import LineClock
from pcb_bus.runtime.logs import Throttle
from pcb_bus.runtime.process import tell_supervisor
from pcb_bus.runtime.redaction import redact, redact_all
from pcb_bus.runtime.settings import LineSettings
from pcb_bus.runtime.workers import Action, Turn, Worker

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
P = TypeVar("P", bound=WireModel)
_HEARTBEAT_S = 15.0
_LOOK_S = 0.5
_STUCK_S = 5.0  # one thing that takes a thread longer than this is told
_FEED_S = 2.0  # between two signs of life to systemd
_LAMP_S = 0.1
_PATIENCE_NS = 5 * NS_PER_S  # of whoever asked, unless the command says otherwise
_COMMANDS = "commands"


class Health:
    """What is wrong with a node, by part: `health["camera"] = "frozen"`; nothing: it is well. Any thread."""

    def __init__(self, show: Action) -> None:
        self._show = show
        self._faults: dict[str, str] = {}
        self._lock = threading.Lock()

    def __getitem__(self, part: str) -> str:
        return self._faults.get(part, "")

    def __setitem__(self, part: str, fault: str) -> None:
        with self._lock:
            if self[part] == fault:
                return
            self._faults[part] = fault
        self._show()

    def __str__(self) -> str:
        return "; ".join(fault for fault in list(self._faults.values()) if fault)


@dataclass(frozen=True, slots=True)
class Request:
    """A command on its way to be carried out. Monotonic ns: when it came, and when whoever asked gives up."""

    command: Command
    received_at: int
    ends_at: int
    retained: bool = False

    def check(self) -> None:
        """Before it is carried out, and again after whatever may have taken long.

        Raises:
            CommandFailed: it is too old, or retained.
        """
        if self.retained:
            raise CommandFailed("a retained command is not carried out")
        late_s = (time.monotonic_ns() - self.ends_at) / NS_PER_S
        if late_s > 0:
            likely = "this node was busy, or the clocks of the two machines differ"
            raise CommandFailed(f"expired {late_s:.1f} s ago, so it is not carried out: {likely}")

    def read(self, kind: type[P]) -> P:
        """Its parameters.

        Raises:
            MessageRejected: they are not what they should be.
        """
        try:
            return kind.model_validate(self.command.params)
        except ValidationError as error:
            raise MessageRejected("schema", f"params.{first_error(error)}") from None


CommandHandler = Callable[[Request], dict[str, Any] | Message]
_Asked = tuple[Request, Delivery]


class Service:
    """Owns the session of a process, its threads, and speaks for it. Declare everything, then `start`.

    Handlers of one `thread` run one after the other, in the order of arrival. What breaks the contract, or is retained
    where that means nothing, is counted, told and dropped before it reaches one.

    Args:
        service: what it is (`edge_publisher`).
        node: its name, the last level of its topics and its login at the broker.
        clock: what time it is on the line.

    Raises:
        ConfigError: the credentials file or the TLS files cannot be used.
    """

    def __init__(
        self,
        service: str,
        node: str,
        settings: LineSettings,
        options: SessionOptions | None = None,
        clock: LineClock | None = None,
    ) -> None:
        self.node = node
        self.clock = clock or LineClock()
        self._started = self.clock.steady()
        self.topics = settings.topics
        name = f"{settings.root}-{node}".replace("/", "-")
        login = read_login(settings.broker, node, settings.root)
        self.session = MqttSession(name, login, options, settings.root)
        self.health = Health(self._publish_status)
        self._birth = NodeStatus(
            state="offline",
            service=service,
            node=node,
            version=_version(),
            host=socket.gethostname(),
            started_at=(now := self.clock.now()),
            updated_at=now,
            detail="connection lost",
        )
        self._workers: dict[str, Worker] = {}
        self._loops: dict[str, threading.Thread] = {}
        self._turns: dict[str, Turn] = {}
        self._survived: set[str] = set()
        self._commands: dict[str, Callable[[_Asked], None]] = {}
        self._urgent: set[str] = set()
        self._faults = Throttle(interval_s=30)
        self._leaving = False
        self._put_out: Action = lambda: None
        self._told = threading.Lock()
        self.session.set_will(self.topics.status(node), encode_json(self._birth))
        # At QoS 0 the broker keeps nothing for a session that is away, be it durable: no command outlives an outage.
        self.session.subscribe(Subscription(exactly(self.topics.command(node)), self._hear_command, qos=0))
        self.session.on_up(self._publish_status)
        self.command("ping", lambda _: {})
        self.every(_LOOK_S, self._look_at_threads, thread="heartbeat")
        self.every(_LOOK_S, self._look_at_clock, thread="heartbeat")
        self.every(_FEED_S, self._feed_watchdog, thread="heartbeat")
        self.every(_HEARTBEAT_S, self._publish_status, thread="heartbeat")
        if settings.led_pin is not None:
            self._light(settings.led_pin)

    # What a service declares

    def on(
        self,
        topic: Topic | TopicFilter,
        kind: type[Message] | None,
        handler: Callable[..., None],
        *,
        thread: str | None = "worker",
        queue: int = 256,
        qos: int = 1,
        retained: bool = False,
        manual_ack: bool = False,
    ) -> None:
        """Call `handler(message, delivery)` for each JSON message, or `handler(delivery)` as it came without a `kind`.

        Args:
            thread: whose turn it is, made by its name; None: the network's, where it arrives, which waits for nothing.
            queue: how many may wait; then the oldest is dropped and counted.
            retained: what the broker retains is wanted; elsewhere it is refused.
            manual_ack: the handler's owner acknowledges, once the message is safe.
        """
        name = metrics.kind_of(str(topic), self.topics.root)

        def handle(delivery: Delivery) -> None:
            try:
                if kind is None:
                    handler(delivery)
                elif delivery.retain and not retained:
                    raise MessageRejected("retained", f"retained {name} messages are ignored")
                else:
                    handler(decode_json(kind, delivery.payload), delivery)
            except Exception as error:
                if manual_ack:
                    delivery.ack()  # whatever is wrong with it would be so again
                if not isinstance(error, MessageRejected):
                    raise
                self.session.reject(name, error)

        put = handle if thread is None else self.worker(thread).lane(queue, handle, partial(self._dropped, name))

        def arrive(delivery: Delivery) -> None:
            if delivery.payload or not (delivery.retain or retained):  # an empty one clears what was retained
                put(delivery)
            elif manual_ack:
                delivery.ack()

        subscription_filter = topic if isinstance(topic, TopicFilter) else exactly(topic)
        self.session.subscribe(Subscription(subscription_filter, arrive, qos, manual_ack, retained))

    def every(self, seconds: float, action: Action, *, thread: str = "worker") -> None:
        """Do it from the start on, again and again."""
        self.worker(thread).every(seconds, action)

    def command(self, name: str, handler: CommandHandler, *, thread: str = _COMMANDS, urgent: bool = False) -> None:
        """Answer `name` with what `handler(request)` returns; a `BoardlineError` or `ValueError` is an error reply.
        A message of its own kind is answered in MessagePack.

        Whatever is retained or expired is refused. `urgent`: obeyed on the network thread, however old, and whatever
        else is wrong with the message.
        """

        def obey(asked: _Asked) -> None:
            request, delivery = asked
            try:
                if not urgent:
                    request.check()
                result = handler(request)
                self._reply(delivery, result if isinstance(result, Message) else CommandReply(result=result))
            except (BoardlineError, ValueError) as error:
                self._reply(delivery, CommandReply(error=str(error)))
            except Exception as error:
                fault = f"fault in this node: {type(error).__name__}: {error}"
                self._reply(delivery, CommandReply(error=fault))
                raise

        self._commands[name] = obey if urgent else self.worker(thread).lane(100, obey, self._too_busy)
        self._urgent |= {name} if urgent else set()

    def worker(self, name: str) -> Worker:
        """The thread of that name."""
        if name not in self._workers:
            self._workers[name] = Worker(name, self._tell_fault)
            self.watch(name, self._workers[name].turn)
        return self._workers[name]

    def run(self, name: str, loop: Action) -> None:
        """Start a thread with the service that ends by itself when it should; if it dies, the process ends too."""
        self._loops[name] = threading.Thread(target=loop, name=name, daemon=True)

    def watch(self, name: str, turn: Turn) -> None:
        """Say when a thread of one's own hangs, and have the process started afresh if it goes on, as with workers."""
        self._turns[name] = turn

    def survives(self, *names: str) -> None:
        """Of threads that may hang without being a reason to start afresh: somebody sees to what they do not."""
        self._survived |= set(names)

    def start(self) -> None:
        for thread in (*self._workers.values(), *self._loops.values()):
            thread.start()
        self.session.start()

    def join(self, *names: str, timeout: float = 1.0) -> None:
        """These threads (without names: all) finish what waits for them, for `timeout` seconds together, and end."""
        end = time.monotonic() + timeout
        threads = [each for name, each in (self._workers | self._loops).items() if not names or name in names]
        for worker in threads:
            if isinstance(worker, Worker):
                worker.stop()
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def stop(self, timeout: float = 1.0) -> None:
        """End the threads, and say goodbye; what was published before goes out first."""
        self.join(timeout=timeout)
        self._leaving = True
        self._publish_status()
        self._put_out()
        self.session.stop()

    # What it says

    def event(self, level: Level, message: str, **details: Any) -> None:
        """Log, and publish what a person should know."""
        log.log(logging.getLevelNamesMapping()[level.upper()], "%s %s", message, details or "")
        message, details = redact(message), redact_all(details)
        event = Event(level=level, source=self.node, message=message, details=details, at=self.clock.now())
        self.session.publish(self.topics.event(self.node), encode_json(event))

    def fault(self, part: str, fault: str, level: Level = "error", again: str = "", **details: Any) -> None:
        """What is wrong with a part (nothing: it is well): its health, and an event as it comes, changes and goes.

        Args:
            again: what to say when it is well again, for example "the camera is back".
        """
        before, self.health[part] = self.health[part], fault
        if fault and fault != before:
            self.event(level, fault, **details)
        elif before and not fault and again:
            self.event("info", again, **details)

    def tell(self, **fields: Any) -> None:
        """What the status says besides (fields of `NodeStatus`); published at once if it is news."""
        with self._told:
            before, self._birth = self._birth, self._birth.model_copy(update=fields)
        if self._birth != before:
            self._publish_status()

    def answer(self, delivery: Delivery, message: Message, qos: int = 1) -> None:
        """Say something to whoever asked, on the response topic: a CommandReply in JSON, the rest in MessagePack."""
        topic = delivery.response_topic
        if topic and re.fullmatch(rf"{re.escape(self.topics.root)}/reply/[^+#\0]+", topic):
            encode = encode_json if isinstance(message, CommandReply) else encode_msgpack
            self.session.publish(topic, encode(message), qos=qos, correlation=delivery.correlation)

    def _publish_status(self) -> None:
        with self._told:  # the last one told, which the broker retains, must be the true one
            state, fault = self._state()
            detail, started = "stopped" if self._leaving else fault, self.clock.line(self._started)
            now = {"state": state, "detail": detail, "started_at": started, "updated_at": self.clock.now()}
            if self.session.connected:
                status = self._birth.model_copy(update=now)
                self.session.publish(self.topics.status(self.node), encode_json(status), retain=True)

    def _state(self) -> tuple[NodeState, str]:
        fault = redact(str(self.health))
        return "offline" if self._leaving else "degraded" if fault else "online", fault

    # Inside

    def _dropped(self, name: str, delivery: Delivery) -> None:
        metrics.DROPPED.labels(name, "queue_full").inc()
        self.session.complain("queue_full", f"dropped a {name} message: more come than can be dealt with")

    def _tell_fault(self, thread: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        held = self._faults.admit(thread, text)
        if held is not None:
            self.event("error", f"an error in {thread}: what it was working on was skipped", error=text, more=held)

    def _look_at_threads(self) -> None:
        stuck = self._stuck()
        for name in self._turns:
            self.health[f"thread {name}"] = f"{name} is stuck: a disk or device may hang" if name in stuck else ""

    def _look_at_clock(self) -> None:
        step = self.clock.steps()
        if step:
            self.event("warning", "this machine's clock was set", by_ms=round(ns_to_ms(step), 1))

    def _light(self, pin: int) -> None:
        try:
            from pcb_bus.runtime.pins import Lamp, PinFault, is_lit
        except ModuleNotFoundError:
            raise ConfigError("led_pin: needs gpiozero, which only edge and actuator install; leave it out") from None
        lamp = Lamp(pin)
        self._put_out = lamp.close

        def show() -> None:
            fault = ""
            try:
                lamp.show(lit=is_lit(time.monotonic(), connected=self.session.connected, fault=str(self.health)))
            except PinFault as failed:
                fault = f"the status lamp on pin {pin} fails: {failed}"
            self.fault("lamp", fault, "warning")

        self.every(_LAMP_S, show, thread="lamp")

    def _stuck(self) -> set[str]:
        return {name for name, turn in self._turns.items() if turn.busy_s() > _STUCK_S}

    def _feed_watchdog(self) -> None:
        """Once nothing comes for `WatchdogSec`, systemd starts the process afresh."""
        alive = all(loop.is_alive() for loop in self._loops.values()) and not self.session.hangs(_STUCK_S)
        if alive and self._stuck() <= self._survived:
            state, fault = self._state()
            tell_supervisor("WATCHDOG=1", f"STATUS={' '.join(f'{state} {fault}'.split())}")

    def _hear_command(self, delivery: Delivery) -> None:
        if delivery.retain and not delivery.payload:
            return
        try:
            command = decode_json(Command, delivery.payload)
        except MessageRejected as rejection:
            self.session.reject("command", rejection)
            if (name := _name_in(delivery.payload)) not in self._urgent:
                self._reply(delivery, CommandReply(error=str(rejection)))
                return
            command = Command(command=name)  # whatever else is wrong with it
        obey, now = self._commands.get(command.command), time.monotonic_ns()
        if obey is None:
            known = ", ".join(sorted(self._commands))
            self._reply(delivery, CommandReply(error=f"unknown command; this node knows {known}"))
            return
        lives = [] if delivery.expiry_s is None else [delivery.expiry_s * NS_PER_S]
        lives += [] if command.expires_at is None else [command.expires_at - self.clock.now()]
        obey((Request(command, now, now + min(lives, default=_PATIENCE_NS), delivery.retain), delivery))

    def _too_busy(self, asked: _Asked) -> None:
        metrics.DROPPED.labels("command", "queue_full").inc()
        self._reply(asked[1], CommandReply(error="this node is too busy: the command is not carried out"))

    def _reply(self, delivery: Delivery, reply: CommandReply | Message) -> None:
        if isinstance(reply, CommandReply) and reply.error:
            reply = reply.model_copy(update={"error": redact(reply.error)})
        self.answer(delivery, reply)


def _name_in(payload: bytes) -> str:
    """The command that a message names which breaks the contract otherwise; empty if it names none."""

    class Named(WireModel):
        command: str

    try:
        return Named.model_validate_json(payload).command
    except ValidationError:
        return ""


def _version() -> str:
    """Of the installed package; `dev` in a bare checkout."""
    try:
        return version("boardline")
    except PackageNotFoundError:
        return "dev"

"""A whole line whose broker listens in every way that it can, and what tells how it fares."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import paho.mqtt.client as mqtt
from support.mqtt_packets import CONNACK, PINGREQ, PINGRESP, SUBACK, Connect, Listener, Wire, packet, subscribe
from support.ports import free_port
from support.probe import Probe, Received
from support.tiny_network import write_tiny_network

from broker import Broker
from fuzz.kinds import GUESTS, Target
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Command, NodeStatus, Recorded, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import MessageRejected
from simulator.line import SIDES, LineOptions, VirtualLine
from simulator.schedule import BARE, Schedule

ANSWERED_S = 1.0
_UP_S = 60.0
_WELL_S = 30.0
_READERS = ("dashboard", "recorder", "inference", "actuator")
"""Logins that together hear everything but commands."""
_TRIES = 3
_KEPT = 20


class Witness:
    """Hears everything on the bus, and remembers what should not have been.

    Attributes:
        states: how each node says that it is.
        lost: nodes whose connection the broker lost.
        forbidden: topics on which something was heard that its sender had no right to say.
    """

    def __init__(self, broker: Broker, target: Target) -> None:
        self.states: dict[str, str] = {}
        self.lost: list[str] = []
        self.forbidden: list[str] = []
        self.changed = threading.Condition()
        self._target = target
        self._broker = broker
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        for role in _READERS:
            probe = self._opened.enter_context(Probe(self._broker, role))
            hear = self._hear if role == _READERS[0] else self._look
            probe.client.message_callback_add("#", hear)
            probe.subscribe("#")
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _hear(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        self._look(client, userdata, message)
        if self._target.topics.all_status.matches(message.topic):
            try:
                status = decode_json(NodeStatus, bytes(message.payload))
            except MessageRejected:
                return
            with self.changed:
                self.states[status.node] = status.state
                if status.state == "offline" and not message.retain:
                    self.lost.append(status.node)
                self.changed.notify_all()

    def _look(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        if len(self.forbidden) < _KEPT and not self._target.may_be_heard(message.topic, bytes(message.payload)):
            self.forbidden.append(message.topic)


class FuzzedLine:
    """Broker, recorder, actuator, inference with a tiny network and two edges, while the context is open.

    Raises:
        TimeoutError: it does not come up.
    """

    def __init__(self, folder: Path) -> None:
        self.topics = Topics()
        self._resources = ExitStack()
        settings = {
            "inference": {"model": str(write_tiny_network(folder / "tiny.onnx")), "threads": 1},
            "edge": {"width": 320, "height": 240, "preview_fps": 0},
            "log": {"max_bytes": 500_000},
        }
        schedule = Schedule(rate=1.0, epoch_ns=now_ns(), look=BARE)
        options = LineOptions(folder / "line", settings=settings)
        self._line = VirtualLine(schedule, options, lambda node, words: self.given_up.append(f"{node}: {words}"))
        before = self._line.broker
        self.broker = Broker(
            before.directory, before.port, free_port(), tls_port=before.tls_port, lines={self.topics.root: SIDES}
        )
        self._line.broker = self.broker
        self.given_up: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self._resources)
            self._resources.enter_context(self._line)
            passwords = {guest: self.broker.credentials(guest).password or "" for guest in GUESTS}
            self.target = Target(passwords, sorted(self._line.nodes), self.topics)
            self.listeners = listeners_of(self.broker)
            self.witness = self._resources.enter_context(Witness(self.broker, self.target))
            if not self._wait_until_well(_UP_S):
                raise TimeoutError(f"the line does not come up: {self.witness.states}, {self.given_up}")
            self._pids = self.pids
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @property
    def pids(self) -> Mapping[str, int]:
        """Of the broker, if it runs, and of every service."""
        broker = {"broker": self.broker.pid} if self.broker.pid else {}
        return {**broker, **self._line.supervisor.pids}

    def broker_lives(self) -> bool:
        """Whether it is the process of the beginning, and runs."""
        return self.broker.pid == self._pids["broker"]

    def memory_mb(self) -> Mapping[str, float]:
        """Resident memory of the broker and of every service."""
        return {name: _resident_mb(pid) for name, pid in self.pids.items()}

    def complaints(self) -> Sequence[str]:
        """What is not as it was before the first packet; one line each."""
        checks: Sequence[Callable[[], Sequence[str]]] = (
            self._ended,
            self._slow_listeners,
            self._unwell,
            self._gone_astray,
            self._lost_board,
        )
        for check in checks:
            if found := check():
                return found
        return ()

    def _ended(self) -> Sequence[str]:
        """Processes that are not those of the beginning."""
        now = self.pids
        return [f"{name} died" for name, pid in self._pids.items() if now.get(name) != pid or not _runs(pid)]

    def _slow_listeners(self) -> Sequence[str]:
        found = []
        for listener in self.listeners:
            took_s = min(self._answers(listener) for _ in range(_TRIES))
            if took_s > ANSWERED_S:
                found.append(f"{listener} answers a healthy client after {took_s:.1f} s only")
        return found

    def _answers(self, listener: Listener) -> float:
        """How long a healthy client takes to log in, to subscribe and to hear of it, s."""
        began = time.monotonic()
        with Wire(listener, timeout=_WELL_S) as wire:
            wire.send(Connect("", "viewer", self.target.passwords["viewer"]).encode())
            wire.send(subscribe([(str(self.topics.verdict), 1)]) + packet(PINGREQ))
            kinds = [answer.kind for answer in wire.answers(3)]
        return time.monotonic() - began if kinds == [CONNACK, SUBACK, PINGRESP] else _WELL_S

    def _unwell(self) -> Sequence[str]:
        with Probe(self.broker, "operator") as operator:  # a disarm is obeyed, whoever of the operators sends it
            operator.publish(str(self.topics.command("actuator")), encode_json(Command(command="arm")))
        if self._wait_until_well(_WELL_S):
            return ()
        return [f"{node} is {state}" for node, state in self.witness.states.items() if state != "online"]

    def _gone_astray(self) -> Sequence[str]:
        witness = self.witness
        lost = [f"{node} lost its connection" for node in sorted(set(witness.lost))]
        return [*lost, *(f"forbidden, and heard on {topic}" for topic in sorted(set(witness.forbidden)))]

    def _lost_board(self) -> Sequence[str]:
        """A board comes by, and goes all the way."""
        now = now_ns() // NS_PER_MS * NS_PER_MS
        board = f"healthy-{now}"
        with Probe(self.broker, "trigger") as source, Probe(self.broker, "viewer") as viewer:
            viewer.subscribe(str(self.topics.verdict), str(self.topics.recorded))
            trigger = Trigger(board_id=board, triggered_at=now, source="fuzz")
            source.publish(str(self.topics.trigger), encode_json(trigger))
            try:
                verdict = viewer.wait_for(str(self.topics.verdict), lambda each: _verdict_on(each, board) is not None)
                judged = _verdict_on(verdict, board)
                assert judged is not None
                for part in ("verdicts", "actuations"):
                    viewer.wait_for(str(self.topics.recorded), lambda each: _names(each, part, judged.verdict_id))  # noqa: B023
            except TimeoutError as error:
                return [f"a healthy board does not go all the way: {str(error)[:300]}"]
        return () if judged.status == "ok" else [f"a healthy board is {judged.status}: {judged.category}"]

    def _wait_until_well(self, timeout: float) -> bool:
        """Whether every node says that it is online."""
        witness, nodes = self.witness, self._line.nodes
        with witness.changed:
            return witness.changed.wait_for(
                lambda: dict.fromkeys(nodes, "online").items() <= witness.states.items(), timeout
            )


def listeners_of(broker: Broker) -> Sequence[Listener]:
    """Every way in."""
    tls = broker.credentials("viewer").tls_context() if broker.tls_port else None
    found = [Listener("mqtt", broker.host, broker.port)]
    found += [Listener("mqtt", broker.host, broker.tls_port, tls)] if broker.tls_port else []
    return [
        *found,
        *([Listener("websockets", broker.host, broker.websocket_port, tls)] if broker.websocket_port else []),
    ]


def _verdict_on(message: Received, board: str) -> Verdict | None:
    verdict = decode_json(Verdict, message.payload)
    return verdict if verdict.board_id == board else None


def _names(message: Received, part: str, verdict_id: str) -> bool:
    return verdict_id in getattr(decode_json(Recorded, message.payload), part)


def _resident_mb(pid: int) -> float:
    """Resident memory; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def _runs(pid: int) -> bool:
    return _resident_mb(pid) > 0

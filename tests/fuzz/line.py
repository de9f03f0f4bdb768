"""A whole line whose broker listens in every way that it can, and what tells how it fares."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from support.mqtt_packets import (
    CONNACK,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBLISH,
    SUBACK,
    V311,
    Connect,
    Listener,
    Wire,
    packet,
    subscribe,
)
from support.ports import free_port
from support.probe import Probe, Received
from support.tiny_network import write_tiny_network

from broker import Broker
from fuzz.kinds import GUESTS, Target
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Command, NodeStatus, Recorded, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns
from pcb_bus.contract.topics import Topics
from simulator.line import SIDES, LineOptions, VirtualLine
from simulator.schedule import BARE, Schedule

ANSWERED_S = 1.0
_UP_S = 60.0
_WELL_S = 30.0
_AGAIN_S = 2.0
_READERS = ("dashboard", "recorder", "inference", "actuator")
"""Logins that together hear everything but commands."""
_TRIES = 3


class Witness:
    """Hears everything on the bus, whatever comes, and remembers what should not have been.

    Attributes:
        states: how each node says that it is, and what is wrong with it.
        lost: nodes whose connection the broker lost.
        forbidden: topics on which something was heard that its sender had no right to say.
    """

    def __init__(self, broker: Broker, target: Target) -> None:
        self.states: dict[str, tuple[str, str]] = {}
        self.lost: list[str] = []
        self.forbidden: set[str] = set()
        self.changed = threading.Condition()
        self._target = target
        self._broker = broker
        self._wires = ExitStack()
        self._threads: dict[Wire, threading.Thread] = {}

    def __enter__(self) -> Self:
        for role in _READERS:
            wire = self._wires.enter_context(Wire(listeners_of(self._broker)[0], timeout=_UP_S * _UP_S))
            # Without properties, of which a message may have any.
            connect = Connect(f"witness-{role}", role, self._broker.credentials(role).password, V311, keepalive=0)
            wire.send(connect.encode() + subscribe([("#", 0)], version=V311))
            self._threads[wire] = threading.Thread(target=self._listen, args=(wire,), name=f"witness {role}")
            self._threads[wire].start()
        return self

    def __exit__(self, *_: object) -> None:
        for wire, thread in self._threads.items():
            with suppress(OSError):  # the broker is gone
                wire.send(packet(DISCONNECT))
            thread.join()
        self._wires.close()

    def _listen(self, wire: Wire) -> None:
        for each in wire.stream():
            if each.kind == PUBLISH:
                end = 2 + int.from_bytes(each.body[:2], "big")
                self._hear(each.body[2:end].decode(errors="replace"), each.body[end:], retained=bool(each.flags & 1))

    def _hear(self, topic: str, payload: bytes, *, retained: bool) -> None:
        with self.changed:
            if not self._target.may_be_heard(topic, payload):
                self.forbidden.add(topic)
            elif self._target.topics.all_status.matches(topic):
                self._note(decode_json(NodeStatus, payload), retained=retained)
            self.changed.notify_all()

    def _note(self, status: NodeStatus, *, retained: bool) -> None:
        self.states[status.node] = (status.state, status.detail or "")
        if status.state == "offline" and not retained:
            self.lost.append(status.node)


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
        schedule = Schedule(rate=1.0, epoch_ns=now_ns(), look=BARE, defect_share=0.0)
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
        return {name: resident_mb(pid) for name, pid in self.pids.items()}

    def complaints(self) -> Sequence[str]:
        """What is not as it was before the first packet; one line each."""
        if ended := self._ended():
            return ended
        checks = (self._slow_listeners, self._unwell, self._gone_astray, self._lost_board)
        try:
            return [complaint for check in checks for complaint in check()]
        except (ConnectionError, TimeoutError) as error:
            return [f"a healthy client is not served: {error}"]

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
        began, kinds = time.monotonic(), []
        with suppress(OSError), Wire(listener, timeout=_WELL_S) as wire:
            wire.send(Connect("", "viewer", self.target.passwords["viewer"]).encode())
            wire.send(subscribe([(str(self.topics.verdict), 1)]) + packet(PINGREQ))
            kinds = [answer.kind for answer in wire.answers(3)]
        return time.monotonic() - began if kinds == [CONNACK, SUBACK, PINGRESP] else _WELL_S

    def _unwell(self) -> Sequence[str]:
        """Nodes that are not online. Operators may disarm the gates, so these are armed first."""
        deadline = time.monotonic() + _WELL_S
        arm, topic = encode_json(Command(command="arm")), str(self.topics.command("actuator"))
        with Probe(self.broker, "operator") as operator:
            while time.monotonic() < deadline:
                operator.publish(topic, arm)
                if self._wait_until_well(_AGAIN_S):
                    return ()
        states = self.witness.states.items()
        return [f"{node} is {state}: {detail}" for node, (state, detail) in states if state != "online"]

    def _gone_astray(self) -> Sequence[str]:
        witness = self.witness
        lost = [f"{node} lost its connection" for node in sorted(set(witness.lost))]
        return [*lost, *(f"forbidden, and heard on {topic}" for topic in sorted(witness.forbidden))]

    def _lost_board(self) -> Sequence[str]:
        """A board comes by, and goes all the way."""
        now = now_ns() // NS_PER_MS * NS_PER_MS
        board = f"healthy-{now}"
        with Probe(self.broker, "trigger") as source, Probe(self.broker, "viewer") as viewer:
            viewer.subscribe(str(self.topics.verdict), str(self.topics.recorded))
            trigger = Trigger(board_id=board, triggered_at=now, source="photo-eye")
            source.publish(str(self.topics.trigger), encode_json(trigger))
            try:
                heard = viewer.wait_for(str(self.topics.verdict), lambda each: _verdict(each).board_id == board)
                judged = _verdict(heard)
                for part in ("verdicts", "actuations"):
                    viewer.wait_for(str(self.topics.recorded), partial(_names, part, judged.verdict_id))
            except TimeoutError as error:
                return [f"a healthy board does not go all the way: {str(error)[:300]}"]
        return () if judged.status == "ok" else [f"a healthy board is {judged.status}: {judged.category}"]

    def _wait_until_well(self, timeout: float) -> bool:
        """Whether every node says that it is online."""
        witness, nodes = self.witness, self._line.nodes
        with witness.changed:
            return witness.changed.wait_for(
                lambda: all(witness.states.get(node, ("",))[0] == "online" for node in nodes), timeout
            )


def listeners_of(broker: Broker) -> Sequence[Listener]:
    """Every way in."""
    tls = broker.credentials("viewer").tls_context() if broker.tls_port else None
    found = [Listener("mqtt", broker.host, broker.port)]
    if broker.tls_port:
        found.append(Listener("mqtt", broker.host, broker.tls_port, tls))
    if broker.websocket_port:
        found.append(Listener("websockets", broker.host, broker.websocket_port, tls))
    return found


def _verdict(message: Received) -> Verdict:
    return decode_json(Verdict, message.payload)


def _names(part: str, verdict_id: str, message: Received) -> bool:
    return verdict_id in getattr(decode_json(Recorded, message.payload), part)


def resident_mb(pid: int) -> float:
    """Resident memory; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def _runs(pid: int) -> bool:
    return resident_mb(pid) > 0

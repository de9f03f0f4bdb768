"""Mode `mqtt`: each trigger on the bus gets the one picture that is nearest to it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge_publisher import metrics
from edge_publisher.mode import IDLE_S
from edge_publisher.outgoing import FrameSender
from edge_publisher.sources import Picture
from edge_publisher.triggers import BoardPass, Chosen, Missed, Senders, Triggers, Waiting, likely_cause
from pcb_bus.contract.messages import Id, Level, Timestamp, Trigger, WireModel
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, ms_to_ns, ns_to_ms, to_rfc3339
from pcb_bus.durable.trigger_source import TriggerSource
from pcb_bus.errors import CommandFailed
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.logs import Throttle
from pcb_bus.runtime.metrics import DROPPED
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Request, Service

_POLL_S = 0.01  # while a trigger waits and no picture comes
_REPLY_S = 2.0


class ResendParams(WireModel):
    """Which board, and which pass of it (ns); the last one if None."""

    board_id: Id
    triggered_at: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class _Resend:
    request: Request
    params: ResendParams
    frame_id: Future[str] = field(default_factory=Future)


class Announcer:
    """Names the boards that this edge sees, and publishes their triggers as those of `seen_by`."""

    def __init__(self, node: Service, side: str, seen_by: str, product: str | None, source: TriggerSource) -> None:
        self._line_time = node.clock.line
        self._side = side
        self._seen_by = seen_by
        self._product = product
        self._send = source.send
        self._worker = node.worker("announcing")

    def name(self, at: int) -> BoardPass:
        """The pass of a board that was there at `at` by the clock of the pictures; it is named by the line's."""
        at = self._line_time(at) // NS_PER_MS * NS_PER_MS
        return f"{self._side}-{to_rfc3339(at)}", at

    def publish(self, board_pass: BoardPass, taken_at: int) -> None:
        """Soon: the disk may take its time, and the next board does not wait for it. `taken_at`: monotonic ns."""
        self._worker.do(partial(self._publish, board_pass, taken_at))

    def _publish(self, board_pass: BoardPass, taken_at: int) -> None:
        (board_id, at), product = board_pass, self._product
        age_ms = round(ns_to_ms(time.monotonic_ns() - taken_at), 3)
        self._send(Trigger(board_id=board_id, triggered_at=at, source=self._seen_by, age_ms=age_ms, product=product))


class OnTrigger:
    """Answers triggers, and the command `resend`.

    Args:
        period: ns between pictures as configured.
        wake: has `step` called soon, from any thread.
    """

    def __init__(self, node: Service, sender: FrameSender, period: int, wake: Callable[[], None]) -> None:
        self._node = node
        self._sender = sender
        self._wake = wake
        self._clock = node.clock
        self._pending = Triggers(period)
        self._senders = Senders()
        self._triggers: Inbox[Waiting] = Inbox(256, lambda _: DROPPED.labels("trigger", "inbox_full").inc())
        self._resends: Inbox[_Resend] = Inbox(64)
        self._misses = Throttle(interval_s=10)
        self._clocks = Throttle(interval_s=60)
        node.on(node.topics.trigger, Trigger, self._on_trigger, thread=None)
        node.command("resend", self._on_resend)

    def step(self, pictures: Sequence[Picture], now: int) -> float:
        while trigger := self._triggers.take(timeout=0):
            self._accept(trigger)
        captured = [picture.captured_at for picture in pictures]
        for waiting, decision in self._pending.decide(captured, now):
            self._answer(waiting, decision, pictures)
        while resend := self._resends.take(timeout=0):
            self._answer_resend(resend, pictures)
        return _POLL_S if self._pending.waiting else IDLE_S

    def arrived(self) -> None:
        """Nothing to do: `step` comes soon."""

    def pace(self, fps: float) -> None:
        """Nothing to do: triggers set the pace."""

    def expect(self, period: int) -> None:
        """So many ns between pictures from now on; any thread."""
        self._pending.period = period

    # On the network and command threads

    def _on_trigger(self, trigger: Trigger, _: Delivery) -> None:
        came, said = self._clock.steady(), trigger.triggered_at
        lag = came - ms_to_ns(trigger.age_ms or 0) - self._clock.own(said)
        off = self._off(trigger.source, lag)
        self._triggers.put(Waiting(trigger.board_id, said, came, self._clock.own(said) - said + off))
        self._wake()

    def _off(self, source: str, lag: int) -> int:
        """How far the clock of a sender is behind, ns, told when it changes."""
        if source.startswith("edge-"):
            return 0  # it corrects its own times
        before, off = self._senders.known(source), self._senders.off(source, lag)
        if bool(before) != bool(off) and self._clocks.admit("clock", f"{source} {bool(off)}") is not None:
            level: Level = "warning" if off else "info"
            right, wrong = "the line's again", "not the line's: its boards are taken as triggers come (docs/clocks.md)"
            text = f"the clock of {source} is {wrong if off else right}"
            self._node.event(level, text, behind_ms=round(ns_to_ms(off)))
        return off

    def _on_resend(self, request: Request) -> dict[str, Any]:
        resend = _Resend(request, request.read(ResendParams))
        self._resends.put(resend)
        self._wake()
        try:
            return {"frame_id": resend.frame_id.result(_REPLY_S)}
        except NotInTime:
            if resend.frame_id.cancel():
                raise CommandFailed("the edge is too busy: the frame is not sent again") from None
            return {"frame_id": resend.frame_id.result()}  # it is being sent just now

    # On the mode's own thread

    def _accept(self, trigger: Waiting) -> None:
        offer = self._pending.offer(trigger)
        if offer != "taken":
            metrics.TRIGGERS.labels(offer).inc()

    def _answer(self, trigger: Waiting, decision: Chosen | Missed, pictures: Sequence[Picture]) -> None:
        if isinstance(decision, Missed):
            self._report_miss(trigger, decision, [each.captured_at for each in pictures])
        elif self._sender.send(pictures[decision.index], trigger.board_pass) is not None:
            metrics.TRIGGERS.labels("sent").inc()
            metrics.ANSWER_SECONDS.observe((self._clock.steady() - trigger.asked_at) / NS_PER_S)

    def _report_miss(self, trigger: Waiting, miss: Missed, captured: Sequence[int]) -> None:
        metrics.TRIGGERS.labels("missed").inc()
        held = self._misses.admit("miss")
        if held is None:
            return
        cause = likely_cause(trigger.at, trigger.asked_at, captured, self._pending.period)
        self._node.event(
            "warning",
            f"no picture near the trigger: {cause}",
            board_id=trigger.board_id,
            nearest_ms=None if miss.distance is None else round(ns_to_ms(miss.distance)),
            clock_difference_ms=round(ns_to_ms(trigger.asked_at - trigger.at)),
            others_since_last=held,
        )

    def _answer_resend(self, resend: _Resend, pictures: Sequence[Picture]) -> None:
        if not resend.frame_id.set_running_or_notify_cancel():
            return  # whoever asked was told that it is not carried out
        try:
            resend.request.check()
            resend.frame_id.set_result(self._resend(resend.params, pictures))
        except CommandFailed as refusal:
            resend.frame_id.set_exception(refusal)

    def _resend(self, params: ResendParams, pictures: Sequence[Picture]) -> str:
        board_id, triggered_at = params.board_id, params.triggered_at
        frame_id = self._sender.resend(board_id, triggered_at)
        if frame_id is None and triggered_at is not None:
            captured = [each.captured_at for each in pictures]
            shift = self._clock.own(triggered_at) - triggered_at
            decision = self._pending.decide_now((board_id, triggered_at), captured, shift)
            if isinstance(decision, Chosen):
                frame_id = self._sender.send(pictures[decision.index], (board_id, triggered_at))
        metrics.RESENDS.labels("nothing" if frame_id is None else "sent").inc()
        if frame_id is None:
            raise CommandFailed(f"no frame of board {board_id!r}")
        return frame_id

"""Boards under way, shared by the threads of the service: carries out what the joiner decides."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from inference_subscriber import metrics
from inference_subscriber.board import Board, BoardKey, Inspected, Receipt
from inference_subscriber.busy import BusyLog
from inference_subscriber.engines.base import Findings
from inference_subscriber.evidence import EvidenceSender
from inference_subscriber.joiner import Action, AskResend, Close, Joiner, Repeated
from inference_subscriber.judge import Judge, Judged, ready_time
from inference_subscriber.sender import VerdictSender
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Command, Frame, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_S, now_ns, ns_to_ms
from pcb_bus.contract.topics import Topics
from pcb_bus.mqtt.session import MqttSession
from pcb_bus.seeing.health import Flaw

log = logging.getLogger(__name__)

_RETRY_NS = NS_PER_S


class Boards:
    """One lock around the joiner and what follows from it, so that actions happen in the order they were decided.

    Args:
        evidence: publishes the frames of boards that people should see.
        on_clock: told of a side whose frames have wrong times, and why; of nothing once one has a right time.
    """

    def __init__(
        self,
        joiner: Joiner,
        judge: Judge,
        sender: VerdictSender,
        session: MqttSession,
        topics: Topics,
        evidence: EvidenceSender,
        on_clock: Callable[[str, str], None] = lambda side, fault: None,
    ) -> None:
        self._joiner = joiner
        self._judge = judge
        self._sender = sender
        self._session = session
        self._topics = topics
        self._evidence = evidence
        self._on_clock = on_clock
        self._wrong_times: dict[str, str | None] = {}
        self._busy = BusyLog()
        self._changed = threading.Condition()
        self._wakes_at = 0
        self._stopped = False

    @property
    def judge(self) -> Judge:
        """What judges boards now."""
        return self._judge

    def use(self, anomaly_threshold: float) -> None:
        """It holds for the boards that are judged from now on; any thread."""
        self._judge = replace(self._judge, anomaly_threshold=anomaly_threshold)

    def run_product(self, product: str | None) -> None:
        """What is on the line: it holds for the boards that come from now on; any thread."""
        with self._changed:
            self._joiner.product = product

    def announce(self, trigger: Trigger, receipt: Receipt, received_at: int) -> None:
        """A trigger came; `receipt` acknowledges it once its board's verdict is safe. No board is judged twice."""
        judged = self._judge.verdict_id(BoardKey.of(trigger.board_id, trigger.triggered_at))
        with self._changed:
            if self._sender.stands(judged):
                self._sender.acknowledge(judged, receipt)
                return
            self._joiner.trigger(trigger, receipt, received_at=received_at, now=time.monotonic_ns())
            self._act()

    def admit(self, frame: Frame, received_at: int) -> bool:
        """Whether to inspect this frame; then `deliver` or `lose` must follow."""
        with self._changed:
            reason = self._joiner.offer(frame, received_at=received_at, now=time.monotonic_ns())
            self._act()
        if reason is not None:
            metrics.FRAMES_DROPPED.labels(reason).inc()
        self._check_clock(frame, reason, received_at)
        return reason is None

    def in_time(self, frame: Frame, received_at: int) -> bool:
        """Whether its capture is neither too long ago nor to come. On the thread of `admit`."""
        reason = self._joiner.wrong_time(frame, received_at)
        if reason is not None:
            metrics.FRAMES_DROPPED.labels(reason).inc()
        self._check_clock(frame, reason, received_at)
        return reason is None

    def deliver(self, results: list[tuple[Frame, Inspected]], started_at: int, ended_at: int) -> None:
        """The engine ran from `started_at` to `ended_at` (monotonic ns) and found this."""
        with self._changed:
            self._busy.add(started_at, ended_at)
            for frame, inspected in results:
                if not self._joiner.inspected(frame, inspected):
                    metrics.FRAMES_DROPPED.labels("inspected_late").inc()
            self._act()

    def refuse(self, frame: Frame, flaw: Flaw) -> None:
        """A frame that was admitted shows nothing that could be inspected."""
        metrics.PICTURES_REFUSED.labels(flaw.kind).inc()
        now = time.monotonic_ns()
        self.deliver([(frame, Inspected(Findings(), 0.0, flaw))], now, now)

    def lose(self, frame: Frame) -> None:
        """A frame that was admitted cannot be inspected."""
        with self._changed:
            self._joiner.lost(frame)
            self._act()

    def run_clock(self) -> None:
        """Do what falls due as time passes, until `stop`."""
        with self._changed:
            while not self._stopped:
                self._wakes_at = self._next_wake()
                self._changed.wait((self._wakes_at - time.monotonic_ns()) / NS_PER_S)
                self._sender.retry()
                self._act()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _check_clock(self, frame: Frame, dropped_for: str | None, received_at: int) -> None:
        wrong = self._joiner.wrong_time(frame, received_at)
        if wrong is not None and wrong != dropped_for:
            return  # one that was asked for may be old
        fault = "" if wrong is None else _clock_fault(frame, received_at)
        if fault:
            self._session.complain(f"frame {wrong}", fault)
        if wrong != self._wrong_times.get(frame.side):
            self._wrong_times[frame.side] = wrong
            self._on_clock(frame.side, fault)

    # Inside, with the lock held

    def _next_wake(self) -> int:
        due_at = self._joiner.next_due()
        regular = time.monotonic_ns() + _RETRY_NS
        return regular if due_at is None else min(due_at, regular)

    def _act(self) -> None:
        for action in self._joiner.due(time.monotonic_ns()):
            self._carry_out(action)
        metrics.OPEN_BOARDS.set(len(self._joiner))
        metrics.UNSENT_VERDICTS.set(len(self._sender))
        if self._next_wake() < self._wakes_at:
            self._changed.notify_all()

    def _carry_out(self, action: Action) -> None:
        match action:
            case Close(board):
                self._conclude(board)
            case AskResend():
                self._ask(action)
            case Repeated(key, receipt):
                self._sender.acknowledge(self._judge.verdict_id(key), receipt)

    def _conclude(self, board: Board) -> None:
        judged_at = now_ns()
        verdict = self._verdict(board, Judged(judged_at, ns_to_ms(self._inference_ns(board, judged_at))))
        # Before it: a crash after the verdict has gone would leave a board without pictures. It takes about 1 ms.
        pictures = self._evidence.keep(verdict, board)
        if not self._sender.send(verdict, board.receipts):
            log.info("board %s was judged before", verdict.board_id)  # a crash or a long absence lies in between
            return
        metrics.VERDICTS.labels(verdict.category, verdict.status).inc()
        metrics.LATENCY_MS.observe(verdict.latency_ms)
        log.info(
            "board %s: %s (%s) after %.0f ms", verdict.board_id, verdict.category, verdict.status, verdict.latency_ms
        )
        self._evidence.send(pictures)

    def _verdict(self, board: Board, judged: Judged) -> Verdict:
        try:
            return self._judge.verdict(board, judged)
        except ValueError:
            log.exception("what was found on a board breaks the contract: it is unjudged")
            for sighting in board.sightings.values():
                sighting.inspected = None
            return self._judge.verdict(board, judged)

    def _inference_ns(self, board: Board, judged_at: int) -> int:
        """Since the board was ready: one side's inference while the other was not yet captured delays nothing."""
        now = time.monotonic_ns()
        if board.first_seen_at is None:
            return 0
        ready = now - (judged_at - ready_time(board, judged_at))
        return self._busy.within(max(board.first_seen_at, ready), now)

    def _ask(self, ask: AskResend) -> None:
        metrics.RESENDS.labels(ask.side).inc()
        command = Command(command="resend", params={"board_id": ask.board_id, "triggered_at": ask.triggered_at})
        self._session.publish(self._topics.command(f"edge-{ask.side}"), encode_json(command), qos=0)


def _clock_fault(frame: Frame, received_at: int) -> str:
    camera, seconds = f"edge-{frame.side}", (received_at - frame.captured_at) / NS_PER_S
    if seconds < 0:
        return f"the clock of {camera} is {-seconds:.1f} s ahead of this machine's: set up NTP on both"
    behind = f"the clock of {camera} is behind this machine's (set up NTP on both)"
    return f"a frame of {frame.side} came {seconds:.1f} s after its capture: {behind}, or the network is slow"

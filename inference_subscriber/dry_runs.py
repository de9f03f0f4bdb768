"""Pictures to inspect at somebody's request: by the engine and the judge of the line, but of no board.

No verdict is published, so that no gate moves and nothing is recorded. A dry run has the engine only while no board
waits for it, and one runs at a time.
"""

import threading
import time
from collections.abc import Iterable, Mapping

from inference_subscriber.board import Board, BoardKey, Inspected, Sighting
from inference_subscriber.boards import Boards
from inference_subscriber.engines.base import Findings
from inference_subscriber.intake import FrameLimits, decode_picture, read_frame
from inference_subscriber.judge import Judged
from inference_subscriber.pictures import Picture, PictureInbox
from pcb_bus.contract.codec import decode_msgpack
from pcb_bus.contract.identity import new_id
from pcb_bus.contract.messages import CommandReply, Frame, Inspect, Verdict
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import CommandFailed, MessageRejected
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.service import Service
from pcb_bus.seeing.health import TORN, find_flaw
from pcb_bus.seeing.jpeg import TRUNCATED

_WAITING = 8
_LONGEST_S = 4.0  # nobody waits longer, whatever the request says


class DryRuns:
    """Answers what comes on `pcb/inspect/<requester>`. Make it before the service starts.

    Args:
        limits: what a picture may be.
        sharpness: by side, that of its pictures at the set-up.
    """

    def __init__(
        self,
        service: Service,
        boards: Boards,
        pictures: PictureInbox,
        limits: FrameLimits,
        sharpness: Mapping[str, float],
    ) -> None:
        self._service, self._boards, self._pictures = service, boards, pictures
        self._limits, self._sharpness = limits, sharpness
        service.on(service.topics.all_inspect, None, self._receive, thread="dry-runs", queue=_WAITING, qos=0)

    def _receive(self, delivery: Delivery) -> None:
        try:
            answer: Verdict | CommandReply = self._answer(delivery)
        except MessageRejected as rejection:
            self._service.session.reject("inspect", rejection)
            answer = CommandReply(error=str(rejection))
        except CommandFailed as failure:
            answer = CommandReply(error=str(failure))
        self._service.answer(delivery, answer)

    def _answer(self, delivery: Delivery) -> Verdict:
        if delivery.retain:
            raise MessageRejected("retained", "retained requests to inspect are ignored")
        request = decode_msgpack(Inspect, delivery.payload)
        patience_s = _LONGEST_S if request.expires_at is None else (request.expires_at - now_ns()) / NS_PER_S
        ends_at = time.monotonic() + min(patience_s, _LONGEST_S)
        frames = [read_frame(side, jpeg, delivery.received_at, self._limits) for side, jpeg in request.pictures.items()]
        return self._judged(_DryRun(frames, request.product), ends_at)

    def _judged(self, run: "_DryRun", ends_at: float) -> Verdict:
        started = time.monotonic_ns()
        pictures = [picture for frame in run.frames if (picture := self._look(run, frame)) is not None]
        if pictures:
            self._pictures.ask(pictures)
        if not run.ended.wait(max(0.0, ends_at - time.monotonic())):
            self._pictures.withdraw(pictures)
            raise CommandFailed("the line is too busy with boards to inspect anything else: ask again later")
        if run.lost:
            raise CommandFailed(f"the network fails on the picture of {', '.join(run.lost)}: see the log of inference")
        return self._boards.judge.verdict(run.board, Judged(now_ns(), (time.monotonic_ns() - started) / 1e6))

    def _look(self, run: "_DryRun", frame: Frame) -> Picture | None:
        """What the engine is to see; None: it shows nothing that could be inspected."""
        image = None
        try:
            image = decode_picture(frame)
        except MessageRejected as rejection:
            if rejection.reason != TRUNCATED:
                raise
        flaw = TORN if image is None else find_flaw(image, self._sharpness.get(frame.side))
        if image is not None and flaw is None:
            return Picture(frame, image, run)
        run.deliver([(frame, Inspected(Findings(), 0.0, flaw))])
        return None


class _DryRun:
    """One request under way."""

    def __init__(self, frames: Iterable[Frame], product: str | None) -> None:
        self.frames = tuple(frames)
        now = time.monotonic_ns()
        sightings = {frame.side: Sighting(frame, now) for frame in self.frames}
        self.board = Board(BoardKey(new_id(), None), now, None, now, sightings=sightings, product=product)
        self.lost: list[str] = []
        self.ended = threading.Event()

    def deliver(self, results: Iterable[tuple[Frame, Inspected]]) -> None:
        for frame, inspected in results:
            self.board.sightings[frame.side].inspected = inspected
        if not self.board.under_way:
            self.ended.set()

    def lose(self, frame: Frame) -> None:
        self.lost.append(frame.side)
        self.ended.set()

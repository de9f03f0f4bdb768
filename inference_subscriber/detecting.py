"""The stage that runs the network on whatever waits."""

import logging
import time
from collections.abc import Sequence

from inference_subscriber import metrics
from inference_subscriber.board import Inspected
from inference_subscriber.boards import Boards
from inference_subscriber.engines.base import Findings
from inference_subscriber.errors import EngineFault
from inference_subscriber.inspecting import Inspector
from inference_subscriber.pictures import Picture
from pcb_bus.contract.times import ns_to_ms
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.workers import Turn

log = logging.getLogger(__name__)

_FATAL_FAILURES = 20


class DetectStage:
    """Takes waiting pictures as one micro-batch. One that the network fails on does not take the others with it.

    Raises (from `run`):
        Exception: twenty images in a row failed: a broken device only heals in a fresh process.
    """

    def __init__(self, inspector: Inspector, inbox: Inbox[Picture], boards: Boards, max_batch: int) -> None:
        self._inspector = inspector
        self._inbox = inbox
        self._boards = boards
        self._max_batch = min(max_batch, inspector.best_batch)
        self._failures = 0
        self.turn = Turn()

    def run(self) -> None:
        """Inspect until the inbox is closed and empty."""
        while pictures := self._inbox.take_many(self._max_batch):
            with self.turn:
                self._inspect(pictures)

    def _inspect(self, pictures: Sequence[Picture]) -> None:
        started_at = time.monotonic_ns()
        found = self._detect(pictures)
        ended_at = time.monotonic_ns()
        took_ms = ns_to_ms(ended_at - started_at)
        metrics.BATCH_SIZE.observe(len(pictures))
        metrics.INFERENCE_MS.observe(took_ms)
        pairs = list(zip(pictures, found, strict=True))
        results = [(picture, Inspected(each, took_ms)) for picture, each in pairs if each is not None]
        of_boards = [(picture.frame, inspected) for picture, inspected in results if picture.dry_run is None]
        self._boards.deliver(of_boards, started_at, ended_at)
        for picture, inspected in results:
            if picture.dry_run is not None:
                picture.dry_run.deliver([(picture.frame, inspected)])
        for picture in (picture for picture, each in pairs if each is None):
            (picture.dry_run or self._boards).lose(picture.frame)

    def _detect(self, pictures: Sequence[Picture]) -> Sequence[Findings | None]:
        try:
            found = self._inspector.inspect([(picture.frame.side, picture.image) for picture in pictures])
        except Exception as fault:
            # Whatever a strange picture does to the network or to OpenCV costs its own board, never the line.
            if len(pictures) > 1:
                return [one for picture in pictures for one in self._detect([picture])]
            log.error("a picture could not be inspected: %s", fault, exc_info=not isinstance(fault, EngineFault))
            self._count_failure(fault)
            return [None]
        self._failures = 0
        return found

    def _count_failure(self, fault: Exception) -> None:
        metrics.IMAGES_FAILED.inc()
        self._failures += 1
        if self._failures >= _FATAL_FAILURES:
            raise fault

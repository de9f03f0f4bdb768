"""The pictures of a live page: the newest of each camera, and those that the last verdicts rest on. Any thread."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from dashboard.feed import Seen, seen
from pcb_bus.contract.messages import Evidence, SideResult, Verdict
from pcb_bus.contract.pictures import PictureSize, inspect_jpeg, inspect_png
from pcb_bus.contract.times import NS_PER_MS

Kind = Literal["picture", "heat"]
_MAX_PIXELS = 50_000_000
_BOARDS = 6  # whose pictures are kept: an open page may still ask for those of the board before


class Preview(NamedTuple):
    """The newest picture of a camera; `number` counts them."""

    number: int
    jpeg: bytes


class _Judged:
    """A verdict and the pictures that it rests on, whichever comes first."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self.evidence: dict[str, tuple[Evidence, PictureSize]] = {}


class Pictures:
    """Bounded: one preview for each side, and the evidence of a few boards.

    Args:
        sides: of the line; pictures of others are refused.
    """

    def __init__(self, sides: Sequence[str]) -> None:
        self.sides = tuple(sides)
        self._previews: dict[str, Preview] = {}
        self._judged: OrderedDict[str, _Judged] = OrderedDict()
        self._lock = threading.Lock()

    def preview(self, side: str) -> Preview | None:
        return self._previews.get(side)

    def take_preview(self, side: str, jpeg: bytes) -> None:
        """
        Raises:
            MessageRejected: it is no JPEG.
        """
        if side in self.sides:
            inspect_jpeg(jpeg, max_pixels=_MAX_PIXELS)
            before = self._previews.get(side)
            self._previews[side] = Preview(before.number + 1 if before else 1, jpeg)

    def take_evidence(self, evidence: Evidence) -> None:
        """
        Raises:
            MessageRejected: its JPEG or its heat map is none.
        """
        if evidence.side not in self.sides:
            return
        size = inspect_jpeg(evidence.jpeg, max_pixels=_MAX_PIXELS)
        if evidence.heat_map is not None:
            inspect_png(evidence.heat_map, max_pixels=_MAX_PIXELS)
        with self._lock:
            self._of(evidence.verdict_id).evidence[evidence.side] = evidence, size

    def take_verdict(self, verdict: Verdict) -> None:
        """The pictures may have come before it. One without any makes room for nothing."""
        with self._lock:
            self._of(verdict.verdict_id).verdict = verdict

    def judged(self) -> dict[str, Any] | None:
        """The last board with a picture: its verdict, and the boxes of each side as shares of its picture."""
        with self._lock:
            there = [each for each in self._judged.values() if each.verdict is not None and each.evidence]
            last = max(there, key=lambda each: each.verdict.captured_at, default=None)  # type: ignore[union-attr]
            if last is None or last.verdict is None:
                return None
            verdict, evidence = last.verdict, dict(last.evidence)
        board: Seen = seen(verdict)
        sides = {side: self._shown(verdict, side, *evidence[side]) for side in self.sides if side in evidence}
        return board.shown() | {"judged": verdict.judged_at // NS_PER_MS, "pictures": sides}

    def picture(self, verdict_id: str, side: str, kind: Kind) -> bytes | None:
        """A JPEG, or the PNG of its heat; None: it is not there, or no longer."""
        with self._lock:
            board = self._judged.get(verdict_id)
            evidence, _ = board.evidence.get(side, (None, None)) if board else (None, None)
        if evidence is None:
            return None
        return evidence.jpeg if kind == "picture" else evidence.heat_map

    def _of(self, verdict_id: str) -> _Judged:
        board = self._judged.setdefault(verdict_id, _Judged())
        if len(self._judged) > _BOARDS:
            self._make_room(verdict_id)
        return board

    def _make_room(self, keep: str) -> None:
        """What has no picture goes first: of most good boards there is none."""
        without = (each for each, board in self._judged.items() if not board.evidence and each != keep)
        del self._judged[next(without, None) or next(iter(self._judged))]

    @staticmethod
    def _shown(verdict: Verdict, side: str, evidence: Evidence, size: PictureSize) -> dict[str, Any]:
        result = verdict.sides.get(side)
        return {
            "heat": evidence.heat_map is not None,
            "width": size.width,
            "height": size.height,
            "category": None if result is None else result.category,
            "quality": None if result is None else result.quality,
            "boxes": [] if result is None else _boxes(result, size),
        }


def _boxes(result: SideResult, size: PictureSize) -> list[dict[str, Any]]:
    return [
        {
            "x": box.x1 / size.width,
            "y": box.y1 / size.height,
            "w": (box.x2 - box.x1) / size.width,
            "h": (box.y2 - box.y1) / size.height,
            "class": box.class_name,
            "confidence": round(box.confidence, 3),
        }
        for box in result.boxes
    ]

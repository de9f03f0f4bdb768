"""From what was found to the one verdict of a board. Pure: the taxonomy decides, no class name stands here."""

from collections.abc import Iterable
from dataclasses import dataclass

from inference_subscriber.board import Board, BoardKey, Sighting
from inference_subscriber.boxes import boxes_of
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Category, Frame, GpioSignal, ModelRef, SideResult, Timing, Verdict
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import ms_to_ns, ns_to_ms

_MAX_MS = 1e9
"""The most that the contract holds. A trigger of 1970 waited for longer, by its clock."""


@dataclass(frozen=True, slots=True)
class Judged:
    """When a verdict was made (ns since the epoch), and how long the engine was busy since the board was ready (ms)."""

    at: int
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges boards of one line.

    Args:
        root: root of the line's topics, part of every verdict's id.
        sides: the sides that a whole board has.
        taxonomy: which class means what.
        model: the weights that the verdicts name.
        deadline_ns: how long after the board was ready a gate may act.
        anomaly_threshold: an anomaly score over this, which no box explains, is a box of its own.
    """

    root: str
    sides: tuple[str, ...]
    taxonomy: Taxonomy
    model: ModelRef
    deadline_ns: int
    anomaly_threshold: float = 0.5

    def verdict(self, board: Board, judged: Judged) -> Verdict:
        """The worst category of any side wins. A board of which a side is unknown is never normal, but unjudged.

        Unknown is a side that was not seen, or of which the picture shows nothing.
        """
        results = {side: self._side_result(board.sightings.get(side)) for side in self.sides}
        seen = [result for result in results.values() if result is not None]
        whole = len(seen) == len(self.sides) and not any(result.quality for result in seen)
        category = self._category(seen, whole=whole)
        frames = _inspected_frames(board)
        captured_at = min((frame.captured_at for frame in frames), default=board.triggered_at or judged.at)
        ready_at = ready_time(board, judged.at)
        return Verdict(
            verdict_id=self.verdict_id(board.key),
            board_id=board.key.board_id,
            serial=next((frame.serial for frame in frames if frame.serial is not None), None),
            product=product_of(board),
            status="ok" if whole else "incomplete",
            final_defect_type=self.taxonomy.label(category),
            category=category,
            confidence=_confidence(category, seen),
            gpio_signal=self._gpio_signal(category),
            sides=results,
            captured_at=captured_at,
            judged_at=judged.at,
            deadline_at=ready_at + self.deadline_ns,
            latency_ms=round(min(ns_to_ms(max(0, judged.at - captured_at)), _MAX_MS), 3),
            model=self.model,
            timing=Timing(ready_at=ready_at, inference_ms=round(judged.inference_ms, 3)),
        )

    def verdict_id(self, key: BoardKey) -> str:
        triggered_at = None if key.triggered_ms is None else ms_to_ns(key.triggered_ms)
        return verdict_id(self.root, key.board_id, triggered_at)

    def _category(self, seen: list[SideResult], *, whole: bool) -> Category:
        worst = self.taxonomy.worst(result.category for result in seen)
        return "unjudged" if worst == "normal" and not whole else worst

    def _side_result(self, sighting: Sighting | None) -> SideResult | None:
        if sighting is None or sighting.inspected is None:
            return None
        findings, flaw = sighting.inspected.findings, sighting.inspected.flaw
        found = boxes_of(findings, _size(sighting.frame), self.taxonomy, self.anomaly_threshold)
        boxes = [(self.taxonomy.category_of(box.class_name), box.confidence) for box in found]
        category: Category = "unjudged" if flaw else self.taxonomy.worst(each for each, _ in boxes)
        deciding = [confidence for each, confidence in boxes if each == category and category != "normal"]
        return SideResult(
            camera_id=sighting.frame.side,
            frame_id=sighting.frame.frame_id,
            captured_at=sighting.frame.captured_at,
            defect_type=self.taxonomy.label(category),
            category=category,
            confidence=0.0 if flaw else _highest(deciding),
            boxes=found,
            anomaly_score=findings.anomaly_score,
            inference_time_ms=round(sighting.inspected.inference_ms, 3),
            coverage=0.0 if flaw else 1.0,
            quality=str(flaw) if flaw else None,
        )

    def _gpio_signal(self, category: Category) -> GpioSignal | None:
        rule = self.taxonomy.categories[category]
        if rule.pin is None or rule.duration_ms is None:
            return None
        return GpioSignal(pin=rule.pin, action="HIGH", duration_ms=rule.duration_ms)


def ready_time(board: Board, judged_at: int) -> int:
    """When the last side was both captured and triggered; never after the verdict, whatever a wrong clock says."""
    triggered_at = board.triggered_at
    times = [max(frame.captured_at, triggered_at or 0) for frame in _inspected_frames(board)]
    return min(max(times, default=triggered_at or judged_at), judged_at)


def product_of(board: Board) -> str | None:
    """What its trigger says that it is, else its cameras, else what runs on the line."""
    frames = (sighting.frame.product for sighting in board.sightings.values())
    return board.product or next(filter(None, frames), board.running)


def _inspected_frames(board: Board) -> list[Frame]:
    return [sighting.frame for sighting in board.sightings.values() if sighting.inspected is not None]


def _highest(confidences: Iterable[float]) -> float:
    """That of the surest box; 1.0 where no box speaks against a normal side, be there minor defects or none."""
    return max(confidences, default=1.0)


def _confidence(category: Category, seen: list[SideResult]) -> float:
    if category == "unjudged":
        return 0.0
    return _highest(result.confidence for result in seen if result.category == category)


def _size(frame: Frame) -> tuple[int, int]:
    return frame.width, frame.height

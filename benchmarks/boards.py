"""Verdicts as inference sends them, two sides each, as many as a benchmark wants."""

import itertools
import uuid
from collections.abc import Iterator, Sequence

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Box, GpioSignal, ModelRef, SideResult, Timing, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns

_DEFECTIVE_EVERY = 5
_LINE_RATE_MS = 20  # from one board to the next: many days of a line are one benchmark


def payloads(count: int, run: str) -> Iterator[bytes]:
    """`count` verdicts, each with an id of its own, the same in every `run` of that name."""
    begin = now_ns() - count * _LINE_RATE_MS * NS_PER_MS
    for number in range(count):
        yield encode_json(_verdict(run, number, begin + number * _LINE_RATE_MS * NS_PER_MS))


def batches(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in itertools.count(0, size):
        if start >= len(items):
            return
        yield items[start : start + size]


def _verdict(run: str, number: int, at: int) -> Verdict:
    defective = number % _DEFECTIVE_EVERY == 0
    boxes = (Box(x1=101.5, y1=80, x2=132, y2=110.5, confidence=0.93, class_name="short"),) if defective else ()
    return Verdict(
        verdict_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {number}")),
        board_id=f"{run}-{number}",
        status="ok",
        final_defect_type="납땜불량" if defective else "정상",
        category="solder" if defective else "normal",
        confidence=0.93 if defective else 1.0,
        gpio_signal=GpioSignal(pin=27 if defective else 23, action="HIGH", duration_ms=500),
        sides={"left": _side("left", number, at, boxes), "right": _side("right", number, at, ())},
        captured_at=at,
        judged_at=at + 41 * NS_PER_MS,
        deadline_at=at + 1000 * NS_PER_MS,
        latency_ms=41.3,
        model=ModelRef(name="boardline-starter", sha256="0" * 64),
        timing=Timing(ready_at=at, inference_ms=28.4),
    )


def _side(camera_id: str, number: int, at: int, boxes: tuple[Box, ...]) -> SideResult:
    return SideResult(
        camera_id=camera_id,
        frame_id=f"{camera_id}-{number}",
        captured_at=at,
        defect_type="납땜불량" if boxes else "정상",
        category="solder" if boxes else "normal",
        confidence=0.93 if boxes else 1.0,
        boxes=boxes,
        anomaly_score=0.12,
        inference_time_ms=14.2,
    )

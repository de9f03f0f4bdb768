"""Verdicts as a line publishes them."""

from typing import Any

from pcb_bus.contract.messages import ModelRef, Timing, Verdict
from pcb_bus.contract.times import NS_PER_MS

MODEL = ModelRef(name="m", sha256="0" * 64)


def verdict(board: str, category: str = "normal", verdict_id: str = "", **changes: Any) -> Verdict:
    """One of a good board that was seen whole, but for what is said."""
    fields: dict[str, Any] = {
        "verdict_id": verdict_id or f"v-{board}",
        "board_id": board,
        "status": "ok",
        "final_defect_type": "x",
        "category": category,
        "confidence": 1.0,
        "gpio_signal": None,
        "sides": {},
        "captured_at": 1000 * NS_PER_MS,
        "judged_at": 1040 * NS_PER_MS,
        "deadline_at": 2000 * NS_PER_MS,
        "latency_ms": 40.0,
        "model": MODEL,
        "timing": Timing(ready_at=1010 * NS_PER_MS, inference_ms=25.0),
    }
    return Verdict(**{**fields, **changes})

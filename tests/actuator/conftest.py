from collections.abc import Callable, Iterator

import pytest
from gpiozero.pins.mock import MockFactory

from pcb_bus.contract.messages import Category, ModelRef, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns

MakeVerdict = Callable[..., Verdict]


@pytest.fixture(scope="session")
def make_verdict() -> MakeVerdict:
    """Builds a verdict judged at `at` (ns, by default now), 50 ms after its capture, good for `good_for_ms`."""

    def make(
        verdict_id: str = "v1", category: Category = "scrap", at: int | None = None, good_for_ms: float = 2000
    ) -> Verdict:
        judged_at = now_ns() if at is None else at
        return Verdict(
            verdict_id=verdict_id,
            board_id=f"board-{verdict_id}",
            status="ok",
            final_defect_type="폐기",
            category=category,
            confidence=0.9,
            gpio_signal=None,
            sides={},
            captured_at=judged_at - 50 * NS_PER_MS,
            judged_at=judged_at,
            deadline_at=judged_at + round(good_for_ms * NS_PER_MS),
            latency_ms=50.0,
            model=ModelRef(name="starter", sha256="0" * 64),
        )

    return make


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    yield factory
    factory.reset()

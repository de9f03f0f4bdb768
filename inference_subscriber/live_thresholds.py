"""The least confidence of a defect, and what is odd, as they stand in `system_config` now."""

from collections.abc import Iterable, Mapping

from inference_subscriber.boards import Boards
from inference_subscriber.engines.base import Engine, Thresholds
from inference_subscriber.settings import ClassShares, Share
from pcb_bus.runtime.live import LiveSettings, LiveValue
from pcb_bus.runtime.service import Service


class LiveThresholds:
    """Hands each change to the engine and the judge, as one new object: no image is read with half of it.

    Args:
        from_file: what holds where `pcb/config` says nothing; the model's own thresholds where the file says nothing.
        anomaly: the same, of the anomaly score.
    """

    def __init__(self, service: Service, engine: Engine, boards: Boards, from_file: Thresholds, anomaly: float) -> None:
        self._engine = engine
        self._boards = boards
        self._default: LiveValue[float | None] = LiveValue("confidence", Share, from_file.default)
        self._by_class = LiveValue[Mapping[str, float]](
            "class_confidence", ClassShares, from_file.by_class, lambda given: check_classes(engine.names, given)
        )
        self._anomaly = LiveValue("anomaly_threshold", Share, anomaly)
        LiveSettings(service, self._hand_over, self._default, self._by_class, self._anomaly)

    def _hand_over(self) -> None:
        self._engine.use(Thresholds(self._default(), self._by_class()))
        self._boards.use(self._anomaly())


def check_classes(known: Iterable[str], given: Iterable[str]) -> None:
    """Whether the model knows these classes; raises ValueError with those that it does not."""
    stray = sorted(set(given) - set(known))
    if stray:
        raise ValueError(f"the model does not know {', '.join(stray)}")

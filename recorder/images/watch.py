"""Looks after a store that does not take pictures."""

from collections.abc import Callable

from recorder.alerts import Alarms
from recorder.images.base import Images

_ALERT = "images"


class ImageWatch:
    """An alert as long as pictures cannot be saved.

    Args:
        works: called at each look at which they can: what was told of a failure is over, though no picture comes.
    """

    def __init__(self, images: Images, alarms: Alarms, works: Callable[[], None]) -> None:
        self._images = images
        self._alarms = alarms
        self._works = works

    def look(self) -> None:
        if self._images.probe():
            self._works()
            self._alarms.resolve(_ALERT, _ALERT)
        else:
            reason = f"evidence pictures cannot be stored: {self._images.failure}"
            self._alarms.raise_alert(_ALERT, _ALERT, "critical", reason)

"""What the broker said of each publish. paho may call back before `publish` has returned the message id."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

Done = Callable[[bool], None]
OnRefused = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class _Expected:
    qos: int
    kind: str
    on_done: Done | None


class Receipts:
    """Matches message ids with the broker's answers, in whichever order they come.

    paho calls `settle` while it holds a lock of its own that `publish` also takes; so nothing here calls back into
    the client while it holds a lock.
    """

    def __init__(self, on_refused: OnRefused) -> None:
        self._on_refused = on_refused
        self._expected: dict[int, _Expected] = {}
        self._early: dict[int, str | None] = {}
        self._changed = threading.Condition()

    @property
    def unsent(self) -> int:
        """QoS 0 messages that are not on the wire yet."""
        with self._changed:
            return sum(1 for each in self._expected.values() if each.qos == 0)

    def expect(self, mid: int, qos: int, kind: str, on_done: Done | None) -> None:
        """A publish was handed over as `mid`."""
        expected = _Expected(qos, kind, on_done)
        with self._changed:
            if mid not in self._early:
                self._expected[mid] = expected
                return
            failure = self._early.pop(mid)
        self._answer(expected, failure)

    def settle(self, mid: int, failure: str | None) -> None:
        """The broker answered; `failure` is None when it accepted."""
        with self._changed:
            expected = self._expected.pop(mid, None)
            if expected is None:
                self._early[mid] = failure
                return
            self._changed.notify_all()
        self._answer(expected, failure)

    def forget_unsent(self) -> None:
        """The connection is gone, and with it every QoS 0 message that was not sent."""
        with self._changed:
            lost = [mid for mid, each in self._expected.items() if each.qos == 0]
            gone = [self._expected.pop(mid) for mid in lost]
            self._changed.notify_all()
        for each in gone:
            if each.on_done is not None:
                each.on_done(False)

    def wait_until_empty(self, timeout: float) -> bool:
        """True once every publish was answered; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._expected, timeout)

    def _answer(self, expected: _Expected, failure: str | None) -> None:
        if failure is not None:
            self._on_refused(expected.kind, failure)
        if expected.on_done is not None:
            expected.on_done(failure is None)

"""What the broker said of each publish. paho may call back before `publish` has returned the message id."""

import threading
from collections.abc import Callable

Done = Callable[[str | None], None]
"""Told why the broker refused; None: it accepted; empty: the message was lost unsent."""


class Receipts:
    """Matches message ids with the broker's answers, in whichever order they come.

    paho calls `settle` while it holds a lock of its own that `publish` also takes; so nothing here calls back into
    the client while it holds a lock.
    """

    def __init__(self) -> None:
        self._expected: dict[int, tuple[int, Done]] = {}
        self._early: dict[int, str | None] = {}
        self._changed = threading.Condition()

    @property
    def unsent(self) -> int:
        """QoS 0 messages that are not on the wire yet."""
        with self._changed:
            return sum(not qos for qos, _ in self._expected.values())

    def expect(self, mid: int, qos: int, done: Done) -> None:
        """A publish was handed over as `mid`."""
        with self._changed:
            if mid not in self._early:
                self._expected[mid] = qos, done
                return
            failure = self._early.pop(mid)
        done(failure)

    def settle(self, mid: int, failure: str | None) -> None:
        """The broker answered; `failure` is None when it accepted."""
        with self._changed:
            if mid not in self._expected:
                self._early[mid] = failure
                return
            _, done = self._expected.pop(mid)
            self._changed.notify_all()
        done(failure)

    def begin(self) -> None:
        """A new connection: an answer that nobody expected by now was to a message of the one before."""
        with self._changed:
            self._early.clear()

    def forget_unsent(self) -> None:
        """The connection is gone, and with it every QoS 0 message that was not sent."""
        with self._changed:
            gone = {mid: done for mid, (qos, done) in self._expected.items() if not qos}
            for mid in gone:
                del self._expected[mid]
            self._changed.notify_all()
        for done in gone.values():
            done("")

    def wait_until_empty(self, timeout: float) -> bool:
        """True once every publish was answered; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._expected, timeout)

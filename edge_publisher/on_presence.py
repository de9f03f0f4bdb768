"""Mode `presence`: the edges see the boards go by; the one that leads announces them, the others answer.

Each edge looks at every picture, on a thread of its own. What it announces, its own frame goes out with at once: it
does not wait for the trigger to come back.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edge_publisher import metrics
from edge_publisher.on_trigger import Announcer, OnTrigger
from edge_publisher.outgoing import FrameSender
from edge_publisher.passes import Passes, Seen
from edge_publisher.ring import PictureRing
from edge_publisher.sources import Picture
from edge_publisher.sources.base import Image
from edge_publisher.triggers import BoardPass
from pcb_bus.contract.messages import NodeStatus, Trigger
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.logs import Throttle
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from pcb_bus.seeing.health import partly_in_view
from pcb_bus.seeing.presence import Pass, Presence, PresenceOptions

_POLL_S = 0.02
_BEHIND = 8  # pictures that wait to be looked at; older ones are left out
_LONGER_SIDE = 320  # pixels that are enough to see boards by
TWO_SOURCES = "each may be inspected twice; set edge.trigger to mqtt on every edge, or stop the other source"


@dataclass(frozen=True, slots=True)
class Station:
    """Where this edge stands: whether it is the only one, and how boards go by."""

    alone: bool
    options: PresenceOptions


class OnPresence(OnTrigger):
    """Sees boards, announces them if this edge leads, and answers triggers as `OnTrigger` does.

    Args:
        announcer: publishes a trigger and sees that it is recorded.
    """

    def __init__(
        self,
        node: Service,
        sender: FrameSender,
        ring: PictureRing,
        station: Station,
        announcer: Announcer,
        period: int,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(node, sender, period, wake)
        self._ring = ring
        self._station = station
        self._presence = Presence(station.options)
        self._passes = Passes(node.node, node.node if station.alone else None)
        self._seen: dict[int, Seen] = {}
        self._last = 0
        self._own: Inbox[tuple[Seen, BoardPass]] = Inbox(64)
        self._announcer = announcer
        self._others = Throttle(interval_s=3600)
        self._looking = node.worker("presence")
        node.every(_POLL_S, self._ask, thread="presence")
        node.tell(trigger="presence", leader=self._passes.leader)
        if not station.alone:
            node.on(node.topics.status("inference"), NodeStatus, self._on_status, thread="presence", retained=True)

    def arrived(self) -> None:
        self._looking.do(self._look)

    def step(self, pictures: Sequence[Picture], now: int) -> float:
        while own := self._own.take(timeout=0):
            seen, board_pass = own
            if self._sender.send(seen.picture, board_pass, seen.flaw) is not None:
                metrics.TRIGGERS.labels("announced").inc()
        return super().step(pictures, now)

    def _on_trigger(self, trigger: Trigger, delivery: Delivery) -> None:
        if trigger.source != self._node.node:  # its own is answered already
            super()._on_trigger(trigger, delivery)
            self._looking.do(partial(self._heard, trigger))

    # On the thread that looks

    def _look(self) -> None:
        pictures = self._ring.pictures()
        if pictures and pictures[-1].captured_at < self._last:  # the clock was set back
            self._presence, self._last = Presence(self._station.options), 0
            self._seen.clear()
        for picture in [each for each in pictures if each.captured_at > self._last][-_BEHIND:]:
            self._last = at = picture.captured_at
            with metrics.LOOK_SECONDS.time():
                image = decode_small(picture)
                if image is not None:
                    late = min(max(0, self._clock.steady() - at), NS_PER_S)
                    self._seen[at] = Seen(picture, time.monotonic_ns() - late)
                    self._passed(self._presence.see(image, at), at)

    def _ask(self) -> None:
        until, now = self._presence.wait_until, self._clock.steady()
        if until is not None and now >= until:
            self._passed(self._presence.due(now), now)

    def _passed(self, found: Pass | None, now: int) -> None:
        while found is not None:
            metrics.PASSES.inc()
            flaw = None if found.whole else partly_in_view(found.coverage)
            seen = replace(self._seen[found.captured_at_ns], flaw=flaw)
            self._announce(self._passes.saw(seen, time.monotonic_ns()))
            self._tell()
            found = self._presence.due(now)
        may_name = self._presence.may_name
        self._seen = {at: seen for at, seen in self._seen.items() if at in may_name}

    def _heard(self, trigger: Trigger) -> None:
        both = self._passes.leader == self._node.node and not trigger.source.startswith("edge-")
        if both and self._others.admit(trigger.source) is not None:
            self._node.event("warning", f"{trigger.source} announces boards as well: {TWO_SOURCES}")
        self._passes.heard(self._clock.own(trigger.triggered_at), time.monotonic_ns())
        self._tell()

    def _on_status(self, status: NodeStatus, _: Delivery) -> None:
        if status.leader is not None:
            self._announce(self._passes.appoint(status.leader, time.monotonic_ns()))
            self._tell()

    def _tell(self) -> None:
        overlooked = min(self._passes.overlooked, 1000)
        # One may be announced in a moment: to say so each time would double what the broker has to retain.
        self._node.tell(leader=self._passes.leader, overlooked=overlooked if overlooked > 1 else 0)

    def _announce(self, boards: Iterable[Seen]) -> None:
        for seen in () if self._sender.paused else boards:
            board_pass = self._announcer.name(seen.picture.captured_at)
            self._own.put((seen, board_pass))
            self._wake()
            self._announcer.publish(board_pass, seen.taken_at)


def decode_small(picture: Picture) -> Image | None:
    """The pixels, of a JPEG as few of them as show boards; None if there are none."""
    wide_enough = max(picture.width, picture.height) // _LONGER_SIDE
    return picture.pixels(8 if wide_enough >= 8 else 4 if wide_enough >= 4 else 2 if wide_enough >= 2 else 1)

"""The ledger, and what it cannot take for now: a disk that is full or fails ends nothing, and fires nothing."""

import logging
from collections.abc import Iterable, Sequence

from actuator.intents import Intent
from actuator.ledger import Ledger
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Actuation
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.durable.outbox import Kept
from pcb_bus.errors import OutboxFault

log = logging.getLogger(__name__)

_ROOM = 10_000
_RECENT = 20_000
_AGAIN_NS = NS_PER_S
_TOGETHER = 200


class Book:
    """Used by one thread. Reports that the ledger does not take wait here, in memory, until `mend` writes them down.

    What waits here when the process dies is lost as a report (the broker may have it), and so is what finds no room.

    Args:
        ledger: what is on the disk.
        room: for so many reports.
    """

    def __init__(self, ledger: Ledger, room: int = _ROOM) -> None:
        self._ledger = ledger
        self._room = room
        self._unwritten: dict[str, tuple[Actuation, int]] = {}
        self._recent: dict[str, None] = {}
        self._arming: bool | None = None
        self._recovered = False
        self._fault: str | None = None
        self._mended_at = 0

    def close(self) -> None:
        self._ledger.close()

    def __len__(self) -> int:
        """How many reports the recorder has not named yet."""
        return len(self._ledger) + len(self._unwritten)

    @property
    def fill(self) -> float:
        """Which share of the room for them is taken, 0 to 1 and a little."""
        return self._ledger.fill

    @property
    def full(self) -> bool:
        """Whether the latest report found no room on the disk that works."""
        return self._ledger.full

    @property
    def fault(self) -> str | None:
        """Why nothing can be written down; None when it can."""
        return self._fault

    def knows(self, verdict_id: str) -> bool:
        """Whether it was seen before.

        Raises:
            OutboxFault: nobody can tell.
        """
        return verdict_id in self._recent or verdict_id in self._unwritten or self._ledger.knows(verdict_id)

    def begin(self, if_crashed: Actuation, now: int) -> None:
        """On disk when this returns: the verdict is about to fire; after a crash `if_crashed` is its report.

        Raises:
            OutboxFault: it is not, or its outcome could not be written down either; nothing may fire.
        """
        if self._fault is not None:
            raise OutboxFault(self._fault)
        try:
            self._ledger.begin(if_crashed, now)
        except OutboxFault as fault:
            self._failed(fault)
            raise
        self._remember(if_crashed.verdict_id)

    def settle(self, reports: Sequence[Actuation], now: int) -> int:
        """Write outcomes down, or keep them in mind. The first stands. Returns how many reports found no room."""
        for report in reports:
            self._remember(report.verdict_id)
        try:
            return self._ledger.settle(reports, now)
        except OutboxFault as fault:
            self._failed(fault)
        return sum(not self._keep_in_mind(report, now) for report in reports)

    def mend(self, now: int) -> None:
        """Write down what could not be, now and then. `now`: monotonic ns."""
        if self._fault is None or now - self._mended_at < _AGAIN_NS:
            return
        self._mended_at = now
        try:
            self._write_down()
        except OutboxFault as fault:
            self._failed(fault)
        else:
            self._fault = None

    def recover(self) -> list[Intent]:
        """Once: what a crash caught while firing, now reported so. The gates may have stayed silent."""
        if self._recovered:
            return []
        try:
            silent = self._ledger.recover()
        except OutboxFault as fault:
            self._failed(fault)
            return []
        self._recovered = True
        return silent

    def clear(self, verdict_ids: Iterable[str]) -> None:
        """The recorder has their reports. A disk that fails lets them go out once more."""
        try:
            self._ledger.clear(verdict_ids)
        except OutboxFault as fault:
            self._failed(fault)

    def newest(self) -> int:
        """The place of the verdict that was written down last; 0 while nobody can tell."""
        try:
            return self._ledger.newest()
        except OutboxFault as fault:
            self._failed(fault)
            return 0

    def waiting(self, after: int, until: int, limit: int) -> list[Kept]:
        """Reports with a place in (after, until] that the recorder has not named, oldest first."""
        try:
            return self._ledger.waiting(after, until, limit)
        except OutboxFault as fault:
            self._failed(fault)
            return []

    def standing(self, verdict_id: str) -> bytes | None:
        """The report of a verdict whose outcome is known, unless the recorder has named it.

        Raises:
            OutboxFault: nobody can tell.
        """
        if verdict_id in self._unwritten:
            return encode_json(self._unwritten[verdict_id][0])
        kept = self._ledger.standing(verdict_id)
        return None if kept is None else kept.payload

    def prune(self, now: int) -> None:
        """Forget what is old or too much, now and then."""
        try:
            self._ledger.prune(now)
        except OutboxFault as fault:
            self._failed(fault)

    def armed(self) -> bool:
        """Whether the last command left the gates armed; not, if nobody can tell."""
        try:
            return self._ledger.armed()
        except OutboxFault as fault:
            self._failed(fault)
            return False

    def remember_armed(self, armed: bool) -> bool:
        """Whether it outlives a restart already."""
        self._arming = armed
        try:
            self._write_arming()
        except OutboxFault as fault:
            self._failed(fault)
        return self._arming is None

    def _write_down(self) -> None:
        self._write_arming()
        while self._unwritten:
            some = list(self._unwritten.values())[:_TOGETHER]
            self._ledger.settle([report for report, _ in some], some[0][1])
            for report, _ in some:
                del self._unwritten[report.verdict_id]
        self._ledger.probe()

    def _write_arming(self) -> None:
        if self._arming is not None:
            self._ledger.remember_armed(self._arming)
            self._arming = None

    def _keep_in_mind(self, report: Actuation, now: int) -> bool:
        if len(self._unwritten) < self._room:
            self._unwritten.setdefault(report.verdict_id, (report, now))
        return report.verdict_id in self._unwritten

    def _remember(self, verdict_id: str) -> None:
        self._recent[verdict_id] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _failed(self, fault: OutboxFault) -> None:
        if self._fault is None:
            log.error("%s", fault)
        self._fault = str(fault)

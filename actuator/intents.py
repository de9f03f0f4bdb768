"""What is about to fire, on disk before its pin goes high: one synced write in place, where a commit takes several.

A file of slots of one page each. An intent holds its slot until the ledger has the verdict's outcome. A slot that was
torn while it was written fails its checksum and counts as empty: its pin never went high, for the write had not ended.
"""

import logging
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

log = logging.getLogger(__name__)

_SLOT = 4096  # bytes: room for the longest ids, each character escaped, and never two intents in one page of the disk
_PREPARED = 64  # slots; more are made when more is under way at once
_MAGIC = b"intents2"
_HEADER = struct.Struct(">8sIqIHH")  # magic, checksum of what follows it, seen_at, version, bytes of id and of report
_CHECKED = struct.calcsize(">8sI")
_EMPTY = bytes(_HEADER.size)


@dataclass(frozen=True, slots=True)
class Intent:
    """A verdict about to fire. After a crash `report` stands for it; `seen_at` is ns since the epoch.

    Of two on the disk for one verdict the higher `version` holds.
    """

    verdict_id: str
    seen_at: int
    report: bytes
    version: int = 0


class Intents:
    """Used by one thread, of the one process that holds the ledger.

    Args:
        path: the file; its folder is there.
        durable: each write is on the disk before it counts.

    Raises:
        OSError: the file cannot be used.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._slots: dict[str, int] = {}
        self._versions: dict[str, int] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_DSYNC if durable else 0), 0o644)
        try:
            self._prepare()
            self.found = self._read()
        except OSError:
            self.close()
            raise
        self._written = set(range(self._count))  # slots that may hold something
        self._free = deque(self._written.difference(self._slots.values()))

    def close(self) -> None:
        os.close(self._file)

    def write(self, intent: Intent) -> None:
        """On disk when this returns.

        Raises:
            OSError: it may not be.
        """
        content = _encode(intent)
        slot = self._take_slot()
        self._written.add(slot)
        try:
            self._put(slot, content)
        except OSError:
            self._free.append(slot)
            raise
        self._slots[intent.verdict_id] = slot
        self._versions[intent.verdict_id] = intent.version

    def amend(self, intent: Intent) -> None:
        """Another report stands for a verdict that was written: in a second slot, so that one of the two is whole.

        Raises:
            OSError: the earlier one may still stand for it.
        """
        earlier = self._slots[intent.verdict_id]
        self.write(replace(intent, version=self._versions[intent.verdict_id] + 1))
        self._free.append(earlier)

    def forget(self, verdict_id: str) -> None:
        """The ledger has its outcome; the slot may be used again, and until then still holds the intent."""
        slot = self._slots.pop(verdict_id, None)
        self._versions.pop(verdict_id, None)
        if slot is not None:
            self._free.append(slot)

    def erase(self) -> None:
        """Leave nothing of what is forgotten: before the ledger forgets it too, or it would come back after a crash.

        Raises:
            OSError: something may be left.
        """
        stale = self._written.intersection(self._free)
        if not stale:
            return
        with self._path.open("r+b", buffering=0) as file:
            for slot in stale:
                os.pwrite(file.fileno(), _EMPTY, slot * _SLOT)
            self._sync(file.fileno())
        self._written -= stale

    def _take_slot(self) -> int:
        if self._free:
            return self._free.popleft()  # the one unused for longest
        self._count += 1
        return self._count - 1

    def _put(self, slot: int, content: bytes) -> None:
        if os.pwrite(self._file, content.ljust(_SLOT, b"\0"), slot * _SLOT) != _SLOT:
            raise OSError(f"{self._path}: no room for a whole slot")

    def _prepare(self) -> None:
        """Blocks that the disk has set aside, so that a write in place changes nothing but data."""
        size = os.fstat(self._file).st_size
        self._count = max(_PREPARED, size // _SLOT)
        if size >= self._count * _SLOT:
            return
        with self._path.open("ab", buffering=0) as file:
            file.write(bytes(self._count * _SLOT - size))
            self._sync(file.fileno())
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            self._sync(folder)
        finally:
            os.close(folder)

    def _read(self) -> tuple[Intent, ...]:
        """What an earlier process left."""
        found = sorted(self._readable(), key=lambda each: each[1].version)
        self._slots = {intent.verdict_id: slot for slot, intent in found}
        latest = {intent.verdict_id: intent for _, intent in found}
        self._versions = {verdict_id: intent.version for verdict_id, intent in latest.items()}
        return tuple(latest.values())

    def _readable(self) -> Iterator[tuple[int, Intent]]:
        content = self._path.read_bytes()
        unreadable = 0
        for slot in range(self._count):
            page = content[slot * _SLOT : (slot + 1) * _SLOT]
            intent = _decode(page)
            unreadable += intent is None and any(page[: _HEADER.size])
            if intent is not None:
                yield slot, intent
        if unreadable:
            log.warning("%d intents in %s are torn or not of this version: ignored", unreadable, self._path)

    def _sync(self, file: int) -> None:
        if self._durable:
            os.fsync(file)


def _encode(intent: Intent) -> bytes:
    identity = intent.verdict_id.encode()
    sizes = intent.seen_at, intent.version, len(identity), len(intent.report)
    content = b"".join((_HEADER.pack(_MAGIC, 0, *sizes), identity, intent.report))
    if len(content) > _SLOT:
        raise OSError(f"an intent of {len(content)} bytes fits no slot")
    return _HEADER.pack(_MAGIC, zlib.crc32(content[_CHECKED:]), *sizes) + content[_HEADER.size :]


def _decode(page: bytes) -> Intent | None:
    """None: empty, torn, or of another version."""
    if not page.startswith(_MAGIC) or len(page) < _HEADER.size:
        return None
    _, checksum, seen_at, version, id_size, report_size = _HEADER.unpack_from(page)
    report_at = _HEADER.size + id_size
    if zlib.crc32(page[_CHECKED : report_at + report_size]) != checksum:
        return None
    report = page[report_at : report_at + report_size]
    return Intent(page[_HEADER.size : report_at].decode(), seen_at, report, version)

"""The thread of the pictures: what waits in the spool goes into the store, however slow that is, or long away."""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Engine, func, literal, select, update
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import Evidence, Recorded, evidence_id
from pcb_bus.errors import MessageRejected
from pcb_bus.runtime.backoff import Backoff
from pcb_bus.runtime.service import Service
from recorder.alerts import Alerts
from recorder.faults import show
from recorder.rows import Row, evidence_record
from recorder.spool import Spool, Spooled, SpoolFault
from records.database import for_reading, reason
from records.picture_store import PictureStore
from records.tables import DefectImage, Inspection

_TOGETHER = 16
_ROUND_S = 2.0  # of a slow store; then what is stored is committed and named
_PAUSE_S = 0.1, 5.0


_Rows = dict[tuple[str, str, str], Row]  # of `defect_images`, by verdict, side and kind
_Picture = tuple[Row, bytes]
_COLUMNS = (DefectImage.id, DefectImage.verdict_id, DefectImage.camera_id, DefectImage.kind, DefectImage.state)
_OF_THE_BYTES = "sha256", "width", "height", "size_bytes"
_ANY_ZONE = ZoneInfo("UTC")


class Pictures:
    """Takes the pictures whose rows are pending from the spool into the store, oldest first; a row never waits for it.

    A crash anywhere between repeats a step that does no harm twice. Of two pictures of one side the first in the store
    stands. One that the store does not take is tried again after the others.

    Args:
        image_url: what stands before a picture's path in `inspections.image_path`.
    """

    def __init__(
        self,
        service: Service,
        engine: Engine,
        line: str,
        store: PictureStore,
        spool: Spool,
        alerts: Alerts,
        image_url: str,
    ) -> None:
        self._service, self._engine, self._line = service, engine, line
        self._store, self._spool, self._alerts, self._image_url = store, spool, alerts, image_url
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._after, self._failed = 0, False  # the place that was tried last; whether one failed up to there

    def wake(self) -> None:
        """There is something in the spool."""
        self._woken.set()

    def stop(self) -> None:
        """End after the picture that is under way; what waits in the spool waits for the next start."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """What its thread does, until `stop`."""
        backoff = Backoff(*_PAUSE_S)
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                more = self.store_some()
            except (SQLAlchemyError, SpoolFault) as error:  # the drain tells of it
                self._service.session.complain("pictures", f"pictures wait: {reason(error)}")
            except OSError as error:
                self._tell(str(error))
            else:
                if not self._failed:
                    self._tell("")
                backoff.reset()
                if not more:
                    self._woken.wait()
                continue
            self._stopping.wait(backoff.next_s())

    def store_some(self) -> bool:
        """Store a few of the oldest. Whether there may be more.

        Raises:
            OSError: the store did not take one of them; the others are stored.
            SpoolFault, SQLAlchemyError: the spool or the database fails; the same again later.
        """
        spooled = self._spool.pictures(_TOGETHER, self._after)
        if not spooled:
            spooled, self._failed = self._spool.pictures(_TOGETHER), False
        read = [(each, self._read(each)) for each in spooled]
        rows = self._rows({given["verdict_id"] for _, pictures in read for given, _ in pictures})
        done, stored, failure, ends_at = list[Spooled](), list[Row](), None, time.monotonic() + _ROUND_S
        named = set[str]()
        for each, pictures in read:
            if self._stopping.is_set() or time.monotonic() > ends_at:
                break
            self._after = each.place
            try:
                for row, given, picture in _due(pictures, rows):
                    self._store.put(row["path"], picture)
                    row.update({name: given[name] for name in _OF_THE_BYTES}, state="stored")
                    stored.append(row)
            except OSError as error:
                failure, self._failed = error, True  # perhaps of this one alone
                continue
            done.append(each)
            # One without a row comes again, and gets one.
            present = [given for given, _ in pictures if given["kind"] == "frame" and _key(given) in rows]
            named.update(evidence_id(given["verdict_id"], given["camera_id"]) for given in present)
        self._commit(stored)
        self._spool.remove(done)
        if named:
            message = Recorded(evidence=tuple(sorted(named)))
            self._service.session.publish(self._service.topics.recorded, encode_json(message))
        if failure is not None:
            raise failure
        return bool(spooled)

    def _read(self, spooled: Spooled) -> list[_Picture]:
        try:
            evidence = decode_msgpack(Evidence, spooled.arrival.payload)
            rows = evidence_record(evidence, self._line, _ANY_ZONE, 0).rows
        except MessageRejected as rejection:  # it was sound when its row was written
            self._service.session.reject("evidence", rejection)
            return []
        return list(zip(rows, (evidence.jpeg, evidence.heat_map or b""), strict=False))

    def _rows(self, verdict_ids: Collection[str]) -> _Rows:
        these = DefectImage.line == self._line, DefectImage.verdict_id.in_(verdict_ids)
        query = select(*_COLUMNS, DefectImage.path).where(*these)
        with for_reading(self._engine).connect() as connection:
            rows = [row._asdict() for row in connection.execute(query)]
        return {_key(row): row for row in rows}

    def _commit(self, stored: Sequence[Row]) -> None:
        if not stored:
            return
        with self._engine.begin() as connection:
            for row in stored:
                pending = DefectImage.id == row["id"], DefectImage.state == "pending"
                values = {name: row[name] for name in ("state", *_OF_THE_BYTES)}
                connection.execute(update(DefectImage).where(*pending).values(values))
            link_images(connection, self._line, {row["verdict_id"] for row in stored}, self._image_url)

    def _tell(self, fault: str) -> None:
        show(self._service, "images", fault)
        if fault:
            why = f"evidence pictures wait on the recorder's disk, for their store fails: {fault}"
            self._alerts.raise_alert("images", "images", "critical", why)
        else:
            self._alerts.resolve("images", "images")


def _due(pictures: Collection[_Picture], rows: _Rows) -> Iterator[tuple[Row, Row, bytes]]:
    """Those whose row is pending, whichever picture it was written for: that row, the picture's own, and its bytes."""
    for given, picture in pictures:
        row = rows.get(_key(given))
        if row is not None and row["state"] == "pending":
            yield row, given, picture


def _key(row: Row) -> tuple[str, str, str]:
    return row["verdict_id"], row["camera_id"], row["kind"]


def link_images(connection: Connection, line: str, verdict_ids: Collection[str], image_url: str) -> None:
    """Set `image_path` of those of these boards that have a frame in the store. Within the caller's transaction."""
    ids = select(DefectImage.verdict_id).where(*_shown(line), DefectImage.verdict_id.in_(verdict_ids))
    # Locked: of a frame and its verdict that are committed at the same time, the later sees the earlier.
    pictured = set(connection.scalars(ids.with_for_update(read=True)))
    if pictured:
        link_again(connection, line, pictured, image_url)


def link_again(connection: Connection, line: str, verdict_ids: Collection[str], image_url: str) -> None:
    """The same of all of these boards: the deciding side's frame, else the first side's, or none."""
    frames = select(DefectImage.path).where(*_shown(line), DefectImage.verdict_id == Inspection.verdict_id)
    deciding = frames.where(DefectImage.camera_id == Inspection.camera_id).scalar_subquery()
    first = frames.order_by(DefectImage.camera_id).limit(1).scalar_subquery()
    path = literal(f"{image_url.rstrip('/')}/").concat(func.coalesce(deciding, first))
    these = Inspection.line == line, Inspection.verdict_id.in_(verdict_ids)
    connection.execute(update(Inspection).where(*these).values(image_path=path))


def _shown(line: str) -> tuple[ColumnElement[bool], ...]:
    return DefectImage.line == line, DefectImage.kind == "frame", DefectImage.state == "stored"

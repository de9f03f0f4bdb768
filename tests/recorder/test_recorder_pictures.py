"""From the spool into the store: whatever the store does, no picture is lost, and no row waits for it."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import Engine, insert, select, update
from support.boards import LINE, ZONE
from support.peer import until
from support.probe import Probe
from support.recording import wait_recorded, wait_state
from support.tmpfs import SmallDisk

from pcb_bus.contract.codec import decode_json, encode_json, encode_msgpack
from pcb_bus.contract.messages import Evidence, Recorded, Verdict
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import LineSettings
from recorder.alerts import Alerts
from recorder.drain import Drain, Steps
from recorder.pictures import Pictures, link_images
from recorder.rows import read, verdict_record
from recorder.settings import AlertSettings
from recorder.spool import Arrival, Spool
from recorder.store import Store
from records.picture_store import Folder
from records.tables import DefectImage, Inspection

MakeEvidence = Callable[..., Evidence]
MakeVerdict = Callable[..., Verdict]


_URL = "http://line/images"


def png(value: int = 7) -> bytes:
    return cv2.imencode(".png", np.full((60, 80), value, np.uint8))[1].tobytes()


class Away(Folder):
    """A folder that can be away, and refuse single pictures."""

    away = False
    refused = b"no picture"

    def put(self, path: str, data: bytes) -> None:
        if self.away or self.refused in data:
            raise OSError("the store is away")
        super().put(path, data)


class Recorder:
    """The recorder without a broker: what it says is in `named`."""

    def __init__(self, engine: Engine, folder: Path, line: str = LINE) -> None:
        self.engine, self.folder, self.line = engine, folder, line
        self.named: list[str] = []
        self.service = Service("recorder", "recorder", LineSettings(root=line))
        self.service.session.publish = self._publish  # type: ignore[method-assign,assignment]
        self.alerts = Alerts(engine, line, self.service.event)
        self.files = Away(folder / "images")
        self.restart()

    def restart(self) -> None:
        """As after a crash: with the same files."""
        with suppress(AttributeError):
            self.spool.close()
        self.spool = Spool(self.folder / f"{self.line.replace('/', '-')}.db", 1000, 100)
        store = Store(self.engine, self.line, ZONE, image_url=_URL)
        steps = Steps(
            prepare=lambda: None,
            read=partial(read, line=self.line, zone=ZONE, sides=("left", "right")),
            probe=lambda: None,
            between=lambda: None,
            wake_pictures=lambda: None,
        )
        self.drain = Drain(self.service, self.spool, store, steps, 500)
        parts = self.service, self.engine, self.line, self.files, self.spool, self.alerts
        self.pictures = Pictures(*parts, f"{_URL}/")

    def take(self, *messages: Evidence | Verdict) -> None:
        """Write their rows; pictures then wait for their store."""
        for each in messages:
            kind, encode = ("evidence", encode_msgpack) if isinstance(each, Evidence) else ("verdict", encode_json)
            self.spool.append([Arrival(kind, f"{self.line}/{kind}", encode(each), 1_795_248_000_000_000_000)])  # type: ignore[arg-type]
        self.drain.step()

    def images(self) -> list[Any]:
        with self.engine.connect() as connection:
            query = select(DefectImage).where(DefectImage.line == self.line)
            return list(
                connection.execute(query.order_by(DefectImage.verdict_id, DefectImage.camera_id, DefectImage.kind))
            )

    def linked(self) -> list[str | None]:
        with self.engine.connect() as connection:
            query = select(Inspection.image_path).where(Inspection.line == self.line)
            return list(connection.scalars(query.order_by(Inspection.verdict_id)))

    def stored(self) -> dict[str, bytes]:
        root = self.folder / "images"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def _publish(self, topic: Any, payload: bytes, **_: Any) -> bool:
        if str(topic).endswith("/recorded"):
            self.named += decode_json(Recorded, payload).evidence
        return True


@pytest.fixture
def recorder(engine: Engine, tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(engine, tmp_path)
    yield recorder
    recorder.spool.close()


def test_a_picture_is_stored_linked_named_and_gone_from_the_spool(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict
) -> None:
    evidence = make_evidence(heat_map=png())
    recorder.take(make_verdict(), evidence)
    assert (recorder.named, recorder.linked(), recorder.stored()) == ([], [None], {})
    assert recorder.pictures.store_some()
    frame, heat = recorder.images()
    assert (frame.kind, heat.kind, frame.state, heat.state) == ("frame", "heat", "stored", "stored")
    assert recorder.stored() == {frame.path: evidence.jpeg, heat.path: png()}
    assert recorder.linked() == [f"http://line/images/{frame.path}"]
    assert recorder.named == ["verdict-1/left"]
    assert not recorder.pictures.store_some()


def test_a_picture_may_come_before_its_verdict(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict
) -> None:
    recorder.take(make_evidence())
    recorder.pictures.store_some()
    recorder.take(make_verdict())
    assert recorder.linked() == [f"http://line/images/{recorder.images()[0].path}"]


def test_a_picture_that_is_stored_while_its_verdict_is_written_is_linked(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict
) -> None:
    if recorder.engine.dialect.name == "sqlite":
        pytest.skip("has one writer at a time")
    recorder.take(make_evidence())
    (row,) = verdict_record(make_verdict(), LINE, ZONE, 0).rows
    with recorder.engine.begin() as connection:
        connection.execute(select(Inspection)).all()  # from now on it reads what was there by now
        recorder.pictures.store_some()
        connection.execute(insert(Inspection), row)
        link_images(connection, LINE, ["verdict-1"], _URL)
    assert recorder.linked() == [f"http://line/images/{recorder.images()[0].path}"]


@pytest.mark.parametrize("decides", ["left", "right", "both"])
def test_the_picture_of_a_board_is_the_deciding_sides_frame_else_the_first_sides(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict, decides: str
) -> None:
    sides = {side: "solder" if decides in (side, "both") else "normal" for side in ("left", "right")}
    recorder.take(make_verdict(**sides), make_evidence(side="right", heat_map=png(1)), make_evidence(heat_map=png(2)))
    recorder.pictures.store_some()
    paths = {(row.camera_id, row.kind): row.path for row in recorder.images()}
    assert recorder.linked() == [f"http://line/images/{paths['right' if decides == 'right' else 'left', 'frame']}"]


def test_a_heat_map_alone_is_never_a_boards_picture(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict
) -> None:
    recorder.take(make_evidence(heat_map=png()))
    recorder.pictures.store_some()
    with recorder.engine.begin() as connection:
        connection.execute(update(DefectImage).where(DefectImage.kind == "frame").values(state="removed"))
    recorder.take(make_verdict())
    assert recorder.linked() == [None]


def test_a_store_that_is_away_costs_no_picture_and_says_so_until_it_is_back(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict
) -> None:
    recorder.files.away = True
    thread = threading.Thread(target=recorder.pictures.run)
    recorder.take(*(make_evidence(str(number)) for number in range(30)))
    thread.start()
    try:
        until(lambda: bool(recorder.service.health["images"]))
        recorder.take(make_verdict("1"))  # which waits for no picture
        assert recorder.service.health["database"] == ""
        assert [alert.kind for alert in recorder.alerts.open()] == ["images"]
        assert recorder.named == []
        recorder.files.away = False
        until(lambda: len(recorder.named) == 30)
        until(lambda: not recorder.alerts.open())
    finally:
        recorder.pictures.stop()
        thread.join()
    assert recorder.service.health["images"] == ""
    assert len(recorder.stored()) == 30
    assert {row.state for row in recorder.images()} == {"stored"}


def test_a_slow_store_is_no_dead_database_and_no_row_waits_for_it(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, put = threading.Event(), recorder.files.put
    monkeypatch.setattr(recorder.files, "put", lambda path, data: goes_on.wait(30) and put(path, data))
    recorder.take(make_evidence("1"))
    thread = threading.Thread(target=recorder.pictures.run)
    thread.start()
    try:
        recorder.take(make_verdict("1"), *(make_verdict(str(number)) for number in range(2, 50)))
        assert len(recorder.linked()) == 49
        assert str(recorder.service.health) == ""
    finally:
        goes_on.set()
        until(lambda: recorder.named == ["verdict-1/left"])
        recorder.pictures.stop()
        thread.join()


def test_a_picture_that_the_store_refuses_holds_up_no_other(recorder: Recorder, make_evidence: MakeEvidence) -> None:
    recorder.files.refused = b"1 left"
    recorder.take(make_evidence("1"), make_evidence("2"))
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            recorder.pictures.store_some()
    assert recorder.named == ["verdict-2/left"]
    recorder.files.refused = b"nothing"
    recorder.pictures.store_some()
    assert recorder.named == ["verdict-2/left", "verdict-1/left"]


def test_pictures_that_the_store_refuses_are_tried_after_all_others(
    recorder: Recorder, make_evidence: MakeEvidence
) -> None:
    """One that takes too long to upload held up all behind it, for ever."""
    recorder.files.refused = b"bad"
    recorder.take(*(make_evidence(f"bad-{number}") for number in range(20)), make_evidence("good"))
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            recorder.pictures.store_some()
    assert recorder.named == ["verdict-good/left"]
    recorder.files.refused = b"nothing"
    while recorder.pictures.store_some():
        pass
    assert len(recorder.named) == 21


@pytest.mark.parametrize("step", ["put", "_commit", "remove"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_crash_between_two_steps_loses_and_doubles_nothing(
    recorder: Recorder,
    make_evidence: MakeEvidence,
    make_verdict: MakeVerdict,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    done: bool,
) -> None:
    class Crash(BaseException):
        pass

    evidence = make_evidence(heat_map=png())
    recorder.take(make_verdict(), evidence)
    part: Any = {"put": recorder.files, "_commit": recorder.pictures, "remove": recorder.spool}[step]
    action = getattr(part, step)

    def crash(*args: Any) -> None:
        if done:
            action(*args)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(part, step, crash)
        with pytest.raises(Crash):
            recorder.pictures.store_some()
    recorder.restart()
    recorder.take(evidence)  # its sender was not told
    recorder.pictures.store_some()
    assert set(recorder.named) == {"verdict-1/left"}
    frame, heat = recorder.images()
    assert (frame.state, heat.state) == ("stored", "stored")
    assert recorder.stored() == {frame.path: evidence.jpeg, heat.path: png()}
    assert recorder.spool.pictures(9) == []


def test_what_comes_again_is_named_again_and_stored_once(recorder: Recorder, make_evidence: MakeEvidence) -> None:
    recorder.take(make_evidence(), make_evidence())
    recorder.pictures.store_some()
    (row,) = recorder.images()
    with recorder.engine.begin() as connection:
        connection.execute(update(DefectImage).values(state="removed"))
    recorder.files.delete(row.path)
    recorder.take(make_evidence())
    recorder.spool.append([Arrival("evidence", "pcb/evidence/left", encode_msgpack(make_evidence()), 0)])
    late = recorder.spool.oldest(9)
    recorder.spool.done(late, {each.place: "again" for each in late})  # since before it was stored
    recorder.pictures.store_some()
    assert recorder.stored() == {}
    assert recorder.named == ["verdict-1/left"] * 3


def test_a_picture_without_a_row_is_not_named(recorder: Recorder, make_evidence: MakeEvidence) -> None:
    """Another database, perhaps: it comes again, and gets its row."""
    recorder.take(make_evidence())
    with recorder.engine.begin() as connection:
        connection.execute(DefectImage.__table__.delete())  # type: ignore[attr-defined]
    recorder.pictures.store_some()
    assert (recorder.named, recorder.stored()) == ([], {})
    recorder.take(make_evidence())
    recorder.pictures.store_some()
    assert recorder.named == ["verdict-1/left"]


def test_of_two_pictures_of_one_side_the_first_stands(
    recorder: Recorder, make_evidence: MakeEvidence, make_jpeg: Callable[..., bytes]
) -> None:
    first = make_evidence()
    recorder.take(first, first.model_copy(update={"jpeg": make_jpeg(b"another")}))
    recorder.pictures.store_some()
    assert list(recorder.stored().values()) == [first.jpeg]
    assert recorder.spool.pictures(9) == []


def test_a_row_whose_picture_was_lost_takes_another_of_its_side(
    recorder: Recorder, make_evidence: MakeEvidence, make_jpeg: Callable[..., bytes]
) -> None:
    recorder.take(make_evidence())
    recorder.spool.remove(recorder.spool.pictures(9))
    other = make_jpeg(b"another", 320, 240)
    recorder.take(make_evidence().model_copy(update={"jpeg": other}))
    recorder.pictures.store_some()
    (row,) = recorder.images()
    assert recorder.stored() == {row.path: other}
    assert (row.state, row.sha256) == ("stored", hashlib.sha256(other).hexdigest())
    assert (row.width, row.height, row.size_bytes) == (320, 240, len(other))
    assert recorder.named == ["verdict-1/left"]


def test_two_lines_with_one_store_and_one_database_keep_their_own(
    recorder: Recorder, make_evidence: MakeEvidence, make_verdict: MakeVerdict, make_jpeg: Callable[..., bytes]
) -> None:
    other = Recorder(recorder.engine, recorder.folder, "pcb/line2")
    with closing(other.spool):
        for each in (recorder, other):
            each.take(make_verdict())
        theirs = make_evidence().model_copy(update={"jpeg": make_jpeg(b"of line 2")})
        other.take(theirs)
        other.pictures.store_some()
        assert (recorder.linked(), recorder.named) == ([None], [])
        recorder.take(make_evidence())
        recorder.pictures.store_some()
    (mine,), (of_line_2,) = recorder.images(), other.images()
    assert recorder.stored() == {mine.path: make_evidence().jpeg, of_line_2.path: theirs.jpeg}
    assert other.linked() == [f"http://line/images/{of_line_2.path}"]


def test_a_full_disk_costs_no_picture_and_no_record_and_is_over_with_room(
    start_recorder: Callable[..., Any],
    viewer: Probe,
    mqtt_probe: Callable[..., Probe],
    make_verdict: MakeVerdict,
    make_jpeg: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    """Over the bus, with a disk of 1 MB for the pictures."""
    disk = SmallDisk(tmp_path / "images", 1)
    try:
        disk.__enter__()
    except OSError as error:
        pytest.skip(f"needs a disk of its own: {error}")
    try:
        start_recorder(alerts=AlertSettings(min_free_mb=0))
        seen = wait_state(viewer, "online")
        inference = mqtt_probe("inference")
        jpeg = make_jpeg(os.urandom(60_000))
        picture = Evidence(verdict_id="verdict-1", board_id="board-1", side="left", jpeg=jpeg)
        with disk.full():
            inference.publish("pcb/resend/evidence/left", encode_msgpack(picture))
            inference.publish("pcb/verdict", encode_json(make_verdict()))
            seen = wait_state(viewer, "degraded", seen)
            wait_recorded(viewer, "verdict-1")
            assert "No space left" in json.loads(viewer.received("pcb/status/recorder")[-1].payload)["detail"]
        wait_recorded(viewer, "verdict-1/left", kind="evidence")
        wait_state(viewer, "online", seen)
        assert [path.read_bytes() for path in disk.path.rglob("*") if path.is_file()] == [jpeg]
    finally:
        disk.__exit__(None, None, None)

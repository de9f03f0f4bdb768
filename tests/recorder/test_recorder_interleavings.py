"""Killed between any two steps, and started again on the same files; triggers, verdicts and deadlines in any order."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from support.boards import AT, LINE, MINUTE, ZONE, count, drift, empty, trigger_record, verdict_record
from support.ports import free_port

from pcb_bus.contract.codec import decode_json, encode_json, encode_msgpack
from pcb_bus.contract.messages import Actuation, Category, Evidence, Recorded, Trigger, Verdict
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings
from recorder.alerts import Alerts
from recorder.drain import Drain, Steps
from recorder.intake import Delivered, Intake
from recorder.pictures import Pictures
from recorder.rows import Record, read
from recorder.spool import Arrival, Spool
from recorder.store import Store
from records import tables
from records.database import probe
from records.picture_store import Folder
from records.tables import Inspection, InspectionSide

STEPS = ["append", "acknowledge", "write", "done", "announce", "put", "commit a picture", "remove", "name a picture"]
READ = partial(read, line=LINE, zone=ZONE, sides=("left", "right"))


class Killed(BaseException):
    """The process ends here."""


@dataclass
class World:
    """What outlives a process: the broker's queue, the disk and the database, and what the senders have heard."""

    engine: Engine
    folder: Path
    sent: list[Arrival]
    kill_after: str
    times: int
    queue: list[Arrival] = field(default_factory=list)
    heard: set[tuple[str, str]] = field(default_factory=set)

    def live(self) -> None:
        """A process from its start until nothing waits, or until it is killed."""
        service = Service("recorder", "recorder", LineSettings(broker=BrokerSettings(port=free_port())))
        spool = Spool(self.folder / "spool.db", 1000, 16)
        with suppress(Killed):
            self._take_in(service, spool)
            self._drain(service, spool)
            self._store_pictures(service, spool)
        spool.close()
        service.stop()

    def send_again(self) -> None:
        """What their senders have not heard of."""
        self.queue += [each for each in self.sent if READ(each).named not in self.heard]

    def _take_in(self, service: Service, spool: Spool) -> None:
        inbox: Inbox[Delivered] = Inbox(1000)
        for arrival in self.queue:
            inbox.put(Delivered(arrival, partial(self._acknowledge, arrival)))
        inbox.close()
        self._watch(spool, "append", "append")
        Intake(service, inbox, spool, 3, 0.0, lambda: None).run()

    def _drain(self, service: Service, spool: Spool) -> None:
        store = Store(self.engine, LINE, ZONE)
        self._watch(store, "write", "write")
        self._watch(spool, "done", "done")
        service.session.publish = partial(self._hear, "announce")  # type: ignore[assignment, method-assign]
        alive = partial(probe, self.engine, LINE)
        steps = Steps(lambda: None, READ, probe=alive, between=lambda: None, wake_pictures=lambda: None)
        drain = Drain(service, spool, store, steps, 3)
        while drain.step():
            pass

    def _store_pictures(self, service: Service, spool: Spool) -> None:
        folder = Folder(self.folder / "images")
        alerts = Alerts(self.engine, LINE, lambda *_, **__: None)
        pictures = Pictures(service, self.engine, LINE, folder, spool, alerts, "/images")
        self._watch(folder, "put", "put")
        self._watch(pictures, "_commit", "commit a picture")
        self._watch(spool, "remove", "remove")
        service.session.publish = partial(self._hear, "name a picture")  # type: ignore[assignment, method-assign]
        while pictures.store_some():
            pass

    def _watch(self, part: object, method: str, step: str) -> None:
        original: Callable[..., Any] = getattr(part, method)

        def act(*arguments: Any, **named: Any) -> Any:
            result = original(*arguments, **named)
            self._passes(step)
            return result

        setattr(part, method, act)

    def _passes(self, step: str) -> None:
        if step == self.kill_after:
            self.times -= 1
            if self.times == 0:
                raise Killed(step)

    def _acknowledge(self, arrival: Arrival) -> None:
        self.queue.remove(arrival)
        self._passes("acknowledge")

    def _hear(self, step: str, _: object, payload: bytes, **__: object) -> bool:
        said = decode_json(Recorded, payload)
        lists = ("verdicts", "actuations", "triggers", "evidence")
        self.heard |= {(kind, name) for kind in lists for name in getattr(said, kind)}
        self._passes(step)
        return True


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 2])
def test_killed_between_any_two_steps_nothing_is_lost_or_doubled(
    *,
    engine: Engine,
    tmp_path: Path,
    arrive: Callable[..., Arrival],
    make_verdict: Callable[..., Verdict],
    make_actuation: Callable[..., Actuation],
    make_evidence: Callable[..., Evidence],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    times: int,
) -> None:
    monkeypatch.setattr("recorder.pictures._TOGETHER", 1)
    sent = []
    for board in "123":
        trigger = Trigger(board_id=board, triggered_at=AT, source="plc")
        sent += [arrive("trigger", encode_json(trigger)), arrive("actuation", make_actuation(board))]
        sent += [arrive("evidence", encode_msgpack(make_evidence(board))), arrive("verdict", make_verdict(board))]
    world = World(engine, tmp_path, sent, step, times, queue=list(sent))
    world.live()
    assert world.times == 0, "it was killed"
    world.live()
    for _ in range(2):
        world.send_again()
        world.live()
    assert world.heard == {READ(each).named for each in sent}
    assert world.queue == []
    kinds = (tables.Trigger, Inspection, InspectionSide, tables.Defect, tables.Actuation, tables.DefectImage)
    assert [count(engine, kind) for kind in kinds] == [3, 3, 6, 3, 3, 3]
    with engine.connect() as connection:
        paths = connection.scalars(select(tables.DefectImage.path).where(tables.DefectImage.state == "stored")).all()
        shown = connection.scalars(select(Inspection.image_path)).all()
    files = {str(path.relative_to(tmp_path / "images")) for path in (tmp_path / "images").rglob("*.*")}
    assert files == set(paths)
    assert {f"/images/{path}" for path in paths} == set(shown)
    assert drift(engine) == []
    spool = Spool(tmp_path / "spool.db", 1000, 16)
    assert (len(spool), spool.pictures(9), spool.fill) == (0, [], 0.0)
    spool.close()


CATEGORIES: list[Category] = ["normal", "solder", "scrap", "unjudged"]


@dataclass(frozen=True)
class Write:
    """A batch of triggers, and of verdicts with their category."""

    triggers: list[int]
    verdicts: list[tuple[int, Category]]


@dataclass(frozen=True)
class CloseOverdue:
    """The deadline of all that is open has passed."""


BOARDS = st.integers(0, 4)
WRITES = st.builds(
    Write, st.lists(BOARDS, max_size=3), st.lists(st.tuples(BOARDS, st.sampled_from(CATEGORIES)), max_size=3)
)


class Expected:
    """What the rows should be: the first verdict of each board, or `missing`."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.triggers: set[int] = set()

    def apply(self, step: Write | CloseOverdue) -> None:
        if isinstance(step, CloseOverdue):
            for board in self.triggers - self.rows.keys():
                self.rows[board] = "missing"
            return
        self.triggers.update(step.triggers)
        for board, category in step.verdicts:
            if self.rows.get(board, "missing") == "missing":
                self.rows[board] = category


def records(step: Write) -> list[Record]:
    # Hours apart, so that a completed board leaves the hour of its trigger.
    verdicts = [verdict_record(board, category, AT + board * 150 * MINUTE) for board, category in step.verdicts]
    return [*(trigger_record(board) for board in step.triggers), *verdicts]


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(WRITES | st.just(CloseOverdue()), max_size=8))
def test_in_any_order_each_board_has_one_row_and_is_counted_once(
    engine: Engine, steps: list[Write | CloseOverdue]
) -> None:
    empty(engine)
    store, expected = Store(engine, LINE, ZONE), Expected()
    for step in steps:
        if isinstance(step, Write):
            store.write(records(step))
        else:
            store.close_overdue(AT + MINUTE, MINUTE // 2)
        expected.apply(step)
    with engine.connect() as connection:
        rows = connection.execute(select(Inspection.board_id, Inspection.status, Inspection.category)).all()
        still_open = set(connection.scalars(select(tables.Trigger.board_id).where(tables.Trigger.open)))
    found = {board_id: "missing" if status == "missing" else category for board_id, status, category in rows}
    assert found == {f"board-{board}": category for board, category in expected.rows.items()}
    assert len(rows) == len(found)
    assert still_open == {f"board-{board}" for board in expected.triggers - expected.rows.keys()}
    assert count(engine, tables.Trigger) == len(expected.triggers)
    judged = [category for category in expected.rows.values() if category != "missing"]
    assert (count(engine, InspectionSide), count(engine, tables.Defect)) == (2 * len(judged), 3 * len(judged))
    assert drift(engine) == []

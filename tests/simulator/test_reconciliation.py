"""The reconciliation of a run, by the recorder's own command."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from support.boards import AT, LINE, ZONE, trigger_record, verdict_record

from pcb_bus.contract.times import NS_PER_MS, to_datetime
from recorder.store import Store
from records.database import database_url, make_engine
from records.migrate import bring_up_to_date
from simulator.reconciliation import reconcile
from simulator.records import RecordsUnreadable

NOW = datetime(2026, 11, 21, 8, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a line without gates."""
    path = tmp_path / "line.yaml"
    recorder = {
        "database_url": f"sqlite:///{tmp_path / 'records.db'}",
        "images": str(tmp_path / "images"),
        "oversight": {"gates": False},
    }
    path.write_text(yaml.safe_dump({"recorder": recorder}), encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = database_url(f"sqlite:///{tmp_path / 'records.db'}")
    bring_up_to_date(url, LINE, ZONE)
    engine = make_engine(url)
    yield Store(engine, LINE, ZONE)
    engine.dispose()


def test_a_gap_is_named_until_it_is_closed(config: Path, store: Store) -> None:
    store.write([trigger_record(1), trigger_record(2), verdict_record(1)])
    outcome = reconcile(config, now=NOW)
    assert not outcome.whole
    assert "trigger without row: board board-2" in outcome.text
    store.write([verdict_record(2)])
    assert reconcile(config, now=NOW).whole


def test_a_gap_before_the_run_is_not_the_runs(config: Path, store: Store) -> None:
    later = AT + 1000 * NS_PER_MS
    store.write([trigger_record(1), trigger_record(2, later), verdict_record(2, at=later)])
    assert not reconcile(config, now=NOW).whole
    assert reconcile(config, since=to_datetime(later), now=NOW).whole
    assert not reconcile(config, since=to_datetime(AT), now=NOW).whole


def test_records_that_cannot_be_read(config: Path) -> None:
    with pytest.raises(RecordsUnreadable, match="there is no database"):
        reconcile(config, now=NOW)

"""The reconciliation of a run, by the recorder's own command."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from support.boards import trigger_record, verdict_record

from recorder.batch import group
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.store import Store
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


def test_a_gap_is_named_until_it_is_closed(config: Path, tmp_path: Path) -> None:
    url = database_url(f"sqlite:///{tmp_path / 'records.db'}")
    bring_up_to_date(url)
    engine = make_engine(url)
    store = Store(engine)
    store.write(group([trigger_record(1), trigger_record(2), verdict_record(1)]))
    outcome = reconcile(config, NOW)
    assert not outcome.whole
    assert "trigger without row: board board-2" in outcome.text
    store.write(group([verdict_record(2)]))
    assert reconcile(config, NOW).whole
    engine.dispose()


def test_records_that_cannot_be_read(config: Path) -> None:
    with pytest.raises(RecordsUnreadable, match="there is no database"):
        reconcile(config, NOW)

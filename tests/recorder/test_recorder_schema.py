"""The migrations, up and down, on each database."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, inspect, select, text
from support.boards import AT, count, trigger_record, verdict_record

from pcb_bus.contract.times import to_datetime
from recorder.batch import group
from recorder.bulk import insert_rows
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.schema import downgrade, upgrade
from recorder.store import Store
from recorder.tables import Base, DefectImage, Inspection

PAGE = (
    "SELECT id, camera_id, defect_type, confidence, inspection_time, image_path FROM inspections"
    " ORDER BY inspection_time DESC LIMIT 50"
)
COUNTS = (
    "SELECT defect_type, COUNT(*) FROM inspections"
    " WHERE inspection_time >= '2026-11-01' AND inspection_time < '2026-12-01' GROUP BY defect_type"
)


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_migrated_tables_are_those_of_the_code(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again(migrated: Engine) -> None:
    downgrade(migrated, "base")
    assert tables(migrated) == set()
    upgrade(migrated)
    assert tables(migrated) == set(Base.metadata.tables)


def test_rows_of_the_first_version_live_through_the_second_and_back(url: URL) -> None:
    engine = make_engine(url)
    upgrade(engine, "0001")
    with engine.begin() as connection:
        insert_rows(connection, Inspection, [verdict_record(1).row])
    upgrade(engine)
    Store(engine).write(group([verdict_record(1), verdict_record(2), trigger_record(2)]))
    assert count(engine, Inspection) == 2
    downgrade(engine, "0001")
    assert count(engine, Inspection) == 2
    engine.dispose()


def picture(number: int, kind: str | None = None) -> dict[str, object]:
    row = {"verdict_id": f"verdict-{number}", "board_id": f"board-{number}", "camera_id": "left", "sha256": "0" * 64}
    kept = {"path": f"{number}.jpg", "width": 64, "height": 48, "size_bytes": 9, "received_at": to_datetime(AT)}
    return {**row, **kept} if kind is None else {**row, **kept, "kind": kind}


def pictures(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(DefectImage).order_by(DefectImage.id)).all()
    return [(row.verdict_id, row.kind, row.path) for row in rows]


def test_pictures_of_the_second_version_are_frames_in_the_third_and_heat_maps_go_on_the_way_back(url: URL) -> None:
    engine = make_engine(url)
    upgrade(engine, "0002")
    with engine.begin() as connection:
        insert_rows(connection, DefectImage, [picture(1)])
    upgrade(engine)
    assert pictures(engine) == [("verdict-1", "frame", "1.jpg")]
    with engine.begin() as connection:
        insert_rows(connection, DefectImage, [picture(1, "heat"), picture(2, "frame")])
        insert_rows(connection, DefectImage, [picture(1, "heat"), picture(2, "frame")], keep_present=True)
    assert len(pictures(engine)) == 3
    downgrade(engine, "0002")
    upgrade(engine)
    assert pictures(engine) == [("verdict-1", "frame", "1.jpg"), ("verdict-2", "frame", "2.jpg")]
    engine.dispose()


def test_up_to_date_stays_as_it_is(url: URL, migrated: Engine) -> None:
    bring_up_to_date(url)
    assert tables(migrated) == set(Base.metadata.tables)


def test_any_working_directory_serves(url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    bring_up_to_date(url)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("query", "index"), [(PAGE, "inspection_time"), (COUNTS, "inspection_time_defect_type")])
def test_a_table_reader_is_served_by_an_index(migrated: Engine, query: str, index: str) -> None:
    found = plan(migrated, query)
    if migrated.name == "mysql" and not getattr(migrated.dialect, "is_mariadb", False):
        pytest.skip("MySQL reads all of an empty table; benchmarks.history asks it of a year of rows")
    assert f"ix_inspections_{index}" in found


def plan(engine: Engine, query: str) -> str:
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        rows: Iterable[object] = connection.execute(text(f"{explain} {query}"))
        return "\n".join(map(str, rows))


def test_sqlite_is_durable_and_shared(tmp_path: Path) -> None:
    url = URL.create("sqlite+pysqlite", database=str(tmp_path / "deep" / "er" / "records.db"))
    bring_up_to_date(url)
    engine = make_engine(url)
    with engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        values = [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]
    engine.dispose()
    assert values == ["wal", 2, 1]


def test_mariadb_compares_ids_byte_by_byte(mariadb_url: str) -> None:
    url = database_url(mariadb_url)
    bring_up_to_date(url)
    engine = make_engine(url)
    collations = (
        "SELECT DISTINCT table_collation FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
    )
    with engine.connect() as connection:
        assert connection.scalars(text(collations)).all() == ["utf8mb4_bin"]
    engine.dispose()


def test_threads_of_one_process_may_migrate_at_once(tmp_path: Path) -> None:
    urls = [database_url(f"sqlite:///{tmp_path / f'{number}.db'}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(bring_up_to_date, urls)) == [None] * 8

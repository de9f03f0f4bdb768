"""Programs of the earlier system: their very statements, on a real MariaDB, by a login that may nothing else."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import Engine, insert, make_url, text, update
from support.filled_tables import BEGIN, LINE, ZONE, fill
from support.mariadb import MariaDb

from recorder.__main__ import main
from records.database import database_url, make_engine
from records.migrate import bring_up_to_date
from records.tables import DefectImage, SystemConfig, User

DAY = "2026-11-21"
KNOWN = {
    "inspections": "id, camera_id, defect_type, confidence, inspection_time, image_path, boxes, gpio_pin,"
    " gpio_duration_ms, user_id, notes",
    "defect_images": "id, inspection_id, image_path, image_size_bytes, image_width, image_height, upload_time",
    "statistics_daily": "id, stat_date, total_inspections, normal_count, component_defect_count, solder_defect_count,"
    " discard_count, defect_rate, created_at, updated_at",
    "statistics_hourly": "id, stat_datetime, total_inspections, normal_count, component_defect_count,"
    " solder_defect_count, discard_count, created_at, updated_at",
    "system_logs": "id, log_level, source, message, details, created_at",
    "system_config": "id, config_key, config_value, description, updated_at, updated_by",
    "users": "id, username, password_hash, full_name, role, is_active, last_login, created_at",
    "alerts": "id, alert_type, severity, message, details, is_resolved, resolved_at, resolved_by, created_at",
}
VALUES = {"jpeg_quality": 90, "alert_defect_rate": 0.25, "product": "표시기", "retention_days": 30}
Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def server(_mariadb_server: MariaDb) -> MariaDb:
    _mariadb_server.start()
    return _mariadb_server


@pytest.fixture(scope="module")
def url(server: MariaDb) -> str:
    """A database with boards of two lines, people, pictures, alerts and settings."""
    url = server.fresh_database()
    bring_up_to_date(database_url(url), LINE, ZONE)
    engine = make_engine(database_url(url))
    fill(engine, 103, timedelta(minutes=1))
    _add_people(engine)
    engine.dispose()
    server.execute(
        "CREATE USER 'admin'@'127.0.0.1' IDENTIFIED BY 'admin'",
        "GRANT ALL ON *.* TO 'admin'@'127.0.0.1' WITH GRANT OPTION",
    )
    return make_url(url).set(username="admin", password="admin").render_as_string(hide_password=False)


def _add_people(engine: Engine) -> None:
    for_ever = datetime(2100, 1, 1, tzinfo=UTC)
    for number, (role, changes) in enumerate(
        [
            ("viewer", {}),
            ("engineer", {"full_name": "김철수"}),
            ("admin", {"locked_until": for_ever}),
            ("operator", {"active": False}),
            ("operator", {"must_change_password": True}),
            ("admin", {"locked_until": BEGIN - timedelta(days=400)}),
        ],
        1,
    ):
        row = {"id": number, "username": f"user-{number}", "password_hash": "$2b$12$x", "role": role, "active": True}
        with engine.begin() as connection:
            connection.execute(insert(User).values(row | {"created_at": BEGIN} | changes))
    with engine.begin() as connection:
        for key, value in {
            "jpeg_quality": 90,
            "alert_defect_rate": 0.25,
            "product": "표시기",
            "retention_days": 30,
        }.items():
            connection.execute(
                insert(SystemConfig).values(line=LINE, key=key, value=value, updated_at=BEGIN, user_id=2)
            )


def _views(url: str, *more: str) -> int:
    """By the login and password of the URL, which stands in no command line."""
    where = make_url(url)
    shown = f"mysql://{where.username}@127.0.0.1:{where.port}/{where.database}"
    settings = ("--database_url", shown, "--recorder.time_zone", ZONE.key, "--recorder.image_url", "http://box/images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCB_RECORDER__DATABASE_PASSWORD", str(where.password))
        return main(["sql-views", *settings, *more])


def _login(url: str, user: str, password: str, name: str) -> Any:
    port = make_url(url).port
    assert port is not None
    return pymysql.connect(
        host="127.0.0.1", port=port, user=user, password=password, database=name, charset="utf8mb4", autocommit=True
    )


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A program of before, logged in."""
    file = tmp_path_factory.mktemp("login") / "password"
    file.write_text("it's a \\ secret %s\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(file.parent)
        assert _views(url, "--password-file", str(file)) == 0
    with closing(_login(url, "winforms", "it's a \\ secret %s", "pcb_inspection")) as connection:
        yield connection


@pytest.fixture
def ask(client: Any) -> Ask:
    def asked(statement: str, *values: Any) -> list[Any]:
        with client.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    return asked


@pytest.mark.parametrize("table", KNOWN)
def test_tables_have_exactly_their_columns(ask: Ask, table: str) -> None:
    assert [row[0] for row in ask(f"SHOW COLUMNS FROM {table}")] == KNOWN[table].split(", ")
    assert ask(f"SELECT {KNOWN[table]} FROM {table} LIMIT 1")


def test_a_page_of_inspections(ask: Ask) -> None:
    statement = (
        "SELECT id, camera_id, defect_type, confidence, inspection_time, image_path FROM inspections"
        " ORDER BY inspection_time DESC LIMIT %s OFFSET %s"
    )
    rows = ask(statement, 3, 1)
    assert rows == [
        (98, "left", "납땜불량", 0.9, datetime(2026, 11, 21, 1, 37), "/images/97.jpg"),  # noqa: DTZ001
        (97, "left", "납땜불량", 0.9, datetime(2026, 11, 21, 1, 36), "/images/96.jpg"),  # noqa: DTZ001
        (95, "both", "정상", 0.9, datetime(2026, 11, 21, 1, 34), None),  # noqa: DTZ001
    ]
    assert ask("SELECT COUNT(*) FROM inspections") == [(75,)]


def test_counts_by_local_times(ask: Ask) -> None:
    sums = (
        "SELECT COUNT(*), SUM(CASE WHEN defect_type='정상' THEN 1 ELSE 0 END),"
        " SUM(CASE WHEN defect_type='부품불량' THEN 1 ELSE 0 END), SUM(CASE WHEN defect_type='폐기' THEN 1 ELSE 0 END)"
        " FROM inspections WHERE"
    )
    between = ask(f"{sums} inspection_time BETWEEN %s AND %s", f"{DAY} 00:00:00", f"{DAY} 23:59:59")
    assert between == ask(f"{sums} DATE(inspection_time) BETWEEN %s AND %s", DAY, DAY) == [(75, 45, 10, 5)]
    daily = ask("SELECT stat_date, total_inspections, normal_count, discard_count, defect_rate FROM statistics_daily")
    assert daily == [(date(2026, 11, 21), 75, 45, 5, 40)]
    hourly = ask("SELECT stat_datetime, total_inspections FROM statistics_hourly ORDER BY stat_datetime")
    assert hourly == [(datetime(2026, 11, 21, hour), boards) for hour, boards in ((0, 45), (1, 30))]  # noqa: DTZ001
    assert len(set(ask("SELECT id FROM statistics_hourly"))) == 2
    assert len(ask("SELECT * FROM v_realtime_statistics")) == 1


def test_a_login_of_before(ask: Ask, url: str) -> None:
    found = "SELECT id, password_hash, role FROM users WHERE username=%s AND is_active=TRUE"
    assert ask(found, "user-2") == [(2, "$2b$12$x", "Operator")]
    active = dict(ask("SELECT username, role FROM users WHERE is_active=TRUE"))
    assert active == {"user-1": "Viewer", "user-2": "Operator", "user-6": "Admin"}
    assert ask("SELECT full_name FROM users WHERE id IN (1, 2) ORDER BY id") == [("user-1",), ("김철수",)]
    ask("UPDATE users SET last_login = %s WHERE id = %s", "2026-11-21 17:00:00", 2)
    assert ask("SELECT last_login FROM users WHERE id = 2") == [(datetime(2026, 11, 21, 17),)]  # noqa: DTZ001
    ask("UPDATE users SET last_login = NOW() WHERE username = %s", "user-2")
    engine = make_engine(database_url(url))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT last_login_at, failed_logins FROM users WHERE id = 2")).one() == (
            None,
            0,
        )
    engine.dispose()


def test_the_rest_in_local_time(ask: Ask) -> None:
    pictures = ask("SELECT inspection_id, image_path, image_width, upload_time FROM defect_images ORDER BY id LIMIT 1")
    assert pictures == [(7, "http://box/images/6.jpg", 640, datetime(2026, 11, 21, 0, 6, 0, 80_000))]  # noqa: DTZ001
    values = dict(ask("SELECT config_key, config_value FROM system_config"))
    assert float(values.pop("alert_defect_rate_threshold")) == 25
    assert values == {"jpeg_quality": "90", "product": "표시기", "max_image_retention_days": "30"}
    alerts = ask("SELECT severity, is_resolved, resolved_at, created_at FROM alerts ORDER BY id")
    midnight = datetime(2026, 11, 21)  # noqa: DTZ001
    assert alerts == [("error", 0, None, midnight), ("error", 1, midnight, midnight)]
    assert ask("SELECT created_at, log_level FROM system_logs LIMIT 1") == [(midnight, "info")]


def test_another_line_is_not_seen_and_a_removed_picture_neither(ask: Ask, url: str) -> None:
    assert ask("SELECT COUNT(*) FROM inspections WHERE id = 8") == [(0,)]
    before = ask("SELECT COUNT(*) FROM defect_images")[0][0]
    engine = make_engine(database_url(url))
    with engine.begin() as connection:
        connection.execute(update(DefectImage).where(DefectImage.verdict_id == "verdict-8").values(state="removed"))
    assert ask("SELECT COUNT(*) FROM defect_images") == [(before - 1,)]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE inspections SET notes = 'x'",
        "DELETE FROM inspections",
        "INSERT INTO system_config (config_key) VALUES ('x')",
        "UPDATE users SET role = 'Admin'",
        "UPDATE users SET password_hash = 'x'",
        "UPDATE users SET is_active = 1",
        "DELETE FROM users",
        "SELECT * FROM {records}.inspections",
        "SELECT * FROM {records}.api_tokens",
        "UPDATE {records}.users SET client_login_at = NOW()",
        "USE pcbxinspection",  # for which `pcb_inspection` stands in a grant
        "SELECT user FROM mysql.user",
        "DROP VIEW inspections",
        "CREATE TABLE x (id INT)",
        "SHOW CREATE VIEW users",
    ],
)
def test_the_login_can_nothing_else(ask: Ask, server: MariaDb, url: str, statement: str) -> None:
    server.execute(
        "CREATE DATABASE IF NOT EXISTS pcbxinspection", "CREATE TABLE IF NOT EXISTS pcbxinspection.t (id INT)"
    )
    with pytest.raises(pymysql.Error, match=r"denied|not updatable|not insertable"):
        ask(statement.format(records=make_url(url).database))


def test_it_may_be_run_again_and_the_password_stays(
    ask: Ask, url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _views(url) == 0
    assert "password" not in capsys.readouterr().out
    with closing(_login(url, "winforms", "it's a \\ secret %s", "pcb_inspection")):
        pass
    assert _views(url, "--login", "another", "--host", "127.0.0.1") == 0
    password = re.search(r"shown this once: (\S+)", capsys.readouterr().out)
    assert password is not None
    with closing(_login(url, "another", password[1], "pcb_inspection")):
        pass
    (tmp_path / "password").write_text("changed")
    assert _views(url, "--login", "another", "--host", "127.0.0.1", "--password-file", "password") == 0
    with closing(_login(url, "another", "changed", "pcb_inspection")):
        pass


def test_an_administrator_may_run_what_is_printed(
    server: MariaDb, url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = make_url(url).database
    server.execute(
        "CREATE USER 'small'@'127.0.0.1' IDENTIFIED BY 'small'", f"GRANT ALL ON {name}.* TO 'small'@'127.0.0.1'"
    )
    small = make_url(url).set(username="small", password="small").render_as_string(hide_password=False)
    by_small = ("--database", "printed", "--login", "printed")
    assert _views(small, *by_small) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"its login may not make this: .*denied.*; let an administrator run what `--print` prints", line)
    assert _views(small, *by_small, "--print") == 0
    printed = capsys.readouterr().out
    server.execute(*filter(str.strip, printed.split(";\n")))
    password = re.search(r"IDENTIFIED BY '([^']+)'", printed)
    assert password is not None
    with closing(_login(url, "printed", password[1], "printed")) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT * FROM inspections") == 75


def test_what_cannot_be_is_refused_in_one_line(
    server: MariaDb, url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.execute("CREATE DATABASE earlier", "CREATE TABLE earlier.inspections (id INT)")
    bring_up_to_date(database_url(f"sqlite:///{tmp_path / 'records.db'}"), LINE, ZONE)
    for words, why in {
        ("--database", "earlier"): "earlier has tables of its own, as inspections: choose another name",
        ("--database", str(make_url(url).database)): "holds the records themselves; the views need a database",
        ("--database_url", f"sqlite:///{tmp_path / 'records.db'}"): "read MySQL or MariaDB, not a SQLite file",
        ("--recorder.time_zone", "Europe/Berlin"): "the database does not know Europe/Berlin, whose clocks change",
        ("--password-file", "nowhere"): "--password-file: cannot read nowhere",
    }.items():
        assert _views(url, *words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line

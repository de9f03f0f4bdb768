"""`python -m recorder migrate`, `reconcile` and `config`: what they do, say, and end with."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, delete, inspect, text, update
from support.boards import AT, LINE, ZONE, trigger_record, verdict_record

from pcb_bus.contract.times import to_datetime
from pcb_bus.errors import ConfigError
from recorder.__main__ import main
from recorder.commands import span_of
from recorder.rows import Record
from recorder.statistics import Statistics
from recorder.store import Store
from records.database import database_url, make_engine
from records.tables import Base, BoardStatistics, DefectImage, Inspection, SystemConfig, Trigger

Run = Callable[..., int]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with its tables."""
    url = f"sqlite:///{tmp_path / 'records.db'}"
    assert main(["migrate", "--database_url", url]) == 0
    return url


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database_url(database))
    yield engine
    engine.dispose()


@pytest.fixture
def reconcile(database: str, engine: Engine) -> Run:
    """The command, on boards 1 to 3, with an hour of room."""
    records: list[Record] = []
    for number in range(1, 4):
        records += [trigger_record(number), verdict_record(number)]
    Store(engine, LINE, ZONE).write(records)
    Statistics(engine, LINE).count_touched()
    span = (
        "--since",
        to_datetime(AT - 3600 * 10**9).isoformat(),
        "--until",
        to_datetime(AT + 3600 * 10**9).isoformat(),
    )
    place = ("--database_url", database, "--recorder.time_zone", "Asia/Seoul", "--no-recorder.oversight.gates")
    return lambda *words: main(["reconcile", *span, *words, *place])


@pytest.fixture
def config(database: str) -> Run:
    return lambda *words: main(["config", *words, "--database_url", database])


def test_it_says_what_it_found(
    reconcile: Run, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reconcile() == 0
    assert capsys.readouterr().out.endswith("no gap\n")
    with engine.begin() as connection:
        connection.execute(delete(Inspection).where(Inspection.board_id == "board-2"))
    assert reconcile("--json", str(tmp_path / "out.json")) == 1
    assert "trigger without row: board board-2, verdict verdict-2\n" in capsys.readouterr().out
    outcome = json.loads((tmp_path / "out.json").read_text())
    assert (outcome["gaps"][-1]["board_id"], outcome["total"]["rows"]) == ("board-2", 2)


def test_rebuild_marks_the_hours_and_counts_nothing(
    reconcile: Run, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine.begin() as connection:
        connection.execute(update(BoardStatistics).values(boards=9))
    assert reconcile() == 1
    assert "statistics differ" in capsys.readouterr().out
    assert reconcile("--rebuild") == 0
    assert "1 hours are marked" in capsys.readouterr().out
    Statistics(engine, LINE).count_touched()
    assert reconcile() == 0


def test_rebuild_counts_an_hour_without_boards(reconcile: Run, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(delete(Inspection))
        connection.execute(delete(Trigger))
    assert reconcile() == 1
    assert reconcile("--rebuild") == 0
    Statistics(engine, LINE).count_touched()
    assert reconcile() == 0


def test_migrate_says_the_zone_and_who_named_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    place = ("--database_url", f"sqlite:///{tmp_path / 'new.db'}")
    assert main(["migrate", *place]) == 0
    assert main(["migrate", *place, "--recorder.time_zone", "Europe/Berlin"]) == 0
    said = "the line's time zone is Asia/Seoul (TZ)\nthe line's time zone is Europe/Berlin (recorder.time_zone)\n"
    assert capsys.readouterr().out == said


def test_rebuild_blocks_no_recorder_and_waits_for_none(reconcile: Run, engine: Engine) -> None:
    with engine.connect() as reading:
        reading.execution_options(reading=True).execute(text("SELECT count(*) FROM inspections"))
        assert reconcile("--rebuild") == 0
    Store(engine, LINE, ZONE).write([verdict_record(4)])


def test_it_looks_for_files(reconcile: Run, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"line": LINE, "verdict_id": "verdict-2", "board_id": "board-2", "camera_id": "left", "kind": "frame"}
    row |= {"state": "stored", "sha256": "a" * 64, "path": "2026-11-21/2.jpg"}
    sizes = {"width": 1, "height": 1, "size_bytes": 1, "received_at": to_datetime(AT)}
    Store(engine, LINE, ZONE).write([Record(DefectImage, [row | sizes])])
    picture = tmp_path / "images" / "2026-11-21" / "2.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")
    assert reconcile("--files", "--recorder.images", str(tmp_path / "images")) == 0
    picture.unlink()
    assert reconcile("--files", "--recorder.images", str(tmp_path / "images")) == 1
    assert "picture without file: board board-2, verdict verdict-2, 2026-11-21/2.jpg" in capsys.readouterr().out


SEOUL = ZoneInfo("Asia/Seoul")
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ("2026-11-20T07:59:00+00:00", "2026-11-21T07:59:00+00:00")),
        ("2026-11-21", None, ("2026-11-20T15:00:00+00:00", "2026-11-21T07:59:00+00:00")),
        ("2026-11-20T08:00:00Z", "2026-11-21T09:00", ("2026-11-20T08:00:00+00:00", "2026-11-21T00:00:00+00:00")),
    ],
)
def test_the_span_that_is_asked_for(since: str | None, until: str | None, expected: tuple[str, str]) -> None:
    begin, end = span_of(since, until, NOW, SEOUL)
    assert (begin.isoformat(), end.isoformat()) == expected


@pytest.mark.parametrize(
    ("since", "until"),
    [("yesterday", None), (None, "2026-13-01"), ("2026-11-22", None), ("0001-01-01T00:00+09:00", None)],
)
def test_a_span_that_is_none(since: str | None, until: str | None) -> None:
    with pytest.raises(ConfigError, match=r"^--"):
        span_of(since, until, NOW, SEOUL)


def test_config_sets_lists_and_removes(config: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert config("fps", "12") == 0
    assert config("fps", "12") == 0
    assert config("class_confidence", '{"short": 0.4}') == 0
    assert config() == 0
    assert capsys.readouterr().out == 'class_confidence = {"short": 0.4}\nfps = 12.0\n'
    assert config("fps", "--unset") == 0
    assert config() == 0
    assert capsys.readouterr().out == 'class_confidence = {"short": 0.4}\n'


def test_config_is_of_one_line(config: Run, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert config("fps", "12") == 0
    assert config("fps", "30", "--root", "pcb/line2") == 0
    assert config("fps", "--unset") == 0
    assert config("--root", "pcb/line2") == 0
    assert capsys.readouterr().out == "fps = 30.0\n"
    with engine.connect() as connection:
        assert connection.execute(SystemConfig.__table__.select()).one().line == "pcb/line2"


@pytest.mark.parametrize(
    "words",
    [["fps", "0"], ["fps", "fast"], ["fps"], ["fps", "1", "2"], ["--unset"], ["fps", "--unset"], ["nonsense", "1"]],
)
def test_config_refuses_in_one_line(words: list[str], config: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert config(*words) == 2
    said = capsys.readouterr()
    assert said.err.startswith("python -m recorder config: ")
    assert (said.err.count("\n"), said.out) == (1, "")


@pytest.mark.parametrize("command", ["config", "reconcile"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main([command, "--help"])
    except SystemExit as ended:
        code = ended.code
    assert code == 0
    assert f"usage: python -m recorder {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["config", "reconcile"])
@pytest.mark.parametrize("revision", ["0003", "9999", None])
def test_commands_that_read_never_migrate(
    command: str, revision: str | None, database: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine.begin() as connection:
        if revision is None:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(text(f"DROP TABLE {table.name}"))
            connection.execute(text("DROP TABLE alembic_version"))
        else:
            connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    before = inspect(engine).get_table_names()
    assert main([command, "--database_url", database]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"python -m recorder {command}: recorder.database_url: ")
    assert said.endswith(": run `python -m recorder migrate`\n")
    assert inspect(engine).get_table_names() == before
    if revision is not None:
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == revision


@pytest.mark.parametrize(("command", "down"), [("migrate", 1), ("config", 1), ("reconcile", 3)])
def test_exit_codes_of_what_cannot_be_done(
    command: str,
    down: int,
    tmp_path: Path,
    free_port: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PCB_RECORDER__DATABASE_URL", f"mysql://line:secret@127.0.0.1:{free_port}/boardline")
    assert main([command]) == down
    assert main([command, "--database_url", "nonsense"]) == 2
    if command != "migrate":
        assert main([command, "--database_url", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
        assert not (tmp_path / "none.db").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == (2 if command == "migrate" else 3)
    assert "secret" not in said


@pytest.mark.parametrize("command", ["migrate", "config", "reconcile"])
def test_a_login_that_is_wrong_is_a_wrong_configuration(
    command: str, mariadb_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database_url(mariadb_url).set(drivername="mysql", query={})._replace(password=None)
    monkeypatch.setenv("PCB_RECORDER__DATABASE_PASSWORD", "secret")
    assert main([command, "--database_url", url.render_as_string()]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"python -m recorder {command}: recorder.database_url: mysql+pymysql://boardline:***@127.")
    assert "Access denied" in said
    assert "secret" not in said


@pytest.mark.parametrize("words", [["--since", "soon"], ["--list", "few"], ["--json", "/nowhere/at/all.json"]])
def test_arguments_that_are_wrong(reconcile: Run, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert reconcile(*words) == 2
    assert capsys.readouterr().err.count("\n") == 1

"""`system_config`: read again and again, whoever wrote it; what makes no sense is told once and left out."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import LiveConfig
from recorder.live_config import LiveValues
from records.database import database_url, make_engine
from records.live_config import KNOWN, check, interpret


class Line:
    """What is published to the line, and said."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.takes = True

    def publish(self, payload: bytes) -> bool:
        if self.takes:
            self.published.append(decode_json(LiveConfig, payload).values)
        return self.takes

    def say(self, level: str, message: str, **details: Any) -> None:
        self.said.append(message)


def write(engine: Engine, key: str | bytes, value: str | bytes, line: str = "pcb") -> None:
    """As another program does it, that knows only SQL."""
    row = {"line": line, "key": key, "value": value}
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM system_config WHERE line = :line AND `key` = :key"), row)
        columns = "INSERT INTO system_config (line, `key`, value, updated_at)"
        connection.execute(text(f"{columns} VALUES (:line, :key, :value, '2026-11-21 08:00:00')"), row)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("jpeg_quality", 1),
        ("jpeg_quality", 100),
        ("jpeg_quality", 90.0),
        ("fps", 0.1),
        ("fps", 30),
        ("confidence", 0),
        ("confidence", 1.0),
        ("class_confidence", {}),
        ("anomaly_threshold", 0.6),
        ("class_confidence", {"short": 0.4, "spur": 1}),
        ("retention_days", 30),
        ("alert_defect_rate", 0.25),
    ],
)
def test_a_value_in_its_range(key: str, value: Any) -> None:
    assert check(key, value) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("jpeg_quality", 0),
        ("anomaly_threshold", 1.1),
        ("jpeg_quality", 101),
        ("jpeg_quality", 90.5),
        ("jpeg_quality", "90"),
        ("jpeg_quality", True),
        ("fps", 0),
        ("fps", -1),
        ("fps", float("inf")),
        ("confidence", 1.01),
        ("confidence", float("nan")),
        ("confidence", None),
        ("class_confidence", {"short": 2}),
        ("class_confidence", {"a name that is none": 0.5}),
        ("class_confidence", [0.5]),
        ("retention_days", 0),
        ("alert_defect_rate", 30),
        ("nonsense", 1),
    ],
)
def test_a_value_out_of_its_range_is_one_line_that_names_the_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{key}") as failure:
        check(key, value)
    assert "\n" not in str(failure.value)


def test_topics_md_lists_the_keys_that_there_are() -> None:
    section = Path("topics.md").read_text(encoding="utf-8").split("### LiveConfig")[1].split("### Command")[0]
    assert {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")} == set(KNOWN)


def test_one_bad_row_hides_no_other() -> None:
    rows = [
        (b"fps", b"12"),
        (b"jpeg_quality", b"ninety"),
        (b"confidence", b"7"),
        (b"x", b"1"),
        (b"retention_days", None),
    ]
    reading = interpret(rows)
    assert reading.values == {"fps": 12}
    assert set(reading.faults) == {"jpeg_quality", "confidence", "x", "retention_days"}


def test_the_line_is_told_of_changes_and_after_each_connect(engine: Engine) -> None:
    line = Line()
    live = LiveValues(engine, "pcb", line.publish, line.say)
    assert live.get("fps") is None
    live.look()
    live.look()
    write(engine, "fps", "12")
    write(engine, "class_confidence", '{"short": 0.4}')
    live.look()
    live.look()
    assert line.published == [{}, {"class_confidence": {"short": 0.4}, "fps": 12}]
    assert live.get("fps") == 12
    live.connected()
    live.look()
    write(engine, "fps", "15.5")
    live.look()
    assert [values["fps"] for values in line.published[2:]] == [12, 15.5]


def test_what_was_not_taken_is_published_at_the_next_look(engine: Engine) -> None:
    line = Line()
    line.takes = False
    live = LiveValues(engine, "pcb", line.publish, line.say)
    live.look()
    line.takes = True
    live.look()
    live.look()
    assert line.published == [{}]


def test_a_bad_value_is_told_once_and_the_file_holds(engine: Engine) -> None:
    line = Line()
    live = LiveValues(engine, "pcb", line.publish, line.say)
    write(engine, "jpeg_quality", "90")
    live.look()
    write(engine, "jpeg_quality", "900")
    live.look()
    live.look()
    assert (len(line.said), live.get("jpeg_quality")) == (1, None)
    write(engine, "jpeg_quality", '"90"')
    live.look()
    assert len(line.said) == 2
    write(engine, "jpeg_quality", "80")
    live.look()
    assert (len(line.said), line.published) == (2, [{"jpeg_quality": 90}, {}, {"jpeg_quality": 80}])


def test_what_held_still_holds_while_the_database_is_away(engine: Engine) -> None:
    line = Line()
    live = LiveValues(engine, "pcb", line.publish, line.say)
    write(engine, "fps", "12")
    live.look()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE system_config RENAME TO away"))
    try:
        with pytest.raises(SQLAlchemyError):
            live.look()
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO system_config"))
    assert (live.get("fps"), line.published) == (12, [{"fps": 12}])


def test_a_line_hears_its_own_values_only(engine: Engine) -> None:
    line = Line()
    write(engine, "fps", "30", line="pcb/line2")
    LiveValues(engine, "pcb", line.publish, line.say).look()
    write(engine, "fps", "12")
    LiveValues(engine, "pcb", line.publish, line.say).look()
    assert line.published == [{}, {"fps": 12}]


NONSENSE: list[tuple[str | bytes, str | bytes]] = [
    ("jpeg_quality", b"\xff\x00\x80"),
    (b"\xff\xfe", b"1"),
    ("confidence", b"\xc3("),
    ("anomaly_threshold", "[" * 20_000),
    ("retention_days", "9" * 5000),
    ("alert_defect_rate", "1e999"),
    ("a\x01\u20ac", '"\\ud800"'),
    ("class_confidence", '{"short": 0.5, "a": "' + "x" * 100_000 + '"}'),
]


@pytest.mark.parametrize(("key", "value"), NONSENSE)
def test_nonsense_in_one_row_freezes_no_other_value(engine: Engine, key: str | bytes, value: str | bytes) -> None:
    line = Line()
    live = LiveValues(engine, "pcb", line.publish, line.say)
    try:
        write(engine, key, value)
    except SQLAlchemyError:
        pytest.skip("this database does not take it")
    for fps in (12, 13):
        write(engine, "fps", str(fps))
        live.look()
        assert live.get("fps") == fps
    assert line.published == [{"fps": 12}, {"fps": 13}]
    assert len(line.said) == 1


def test_nonsense_that_keeps_no_rule_of_the_table(tmp_path: Path) -> None:
    """As in a table that another program made, without constraints."""
    line, engine = Line(), make_engine(database_url(f"sqlite:///{tmp_path / 'records.db'}"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE system_config (line, key, value, updated_at)"))
        for value in ("NULL", "x'ff'", "1.5", "'x'"):
            connection.execute(text(f"INSERT INTO system_config VALUES ('pcb', {value}, {value}, {value})"))
        connection.execute(text("INSERT INTO system_config VALUES ('pcb', 'fps', 12, 'never')"))
    live = LiveValues(engine, "pcb", line.publish, line.say)
    live.look()
    assert live.get("fps") == 12
    engine.dispose()

"""`system_config`: read again and again, whoever wrote it; what makes no sense is told once and left out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, text

from recorder.__main__ import main
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.errors import DatabaseDown
from recorder.live_config import KNOWN, LiveValues, check, interpret

Config = Callable[..., int]


class Line:
    """What is published to the line, and said."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.takes = True

    def publish(self, payload: bytes) -> bool:
        if self.takes:
            self.published.append(json.loads(payload)["values"])
        return self.takes

    def say(self, level: str, message: str, **details: Any) -> None:
        self.said.append(message)


def write(engine: Engine, key: str, value: str) -> None:
    """As another program does it, that knows only SQL."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM system_config WHERE `key` = :key"), {"key": key})
        insert = "INSERT INTO system_config (`key`, value, updated_at) VALUES (:key, :value, '2026-11-21 08:00:00')"
        connection.execute(text(insert), {"key": key, "value": value})


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
    reading = interpret({"fps": "12", "jpeg_quality": "ninety", "confidence": "7", "x": "1", "retention_days": None})
    assert reading.values == {"fps": 12}
    assert set(reading.faults) == {"jpeg_quality", "confidence", "x", "retention_days"}


def test_the_line_is_told_of_changes_and_after_each_connect(engine: Engine) -> None:
    line = Line()
    live = LiveValues(engine, line.publish, line.say)
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
    live = LiveValues(engine, line.publish, line.say)
    live.look()
    line.takes = True
    live.look()
    live.look()
    assert line.published == [{}]


def test_a_bad_value_is_told_once_and_the_file_holds(engine: Engine) -> None:
    line = Line()
    live = LiveValues(engine, line.publish, line.say)
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


def test_what_held_still_holds_while_the_database_is_away(url: URL) -> None:
    bring_up_to_date(url)
    engine, line = make_engine(url), Line()
    live = LiveValues(engine, line.publish, line.say)
    write(engine, "fps", "12")
    live.look()
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE system_config"))
    with pytest.raises(DatabaseDown):
        live.look()
    assert (live.get("fps"), line.published) == (12, [{"fps": 12}])
    engine.dispose()


def command_on(url: URL) -> Config:
    """The command, on a database with its tables."""
    bring_up_to_date(url)
    return lambda *words: main(["config", *words, "--database_url", url.render_as_string(hide_password=False)])


def test_the_command_sets_lists_and_removes(url: URL, capsys: pytest.CaptureFixture[str]) -> None:
    config = command_on(url)
    assert config("fps", "12") == 0
    assert config("fps", "12") == 0
    assert config("class_confidence", '{"short": 0.4}') == 0
    assert config() == 0
    assert capsys.readouterr().out == 'class_confidence = {"short": 0.4}\nfps = 12.0\n'
    assert config("fps", "--unset") == 0
    assert config() == 0
    assert capsys.readouterr().out == 'class_confidence = {"short": 0.4}\n'


@pytest.mark.parametrize(
    "words",
    [["fps", "0"], ["fps", "fast"], ["fps"], ["fps", "1", "2"], ["--unset"], ["fps", "--unset"], ["nonsense", "1"]],
)
def test_the_command_refuses_in_one_line(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_on(database_url(f"sqlite:///{tmp_path / 'records.db'}"))(*words) == 2
    said = capsys.readouterr()
    assert said.err.startswith("python -m recorder config: ")
    assert (said.err.count("\n"), said.out) == (1, "")


def test_a_database_that_does_not_answer_is_code_1(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--database_url", f"mysql://line:secret@127.0.0.1:{free_port}/boardline"]) == 1
    assert "secret" not in capsys.readouterr().err


def test_no_database_is_made_by_looking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "records.db"
    assert main(["config", "--database_url", f"sqlite:///{path}"]) == 2
    assert not path.exists()
    assert "there is no database" in capsys.readouterr().err

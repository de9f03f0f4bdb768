import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.logs import Throttle, set_up_logging

S = 1_000_000_000


def test_one_of_a_kind_passes_in_each_interval_and_says_how_many_were_held() -> None:
    throttle = Throttle(interval_s=10)
    assert throttle.admit("frame schema", 0) == 0
    assert throttle.admit("frame schema", 1 * S) is None
    assert throttle.admit("frame schema", 9 * S) is None
    assert throttle.admit("frame schema", 10 * S) == 2
    assert throttle.admit("frame schema", 20 * S) == 0


def test_kinds_do_not_hold_each_other_back() -> None:
    throttle = Throttle(interval_s=10)
    assert throttle.admit("frame schema", 0) == 0
    assert throttle.admit("verdict schema", 0) == 0


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_strangers_text_makes_no_line_of_its_own(root_logger: logging.Logger, tmp_path: Path) -> None:
    set_up_logging("info", tmp_path, "inference", max_bytes=10_000, backups=1)
    try:
        raise LookupError("a fault")
    except LookupError:
        root_logger.exception("board %s", "b1\nERROR forged\x1b[2J 정상")
    line, *traceback = (tmp_path / "inference.log").read_text(encoding="utf-8").splitlines()
    assert line.endswith(r"board b1\nERROR forged\x1b[2J 정상")
    assert traceback[-1] == "LookupError: a fault"


def test_the_log_file_is_rotated(root_logger: logging.Logger, tmp_path: Path) -> None:
    set_up_logging("info", tmp_path / "log", "edge-left", max_bytes=10_000, backups=2)
    for number in range(500):
        root_logger.info("board %d of a long day at the conveyor", number)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "log").iterdir())]
    assert len(sizes) == 3
    assert max(sizes) <= 10_000


def test_times_in_the_log_are_utc(root_logger: logging.Logger, tmp_path: Path) -> None:
    set_up_logging("info", tmp_path, "recorder", max_bytes=10_000, backups=1)
    record = logging.LogRecord("pcb", logging.INFO, "", 0, "hello", None, None)
    record.created, record.msecs = 1_795_248_000.123, 123.0
    line = root_logger.handlers[0].format(record)
    assert line == "2026-11-21T08:00:00.123Z INFO    pcb: hello"


def test_a_directory_that_cannot_be_written_names_the_key(root_logger: logging.Logger, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file is in the way")
    with pytest.raises(ConfigError, match=r"^log\.directory: cannot write .*edge\.log"):
        set_up_logging("info", tmp_path / "log", "edge", max_bytes=10_000, backups=1)

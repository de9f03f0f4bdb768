import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcb_bus.errors import ConfigError, MessageRejected
from pcb_bus.mqtt.login import Login
from pcb_bus.mqtt.session import MqttSession
from pcb_bus.runtime import logs
from pcb_bus.runtime.logs import Throttle, set_up_logging
from pcb_bus.runtime.settings import BrokerSettings


class Clock:
    """Monotonic seconds, set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(10, clock)


def test_one_of_a_kind_passes_in_each_interval_and_says_how_many_were_held(throttle: Throttle, clock: Clock) -> None:
    passed = []
    for clock.now in (0, 1, 9, 10, 20):
        passed.append(throttle.admit("frame schema"))
    assert passed == [0, None, None, 2, 0]


def test_kinds_do_not_hold_each_other_back(throttle: Throttle) -> None:
    assert throttle.admit("frame schema") == 0
    assert throttle.admit("verdict schema") == 0


def test_each_different_reason_is_told_once_and_five_at_most(throttle: Throttle, clock: Clock) -> None:
    reasons = ["width", "width", "jpeg", "width", "side", "v", "board_id", "frame_id", "captured_at", "width"]
    told = [throttle.admit("frame schema", reason) for reason in reasons]
    assert told == [0, None, 1, None, 1, 0, 0, None, None, None]
    clock.now = 10
    assert throttle.admit("frame schema", "width") == 3


def test_seven_wrong_frames_are_told_with_their_reasons(caplog: pytest.LogCaptureFixture) -> None:
    session = MqttSession("pcb-inference", Login(BrokerSettings()))
    for reason in ("width: 0", "width: 0", "jpeg: missing", "width: 0", "side: missing", "v: 2", "jpeg: missing"):
        session.reject("frame", MessageRejected("schema", reason))
    session.stop()
    assert [record.message for record in caplog.records] == [
        "rejected a frame message: schema: width: 0",
        "rejected a frame message: schema: jpeg: missing (1 more)",
        "rejected a frame message: schema: side: missing (1 more)",
        "rejected a frame message: schema: v: 2",
    ]


def test_a_step_of_the_wall_clock_silences_nothing() -> None:
    assert Throttle()._clock is time.monotonic


def test_strangers_cannot_fill_the_memory(throttle: Throttle) -> None:
    for number in range(10_000):
        throttle.admit(f"kind {number}", f"text {number}")
        throttle.admit("flood", f"text {number}")
    assert len(throttle._kinds) <= 100
    assert max(len(texts) for _, texts, _ in throttle._kinds.values()) <= 5


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    close(root, *handlers)
    root.handlers[:] = handlers
    root.setLevel(level)


def close(root: logging.Logger, *others: logging.Handler) -> None:
    """Whatever was logged is written then."""
    for handler in set(root.handlers) - set(others):
        handler.close()


def test_a_strangers_text_makes_no_line_of_its_own(root_logger: logging.Logger, tmp_path: Path) -> None:
    set_up_logging("info", tmp_path, "inference", max_bytes=10_000, backups=1)
    try:
        raise LookupError("a fault")
    except LookupError:
        root_logger.exception("board %s", "b1\nERROR forged\x1b[2J 정상")
    close(root_logger)
    line, *traceback = (tmp_path / "inference.log").read_text(encoding="utf-8").splitlines()
    assert line.endswith(r"board b1\nERROR forged\x1b[2J 정상")
    assert traceback[-1] == "LookupError: a fault"


def test_the_log_file_is_rotated(root_logger: logging.Logger, tmp_path: Path) -> None:
    set_up_logging("info", tmp_path / "log", "edge-left", max_bytes=10_000, backups=2)
    for number in range(500):
        root_logger.info("board %d of a long day at the conveyor", number)
    close(root_logger)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "log").iterdir())]
    assert len(sizes) == 3
    assert max(sizes) <= 10_000


def test_times_in_the_log_are_utc(root_logger: logging.Logger, tmp_path: Path) -> None:
    set_up_logging("info", tmp_path, "recorder", max_bytes=10_000, backups=1)
    record = logging.LogRecord("pcb", logging.INFO, "", 0, "hello %d", (7,), None)
    record.created, record.msecs = 1_795_248_000.123, 123.0
    root_logger.handle(record)
    close(root_logger)
    line = (tmp_path / "recorder.log").read_text(encoding="utf-8")
    assert line == "2026-11-21T08:00:00.123Z INFO    pcb: hello 7\n"


def test_a_directory_that_cannot_be_written_names_the_key(root_logger: logging.Logger, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file is in the way")
    with pytest.raises(ConfigError, match=r"^log\.directory: cannot write .*edge\.log"):
        set_up_logging("info", tmp_path / "log", "edge", max_bytes=10_000, backups=1)


class HungDisk(logging.Handler):
    """Writes nothing until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.freed = threading.Event(), threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.hangs.set()
        self.freed.wait(30)
        self.lines.append(self.format(record))


def test_a_disk_that_hangs_holds_up_nobody_and_what_is_missing_is_told() -> None:
    disk = HungDisk()
    handler = logs._Queue(disk)
    for number in range(logs._MOST_WAITING + 8):
        handler.handle(logging.makeLogRecord({"msg": f"board {number}"}))
        disk.hangs.wait(30)  # it has the first line in its hands
    disk.freed.set()
    handler.close()
    assert disk.lines[-1].startswith("7 lines are missing here")
    assert disk.lines[:-1] == [f"board {number}" for number in range(logs._MOST_WAITING + 1)]


PROGRAM = """
import logging, sys
from pathlib import Path
from pcb_bus.runtime.logs import set_up_logging
set_up_logging("info", Path(sys.argv[1]), "edge", max_bytes=10_000_000, backups=1)
for number in range(int(sys.argv[2])):
    logging.info("board %d %s", number, "x" * 200)
print("done", flush=True)
sys.exit(sys.argv[3] and eval(sys.argv[3]))
"""


BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program(*arguments), capture_output=True, text=True, check=False, timeout=50, env=BUFFERED)


@pytest.mark.parametrize(("end", "code"), [("0", 0), ("3", 3), ("1/0", 1)])
def test_every_line_is_written_before_the_end(end: str, code: int, tmp_path: Path) -> None:
    done = run(tmp_path, 1000, end)
    assert done.returncode == code
    for text in (done.stderr, (tmp_path / "edge.log").read_text(encoding="utf-8")):
        assert re.findall(r" root: board (\d+) x{200}\n", text) == [str(number) for number in range(1000)]


def test_a_console_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    command = program(tmp_path, 2000, "3")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BUFFERED) as service:
        assert service.stdout is not None
        assert service.stdout.read() == b"done\n"
        assert service.wait(50) == 3
    assert (tmp_path / "edge.log").read_text(encoding="utf-8").count("\n") == 2000


def test_a_log_file_that_takes_nothing_holds_up_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "edge.log")
    disk = os.open(tmp_path / "edge.log", os.O_RDWR)  # open, and never read
    try:
        done = run(tmp_path, 2000, "3")
    finally:
        os.close(disk)
    assert (done.returncode, done.stdout) == (3, "done\n")
    assert done.stderr.count("\n") == 2000

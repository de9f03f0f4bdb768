"""The whole path, from a camera's picture to a fired gate and a stored record, with every part as it is shipped."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
from rich.console import Console
from sqlalchemy import create_engine, make_url, text
from support.processes import children_of, wait_until_ended
from support.tiny_network import write_tiny_network

from simulator.bare_board import draw_board
from simulator.demo import Demo, DemoOptions
from simulator.lessons import LessonOptions
from simulator.line import PRESENCE, LineOptions
from simulator.schedule import BARE

pytestmark = pytest.mark.timeout(120)
PROJECT = Path(__file__).parents[2]
COUNTS = ("boards", "verdicts", "actuations", "records")


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Of bare boards, which are there at once."""
    command = [sys.executable, "-m", "simulator", "demo", "--look", "bare", "--folder", str(folder), *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=100)


def running_demo(folder: Path, rate: float = 4) -> subprocess.Popen[str]:
    """One without end, that nobody looks at as a terminal."""
    command = [sys.executable, "-m", "simulator", "demo", "--look", "bare", "--folder", str(folder)]
    command += ["--rate", str(rate)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_a_board(demo: subprocess.Popen[str]) -> None:
    """Until one has everything: after the line that says where the pages are."""
    assert demo.stdout is not None
    assert demo.stdout.readline().startswith("pages: ")
    assert demo.stdout.readline()


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary


def test_every_board_gets_one_of_everything_and_a_defective_one_its_pictures(
    tmp_path: Path,
) -> None:
    done = run_demo(tmp_path, "--boards", "10", "--rate", "4", "--defects", "0.6")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = summary_of(tmp_path)
    assert [summary[key] for key in COUNTS] == [10, 10, 10, 10]
    assert (summary["unaccounted"], summary["duplicates"]) == (0, 0)
    assert sum(summary["by_category"].values()) == 10
    assert summary["by_category"].get("unjudged", 0) == 0
    assert summary["by_outcome"] == {"fired": 10}
    assert summary["gaps"] is False
    assert "reconcile: no gap" in done.stdout
    assert summary["latency_ms"].keys() == summary["overhead_ms"].keys() == {"p50", "p95", "p99"}
    engine = create_engine(f"sqlite:///{tmp_path / 'recorder' / 'boardline.db'}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT category, image_path FROM inspections")).all()
    engine.dispose()
    defective = [path for category, path in rows if category != "normal"]
    assert defective
    images = tmp_path / "recorder" / "images"
    assert all(path and any(images.rglob(Path(path).name)) for path in defective)


def test_the_edges_see_assembled_boards_which_are_compared_with_good_ones_that_the_line_has_learned(
    tmp_path: Path,
) -> None:
    """The demo as it is by default: nobody announces a board."""
    settings = {"inference": {"model": str(write_tiny_network(tmp_path / "tiny.onnx")), "evidence_share": 1.0}}
    lessons = LessonOptions(tmp_path / "lessons", 20)
    console = Console(file=io.StringIO(), width=200)
    line = LineOptions(tmp_path / "demo", trigger=PRESENCE, settings=settings, lessons=lessons)
    demo = Demo(DemoOptions(boards=4, rate=1, defect_share=0, oddity_share=0.5, line=line), console, threading.Event())
    assert demo.run() is True, demo.summary
    assert [demo.summary[key] for key in COUNTS] == [4, 4, 4, 4]
    assert demo.summary["of_no_board"] == 0
    assert demo.summary["by_category"].get("unjudged", 0) == 0
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "learned 20 good boards of each side for the anomaly score" in said
    assert demo.summary["oddities"]["drawn"] > 0
    engine = create_engine(f"sqlite:///{tmp_path / 'demo' / 'recorder' / 'boardline.db'}")
    with engine.connect() as connection:
        names = connection.execute(text("SELECT board_id FROM inspections")).scalars().all()
        scores = connection.execute(text("SELECT anomaly_score FROM inspection_sides")).scalars().all()
    engine.dispose()
    assert all(name.startswith(("left-", "right-")) for name in names)
    assert len(scores) == 8
    assert None not in scores


def test_a_record_that_is_lost_fails_the_run_and_is_named(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        wait_for_a_board(demo)
        lost = remove_first_record(tmp_path)
        os.killpg(demo.pid, signal.SIGINT)
        said = demo.stdout.read()
    assert demo.returncode == 1, said
    assert summary_of(tmp_path)["gaps"] is True
    _, _, gaps = said.partition("reconcile: gaps")
    assert lost in gaps


def test_a_second_line_shares_broker_and_database_and_nothing_else(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    joining = ("--line", "pcb/line2", "--first", str(first), "--boards", "6", "--rate", "2")
    refused = run_demo(second, *joining)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "no line runs in" in refused.stderr
    with running_demo(first, rate=1) as demo:
        wait_for_a_board(demo)
        done = run_demo(second, *joining)
        os.killpg(demo.pid, signal.SIGINT)
        said = demo.stdout.read()
    assert done.returncode == 0, done.stdout + done.stderr
    assert demo.returncode == 0, said
    assert [summary_of(second)[key] for key in COUNTS] == [6, 6, 6, 6]
    engine = create_engine(f"sqlite:///{first / 'recorder' / 'boardline.db'}")
    with engine.connect() as connection:
        rows = dict(connection.execute(text("SELECT line, count(*) FROM inspections GROUP BY line")).all())
    engine.dispose()
    assert rows == {"pcb": summary_of(first)["boards"], "pcb/line2": 6}


def remove_first_record(folder: Path) -> str:
    """The board that now has no row."""
    engine = create_engine(f"sqlite:///{folder / 'recorder' / 'boardline.db'}")
    with engine.begin() as connection:
        lost = connection.execute(text("SELECT min(board_id) FROM inspections")).scalar_one()
        connection.execute(text("DELETE FROM inspections WHERE board_id = :lost"), {"lost": lost})
    engine.dispose()
    return str(lost)


def test_the_records_may_stand_in_mariadb(tmp_path: Path, mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--boards", "8", "--rate", "4", "--database")
    refused = run_demo(tmp_path, *arguments, mariadb_url).stderr
    assert "`ps` shows it; put it into PCB_RECORDER__DATABASE_PASSWORD" in refused
    url = make_url(mariadb_url)
    monkeypatch.setenv("PCB_RECORDER__DATABASE_PASSWORD", str(url.password))
    done = run_demo(tmp_path, *arguments, url._replace(password=None).render_as_string())
    assert done.returncode == 0, done.stdout + done.stderr
    engine = create_engine(mariadb_url)
    with engine.connect() as connection:
        labels = connection.execute(text("SELECT DISTINCT defect_type FROM inspections")).scalars().all()
    engine.dispose()
    assert set(labels) <= {"정상", "부품불량", "납땜불량", "폐기"}
    assert [summary_of(tmp_path)[key] for key in COUNTS] == [8, 8, 8, 8]


def test_pictures_from_folders_are_inspected(tmp_path: Path) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for number in range(3):
            cv2.imwrite(str(tmp_path / side / f"{number}_test.jpg"), draw_board(number, 640, 640).image)
    sources = ("--left", str(tmp_path / "left"), "--right", str(tmp_path / "right"))
    done = run_demo(tmp_path / "run", "--boards", "6", "--rate", "4", *sources)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = summary_of(tmp_path / "run")
    assert [summary[key] for key in COUNTS] == [6, 6, 6, 6]
    assert summary["by_category"].get("unjudged", 0) == 0
    assert summary["escapes"] is None


class RunningDemo:
    """A demo in a thread, whose services can be disturbed."""

    def __init__(self, options: DemoOptions) -> None:
        self.stop = threading.Event()
        self.demo = Demo(options, Console(file=io.StringIO()), self.stop)
        self.result: bool | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.result = self.demo.run()

    def wait_for_boards(self, count: int) -> None:
        observer = self.demo.observer
        with observer.changed:
            seen = observer.changed.wait_for(lambda: len(observer.books) >= count, 60)
        assert seen, f"{count} boards were not triggered"

    def kill(self, node: str) -> None:
        os.kill(self.demo.line.supervisor.pids[node], signal.SIGKILL)

    def finish(self) -> bool | None:
        self._thread.join(90)
        return self.result


@contextmanager
def running_here(options: DemoOptions) -> Iterator[RunningDemo]:
    run = RunningDemo(options)
    try:
        yield run
    finally:
        run.stop.set()
        run.finish()


def test_services_that_are_killed_and_a_broker_that_is_restarted_lose_no_board(tmp_path: Path) -> None:
    nodes = ("edge-left", "inference", "actuator", "recorder")
    with running_here(DemoOptions(boards=32, rate=4, look=BARE, line=LineOptions(tmp_path))) as run:
        for boards, node in enumerate(nodes, 1):
            run.wait_for_boards(5 * boards)
            run.kill(node)
        run.wait_for_boards(25)
        run.demo.line.broker.restart()
        assert run.finish() is True, summary_of(tmp_path)
    summary = summary_of(tmp_path)
    assert summary["restarts"] == len(nodes)
    assert [summary[key] for key in COUNTS] == [32, 32, 32, 32]


def test_ctrl_c_ends_a_run_in_order(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        assert demo.stdout is not None
        pages, first = demo.stdout.readline(), demo.stdout.readline()
        os.killpg(demo.pid, signal.SIGINT)
        rest = demo.stdout.read()
    assert pages.startswith("pages: http://127.0.0.1:")
    assert "verdict" in first
    assert demo.returncode == 0, rest
    assert summary_of(tmp_path)["unaccounted"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        wait_for_a_board(demo)
        children = children_of(demo.pid)
        demo.kill()
    assert len(children) == 7
    assert sum("mosquitto" in command for command in children.values()) == 1
    assert wait_until_ended(children) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--boards", "0"), "--boards"),
        (("--rate", "-1"), "--rate"),
        (("--left", "/no/such/folder"), "edge.source"),
        (("--database", "postgres:nonsense"), "recorder.database_url"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    done = run_demo(tmp_path, "--boards", "1", *arguments)
    assert done.returncode != 0
    assert named in done.stderr
    assert "Traceback" not in done.stderr

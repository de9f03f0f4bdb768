"""The folder of a run: taken by one, and nobody else's files."""

import stat
from pathlib import Path

import pytest

from pcb_bus.errors import ConfigError
from simulator.line import LineOptions, VirtualLine
from simulator.schedule import Schedule
from simulator.workplace import Workplace


def test_what_the_last_run_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    Workplace(folder).release()
    (folder / "summary.json").write_text("{}")
    (folder / "mine.txt").write_text("kept")
    Workplace(folder).release()
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "mine.txt"]


def test_a_folder_of_somebody_else_is_refused_untouched(tmp_path: Path) -> None:
    source = tmp_path / "recorder" / "service.py"
    source.parent.mkdir()
    source.write_text("months of work")
    with pytest.raises(ConfigError, match="holds recorder, which no demo has made"):
        Workplace(tmp_path)
    assert source.read_text() == "months of work"


def test_what_a_run_leaves_is_for_its_own_user(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path / "new" / "demo")
    workplace.write_config({"edge": {"fps": 5}})
    workplace.release()
    assert {stat.S_IMODE(each.stat().st_mode) for each in workplace.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(workplace.folder.stat().st_mode) == 0o700


def test_the_source_of_a_camera_is_not_in_the_list_of_processes(tmp_path: Path) -> None:
    source = "rtsp://admin:geheim@camera/live"
    line = VirtualLine(Schedule(), LineOptions(tmp_path, sources={"left": source}), lambda node, words: None)
    left = next(each for each in line._specs() if each.name == "edge-left")
    assert source not in left.arguments
    assert left.environment == {"PCB_EDGE__SOURCE": source}
    line.workplace.release()


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Workplace(tmp_path)
    with pytest.raises(ConfigError, match="another demo runs"):
        Workplace(tmp_path)
    first.release()

"""The folder of a run: taken by one, and nobody else's files."""

from pathlib import Path

import pytest

from pcb_bus.errors import ConfigError
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


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Workplace(tmp_path)
    with pytest.raises(ConfigError, match="another demo runs"):
        Workplace(tmp_path)
    first.release()

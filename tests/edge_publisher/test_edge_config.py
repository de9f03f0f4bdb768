"""A configuration that cannot work: exit code 2 and one line that names the key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_publisher.__main__ import main

PROJECT = Path(__file__).parents[2]


def run_edge(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_publisher", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PCB_")}
    environment["PCB_LOG__DIRECTORY"] = str(folder)
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def assert_one_line(code: int, stderr: str, key: str) -> None:
    assert code == 2
    assert stderr.startswith(f"edge_publisher: {key}: ")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ([], "edge.side"),
        (["--side", "left", "--edge.fps", "0"], "edge.fps"),
        (["--side", "left", "--source", "no/such/folder"], "edge.source"),
        (["--side", "left", "--source", "gopher://camera"], "edge.source"),
    ],
)
def test_the_process_ends_with_one_line(tmp_path: Path, arguments: list[str], key: str) -> None:
    done = run_edge(tmp_path, *arguments)
    assert_one_line(done.returncode, done.stderr, key)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--side", "bottom"], "edge.side"),
        (["--side", "left", "--edge.fps", "nan"], "edge.fps"),
        (["--side", "left", "--trigger", "telepathy"], "edge.trigger"),
        (["--side", "left", "--edge.jpeg_quality", "101"], "edge.jpeg_quality"),
        (["--side", "left", "--edge.width", "1.5"], "edge.width"),
        (["--side", "left", "--source", ""], "edge.source"),
        (["--side", "left", "--edge.presence.direction", "sideways"], "edge.presence.direction"),
    ],
)
def test_option_that_cannot_work(arguments: list[str], key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(main(arguments), capsys.readouterr().err, key)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("edge: {colour: red}", "edge.colour"),
        ("edge: {side: left, fps: -1}", "edge.fps"),
        ("edge: {side: left, preview_fps: .inf}", "edge.preview_fps"),
        ("edge: {side: left, trigger: [mqtt]}", "edge.trigger"),
        ("edge: {side: left, presence: {region: [0.5, 0, 0.8, 1]}}", "edge.presence.region"),
        ("sides: [top]\nedge: {side: left}", "edge.side"),
        ("egde: {side: left}", "egde"),
    ],
)
def test_file_that_cannot_work(tmp_path: Path, text: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(text)
    assert_one_line(main(["--config", str(path)]), capsys.readouterr().err, key)


def test_help_shows_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"--edge.{key}" in shown for key in ("side", "source", "trigger", "fps", "ring_s"))

"""What `make` takes from whom: an option counts on the command line, and nowhere else."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
OPTIONS = sorted(set(re.findall(r"\$\(call (?:given|option),([A-Z_]+)", TEXT)))
TARGETS = next(line for line in TEXT.splitlines() if line.startswith(".PHONY:")).split()[1:]


def would_run(*arguments: str, **environment: str) -> str:
    """What `make` would run, without running it."""
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    env = {**os.environ, **environment, "MAKEFLAGS": ""}  # not those of the `make test` that runs this
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_options_are_found() -> None:
    assert {"BOARDS", "PORT", "SIDE", "CUDA", "DATA", "NAME", "ARGS"} <= set(OPTIONS)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_stray_is_taken_from_the_environment(target: str) -> None:
    assert would_run(target, **dict.fromkeys(OPTIONS, "stray")) == would_run(target)


def test_no_variable_of_the_environment_is_read_without_asking() -> None:
    own = set(re.findall(r"^([A-Za-z_]+) *:?= ?", TEXT, re.MULTILINE))
    assert set(re.findall(r"\$[({]([A-Za-z_]+)[)}]", TEXT)) <= own


def test_an_option_on_the_command_line_counts() -> None:
    assert '--name "mine"' in would_run("train", "NAME=mine", NAME="stray")
    assert '--side "left"' in would_run("run-edge", "SIDE=left")
    assert "setup.sh cuda" in would_run("run-inference", "CUDA=1")
    assert "run.sh .venv/bin/python -k jpeg" in would_run("test", "ARGS=-k jpeg")

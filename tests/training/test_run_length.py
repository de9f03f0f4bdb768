"""How long a run is: by its pictures, or by the time there is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from training.errors import TrainingError
from training.loop import Trainer, TrainSettings
from training.runs.folder import Run
from training.runs.length import crops_for, in_words, parse_time, rounds_between_scores, with_length
from training.runs.progress import Budget, Watch, crops_in
from training.runs.record import add_round, best_score, read_rounds
from training.runs.stopping import Stop


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return Trainer(TrainSettings(batch_size=4, threads=1), ("short",))


def test_more_pictures_and_fresh_weights_need_longer_runs() -> None:
    assert crops_for(5, fresh=False) < crops_for(200, fresh=False) < crops_for(600, fresh=False)
    assert crops_for(5, fresh=True) > crops_for(5, fresh=False)
    assert crops_for(10**6, fresh=False) == crops_for(10**7, fresh=True)


@pytest.mark.parametrize("crops", [16, 320, 3_200, 90_000])
def test_rounds_and_warm_up_go_with_the_length(crops: int) -> None:
    settings = with_length(TrainSettings(), crops)
    assert settings.round_crops % settings.batch_size == 0
    assert 16 <= settings.round_crops <= 1_600
    assert settings.warmup_crops < max(crops, 17)
    scores = settings.crops / settings.round_crops / rounds_between_scores(settings)
    assert scores <= 25


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400)])
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "soon", "m", "0s", "-5m", "1d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="--time"):
        parse_time(text)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 seconds"), (80, "80 seconds"), (2100, "35 minutes")])
def test_a_time_is_said_as_one_would(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_time_there_is_sets_the_length(trainer: Trainer) -> None:
    free, busy = crops_in(600, 0.05, 0.0, trainer), crops_in(600, 0.05, 10.0, trainer)
    assert free == 12_000
    assert busy < free
    assert crops_in(0.001, 0.05, 10.0, trainer) == trainer.settings.batch_size


def test_the_expected_time_is_said_after_the_first_steps(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def score() -> float:
        asked.append(1)
        return 0.0

    watch = Watch(trainer, Budget(None, score), Stop(), Console(width=200))
    assert len(list(watch(_batches(30), 30))) == 30
    assert capsys.readouterr().out.count("on this machine for") == 1
    assert asked == [1]


def test_batches_end_when_somebody_asks_for_it(trainer: Trainer) -> None:
    stop = Stop()
    passing = iter(Watch(trainer, Budget(None, lambda: 0.0), stop, Console())(_batches(30), 30))
    next(passing)
    stop.ask()
    assert list(passing) == []


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    """In a process of its own: signals raised beside compiled frames of PyTorch have ended the whole test run."""
    ended = subprocess.run(
        [sys.executable, "-c", _TWICE_ASKED], capture_output=True, text=True, check=False, timeout=50
    )
    assert (ended.stdout.split(), ended.returncode) == (["asked", "interrupted", "restored"], 0), ended.stderr


_TWICE_ASKED = """
import signal

from training.runs.stopping import stop_on_signals

before = signal.getsignal(signal.SIGINT)
with stop_on_signals() as stop:
    signal.raise_signal(signal.SIGINT)
    print("asked" if stop.asked else "not asked")
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        print("interrupted")
print("restored" if signal.getsignal(signal.SIGINT) is before else "changed")
"""


def test_a_line_that_a_kill_cut_short_does_not_spoil_the_log(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    add_round(log, {"seen": 1})
    with log.open("a") as lines:
        lines.write('{"seen": 2, "lo')
    add_round(log, {"seen": 3})
    assert [entry["seen"] for entry in read_rounds(log)] == [1, 3]


def test_the_best_score_counts_only_with_its_weights(tmp_path: Path) -> None:
    run = Run(tmp_path)
    add_round(run.log, {"seen": 1, "held_out": {"map50_95": 0.5}, "best": True})
    add_round(run.log, {"seen": 2, "held_out": {"map50_95": 0.7}, "best": False})
    assert best_score(run) == -1
    run.best.write_bytes(b"")
    assert best_score(run) == 0.5


def _batches(count: int) -> Iterator[dict[str, torch.Tensor]]:
    return ({} for _ in range(count))

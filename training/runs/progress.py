"""Shows batches passing by, says early how long the run will take, and fits its length to the time there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.batches import Batch
from training.loop import Trainer
from training.runs.length import in_words, rounds_between_scores, with_length
from training.runs.stopping import Stop

_SLOW_STEPS = 2  # the first ones allocate and compile
_STEADY_STEPS = 6
#: After so many the pace is known.
TIMED_STEPS = _SLOW_STEPS + _STEADY_STEPS


@dataclass(frozen=True)
class Budget:
    """Seconds that the whole run may take (None: as long as its length needs), and what one score costs."""

    seconds: float | None
    score_seconds: Callable[[], float]


class Watch:
    """Between the trainer and its batches: the steps are timed as they are taken."""

    def __init__(self, trainer: Trainer, budget: Budget, stop: Stop, console: Console) -> None:
        self._trainer = trainer
        self._budget = budget
        self._stop = stop
        self._console = console
        self._started = time.monotonic()
        self._steps = 0
        self._timed_seconds = 0.0

    def __call__(self, batches: Iterable[Batch], count: int) -> Iterator[Batch]:
        """The batches, until they end, the run is long enough or somebody asks for an end."""
        with _bar(self._console) as bar:
            task = bar.add_task(f"crops {self._trainer.seen:>7,} of {self._trainer.settings.crops:,}", total=count)
            before = time.monotonic()
            for batch in batches:
                if self._stop.asked or self._trainer.is_finished():
                    return
                yield batch
                bar.advance(task)
                now = time.monotonic()
                self._note_step(now - before)
                before = now

    def _note_step(self, seconds: float) -> None:
        self._steps += 1
        if self._steps > _SLOW_STEPS:
            self._timed_seconds += seconds
        if self._steps == TIMED_STEPS:
            self._announce(self._timed_seconds / _STEADY_STEPS / self._trainer.settings.batch_size)

    def _announce(self, seconds_per_crop: float) -> None:
        """From here on the pace is known."""
        trainer, score = self._trainer, self._budget.score_seconds()
        if self._budget.seconds is not None:
            left = self._budget.seconds - (time.monotonic() - self._started)
            crops = trainer.seen + crops_in(left, seconds_per_crop, score, trainer)
            trainer.settings = with_length(trainer.settings, crops)
        settings = trainer.settings
        scores = settings.crops / settings.round_crops / rounds_between_scores(settings)
        left_share = max(0.0, 1 - trainer.seen / settings.crops)
        seconds = left_share * (settings.crops * seconds_per_crop + scores * score)
        done = datetime.now().astimezone() + timedelta(seconds=seconds)
        self._console.print(
            f"about {in_words(seconds)} on this machine for {settings.crops:,} crops "
            f"({1 / seconds_per_crop:.0f} crops/s), done at about {done:%H:%M}",
            soft_wrap=True,
        )


def crops_in(seconds: float, seconds_per_crop: float, score_seconds: float, trainer: Trainer) -> int:
    """How many crops fit, the scores in between and a last one counted; at least one batch."""
    settings = trainer.settings
    room = seconds - 2 * score_seconds
    scores = settings.crops / settings.round_crops / rounds_between_scores(settings)
    crops = int((room - scores * score_seconds) / seconds_per_crop)
    return max(settings.batch_size, crops)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

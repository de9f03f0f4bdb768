"""The folder of one run: what lies where, and that one process alone writes into it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from training.errors import TrainingError


@dataclass(frozen=True)
class Run:
    """Where a run keeps its files."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "settings.json"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The newest weights, averaged."""
        return self.folder / "weights.pt"

    @property
    def best(self) -> Path:
        """The weights with the best score on the held-out part."""
        return self.folder / "best.pt"

    @property
    def log(self) -> Path:
        return self.folder / "rounds.jsonl"

    @property
    def plots(self) -> Path:
        return self.folder / "plots"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def to_use(self) -> Path:
        """The best weights, or the newest where no score chose any."""
        return self.best if self.best.is_file() else self.weights

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Holds the folder, which is made where it is missing. Raises TrainingError when another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainingError(f"{self.folder}: a training runs in it already") from None
            yield

    def set_aside(self) -> Path | None:
        """Give an earlier run of this folder a name of its own; returns its new folder, None where there was none.

        Raises TrainingError while that run is still being written.
        """
        written = [path for path in (self.checkpoint, self.best, self.log) if path.is_file()]  # or it crashed early
        if not written:
            return None
        with self.claimed():
            ended = datetime.fromtimestamp(max(path.stat().st_mtime for path in written)).astimezone()
            kept = _free_name(self.folder.with_name(f"{self.folder.name}-{ended:%Y%m%d-%H%M%S}"))
            self.folder.rename(kept)
        return kept


def _free_name(wanted: Path) -> Path:
    number, path = 1, wanted
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path

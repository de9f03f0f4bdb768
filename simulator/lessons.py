"""Teaches a virtual line the good boards of its product, as `make fit-anomaly` does it for a real one.

What was learned holds for one model, product and picture size, and is kept, so that the next run finds it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from broker.children import start_child
from pcb_bus.errors import BoardlineError
from pcb_bus.runtime.settings import LineSettings, load_settings
from simulator.bare_board import NoRoomForDefects
from simulator.painter import board_drawer
from simulator.schedule import Schedule

_SEED = -1_000_003  # boards that no run shows
_KEPT = 8
_POLL_S = 0.1


class NotTaught(BoardlineError, RuntimeError):
    """The good boards could not be learned."""


class _Edge(BaseModel):
    width: int = 640
    height: int = 480


class _Inference(BaseModel):
    model: Path = Path("models/starter/boardline-starter.onnx")
    device: str = "auto"
    max_input: int = 640


class _Line(LineSettings):
    """What of the line's settings matters here."""

    edge: _Edge = _Edge()
    inference: _Inference = _Inference()


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned: one product, seen through one model.

    Args:
        product: its name in the settings.
        boards: good ones, of each side.
        folder: where the files of the sides are kept.
        drawing, fitting: options of the commands that do it.
    """

    product: str
    boards: int
    folder: Path
    drawing: Sequence[str]
    fitting: Sequence[str]

    def file(self, side: str) -> Path:
        return self.folder / f"{side}.npz"

    def known(self, sides: Sequence[str]) -> bool:
        return all(self.file(side).exists() for side in sides)

    def settings(self, sides: Sequence[str]) -> dict[str, Any]:
        """For the line, once it is learned."""
        return {
            "inference": {"product": self.product, "anomaly": {side: str(self.file(side).resolve()) for side in sides}}
        }


@dataclass(frozen=True, slots=True)
class LessonOptions:
    """How lines are taught. `root`: the folder of all lessons; `boards`: good ones, of each side.

    `false_call_rate`: share of good pictures expected over the threshold. Said, so that another one is another lesson.
    """

    root: Path = Path("var/lessons")
    boards: int = 60
    false_call_rate: float = 0.0005


def lesson_for(config: Path, schedule: Schedule, sides: Sequence[str], options: LessonOptions) -> Lesson:
    """The lesson that the line of a configuration file needs.

    Raises:
        ConfigError: a setting is wrong; names the key.
        NotTaught: the model cannot be read.
    """
    line = load_settings(_Line, ["--config", str(config)])
    chosen, size = line.inference, (line.edge.width, line.edge.height)
    product = f"product-{schedule.product}"
    margin = ("--margin", str(schedule.margin)) if schedule.margin else ()
    drawing = ("--product", str(schedule.product), "--seed", str(_SEED), "--size", f"{size[0]}x{size[1]}", *margin)
    seen = ("--model", str(chosen.model), "--device", chosen.device, "--max-input", str(chosen.max_input))
    fitting = ("--product", product, "--false-call-rate", str(options.false_call_rate), *seen)
    key = sha256(repr((_digest(chosen.model), options.boards, drawing, fitting)).encode())
    try:
        for side in sides:  # another way of drawing is another product
            key.update(board_drawer(_good(schedule), side, *size)(0).tobytes())
    except NoRoomForDefects as error:
        raise NotTaught(str(error)) from None
    return Lesson(product, options.boards, options.root / f"{product}-{key.hexdigest()[:16]}", drawing, fitting)


def learn(lesson: Lesson, sides: Sequence[str], stop: threading.Event) -> None:
    """Draw the good boards of each side, and fit the anomaly score to them.

    Args:
        stop: ends it early.

    Raises:
        NotTaught: with the reason; nothing is kept then.
    """
    lesson.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lesson-", dir=lesson.folder.parent) as name:
        work, learned = Path(name), Path(name) / "learned"
        with ThreadPoolExecutor(len(sides)) as pool:
            for done in [pool.submit(_learn_side, lesson, side, work, learned, stop) for side in sides]:
                done.result()
        _keep(learned, lesson.folder)


def _learn_side(lesson: Lesson, side: str, work: Path, learned: Path, stop: threading.Event) -> None:
    out = ("--out", str(work), "--boards", str(lesson.boards), "--good", "--side", side)
    _run(["simulator", "draw", *out, *lesson.drawing], work / f"{side}-draw.out", stop)
    fit = ("--good", str(work / side), "--side", side, "--out", str(learned / f"{side}.npz"))
    _run(["training", "fit-anomaly", *fit, *lesson.fitting], work / f"{side}-fit.out", stop)


def _run(command: Sequence[str], output: Path, stop: threading.Event) -> None:
    with output.open("wb") as file:
        process = start_child([sys.executable, "-m", *command], file)
    while True:
        try:
            code = process.wait(_POLL_S)
            break
        except subprocess.TimeoutExpired:
            if stop.is_set():
                process.kill()
    if code:
        said = [line for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        # The first line says what is wrong, but for a crash, where it is the last.
        told = said[-1 if said[0].startswith("Traceback") else 0] if said else f"it ended with {code}"
        raise NotTaught(f"{' '.join(command[:2])}: {told}")


def _keep(learned: Path, folder: Path) -> None:
    """File by file: another run may have learned the same meanwhile, and somebody may have removed one side's."""
    folder.mkdir(exist_ok=True)
    for file in learned.iterdir():
        file.replace(folder / file.name)
    kept = sorted(folder.parent.glob("product-*"), key=lambda each: each.stat().st_mtime)
    for old in kept[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _good(schedule: Schedule) -> Schedule:
    return replace(schedule, seed=_SEED, defect_share=0, oddity_share=0)


def _digest(model: Path) -> str:
    try:
        return sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise NotTaught(f"{model}: {error.strerror}") from None

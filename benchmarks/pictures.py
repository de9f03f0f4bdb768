"""Whether pictures that show nothing are told, and good ones are not: `python -m benchmarks.pictures [--json FILE]`.

Each picture is a JPEG, and goes the way of a frame in inference: decoded, then looked at. Boards are drawn, of several
products, and come from the photographs in `../shared/data` where those are. A station's light, focus, noise and JPEG
quality differ from frame to frame. `at the set-up`: with the sharpness of another frame of the same board. Shares have
the worse end of their 95 % interval (Wilson 1927). Exit code 1 when a promised figure is missed.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from inference_subscriber.receiving import Cameras
from pcb_bus.contract.identity import new_id
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.pictures import END, START_OF_SCAN, inspect_jpeg, segments
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import MessageRejected
from pcb_bus.seeing.health import find_flaw, sharpness
from pcb_bus.seeing.jpeg import Image, decode_jpeg
from simulator.bare_board import draw_board
from simulator.painter import board_drawer
from simulator.schedule import Schedule
from training.evaluation.factory import Share

DATA = Path("../shared/data")
_PHOTOGRAPHS = {
    "photographs of a phone": "joints_phone/images/*",
    "photographs of a microscope": "joints_microscope/images/*",
    "bare copper, scanned": "deeppcb/PCBData/*/*/*.jpg",
}
_SIZE = (640, 480)
MOST_CALLED = 2
_SHOWN = 12  # boards that pass a frozen camera

Change = Callable[[Image, np.random.Generator], bytes]


def main() -> int:
    given = _arguments()
    rng = np.random.default_rng(given.seed)
    cv2.setNumThreads(1)
    sources = {**_drawn(given.drawn, given.seed), **_photographs(DATA)}
    figures: dict[str, Any] = {
        "machine": machine(),
        "pictures": {name: len(pictures) for name, pictures in sources.items()},
        "good": _good(sources, given.good, rng),
        "nothing": {kind: _nothing(sources, change, given.each, rng) for kind, change in NOTHING.items()},
        "frozen": _frozen(sources, given.each // _SHOWN, rng),
        "ms": _cost(next(iter(sources.values()))),
    }
    kept = _kept(figures, given.good)
    _show(figures, kept)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if kept else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.pictures", description=__doc__)
    parser.add_argument("--good", type=int, default=5000, help="good frames")
    parser.add_argument("--each", type=int, default=200, help="frames of each kind that shows nothing")
    parser.add_argument("--drawn", type=int, default=90, help="assembled boards to draw, and as many bare ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


# Boards


def _drawn(count: int, seed: int) -> dict[str, list[Image]]:
    schedules = [Schedule(product=2 + each, seed=seed) for each in range(max(1, count // 6))]
    draw = [board_drawer(each, "left", *_SIZE) for each in schedules]
    return {
        "drawn, assembled": [draw[each % len(draw)](each) for each in range(count)],
        "drawn, bare copper": [draw_board(1000 * seed + each, *_SIZE).image for each in range(count)],
    }


def _photographs(root: Path) -> dict[str, list[Image]]:
    found = {}
    for name, pattern in _PHOTOGRAPHS.items():
        paths = sorted(root.glob(pattern))[:1000]
        pictures = (cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths)
        found[name] = [np.asarray(each, np.uint8) for each in pictures if each is not None]
    return {name: pictures for name, pictures in found.items() if pictures}


def _boards(sources: dict[str, list[Image]], count: int) -> Iterator[tuple[str, Image]]:
    """From each source in turn, whichever has more."""
    endless = [zip(cycle([name]), cycle(pictures), strict=False) for name, pictures in sources.items()]
    return islice((next(each) for each in cycle(endless)), count)


# What a station makes of them


def taken(board: Image, rng: np.random.Generator) -> Image:
    """A good frame: light, white balance, focus, place and noise as they differ on a line."""
    gains = rng.uniform(0.6, 1.4) * rng.normal(1, 0.05, 3)
    shift = np.array([(1, 0, rng.uniform(-12, 12)), (0, 1, rng.uniform(-12, 12))])
    seen = cv2.warpAffine(board, shift, board.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    soft = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 0.8))
    return noisy(soft * gains, rng, rng.uniform(1, 5))


def noisy(image: Any, rng: np.random.Generator, sigma: float) -> Image:
    noise = np.roll(_noise(image.shape), rng.integers(image.shape[0] * image.shape[1]) * 3)
    return np.asarray(np.clip(image + np.float32(sigma) * noise, 0, 255), np.uint8)


@cache
def _noise(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def coded(image: Image, rng: np.random.Generator) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
    return bytes(cv2.imencode(".jpg", image, quality)[1])


def dark(board: Image, rng: np.random.Generator) -> bytes:
    return coded(noisy(board * rng.uniform(0, 0.1) + rng.uniform(0, 6), rng, rng.uniform(0, 3)), rng)


def covered(board: Image, rng: np.random.Generator) -> bytes:
    """Something before the lens, far too near to be seen sharp; light comes from somewhere."""
    shades = cv2.resize(rng.uniform(0.4, 1, (3, 4)), board.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return coded(noisy(shades[..., None] * rng.uniform(30, 245, 3), rng, rng.uniform(1, 6)), rng)


def overexposed(board: Image, rng: np.random.Generator) -> bytes:
    return coded(noisy(np.minimum(board * rng.uniform(8, 20), 255), rng, rng.uniform(0, 3)), rng)


def start_up(board: Image, rng: np.random.Generator) -> bytes:
    colour = ((128, 128, 128), (0, 135, 0), (0, 154, 0))[rng.integers(3)]
    return coded(np.full_like(board, colour), rng)


def cut(board: Image, rng: np.random.Generator) -> bytes:
    """Data are lost, and a driver ends the JPEG."""
    jpeg = coded(taken(board, rng), rng)
    header = next(at for marker, at in segments(jpeg) if marker == START_OF_SCAN)
    start = header + int.from_bytes(jpeg[header : header + 2])
    return jpeg[: start + round(rng.uniform(0.02, 0.95) * (len(jpeg) - start))] + END


def made_up(board: Image, rng: np.random.Generator) -> bytes:
    """The same, but decoded and coded again on its way."""
    return coded(np.asarray(cv2.imdecode(np.frombuffer(cut(board, rng), np.uint8), cv2.IMREAD_COLOR), np.uint8), rng)


def repeated(board: Image, rng: np.random.Generator) -> bytes:
    """A driver fills up with the last row that it had."""
    image = taken(board, rng)
    last = rng.integers(8, len(image) - 24)
    image[last:] = image[last]
    return coded(image, rng)


def out_of_focus(board: Image, rng: np.random.Generator, least: float = 9, most: float = 20) -> bytes:
    sigma = rng.uniform(least, most) * max(board.shape) / 640
    return coded(noisy(cv2.GaussianBlur(taken(board, rng), (0, 0), sigma), rng, rng.uniform(1, 4)), rng)


def moved(board: Image, rng: np.random.Generator) -> bytes:
    length = round(rng.uniform(0.03, 0.08) * max(board.shape))
    kernel = (length, 1) if rng.random() < 0.5 else (1, length)
    return coded(noisy(cv2.blur(taken(board, rng), kernel), rng, rng.uniform(1, 4)), rng)


_SOFT = partial(out_of_focus, least=3, most=8)
NOTHING: dict[str, Change] = {
    "black": dark,
    "covered": covered,
    "overexposed": overexposed,
    "start-up": start_up,
    "torn": cut,
    "torn, coded again": made_up,
    "torn, rows repeated": repeated,
    "blurred": out_of_focus,
    "softer than at the set-up": _SOFT,
    "moved, at the set-up": moved,
}


# Measured


def _look(cameras: Cameras, jpeg: bytes, side: str = "left", at: int = 0, **quality: None) -> str | None:
    """The kind of what inference has against it."""
    size = inspect_jpeg(jpeg, max_pixels=10**8)
    identity = {"side": side, "board_id": None, "triggered_at": None, "frame_id": new_id()}
    frame = Frame(**identity, captured_at=at, width=size.width, height=size.height, jpeg=jpeg, **quality)  # type: ignore[arg-type]
    try:
        image: Image | None = decode_jpeg(jpeg)
    except MessageRejected:
        image = None
    flaw = cameras.look(frame, image)
    return flaw and flaw.kind


class SetUp:
    """What inference knows of each board's station: the sharpness of one frame there."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sharpness: dict[int, float] = {}

    def of(self, board: Image) -> Cameras:
        if id(board) not in self._sharpness:
            self._sharpness[id(board)] = sharpness(decode_jpeg(coded(taken(board, self._rng), self._rng)))
        return Cameras({"left": self._sharpness[id(board)]}, lambda side, flaw: None)


def _good(sources: dict[str, list[Image]], count: int, rng: np.random.Generator) -> dict[str, Any]:
    called, set_up = Counter[str](), SetUp(rng)
    for source, board in _boards(sources, count):
        kind = _look(set_up.of(board), coded(taken(board, rng), rng), quality=None)
        called[f"{source}: {kind}"] += kind is not None
    return {"frames": count, "called": called.total(), "as": {each: n for each, n in called.items() if n}}


def _nothing(sources: dict[str, list[Image]], change: Change, count: int, rng: np.random.Generator) -> dict[str, Any]:
    """Without a sharpness of the set-up, but where the kind is measured against it."""
    without, set_up, found = Cameras({}, lambda side, flaw: None), SetUp(rng), Counter[str]()
    if change in {overexposed, repeated}:  # what is black and white anyway stays so, and its rows may be the same
        sources = {name: boards for name, boards in sources.items() if "bare copper" not in name}
    if change is overexposed:  # a microscope's black mask stays black
        sources = {name: [each for each in boards if not _is_masked(each)] for name, boards in sources.items()}
    for source, board in _boards(sources, count):
        cameras = set_up.of(board) if change in {_SOFT, moved} else without
        kind = _look(cameras, change(board, rng), quality=None)
        found[kind or f"good ({source})"] += 1
    return {"frames": count, "good": sum(n for kind, n in found.items() if kind.startswith("good")), "as": dict(found)}


def _is_masked(board: Image) -> bool:
    return bool((board.max(axis=2) < 12).mean() > 0.01)


def _frozen(sources: dict[str, list[Image]], cameras: int, rng: np.random.Generator) -> dict[str, Any]:
    """A stranger's camera that freezes: how many boards, one every 0.7 s, pass it before it is told, and after."""
    before = after = 0
    for _, board in _boards(sources, cameras):
        looking, jpeg, told = Cameras({}, lambda side, flaw: None), coded(taken(board, rng), rng), False
        for number in range(_SHOWN):
            kind = _look(looking, jpeg, at=round(number * 0.7 * NS_PER_S))
            told = told or kind == "frozen"
            before, after = before + (not told), after + (told and kind != "frozen")
    return {"cameras": cameras, "boards": cameras * _SHOWN, "good_before": before, "good_after": after}


def _cost(pictures: Sequence[Image]) -> dict[str, dict[str, float]]:
    large = np.asarray(cv2.resize(pictures[0], (4000, 3000)), np.uint8)
    return {"640x480": _timed(pictures, 500), "4000x3000": _timed([large], 50)}


def _timed(pictures: Sequence[Image], times: int) -> dict[str, float]:
    took = []
    for picture in islice(cycle(pictures), times):
        began = time.perf_counter()
        find_flaw(picture, 0.5)
        took.append((time.perf_counter() - began) * 1e3)
    return {"median": round(median(took), 3), "p95": round(quantiles(took, n=20)[18], 3)}


def _kept(figures: dict[str, Any], good: int) -> bool:
    called = figures["good"]["called"] <= MOST_CALLED * good / 5000
    told = all(each["good"] == 0 for each in figures["nothing"].values()) and not figures["frozen"]["good_after"]
    return bool(called and told)


def _show(figures: dict[str, Any], kept: bool) -> None:
    console, where = Console(), figures["machine"]
    console.print(f"{where['cpu']}, {where['cores']} cores, load {where['load']} before the run")
    console.print("boards: " + ", ".join(f"{count} {name}" for name, count in figures["pictures"].items()))
    table = Table("frames", "n", "wrong", "share, at worst", "as")
    for kind, row in figures["nothing"].items():
        others = ", ".join(f"{name} {count}" for name, count in sorted(row["as"].items()))
        table.add_row(kind, str(row["frames"]), str(row["good"]), _at_worst(row["good"], row["frames"]), others)
    good = figures["good"]
    others = ", ".join(f"{name} {count}" for name, count in good["as"].items())
    table.add_row("good", str(good["frames"]), str(good["called"]), _at_worst(good["called"], good["frames"]), others)
    console.print(table)
    frozen = figures["frozen"]
    console.print(
        f"{frozen['cameras']} strangers' cameras that froze, {frozen['boards']} boards: "
        f"{frozen['good_before']} looked good before it could be told, {frozen['good_after']} after"
    )
    for size, cost in figures["ms"].items():
        console.print(f"{size}: {cost['median']} ms a frame (median), {cost['p95']} ms (95 %)")
    console.print("kept" if kept else "MISSED: 0 of each kind called good, and 2 of 5,000 good ones called something")


def _at_worst(count: int, of: int) -> str:
    return f"{Share(count, of).interval[1]:.2%}"


if __name__ == "__main__":
    sys.exit(main())

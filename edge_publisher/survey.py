"""What a minute of pictures says of a belt: where boards go by, which way, how fast, and how they are told from it.

Pure: pictures and their times in, a finding out. The way is that in which the pictures move (their phase correlation,
Kuglin and Hines 1975); the region is where moving the picture before explains the next one better than leaving it. The
sensitivity is the middle of those by which `Presence` counts the same boards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from edge_publisher.sources.base import Image
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import BoardlineError
from pcb_bus.seeing.health import sharpness
from pcb_bus.seeing.presence import Direction, Pass, Presence, PresenceOptions

LEAST_BOARDS = 3
_EVERY_NS = 60 * NS_PER_MS  # pictures in between are left out
_KEPT_SIDE, _COARSE_SIDE = 640, 160
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92]
_STEP_NS = 200 * NS_PER_MS  # between the two pictures of which the way is measured
_LEAST_SHIFT, _LEAST_RESPONSE, _LEAST_PAIRS = 1.0, 0.05, 6
_AGREED = 0.7  # share of the pairs
_BUSY, _MARGIN, _SNAP = 0.2, 0.04, 0.1
_FILLING = 0.95
_SENSITIVITIES = (0.3, 0.45, 0.67, 1.0, 1.5, 2.25)
_LEAST_LEVEL = 16  # keeps noise in the dark small
Floats = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]


class NothingFound(BoardlineError):
    """The pictures do not show enough; says what, and the way out."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found.

    Args:
        options: region, direction and sensitivity, as `edge.presence` wants them.
        passes: of the boards that went by.
        sharpness: of their pictures, as `pcb_bus.seeing.health` measures it.
        speed: how fast they went, pixels of the pictures as they came, in a second.
        doubt: why the boards may not be told from the belt surely, and the way out; empty: they are.
        example: the sharpest picture of a whole board, no wider or higher than 640 pixels, and where the board is in
            it: left, top, right and lower edge as shares.
    """

    options: PresenceOptions
    passes: tuple[Pass, ...]
    sharpness: float
    speed: float
    doubt: str
    example: tuple[Image, Box]


class Survey:
    """Keeps what it is shown, a few tens of megabytes for a minute."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, bytes]] = []
        self._coarse: list[Floats] = []
        self._size = (0, 0)

    def add(self, picture: Image, captured_at: int) -> bool:
        """A picture, uint8, height x width x 3 (BGR), in the order of their times, ns; whether it was wanted."""
        if self._kept and captured_at - self._kept[-1][0] < _EVERY_NS:
            return False
        self._size = picture.shape[1], picture.shape[0]
        small = _scaled(picture, _KEPT_SIDE)
        self._kept.append((captured_at, cv2.imencode(".jpg", small, _QUALITY)[1].tobytes()))
        grey = cv2.cvtColor(_scaled(small, _COARSE_SIDE), cv2.COLOR_BGR2GRAY)
        self._coarse.append(np.log(grey.astype(np.float32) + _LEAST_LEVEL))
        return True

    def finding(self) -> Finding:
        """What all of it says.

        Raises:
            NothingFound: no board went by, or too few.
        """
        direction, pairs = self._way()
        region = self._region(direction, pairs)
        options, passes, sure = self._sensitivity(region, direction)
        whole = [each for each in passes if _counts(each)]
        if len(whole) < LEAST_BOARDS:
            found = f"only {len(whole)} of {LEAST_BOARDS} boards went by whole" if whole else "no whole board went by"
            raise NothingFound(f"{found}: let more boards go by, or look longer with --minutes")
        sharpnesses = {each: sharpness(self._picture(each.captured_at_ns)) for each in whole}
        best = max(whole, key=lambda each: sharpnesses[each])
        length = self._size[1 if direction in {"down", "up"} else 0]
        return Finding(
            options,
            tuple(passes),
            median(sharpnesses.values()),
            median(each.speed for each in whole) * length,
            _doubt(whole, sure=sure),
            (self._picture(best.captured_at_ns), best.outline or (0.0, 0.0, 1.0, 1.0)),
        )

    # Which way

    def _way(self) -> tuple[Direction, list[tuple[int, int, int]]]:
        """And the pairs of pictures that say so, with the distance between them along the belt, coarse pixels."""
        shifts = list(self._shifts())
        across, down = (np.array([shift[axis] for _, _, shift in shifts]) for axis in (0, 1))
        if len(shifts) < _LEAST_PAIRS:
            raise NothingFound(
                "nothing moved: let the belt run with boards on it, and see that the camera looks at it and has light"
            )
        upright = float(np.abs(down).sum()) > float(np.abs(across).sum())
        along, other = (down, across) if upright else (across, down)
        forwards = float(along.sum()) > 0
        agree = (np.sign(along) == (1 if forwards else -1)) & (np.abs(along) > 2 * np.abs(other))
        if agree.mean() < _AGREED or agree.sum() < _LEAST_PAIRS:
            raise NothingFound(
                "what moves goes every way: keep hands away, fix the camera, and let boards go by one way only"
            )
        direction: Direction = ("down" if forwards else "up") if upright else ("right" if forwards else "left")
        pairs = [
            (one, other, round(float(along[number]))) for number, (one, other, _) in enumerate(shifts) if agree[number]
        ]
        return direction, pairs

    def _shifts(self) -> Iterator[tuple[int, int, tuple[float, float]]]:
        """Of pairs of pictures that are not the same: which, and how far the second has moved, coarse pixels."""
        if len(self._coarse) < 2:
            return
        still = np.mean(self._coarse, axis=0, dtype=np.float32)
        window = cv2.createHanningWindow(still.shape[::-1], cv2.CV_32F)
        later = 0
        for now, (at, _) in enumerate(self._kept):
            while later < len(self._kept) and self._kept[later][0] - at < _STEP_NS:
                later += 1
            if later == len(self._kept):
                return
            shift, response = cv2.phaseCorrelate(self._coarse[now] - still, self._coarse[later] - still, window)
            if response >= _LEAST_RESPONSE and max(map(abs, shift)) >= _LEAST_SHIFT:
                yield now, later, (float(shift[0]), float(shift[1]))

    # Where

    def _region(self, direction: Direction, pairs: Sequence[tuple[int, int, int]]) -> Box:
        upright = direction in {"down", "up"}
        turned = [each.T if upright else each for each in self._coarse]  # the belt runs along the rows
        moves, times = np.zeros_like(turned[0]), np.full_like(turned[0], 1e-6)
        for one, other, shift in pairs:
            before, after = turned[one], turned[other]
            to, come = slice(max(0, shift), shift if shift < 0 else None), slice(max(0, -shift), -max(0, shift) or None)
            moved, left_alone = cv2.absdiff(after[:, to], before[:, come]), cv2.absdiff(after, before)
            for place in (to, come):  # where it is now, and where it was
                moves[:, place] += left_alone[:, place] - moved
                times[:, place] += 1
        share = cv2.blur(np.maximum(moves / times, 0).astype(np.float32), (3, 3))
        (top, bottom), (left, right) = _span(share.mean(axis=1)), _span(share.mean(axis=0))
        box = (left, top, right - left, bottom - top)
        return _rounded((box[1], box[0], box[3], box[2]) if upright else box)

    # How sensitive

    def _sensitivity(self, region: Box, direction: Direction) -> tuple[PresenceOptions, list[Pass], bool]:
        """The middle of the longest row of sensitivities that count the same boards."""
        tried = [
            PresenceOptions(region=region, direction=direction, sensitivity=each, singles=False)
            for each in _SENSITIVITIES
        ]
        looking, passes = [Presence(each) for each in tried], [list[Pass]() for _ in tried]
        for at, jpeg in self._kept:
            picture = _decoded(jpeg)
            for presence, found in zip(looking, passes, strict=True):
                one = presence.see(picture, at)
                while one is not None:
                    found.append(one)
                    one = presence.due(at)
        counts = [sum(map(_counts, each)) for each in passes]
        begin, end = _plateau(counts)
        chosen = _USUAL if begin < _USUAL < end - 1 else (begin + end - 1) // 2
        options = PresenceOptions(region=region, direction=direction, sensitivity=_SENSITIVITIES[chosen])
        return options, passes[chosen], end - begin > 1

    def _picture(self, at: int) -> Image:
        return _decoded(next(jpeg for captured_at, jpeg in self._kept if captured_at == at))


_USUAL = _SENSITIVITIES.index(1.0)


def annotated(finding: Finding) -> Image:
    """The example with the region, the way and the board's outline drawn into it."""
    image, outline = finding.example
    drawn = image.copy()
    height, width = drawn.shape[:2]
    left, top, wide, high = finding.options.region or (0.0, 0.0, 1.0, 1.0)

    def pixel(x: float, y: float) -> tuple[int, int]:
        return min(width - 1, round(x * width)), min(height - 1, round(y * height))

    cv2.rectangle(drawn, pixel(left, top), pixel(left + wide, top + high), (0, 220, 255), 2)
    cv2.rectangle(drawn, pixel(*outline[:2]), pixel(*outline[2:]), (255, 160, 0), 2)
    way = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}[finding.options.direction or "right"]
    x, y = left + wide / 2, top + high / 2
    reach = (0.2 * wide * way[0], 0.2 * high * way[1])
    cv2.arrowedLine(drawn, pixel(x - reach[0], y - reach[1]), pixel(x + reach[0], y + reach[1]), (60, 60, 255), 4)
    told = f"{len(finding.passes)} boards, {finding.speed:.0f} pixels a second"
    cv2.rectangle(drawn, (0, height - 26), (width, height), (0, 0, 0), cv2.FILLED)
    cv2.putText(drawn, told, (8, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def _counts(one: Pass) -> bool:
    """A board that is longer than the view is never whole."""
    return one.whole or _fills(one)


def _fills(one: Pass) -> bool:
    left, top, right, bottom = one.outline or (0.0, 0.0, 0.0, 0.0)
    return max(right - left, bottom - top) >= _FILLING


def _doubt(passes: Sequence[Pass], *, sure: bool) -> str:
    if 2 * sum(map(_fills, passes)) > len(passes):
        return (
            "what goes by fills the view: if boards are longer, move the camera away, else none is judged whole; "
            "if they are smaller, the belt looks like them: take a plainer one"
        )
    if not sure:
        return "no other sensitivity counts the same boards: more light or a plainer belt makes it sure"
    return ""


def _plateau(counts: Sequence[int]) -> tuple[int, int]:
    """First and last place (exclusive) of the longest row of equal counts of enough boards; of two, that of more."""
    ends = [0, *(at for at in range(1, len(counts)) if counts[at] != counts[at - 1]), len(counts)]
    return max(pairwise(ends), key=lambda row: (counts[row[0]] >= LEAST_BOARDS, row[1] - row[0], counts[row[0]]))


def _span(profile: Floats) -> tuple[float, float]:
    """Where it is busy, as shares, with a margin; to the edge where that is near."""
    busy = np.flatnonzero(profile > _BUSY * np.quantile(profile, 0.95))
    if not busy.size:
        return 0.0, 1.0
    begin, end = busy[0] / len(profile) - _MARGIN, (busy[-1] + 1) / len(profile) + _MARGIN
    return (0.0 if begin < _SNAP else float(begin)), (1.0 if end > 1 - _SNAP else float(end))


def _rounded(box: Box) -> Box:
    left, top, width, height = (round(each, 3) for each in box)
    return left, top, min(width, round(1 - left, 3)), min(height, round(1 - top, 3))


def _scaled(image: Image, side: int) -> Image:
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)

"""Does the database say what was sent? Each row against its verdict, statistics against rows, pictures against files.

Pure, and written apart from the recorder: a mistake of its own must not be repeated here.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from pcb_bus.contract.messages import Verdict
from pcb_bus.contract.times import NS_PER_MS

Row = Mapping[str, Any]
Versions = Mapping[str, Collection[Verdict]]
"""By id, the verdicts that were heard; the recorder keeps one of them."""
NO_VERDICT = "missing"


@dataclass(frozen=True, slots=True)
class Picture:
    """A row of `defect_images`."""

    verdict_id: str
    camera_id: str
    kind: str
    state: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What one line has in the database, read at one moment. Rows are by the names of their columns."""

    inspections: tuple[Row, ...] = ()
    sides: tuple[Row, ...] = ()
    defects: tuple[Row, ...] = ()
    board_statistics: tuple[Row, ...] = ()
    defect_statistics: tuple[Row, ...] = ()
    pictures: tuple[Picture, ...] = ()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


def spoiled(contents: Contents, heard: Versions, read_file: Callable[[str], bytes | None]) -> list[str]:
    """One line for each row that is not what its verdict says, each wrong statistic, and each picture without its file.

    Args:
        read_file: what stands in the store of pictures at a path.
    """
    return [
        *_wrong_rows(contents, heard),
        *_wrong_boards(contents),
        *_wrong_defects(contents),
        *_wrong_files(contents.pictures, read_file),
    ]


def without_pictures(pictures: Iterable[Picture], heard: Versions, ours: Collection[str]) -> list[str]:
    """Boards that were not normal, and of which a side that was seen has no picture in the store.

    Args:
        ours: ids of the verdicts that the line itself gave: what a fault made up has no pictures.
    """
    stored = {(each.verdict_id, each.camera_id) for each in pictures if each.kind == "frame" and each.state == "stored"}
    return [
        f"{verdict.board_id}: no picture of its {side} side"
        for key in sorted(heard.keys() & set(ours))
        for verdict in list(heard[key])[:1]
        if verdict.category != "normal"
        for side, seen in verdict.sides.items()
        if seen is not None and (key, side) not in stored
    ]


def _wrong_rows(contents: Contents, heard: Versions) -> Iterator[str]:
    sides, defects = _by_inspection(contents.sides), _by_inspection(contents.defects)
    for row in contents.inspections:
        versions = heard.get(row["verdict_id"], ())
        if not versions or row["status"] == NO_VERDICT:
            continue
        found = {**_of_row(row), "sides": _side_set(sides[row["id"]]), "defects": _boxes(defects[row["id"]])}
        differences = [_difference(found, _of_verdict(each, contents.zone)) for each in versions]
        if all(differences):
            yield f"{row['board_id']}: its row is not what its verdict says: {min(differences, key=len)}"


def _by_inspection(rows: Iterable[Row]) -> Mapping[int, list[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["inspection_id"]].append(row)
    return found


def _of_row(row: Row) -> dict[str, Any]:
    names = ("board_id", "serial", "product", "defect_type", "category", "confidence", "status", "gpio_pin")
    more = ("gpio_duration_ms", "latency_ms", "model", "model_sha256")
    return {
        **{name: row[name] for name in (*names, *more)},
        "captured_at": row["captured_at"],
        "judged_at": row["judged_at"],
        "inspection_time": row["inspection_time"],
        "local_date": row["local_date"],
        "boxes": _boxes({**box, "class_name": box["class"]} for box in json.loads(row["boxes"])),
    }


def _of_verdict(verdict: Verdict, zone: ZoneInfo) -> dict[str, Any]:
    signal, captured = verdict.gpio_signal, _moment(verdict.captured_at)
    local = captured.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    seen = [side for side in verdict.sides.values() if side is not None]
    boxes = [{"camera_id": side.camera_id, **box.model_dump()} for side in seen for box in side.boxes]
    return {
        "board_id": verdict.board_id,
        "serial": verdict.serial,
        "product": verdict.product,
        "defect_type": verdict.final_defect_type,
        "category": verdict.category,
        "confidence": verdict.confidence,
        "status": verdict.status,
        "gpio_pin": signal.pin if signal else None,
        "gpio_duration_ms": signal.duration_ms if signal else None,
        "latency_ms": verdict.latency_ms,
        "model": verdict.model.name,
        "model_sha256": verdict.model.sha256,
        "captured_at": captured,
        "judged_at": _moment(verdict.judged_at),
        "inspection_time": local,
        "local_date": local.date(),
        "boxes": _boxes(boxes),
        "sides": _side_set(side.model_dump() for side in seen),
        "defects": _boxes(boxes),
    }


def _side_set(sides: Iterable[Row]) -> frozenset[tuple[Any, ...]]:
    return frozenset((s["camera_id"], s["frame_id"], s["category"], s["defect_type"], s["confidence"]) for s in sides)


def _boxes(boxes: Iterable[Row]) -> Counter[tuple[Any, ...]]:
    names = ("camera_id", "class_name", "x1", "y1", "x2", "y2", "confidence")
    return Counter(tuple(box[name] for name in names) for box in boxes)


def _moment(ns: int) -> datetime:
    """UTC, cut to milliseconds, without a zone, as a driver reads it."""
    ms = ns // NS_PER_MS
    return datetime.fromtimestamp(ms // 1000, UTC).replace(tzinfo=None, microsecond=ms % 1000 * 1000)


def _difference(found: Row, expected: Row) -> str:
    return "; ".join(
        f"{name} is {found[name]}, not {expected[name]}" for name in expected if not _same(found[name], expected[name])
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def _hour(row: Row) -> datetime:
    moment: datetime = row["inspection_time"]
    return moment.replace(minute=0, second=0, microsecond=0)


def _wrong_boards(contents: Contents) -> Iterator[str]:
    boards: Counter[tuple[datetime, str]] = Counter()
    incomplete: Counter[tuple[datetime, str]] = Counter()
    for row in contents.inspections:
        boards[_hour(row), row["category"]] += 1
        incomplete[_hour(row), row["category"]] += row["status"] == "incomplete"
    said = {
        (row["begins_at"], row["category"]): (row["boards"], row["incomplete"]) for row in contents.board_statistics
    }
    for key in sorted(boards.keys() | said.keys()):
        counted = boards[key], incomplete[key]
        if said.get(key, (0, 0)) != counted:
            yield f"statistics of {key[0]:%Y-%m-%d %H} h, {key[1]}: {said.get(key)}, counted {counted}"


def _wrong_defects(contents: Contents) -> Iterator[str]:
    boxes: Counter[tuple[Any, ...]] = Counter(
        (_hour(row), row["camera_id"], row["class_name"]) for row in contents.defects
    )
    said = {(row["begins_at"], row["camera_id"], row["class_name"]): row["boxes"] for row in contents.defect_statistics}
    for key in sorted(boxes.keys() | said.keys()):
        if said.get(key, 0) != boxes[key]:
            of = f"statistics of {key[0]:%Y-%m-%d %H} h, {key[1]} {key[2]}"
            yield f"{of}: {said.get(key)} boxes, counted {boxes[key]}"


def _wrong_files(pictures: Iterable[Picture], read_file: Callable[[str], bytes | None]) -> Iterator[str]:
    for each in pictures:
        if each.state != "stored":
            continue
        data = read_file(each.path)
        if data is None or sha256(data).hexdigest() != each.sha256:
            what = "is not in the store" if data is None else "is another in the store"
            yield f"picture {each.kind} of the {each.camera_id} side of {each.verdict_id} {what}: {each.path}"

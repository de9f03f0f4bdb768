"""Which layout a folder has, and its content."""

from __future__ import annotations

from pathlib import Path

from training.datasets.errors import DatasetError
from training.datasets.layouts.coco import is_coco, read_coco
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS, is_deeppcb, read_deeppcb
from training.datasets.layouts.voc import is_voc, read_voc
from training.datasets.layouts.yolo import is_yolo, read_yolo
from training.datasets.records import Source

AUTO = "auto"
_TESTS = {"deeppcb": is_deeppcb, "yolo": is_yolo, "coco": is_coco, "voc": is_voc}
LAYOUTS = (AUTO, *_TESTS)


def detect(root: Path) -> str:
    """The layout of a folder. Raises DatasetError when it has none of them, or more than one."""
    if not root.exists():
        raise DatasetError(f"{root}: no such folder")
    found = [layout for layout, is_laid_out in _TESTS.items() if is_laid_out(root)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DatasetError(f"{root} can be read as {' and as '.join(found)}; say which with --format")
    raise DatasetError(
        f"{root}: no layout recognised; looked for PCBData/trainval.txt (deeppcb), data.yaml (yolo), "
        "a JSON file of instances (coco), XML annotations (voc)"
    )


def read_source(
    root: Path,
    layout: str = AUTO,
    images: Path | None = None,
    held_out_groups: frozenset[str] = HELD_OUT_GROUPS,
) -> Source:
    """All that a folder holds, in whichever layout. Raises DatasetError."""
    chosen = detect(root) if layout == AUTO else layout
    if not root.exists():
        raise DatasetError(f"{root}: no such folder")
    if chosen == "deeppcb":
        return read_deeppcb(root, held_out_groups)
    if chosen == "coco":
        return read_coco(root, images)
    if chosen == "voc":
        return read_voc(root)
    if chosen == "yolo":
        return read_yolo(root)
    raise DatasetError(f"--format {layout}: none of {', '.join(LAYOUTS)}")

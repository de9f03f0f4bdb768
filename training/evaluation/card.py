"""The model card: `card.json` for programs, `README.md` for people, both from the same figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.datasets.layouts.deeppcb import CLASS_NAMES
from training.evaluation.evaluate import Report
from training.evaluation.measure import Figures, MeasureSettings

Card = dict[str, Any]

_TEMPLATE = """# {name}

Finds the six defects of bare copper boards, seen as black copper on white laminate.
{architecture}; {license}.

{file_table}

Classes, in the order of their indices: {class_list}.
Input `images`: float32 from 0 to 1, batch x 3 x height x width, sides multiples of 32, the board at native scale.
Output: batch x {rows} x anchors: box centre and size in pixels, then a score for each class.

## Figures
Measured on the ONNX file and whole images; AP as COCO counts it, recall and precision at confidence {confidence}
and IoU 0.5. `{evaluate}` measures them again.

### Real boards, held out
{held_out_table}

### Drawn boards, 640x480, slight noise, JPEG quality 85
{drawn_table}

### Boards without a defect
False calls at confidence {confidence}: {clean_templates} held-out DeepPCB templates, {clean_drawn} drawn boards.

## Data and training
Trained on {train_data}.
Held out: {held_out_data}.

`{train}`, then `{export}`: {crops:,} crops of 320x320 pixels in {minutes} minutes on {machine}.
{notes}

## Limits
Photographs that are not binarised, solder mask, silkscreen, parts and other scales lie outside of what it was trained
on. It sees each side alone, without a reference board.
"""


@dataclass(frozen=True)
class RunRecord:
    """What a training run left behind about itself."""

    crops: int
    minutes: float
    held_out_groups: frozenset[str]


def read_run(folder: Path, held_out_groups: frozenset[str]) -> RunRecord:
    """The record of a run. Raises FileNotFoundError when the folder holds no run."""
    last = json.loads((folder / "rounds.jsonl").read_text().splitlines()[-1])
    return RunRecord(last["seen"], last["seconds"] / 60, held_out_groups)


def starter_card(figures: Figures, run: RunRecord, files: Sequence[Path], machine: str, notes: str) -> Card:
    """The card of a detector trained on DeepPCB and drawn boards."""
    groups = sorted(run.held_out_groups)
    return {
        "name": files[0].stem,
        "classes": list(CLASS_NAMES),
        "architecture": "YOLOv8n (Ultralytics), trained from scratch",
        "license": "AGPL-3.0-or-later",
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files},
        "data": {
            "train_data": "DeepPCB (Tang et al. 2019) without the groups held out, its defect-free templates with "
            "defects painted in, and boards drawn by simulator/bare_board.py",
            "held_out_groups": groups,
            "held_out_data": f"DeepPCB {', '.join(groups)}: whole groups, for neighbouring images overlap in content",
        },
        "training": {"crops": run.crops, "minutes": round(run.minutes, 1), "machine": machine, "notes": notes},
        "commands": {"train": "make train", "export": "python -m training export", "evaluate": "make evaluate"},
        "confidence": MeasureSettings().confidence,
        "figures": figures.as_dict(),
    }


def write_card(folder: Path, card: Card) -> None:
    """Write both forms of the card into the model's folder."""
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(render(card))


def read_card(folder: Path) -> Card:
    """The card of a model. Raises FileNotFoundError when the folder has none."""
    card: Card = json.loads((folder / "card.json").read_text())
    return card


def deviation(card: Card, held_out: Report) -> float:
    """How far the held-out mAP50 just measured lies from the one that the card claims."""
    return abs(float(card["figures"]["held_out_deeppcb"]["map50"]) - held_out.map50)


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def render(card: Card) -> str:
    """The card as Markdown."""
    clean = card["figures"]["false_calls_on_clean_boards"]
    return _TEMPLATE.format_map(
        card
        | card["training"]
        | card["commands"]
        | card["data"]
        | {
            "file_table": _file_table(card),
            "class_list": ", ".join(f"`{name}`" for name in card["classes"]),
            "rows": 4 + len(card["classes"]),
            "held_out_table": _score_table(card["figures"]["held_out_deeppcb"]),
            "drawn_table": _score_table(card["figures"]["drawn_boards"]),
            "clean_templates": _calls(clean["held_out_templates"]),
            "clean_drawn": _calls(clean["drawn"]),
        }
    )


def _calls(clean: dict[str, int]) -> str:
    return f"{clean['calls']} on {clean['boards']}"


def _file_table(card: Card) -> str:
    rows = (f"| `{name}` | {file['bytes']:,} | `{file['sha256']}` |" for name, file in card["files"].items())
    return "\n".join(["| file | bytes | sha256 |", "|---|---|---|", *rows])


def _score_table(report: dict[str, Any]) -> str:
    columns = ("truths", "ap50", "ap50_95", "recall", "precision")
    rows = (
        f"| {name} | " + " | ".join(str(score[c]) for c in columns) + " |" for name, score in report["classes"].items()
    )
    mean = f"| **all** | | **{report['map50']}** | **{report['map50_95']}** | | |"
    head = ["| class | defects | AP50 | AP50-95 | recall | precision |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows, mean])

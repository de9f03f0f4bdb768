"""What a virtual line learns of its product: once for a model, product and picture size, and whole or not at all."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tiny_network import write_tiny_network

from inference_subscriber.anomaly.file import load
from pcb_bus.errors import ConfigError
from simulator.lessons import LessonOptions, NotTaught, _keep, learn, lesson_for
from simulator.schedule import Schedule

SIDES = ("left", "right")
SMALL = {"width": 480, "height": 360}
LEAST = 20  # boards that a fit takes


def config(folder: Path, model: Path | None = None, **edge: Any) -> Path:
    path = folder / "line.yaml"
    model = model or write_tiny_network(folder / "tiny.onnx")
    path.write_text(yaml.safe_dump({"edge": SMALL | edge, "inference": {"model": str(model)}}), encoding="utf-8")
    return path


def test_good_boards_are_learned_once(tmp_path: Path) -> None:
    options = LessonOptions(tmp_path / "lessons", LEAST)
    lesson = lesson_for(config(tmp_path), Schedule(product=3), SIDES, options)
    assert not lesson.known(SIDES)
    learn(lesson, SIDES, threading.Event())
    assert lesson_for(config(tmp_path), Schedule(seed=99, product=3), SIDES, options).known(SIDES)
    assert [each.name for each in options.root.iterdir()] == [lesson.folder.name]
    settings = lesson.settings(SIDES)["inference"]
    for side in SIDES:
        subject = load(Path(settings["anomaly"][side])).subject
        assert (subject.product, subject.side) == (settings["product"], side)
        assert (subject.width, subject.height) == (480, 360)


def test_a_side_whose_file_is_gone_is_kept_again(tmp_path: Path) -> None:
    learned, folder = tmp_path / "learned", tmp_path / "product-1"
    for path in (folder / "left.npz", learned / "left.npz", learned / "right.npz"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    _keep(learned, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["left.npz", "right.npz"]


def test_another_model_product_size_or_rate_is_another_lesson(tmp_path: Path) -> None:
    options, other = LessonOptions(tmp_path), tmp_path / "other.onnx"
    other.write_bytes(b"other weights")
    folders = {
        lesson_for(config(tmp_path), Schedule(), SIDES, options).folder,
        lesson_for(config(tmp_path), Schedule(product=2), SIDES, options).folder,
        lesson_for(config(tmp_path, other), Schedule(), SIDES, options).folder,
        lesson_for(config(tmp_path, width=500), Schedule(), SIDES, options).folder,
        lesson_for(config(tmp_path), Schedule(), SIDES, LessonOptions(tmp_path, false_call_rate=0.01)).folder,
    }
    assert len(folders) == 5


def test_the_environment_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCB_INFERENCE__MODEL", str(tmp_path / "none.onnx"))
    with pytest.raises(NotTaught, match=r"none\.onnx: No such file"):
        lesson_for(config(tmp_path), Schedule(), SIDES, LessonOptions(tmp_path))


def test_a_model_that_cannot_be_learned_with_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    broken, options = tmp_path / "broken.onnx", LessonOptions(tmp_path / "lessons", LEAST)
    broken.write_bytes(b"no network")
    lesson = lesson_for(config(tmp_path, broken), Schedule(), ("left",), options)
    with pytest.raises(NotTaught, match="fit-anomaly") as refused:
        learn(lesson, ("left",), threading.Event())
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert list(options.root.iterdir()) == []


def test_the_end_of_a_run_does_not_wait_for_the_lesson(tmp_path: Path) -> None:
    stop, options = threading.Event(), LessonOptions(tmp_path / "lessons", 100_000)
    stop.set()
    with pytest.raises(NotTaught):
        learn(lesson_for(config(tmp_path), Schedule(), SIDES, options), SIDES, stop)
    assert list(options.root.iterdir()) == []


def test_pictures_too_small_are_no_lesson(tmp_path: Path) -> None:
    with pytest.raises(NotTaught, match="480x360"):
        lesson_for(config(tmp_path, width=320), Schedule(), SIDES, LessonOptions(tmp_path))


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"edge\.width"):
        lesson_for(config(tmp_path, width="wide"), Schedule(), SIDES, LessonOptions(tmp_path))


def test_learning_needs_none_of_the_training_packages() -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx', 'ultralytics', 'torchvision')))\n"
        "sys.argv = ['training', 'fit-anomaly', '--help']\n"
        "runpy.run_module('training', run_name='__main__')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr

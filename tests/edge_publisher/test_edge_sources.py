"""Sources, on real files."""

import threading
from dataclasses import replace
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from support.hand_fed import jpeg_of

from edge_publisher.sources import CameraGone, CaptureRequest, Picture, Source, open_source
from edge_publisher.sources.capture import Capture, Device, open_device
from edge_publisher.sources.mjpeg import whole_jpeg
from edge_publisher.sources.opening import DRIVERS, find_source
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError

FAST = CaptureRequest(fps=200)


def write_image(path: Path, shade: int, width: int = 40, height: int = 30) -> None:
    assert cv2.imwrite(str(path), np.full((height, width, 3), shade, np.uint8))


def write_video(path: Path, codec: str, shades: list[int], fps: float = 100) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for shade in shades:
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()


def shade_of(picture: Picture) -> int:
    image = picture.image
    if image is None:
        assert picture.jpeg is not None
        decoded = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        image = decoded.astype(np.uint8)
    assert image.shape == (picture.height, picture.width, 3)
    return round(float(image.mean()) / 10) * 10


def shades(source: Source, count: int) -> list[int]:
    try:
        return [shade_of(source.read()) for _ in range(count)]
    finally:
        source.close()


class TestFolder:
    def test_images_come_by_name_again_and_again(self, tmp_path: Path) -> None:
        for name, shade in (("b.png", 50), ("a.jpg", 20), ("c.bmp", 90)):
            write_image(tmp_path / name, shade)
        (tmp_path / "notes.txt").write_text("not an image")
        assert shades(open_source(str(tmp_path), FAST), 7) == [20, 50, 90, 20, 50, 90, 20]

    def test_templates_are_left_out_beside_tests(self, tmp_path: Path) -> None:
        write_image(tmp_path / "1_temp.png", 200)
        write_image(tmp_path / "1_test.png", 50)
        assert shades(open_source(str(tmp_path), FAST), 2) == [50, 50]

    def test_templates_alone_are_shown(self, tmp_path: Path) -> None:
        write_image(tmp_path / "1_temp.png", 200)
        assert shades(open_source(str(tmp_path), FAST), 1) == [200]

    def test_own_size_and_jpeg_bytes_are_kept(self, tmp_path: Path) -> None:
        jpeg = jpeg_of(123, 77)
        (tmp_path / "board.jpg").write_bytes(jpeg)
        before = now_ns()
        picture = open_source(str(tmp_path), FAST).read()
        assert (picture.width, picture.height, picture.jpeg, picture.image) == (123, 77, jpeg, None)
        assert before <= picture.captured_at <= now_ns()

    def test_a_turned_photograph_is_turned(self, tmp_path: Path) -> None:
        tag = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + bytes(4)  # orientation 6
        body = b"Exif\0\0" + tag
        jpeg = jpeg_of(60, 30)
        (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body + jpeg[2:])
        picture = open_source(str(tmp_path), FAST).read()
        assert (picture.width, picture.height) == (30, 60)

    def test_what_stands_behind_a_jpeg_makes_it_a_picture_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(jpeg_of(64, 48) + b"a note of the microscope")
        picture = open_source(str(tmp_path), FAST).read()
        assert (picture.width, picture.height, picture.jpeg) == (64, 48, None)

    def test_broken_images_are_skipped_and_named_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        write_image(tmp_path / "good.png", 50)
        (tmp_path / "cut.jpg").write_bytes(jpeg_of(64, 48)[:30])
        (tmp_path / "empty.jpg").write_bytes(b"")
        assert shades(open_source(str(tmp_path), FAST), 3) == [50, 50, 50]
        assert sorted(record.message.split(":")[0] for record in caplog.records) == [
            "skipping cut.jpg",
            "skipping empty.jpg",
        ]

    def test_nothing_but_broken_images_is_a_dead_camera(self, tmp_path: Path) -> None:
        (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8 and no more")
        source = open_source(str(tmp_path), FAST)
        with pytest.raises(CameraGone, match="none of"):
            source.read()

    def test_a_folder_that_vanished_is_a_dead_camera(self, tmp_path: Path) -> None:
        folder = tmp_path / "images"
        folder.mkdir()
        write_image(folder / "a.png", 50)
        opener = find_source(str(folder), FAST)
        (folder / "a.png").unlink()
        with pytest.raises(CameraGone, match="no images"):
            opener()
        folder.rmdir()
        with pytest.raises(CameraGone, match="No such file"):
            opener()

    def test_it_keeps_the_rate(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", 50)
        source = open_source(str(tmp_path), CaptureRequest(fps=50))
        times = [source.read().captured_at for _ in range(6)]
        assert all(later - earlier >= 0.4 * NS_PER_S / 50 for earlier, later in pairwise(times))
        assert times[-1] - times[0] >= 0.9 * 5 * NS_PER_S / 50

    def test_closing_ends_a_read_that_waits(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", 50)
        source = open_source(str(tmp_path), CaptureRequest(fps=0.01))
        source.read()
        threading.Timer(0.05, source.close).start()
        with pytest.raises(CameraGone):
            source.read()


class TestVideo:
    def test_it_plays_in_a_loop(self, tmp_path: Path) -> None:
        write_video(tmp_path / "belt.mp4", "mp4v", [30, 120, 220])
        assert shades(open_source(str(tmp_path / "belt.mp4"), FAST), 5) == [30, 120, 220, 30, 120]

    def test_motion_jpeg_passes_through_undecoded(self, tmp_path: Path) -> None:
        write_video(tmp_path / "belt.avi", "MJPG", [30, 120])
        source = open_source(str(tmp_path / "belt.avi"), FAST)
        pictures = [source.read() for _ in range(3)]
        source.close()
        assert [picture.image for picture in pictures] == [None] * 3
        assert [shade_of(picture) for picture in pictures] == [30, 120, 30]

    def test_its_own_rate_holds(self, tmp_path: Path) -> None:
        write_video(tmp_path / "belt.avi", "MJPG", [30, 120, 220], fps=20)
        source = open_source(str(tmp_path / "belt.avi"), FAST)
        times = [source.read().captured_at for _ in range(5)]
        source.close()
        assert times[-1] - times[1] >= 0.9 * 3 * NS_PER_S / 20

    def test_a_file_that_is_no_video_is_a_dead_camera(self, tmp_path: Path) -> None:
        (tmp_path / "belt.avi").write_bytes(b"RIFF nothing")
        with pytest.raises(CameraGone, match="cannot be opened"):
            open_source(str(tmp_path / "belt.avi"), FAST)


class TestCamera:
    """The paths of a camera, through a file: this machine has none."""

    @pytest.fixture
    def device(self, tmp_path: Path) -> Device:
        write_video(tmp_path / "camera.avi", "MJPG", [30, 120])
        return Device(str(tmp_path / "camera.avi"), cv2.CAP_FFMPEG)

    def test_raw_buffers_are_whole_jpegs(self, device: Device) -> None:
        picture = open_device(device).read()
        assert picture.jpeg is not None
        assert picture.jpeg.startswith(b"\xff\xd8")
        assert picture.jpeg.endswith(b"\xff\xd9")
        assert (picture.width, picture.height, shade_of(picture)) == (64, 48, 30)

    def test_decodes_where_raw_buffers_are_no_jpegs(self, device: Device) -> None:
        # Without conversion, this back end gives the luma plane: as little a JPEG as YUYV would be.
        awkward = Device(device.target, device.api, raw=(cv2.CAP_PROP_CONVERT_RGB, 0.0))
        picture = open_device(awkward).read()
        assert picture.jpeg is None
        assert shade_of(picture) == 30

    def test_the_end_of_pictures_is_a_dead_camera(self, device: Device) -> None:
        capture = open_device(device)
        capture.read()
        capture.read()
        with pytest.raises(CameraGone, match="no more pictures"):
            capture.read()

    def test_a_camera_that_never_gave_a_picture_tells_why(self, device: Device) -> None:
        dead = cv2.VideoCapture()
        with pytest.raises(CameraGone, match="camera: another program has it"):
            Capture(dead, replace(device, why=lambda: "another program has it"), raw=False).read()

    def test_a_closed_camera_gives_nothing(self, device: Device) -> None:
        capture = open_device(device)
        capture.close()
        capture.close()
        capture.read()  # the one that was read ahead
        with pytest.raises(CameraGone):
            capture.read()

    def test_closing_does_not_pull_the_device_from_under_a_read(self, device: Device) -> None:
        reading, go_on = threading.Event(), threading.Event()

        class Slow:
            def __init__(self) -> None:
                self.device = cv2.VideoCapture(device.target, device.api)
                self.release = self.device.release

            def read(self) -> tuple[bool, object]:
                reading.set()
                go_on.wait(10)
                return self.device.read()

        slow = Slow()
        capture = Capture(cast(cv2.VideoCapture, slow), device, raw=False)
        gone: list[Exception] = []

        def read() -> None:
            try:
                capture.read()
            except CameraGone as error:
                gone.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        assert reading.wait(10)
        capture.close()
        assert slow.device.isOpened()
        go_on.set()
        reader.join(10)
        assert not slow.device.isOpened()


class TestMjpegBuffer:
    JPEG = jpeg_of(64, 48)

    def test_what_a_driver_leaves_behind_the_picture_is_cut_off(self) -> None:
        assert whole_jpeg(self.JPEG + b"\0" * 100) == self.JPEG
        assert whole_jpeg(self.JPEG + b"old bytes \xff\xd9") == self.JPEG

    @pytest.mark.parametrize("cut", [0, 1, 2, 3, 20, 200, -1])
    def test_a_cut_picture_is_none(self, cut: int) -> None:
        assert whole_jpeg(self.JPEG[:cut]) is None

    def test_one_without_huffman_tables_is_left_to_the_decoder(self) -> None:
        at = self.JPEG.index(b"\xff\xc4")
        end = self.JPEG.index(b"\xff\xda")
        assert whole_jpeg(self.JPEG[:at] + self.JPEG[end:]) is None

    @pytest.mark.parametrize("buffer", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\0" * 9, b"YUYV" * 100, b"\xff\xd8" * 50])
    def test_nonsense_is_none(self, buffer: bytes) -> None:
        assert whole_jpeg(buffer) is None


class TestConfiguration:
    def test_the_simulator_is_found_by_its_scheme(self) -> None:
        assert "sim" in {driver.name for driver in entry_points(group=DRIVERS)}

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ("gopher://camera", ["edge.source", "'gopher'", "rtsp://", "sim://"]),
            ("no/such/folder", ["edge.source", "'no/such/folder'", "sim://"]),
            ("gopher://me:secret@camera", ["//me:***@camera"]),
        ],
    )
    def test_what_can_never_work_is_one_clear_line(self, spec: str, words: list[str]) -> None:
        with pytest.raises(ConfigError) as caught:
            open_source(spec, CaptureRequest())
        assert all(word in str(caught.value) for word in words)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_folder_without_images_is_misconfigured(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"edge\.source: the folder .* has no images in it"):
            open_source(str(tmp_path), CaptureRequest())

    def test_a_picture_needs_pixels_or_a_jpeg(self) -> None:
        with pytest.raises(ValueError, match="image"):
            Picture(0, 4, 4)

"""Sources, on real files."""

import sys
import threading
import time
from dataclasses import replace
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, cast

import cv2
import numpy as np
import pytest
from support.hand_fed import jpeg_of

from edge_publisher.sources import CameraGone, CaptureRequest, Picture, Source, View, open_source
from edge_publisher.sources.base import adjust, adjustable, age_of
from edge_publisher.sources.capture import Capture, Device, UsbCamera, open_device
from edge_publisher.sources.mjpeg import STANDARD_TABLES, picture_from_jpeg, whole_jpeg
from edge_publisher.sources.opening import DRIVERS, find_source
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError

FAST = CaptureRequest(fps=200)
CASES = Path(__file__).parents[3] / "shared/cases/20-pictures-on-the-line"


def write_image(path: Path, shade: int, width: int = 40, height: int = 30) -> None:
    assert cv2.imwrite(str(path), np.full((height, width, 3), shade, np.uint8))


def write_video(path: Path, codec: str, shades: list[int], fps: float = 100) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for shade in shades:
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()


def pixels_of(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def shade_of(picture: Picture) -> int:
    image = picture.pixels()
    assert image is not None
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
        begun = now_ns()
        source = open_source(str(tmp_path / "belt.avi"), FAST)
        times = [source.read().captured_at for _ in range(5)]
        source.close()
        assert times[-1] - begun >= 0.9 * 4 * NS_PER_S / 20

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
        picture = open_device(device, Capture).read()
        assert picture.jpeg is not None
        assert picture.jpeg.startswith(b"\xff\xd8")
        assert picture.jpeg.endswith(b"\xff\xd9")
        assert (picture.width, picture.height, shade_of(picture)) == (64, 48, 30)

    def test_decodes_where_raw_buffers_are_no_jpegs(self, device: Device) -> None:
        # Without conversion, this back end gives the luma plane: as little a JPEG as YUYV would be.
        awkward = Device(device.target, device.api, raw=(cv2.CAP_PROP_CONVERT_RGB, 0.0))
        picture = open_device(awkward, Capture).read()
        assert picture.jpeg is None
        assert shade_of(picture) == 30

    def test_the_end_of_pictures_is_a_dead_camera(self, device: Device) -> None:
        capture = open_device(device, Capture)
        capture.read()
        capture.read()
        with pytest.raises(CameraGone, match="no more pictures"):
            capture.read()

    def test_a_camera_that_never_gave_a_picture_tells_why(self, device: Device) -> None:
        dead = cv2.VideoCapture()
        with pytest.raises(CameraGone, match="camera: another program has it"):
            Capture(dead, replace(device, why=lambda: "another program has it"), raw=False).read()

    def test_a_closed_camera_gives_nothing(self, device: Device) -> None:
        capture = open_device(device, Capture)
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


class TestView:
    """Of a camera of 4 x 2 pixels, numbered by rows: 0 1 2 3, 4 5 6 7; as pixels, and as a JPEG of larger blocks."""

    IMAGE = np.repeat(np.arange(8, dtype=np.uint8).reshape(2, 4, 1), 3, axis=2)
    BLOCKS = np.kron(IMAGE * 30, np.ones((32, 32, 1), np.uint8)).astype(np.uint8)

    @pytest.mark.parametrize(
        ("view", "seen"),
        [
            (View(rotate=90), [[4, 0], [5, 1], [6, 2], [7, 3]]),
            (View(rotate=180), [[7, 6, 5, 4], [3, 2, 1, 0]]),
            (View(rotate=270), [[3, 7], [2, 6], [1, 5], [0, 4]]),
            (View(crop=(0.25, 0, 0.5, 1)), [[1, 2], [5, 6]]),
            (View(crop=(0.5, 0.5, 0.5, 0.5), rotate=90), [[6], [7]]),
            (View(crop=(1, 1, 0, 0)), [[7]]),
        ],
    )
    def test_it_is_cut_then_turned(self, view: View, seen: list[list[int]]) -> None:
        of_image = Picture(5, 4, 2, image=self.IMAGE).seen_through(view)
        assert of_image.image is not None
        assert of_image.image[:, :, 0].tolist() == seen
        assert (of_image.captured_at, of_image.height, of_image.width) == (5, len(seen), len(seen[0]))
        if view.crop == (1, 1, 0, 0):
            return  # one pixel of a block
        jpeg = cv2.imencode(".png", self.BLOCKS)[1].tobytes()  # lossless, for the comparison
        for reduced in (1, 2):
            of_jpeg = Picture(5, 128, 64, jpeg=jpeg).seen_through(view)
            pixels = of_jpeg.pixels(reduced)  # type: ignore[arg-type]
            assert pixels is not None
            block = 32 // reduced
            assert (pixels[block // 2 :: block, block // 2 :: block, 0] // 30).tolist() == seen
            assert (of_jpeg.height, of_jpeg.width) == (32 * len(seen), 32 * len(seen[0]))

    def test_a_source_is_seen_through_it(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(jpeg_of(60, 30))
        source = open_source(str(tmp_path), FAST, View(rotate=90))
        picture = source.read()
        source.close()
        assert (picture.width, picture.height) == (30, 60)
        assert adjustable(source) is None


class FakeDevice:
    """OpenCV's view of a V4L2 camera: nothing here has one. Exposure in 0.1 ms, as V4L2 counts it, up to 50 ms."""

    def __init__(self) -> None:
        self.has = {
            cv2.CAP_PROP_FRAME_WIDTH: 1280.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 720.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_EXPOSURE: 83.0,
            cv2.CAP_PROP_AUTO_EXPOSURE: 3.0,
            cv2.CAP_PROP_WB_TEMPERATURE: 4600.0,
            cv2.CAP_PROP_AUTO_WB: 1.0,
        }

    def release(self) -> None:
        pass

    def set(self, key: int, value: float) -> bool:
        if key in self.has:
            self.has[key] = min(value, 500.0) if key == cv2.CAP_PROP_EXPOSURE else value
        return key in self.has

    def get(self, key: int) -> float:
        return self.has.get(key, -1.0)


class TestOptics:
    @pytest.fixture
    def camera(self) -> UsbCamera:
        return UsbCamera(cast(cv2.VideoCapture, FakeDevice()), Device(0, cv2.CAP_V4L2), raw=True)

    def test_what_is_fixed_is_read_back(self, camera: UsbCamera) -> None:
        request = CaptureRequest(1280, 720, 30, exposure_ms=5, white_balance=5000)
        assert camera.adjust(request) == request

    def test_what_the_camera_chooses_stays_its_own(self, camera: UsbCamera) -> None:
        assert camera.adjust(CaptureRequest(1280, 720, 30, exposure_ms="auto")).exposure_ms == "auto"
        assert camera.adjust(CaptureRequest()) == CaptureRequest(1280, 720, 30)

    def test_the_values_of_now_can_be_fixed(self, camera: UsbCamera) -> None:
        values = camera.values()
        assert values == CaptureRequest(1280, 720, 30, exposure_ms=8.3, white_balance=4600)
        assert camera.adjust(values) == values

    def test_what_it_refuses_is_said_with_what_it_has(self, camera: UsbCamera) -> None:
        request = CaptureRequest(1920, 720, 60, exposure_ms=80, gain=4, focus="auto")
        assert request.refused(camera.adjust(request)) == [
            *("width 1920 (it has 1280)", "fps 60 (it has 30)", "exposure_ms 80 (it has 50)"),
            *("gain 4 (it has none)", "focus auto (it has none)"),
        ]

    def test_more_pictures_than_asked_for_are_no_refusal(self, camera: UsbCamera) -> None:
        request = CaptureRequest(1280, 720, 10)
        assert request.refused(camera.adjust(request)) == []

    @pytest.mark.parametrize(
        ("captured", "age"), [(9.99, 0.01), (10.0, 0), (9.0, 1), (8.9, 0), (10.01, 0), (0.0, 0), (1.8e9, 0), (-1e6, 0)]
    )
    def test_the_drivers_time_counts_where_it_can_be_true(self, captured: float, age: float) -> None:
        assert age_of(round(captured * NS_PER_S), 10 * NS_PER_S) == pytest.approx(age * NS_PER_S)


class FakePicamera2:
    """As much of picamera2 as is used. No machine here has one; a control shows in the metadata two pictures later."""

    camera_controls: ClassVar[set[str]] = {"ExposureTime", "AeEnable", "AnalogueGain", "AwbEnable", "FrameRate"}

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        self.calls: list[str] = []
        self.waiting: list[dict[str, float]] = []
        self.told = {"ExposureTime": 12_000, "AnalogueGain": 1.5, "ColourTemperature": 4000, "FrameDuration": 33_333}

    def create_video_configuration(self, **given: Any) -> dict[str, Any]:
        return given

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def camera_configuration(self) -> dict[str, Any]:
        return self.configuration

    def set_controls(self, controls: dict[str, float]) -> None:
        self.waiting = [{}, {}, controls]

    def capture_metadata(self) -> dict[str, float]:
        if self.waiting:
            self.told |= {key: value for key, value in self.waiting.pop(0).items() if key in self.told}
        return dict(self.told)

    def capture_request(self) -> Any:
        width, height = self.configuration["main"]["size"]
        stamped = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 20_000_000
        return SimpleNamespace(
            make_array=lambda name: np.full((height, width, 3), 90, np.uint8),
            get_metadata=lambda: {"SensorTimestamp": stamped},
            release=lambda: self.calls.append("released"),
        )

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


class TestRibbonCable:
    @pytest.fixture
    def picamera2(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "picamera2", cast(ModuleType, SimpleNamespace(Picamera2=FakePicamera2)))

    def test_without_picamera2_one_line_says_what_to_install(self) -> None:
        with pytest.raises(ConfigError, match="sudo apt install python3-picamera2") as wrong:
            open_source("csi://0", CaptureRequest())
        assert "\n" not in str(wrong.value)

    def test_a_camera_that_is_not_there_is_gone(self, picamera2: None) -> None:
        with pytest.raises(CameraGone, match="is its cable in"):
            open_source("csi://1", CaptureRequest())
        with pytest.raises(ConfigError, match="csi://0"):
            open_source("csi://left", CaptureRequest())

    def test_pictures_carry_the_time_of_the_sensor(self, picamera2: None) -> None:
        source = open_source("csi://0", CaptureRequest(64, 48, 30))
        picture = source.read()
        assert (picture.width, picture.height, shade_of(picture)) == (64, 48, 90)
        assert now_ns() - picture.captured_at >= 20_000_000
        source.close()
        with pytest.raises(CameraGone, match="closed"):
            source.read()

    def test_optics_are_read_back_once_they_show(self, picamera2: None) -> None:
        source = open_source("csi://0", CaptureRequest(64, 48, 30))
        request = CaptureRequest(64, 48, 30, exposure_ms=5, gain=2)
        assert adjust(source, request) == []
        assert adjust(source, CaptureRequest(64, 48, 30, exposure_ms="auto", focus=3)) == ["focus 3 (it has none)"]
        camera = adjustable(source)
        assert camera is not None
        assert (camera.values().exposure_ms, camera.values().gain) == (5, 2)


class TestMjpegBuffer:
    JPEG = jpeg_of(64, 48)

    def test_what_a_driver_leaves_behind_the_picture_is_cut_off(self) -> None:
        assert whole_jpeg(self.JPEG + b"\0" * 100) == self.JPEG
        assert whole_jpeg(self.JPEG + b"old bytes \xff\xd9") == self.JPEG

    @pytest.mark.parametrize("cut", [0, 1, 2, 3, 20, 200, -1])
    def test_a_cut_picture_is_none(self, cut: int) -> None:
        assert whole_jpeg(self.JPEG[:cut]) is None
        assert picture_from_jpeg(self.JPEG[:cut], 0, alone=True) is None

    def test_of_one_that_is_alone_in_its_buffer_the_end_is_no_less_sure(self) -> None:
        for behind in (b"", b"\0" * 100, b"\r\n"):
            picture = picture_from_jpeg(self.JPEG + behind, 0, alone=True)
            assert picture is not None
            assert (picture.jpeg, picture.width, picture.height) == (self.JPEG, 64, 48)

    def test_the_huffman_tables_that_a_camera_leaves_out_are_put_in(self) -> None:
        """libjpeg writes the standard's own tables unless it is told to find better ones."""
        at, end = self.JPEG.index(b"\xff\xc4"), self.JPEG.index(b"\xff\xda")
        bare = self.JPEG[:at] + self.JPEG[end:]
        completed = whole_jpeg(bare + b"old bytes")
        assert completed == self.JPEG[:at] + STANDARD_TABLES + self.JPEG[end:]
        assert np.array_equal(pixels_of(completed), pixels_of(self.JPEG))

    @pytest.mark.skipif(not CASES.is_dir(), reason="the shared pictures are not here")
    def test_a_real_picture_without_huffman_tables(self) -> None:
        completed = whole_jpeg((CASES / "no-dht.jpg").read_bytes())
        assert completed is not None
        assert b"\xff\xc4" in completed
        assert float(pixels_of(completed).std()) > 20

    def test_a_progressive_picture_cannot_do_without_them(self) -> None:
        image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        progressive = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        assert whole_jpeg(progressive) is not None
        at, end = progressive.index(b"\xff\xc4"), progressive.index(b"\xff\xda")
        assert whole_jpeg(progressive[:at] + progressive[end:]) is None

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

"""The edge put together: camera → ring → mode → frames and live view."""

import queue
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_publisher.camera import Camera
from edge_publisher.commands import Commands
from edge_publisher.encoder import Encoder
from edge_publisher.health import PictureHealth
from edge_publisher.mode import FreeRun, Mode, Pacer
from edge_publisher.on_presence import OnPresence, Station
from edge_publisher.on_trigger import Announcer, OnTrigger
from edge_publisher.outgoing import FrameSender
from edge_publisher.ring import PictureRing
from edge_publisher.settings import EdgeLineSettings, EdgeSettings, Fps, JpegQuality, configured_side, node_name
from edge_publisher.sources import CaptureRequest, Picture
from edge_publisher.sources.opening import Opener, find_source, how_long_the_same
from edge_publisher.triggers import BoardPass
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.trigger_source import TriggerSource
from pcb_bus.runtime.clock import LineClock
from pcb_bus.runtime.line_time import TimeFollower
from pcb_bus.runtime.live import LiveSettings, LiveValue
from pcb_bus.runtime.redaction import redact_address
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Turn
from pcb_bus.seeing.codes import SerialReader, Serials
from pcb_bus.seeing.presence import PresenceOptions

NOT_SET_UP = (
    "boards are looked for in the whole picture: run `python -m edge_publisher set-up` once, "
    "which finds where they go by and locks the exposure"
)
_MOST_NAMED = 50
_BLIND = ("camera", "pictures", "paused")


def build(settings: EdgeLineSettings) -> "EdgeService":
    """The edge with the source that is configured; raises ConfigError if it, or anything else, cannot be used."""
    return EdgeService(settings, find_source(settings.edge.source, settings.edge.request, settings.edge.camera.view))


class EdgeService:
    """One camera, which `opener` opens, on the bus. Within, times are those of the steady clock.

    Raises:
        ConfigError: the side or the credentials cannot be used.
    """

    def __init__(self, settings: EdgeLineSettings, opener: Opener, clock: LineClock | None = None) -> None:
        edge, side = settings.edge, configured_side(settings)
        self.settings = settings
        self._source_name = redact_address(edge.source)
        self._node = Service("edge_publisher", node_name(settings), settings, clock=clock)
        TimeFollower(self._node)
        self._encoder = Encoder(edge.jpeg_quality, edge.max_side)
        self._ring = PictureRing(edge.ring_s)
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wake = partial(self._bell.put, None)
        self._stopping = threading.Event()
        self._camera = Camera(opener, self, max(edge.stall_s, 3 / edge.fps), edge.request)
        self._refused: list[str] = []
        self._sees: bool | None = None
        frozen_after_ns = how_long_the_same(edge.source)
        self._health = PictureHealth(self._node, self._camera.reopen, frozen_after_ns, edge.sharpness)
        self._stills = edge.presence.stills or Path(edge.source).is_dir()
        self._not_set_up = edge.trigger == "presence" and edge.presence == PresenceOptions() and not self._stills
        self._resources = ExitStack()
        reader = SerialReader(edge.serial, edge.serial_pattern)
        self._serials = Serials(self._node, reader, {side: edge.serial_region})
        self._mode = self._make_mode(settings, side)
        self._preview = Preview(self._node, side, self._encoder, edge.preview_fps)
        self._turn = Turn()
        self._node.run("edge", self._run)
        self._node.watch("edge", self._turn)
        self._outage = False
        self._quality = LiveValue("jpeg_quality", JpegQuality, edge.jpeg_quality)
        self._fps = LiveValue("fps", Fps, edge.fps)
        self._live = LiveSettings(self._node, self.use_values, self._quality, self._fps)
        Commands(self._node, self, self._camera, self._ring, self._sender, self._fps, self._quality)

    def start(self) -> None:
        self._node.health["camera"] = "waiting for the first picture"
        self._node.start()
        self._camera.start()
        if self._not_set_up:
            self._node.event("warning", NOT_SET_UP)

    def stop(self) -> None:
        self._stopping.set()
        self._wake()
        self._camera.stop()
        self._node.stop()
        self._resources.close()

    # What the camera tells, on its thread

    def on_picture(self, picture: Picture) -> None:
        captured_at = self._node.clock.of_wall(picture.captured_at)
        if captured_at != picture.captured_at:
            picture = replace(picture, captured_at=captured_at)
        self._health.arrived(picture)
        self._ring.add(picture)
        self._mode.arrived()
        self._wake()

    def on_lost(self, detail: str) -> None:
        self._node.health["camera"] = f"no camera: {detail}"
        if not self._outage:
            self._outage = True
            self._node.event("error", "the camera is gone", source=self._source_name, reason=detail)

    def on_back(self) -> None:
        self._health.opened(time.monotonic())
        self._node.health["camera"] = ""
        if self._outage:
            self._outage = False
            self._node.event("info", "the camera is back", source=self._source_name)

    def on_opened(self, refused: list[str]) -> None:
        if refused and refused != self._refused:
            self._node.event("warning", f"the camera refuses {', '.join(refused)}", source=self._source_name)
        self._refused = refused

    # What is changed while it runs, from any thread

    def use_values(self) -> None:
        self._encoder.quality = self._quality()
        self._mode.pace(self._fps())

    def use_source(self, address: str, opener: Opener, request: CaptureRequest) -> None:
        self._source_name = redact_address(address)
        self._health.look_through(how_long_the_same(address))
        if isinstance(self._mode, OnTrigger):
            self._mode.expect(round(NS_PER_S / request.fps))
        self._camera.use(opener, request)

    # The worker

    def _make_mode(self, settings: EdgeLineSettings, side: str) -> Mode:
        edge, node, wake = settings.edge, self._node, self._wake
        node.tell(trigger=edge.trigger)
        publish = partial(node.session.publish, node.topics.frame(side), qos=0)
        quality = self._health.quality
        sender = self._sender = FrameSender(
            side, self._encoder, publish, quality, edge.product, node.clock.line, partial(self._read_serial, side)
        )
        period = round(NS_PER_S / edge.fps)
        match edge.trigger:
            case "presence":
                options = edge.presence.model_copy(update={"stills": self._stills, "singles": edge.fps <= 1})
                station = Station(len(settings.sides) == 1, options)
                return OnPresence(node, sender, self._ring, station, self._announcer(edge, side), period, wake)
            case "gpio":
                return self._on_photo_eye(sender, edge, side)
            case "mqtt":
                return OnTrigger(node, sender, period, wake)
            case "free_run":
                return FreeRun(sender, edge.fps, lambda: not node.session.unsent, stills=self._stills)

    def _read_serial(self, side: str, picture: Picture, board_pass: BoardPass) -> None:
        pixels = picture.image if picture.image is not None else picture.jpeg
        if pixels is not None:
            self._serials.put(side, *board_pass, pixels)

    def _on_photo_eye(self, sender: FrameSender, edge: EdgeSettings, side: str) -> Mode:
        from edge_publisher.photo_eye import OnPhotoEye  # a PC that is an edge needs no gpiozero

        assert edge.gpio is not None  # the settings saw to it
        announcer, period = self._announcer(edge, side), round(NS_PER_S / edge.fps)
        mode = OnPhotoEye(self._node, sender, edge.gpio, announcer, period, self._wake)
        self._resources.callback(mode.close)
        return mode

    def _announcer(self, edge: EdgeSettings, side: str) -> Announcer:
        tell = partial(self._node.event, "critical")
        outbox = self._resources.enter_context(closing(Outbox(edge.outbox / f"{side}.db", None, "edge.outbox", tell)))
        source = TriggerSource(self._node.session, self._node.topics, outbox, node=self._node)
        seen_by = f"photo-eye-{side}" if edge.trigger == "gpio" else self._node.node
        return Announcer(self._node, side, seen_by, edge.product, source)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._turn:
                wait_s = self._look()
            with suppress(queue.Empty):
                self._bell.get(timeout=wait_s)

    def _look(self) -> float:
        """Do what is due; for how many seconds to wait then, unless a picture comes."""
        while not self._bell.empty():
            self._bell.get()
        sees = not any(self._node.health[part] for part in _BLIND)
        if sees != self._sees:
            self._sees = sees
            self._node.tell(sees=sees)
        pictures = self._ring.pictures()
        wait_s = self._mode.step(pictures, self._node.clock.steady())
        if pictures:
            self._preview.show(pictures[-1])
        self._camera.check()
        self._report_overdue()
        return wait_s

    def _report_overdue(self) -> None:
        boards = self._sender.overdue.take(time.monotonic()) if self._node.session.connected else []
        if boards:
            some = boards if len(boards) <= _MOST_NAMED else [*boards[:_MOST_NAMED], "…"]
            lost = "frames that could not be sent in time: the network was away, or is too slow for them"
            self._node.event("warning", lost, count=len(boards), boards=some)


class Preview:
    """The live view: bare JPEGs at a low rate, 0 for none."""

    def __init__(self, node: Service, side: str, encoder: Encoder, fps: float) -> None:
        self._session = node.session
        self._topic = node.topics.preview(side)
        self._encoder = encoder
        self._pacer = Pacer(fps) if fps > 0 else None
        self._last: Picture | None = None

    def show(self, picture: Picture) -> None:
        """Publish it, if it is new and the time for one has come."""
        if self._pacer is None or picture is self._last or not self._session.connected or self._session.unsent > 1:
            return  # on a slow network frames go first
        self._last = picture
        if self._pacer.due(picture.captured_at):
            encoded = self._encoder.encode(picture)
            if encoded is not None:
                self._session.publish(self._topic, encoded.jpeg, qos=0)

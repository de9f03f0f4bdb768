"""What a person may ask of an edge: `set`, `snapshot`, `pause`, `resume` and `reload`."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from pydantic import ConfigDict

from edge_publisher.camera import Camera
from edge_publisher.encoder import Encoder
from edge_publisher.outgoing import FrameSender
from edge_publisher.ring import PictureRing
from edge_publisher.settings import EdgeLineSettings, Exposure, Focus, Fps, Gain, JpegQuality, WhiteBalance
from edge_publisher.sources import CaptureRequest
from edge_publisher.sources.opening import Opener, find_source, how_long_the_same
from pcb_bus.contract.identity import new_id
from pcb_bus.contract.messages import Frame, Name, WireModel
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import CommandFailed
from pcb_bus.runtime.live import LiveValue
from pcb_bus.runtime.redaction import redact_address
from pcb_bus.runtime.service import Request, Service

_OPTICS = {"exposure": "exposure_ms", "gain": "gain", "white_balance": "white_balance", "focus": "focus"}
_LIVE = frozenset({"fps", "jpeg_quality", "source", "sources", "camera"})
"""Keys of the section `edge` that `reload` takes over; of `camera`, the optics alone."""


class SetParams(WireModel):
    """What is to be changed; what is left out stays. Exposure in ms, white balance in K, or `auto`.

    `source` is one of the names in `edge.sources`: whoever may send commands may not have the edge open any address.
    """

    model_config = ConfigDict(extra="forbid")

    fps: Fps = 1.0
    quality: JpegQuality = 1
    exposure: Exposure = "auto"  # type: ignore[assignment]  # see settings: `auto` is no part of its type
    gain: Gain = 0.0
    white_balance: WhiteBalance = "auto"  # type: ignore[assignment]
    focus: Focus = "auto"  # type: ignore[assignment]
    source: Name = "none"


class Edge(Protocol):
    """What the commands change, and how the rest of the edge hears of it."""

    settings: EdgeLineSettings

    def use_values(self) -> None:
        """Rate and quality have changed."""
        ...

    def use_source(self, address: str, opener: Opener, request: CaptureRequest) -> None:
        """Open this from now on, which is asked for so many pictures a second."""
        ...


class Commands:
    """Make it before the node starts. All run on the node's thread for commands, one after the other."""

    def __init__(
        self,
        node: Service,
        edge: Edge,
        camera: Camera,
        ring: PictureRing,
        sender: FrameSender,
        fps: LiveValue[float],
        quality: LiveValue[int],
    ) -> None:
        self._node, self._edge, self._camera, self._ring, self._sender = node, edge, camera, ring, sender
        self._fps, self._quality = fps, quality
        self._source = edge.settings.edge.source
        for name, handler in (
            ("set", self._set),
            ("snapshot", self._snapshot),
            ("pause", lambda _: self._pause(True)),
            ("resume", lambda _: self._pause(False)),
            ("reload", self._reload),
        ):
            node.command(name, handler)

    def _set(self, request: Request) -> dict[str, Any]:
        """All of it, or nothing."""
        params = request.read(SetParams)
        given = {name: getattr(params, name) for name in params.model_fields_set}
        optics = {_OPTICS[name]: value for name, value in given.items() if name in _OPTICS}
        if "source" in given and optics:
            raise CommandFailed("a source has optics of its own: set it first, then its exposure, focus and the like")
        address = self._address(given["source"]) if "source" in given else self._source
        wanted = replace(self._camera.request, **optics, fps=given.get("fps", self._camera.request.fps))
        anew = address != self._source or wanted.fps != self._camera.request.fps
        opener = self._find(address, wanted) if anew else None
        if optics:
            self._adjust(wanted, optics)
        if opener is not None:
            self._use(address, opener, wanted)
        for name, value in (("fps", self._fps), ("quality", self._quality)):
            if name in given:
                value.command(given[name])
        self._edge.use_values()
        if given:
            self._node.event("info", "changed by command", **given)
        return self._state()

    def _adjust(self, wanted: CaptureRequest, names: Iterable[str]) -> None:
        """Tell the camera; if it refuses one of these, it is told what it was told before.

        Raises:
            CommandFailed: it refuses.
            CameraGone: it gives no pictures.
        """
        before = self._camera.request
        told = self._camera.adjust(replace(wanted, fps=before.fps))
        if refused := [each for each in told if each.split()[0] in names]:
            self._camera.adjust(before)
            raise CommandFailed(f"the camera refuses {', '.join(refused)}: nothing is changed")

    def _address(self, name: str) -> str:
        sources = self._edge.settings.edge.sources
        if name not in sources:
            known = ", ".join(sorted(sources)) or "none"
            raise CommandFailed(f"no source is called {name}; edge.sources of this node has {known}")
        return sources[name]

    def _find(self, address: str, request: CaptureRequest) -> Opener:
        """What opens it.

        Raises:
            ConfigError: it can never work.
            CommandFailed: it is of another sort than the one that is open.
        """
        if (how_long_the_same(address) is None) != (how_long_the_same(self._source) is None):
            raise CommandFailed("a camera is not followed by files, nor files by a camera: set edge.source and restart")
        return find_source(address, request, self._edge.settings.edge.camera.view)

    def _use(self, address: str, opener: Opener, request: CaptureRequest) -> None:
        self._source = address
        self._edge.use_source(address, opener, request)

    def _snapshot(self, _: Request) -> Frame:
        """The newest picture as a frame of no board, in MessagePack. Nothing is inspected."""
        pictures, edge = self._ring.pictures(), self._edge.settings.edge
        age_s = (self._node.clock.steady() - pictures[-1].captured_at) / NS_PER_S if pictures else None
        if age_s is None or age_s > max(edge.stall_s, 3 / edge.fps):
            last = "there was none yet" if age_s is None else f"the last one came {age_s:.0f} s ago"
            raise CommandFailed(f"the camera gives no pictures: {last}")
        encoded = Encoder(self._quality(), edge.max_side).encode(pictures[-1])
        if encoded is None:
            raise CommandFailed("the newest picture cannot be encoded")
        return Frame(
            side=self._node.node.removeprefix("edge-"),
            board_id=None,
            triggered_at=None,
            frame_id=new_id(),
            captured_at=self._node.clock.line(pictures[-1].captured_at),
            width=encoded.width,
            height=encoded.height,
            jpeg=encoded.jpeg,
        )

    def _pause(self, paused: bool) -> dict[str, Any]:
        if paused != self._sender.paused:
            self._sender.paused = paused
            self._node.event("warning" if paused else "info", f"{'paused' if paused else 'resumed'} by command")
        self._node.health["paused"] = "paused by command: no frames and no triggers; resume it" if paused else ""
        return self._state()

    def _reload(self, _: Request) -> dict[str, Any]:
        """Take over what the configuration says now: what commands set is forgotten, what `pcb/config` says holds."""
        before = self._edge.settings
        now = before.again()
        edge, has = now.edge, self._camera.request
        waits = [key for key in _changed(before.model_dump(), now.model_dump()) if not _is_live(key)]
        wanted = replace(edge.request, width=has.width, height=has.height)
        anew = edge.source != self._source or edge.fps != has.fps
        opener = self._find(edge.source, wanted) if anew else None
        if edge.source == self._source and _optics(wanted) != _optics(has):
            self._adjust(wanted, _OPTICS.values())
        self._edge.settings = now
        if opener is not None:
            self._use(edge.source, opener, wanted)
        self._fps.reload(edge.fps)
        self._quality.reload(edge.jpeg_quality)
        self._edge.use_values()
        return {**self._state(), "needs_restart": waits}

    def _state(self) -> dict[str, Any]:
        edge, has = self._edge.settings.edge, self._camera.request
        names = [name for name, address in edge.sources.items() if address == self._source]
        as_configured = self._source == edge.source and _optics(has) == _optics(edge.request)
        return {
            "fps": self._fps(),
            "quality": self._quality(),
            **{name: getattr(has, key) for name, key in _OPTICS.items()},
            "source": names[0] if names else redact_address(self._source),
            "paused": self._sender.paused,
            "outlives_restart": as_configured
            and not (self._fps.commanded or self._quality.commanded or self._sender.paused),
        }


def _optics(request: CaptureRequest) -> list[Any]:
    return [getattr(request, key) for key in _OPTICS.values()]


def _is_live(key: str) -> bool:
    section, _, name = key.partition(".")
    first, _, rest = name.partition(".")
    return section == "edge" and first in _LIVE and (first != "camera" or rest in _OPTICS.values())


def _changed(before: dict[str, Any], after: dict[str, Any], above: str = "") -> list[str]:
    """The keys of which the values differ."""
    found: list[str] = []
    for name, value in after.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict) and name != "sources":
            found += _changed(was, value, f"{above}{name}.")
        elif was != value:
            found.append(f"{above}{name}")
    return found

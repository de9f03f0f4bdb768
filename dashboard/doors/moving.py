"""Pictures that move: MJPEG for browsers and VLC, and Socket.IO for clients of the last generation."""

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import socketio
from fastapi import HTTPException, Request
from fastapi.responses import StreamingResponse

from dashboard.doors.answers import COUNTED
from dashboard.doors.rest import Line
from dashboard.pictures import Pictures
from pcb_bus.contract.messages import Category
from pcb_bus.contract.taxonomy import Taxonomy

log = logging.getLogger(__name__)

_LOOK_S = 0.05  # for a picture that nobody has seen yet
_AGAIN_S = 1.0  # a player takes a stream that says nothing for longer for a dead one
_ASK_AGAIN_S = 30.0  # whether whoever looks still may: a token may be revoked meanwhile
_BOUNDARY = "frame"  # clients look for this very word
_MOST_BYTES = 100_000  # of what a client may send

MayLook = Callable[[str | None], Awaitable[bool]]
"""Whether whoever has this token may look at the pictures of the line."""


class Streams:
    """`/video_feed/<side>`: multipart, a picture as soon as the last one has gone. A slow viewer loses pictures, alone.

    Args:
        placeholder: a JPEG for a side of which there is no picture.
    """

    def __init__(self, pictures: Pictures, placeholder: bytes, may_look: MayLook) -> None:
        self._pictures = pictures
        self._placeholder = placeholder
        self._may_look = may_look

    async def feed(self, side: str, request: Request) -> StreamingResponse:
        """Moving pictures of a side (multipart/x-mixed-replace, JPEGs with their length)."""
        if side not in self._pictures.sides:
            raise HTTPException(404, f"there is no side {side}; this line has {', '.join(self._pictures.sides)}")
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamingResponse(self._parts(side, request), media_type=kind, headers={"Cache-Control": "no-store"})

    async def _parts(self, side: str, request: Request) -> AsyncIterator[bytes]:
        shown, waited, asked_at = -1, _AGAIN_S, time.monotonic()
        while not await request.is_disconnected():
            if time.monotonic() - asked_at > _ASK_AGAIN_S:
                asked_at = time.monotonic()
                if not await self._may_look(request.state.token):
                    return
            newest = self._pictures.preview(side)
            number = newest.number if newest else 0
            if number != shown or waited >= _AGAIN_S:
                shown, waited = number, 0.0
                yield _part(newest.jpeg if newest else self._placeholder)
            await asyncio.sleep(_LOOK_S)
            waited += _LOOK_S


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"


class Sockets:
    """Socket.IO as the last generation speaks it: a client asks for each picture, and is told of each board.

    A token comes as `auth` or query parameter `token`, or as the namespace, which is what a client makes of an address
    that ends in `/t/<token>`.

    Args:
        origins: of pages that may connect from a browser; programs need none.
    """

    def __init__(self, line: Line, pictures: Pictures, may_look: MayLook, origins: list[str]) -> None:
        self._line, self._pictures, self._may_look = line, pictures, may_look
        self._seats: dict[str, tuple[str, str | None]] = {}  # of each: its namespace and its token
        self._telling: Any = None
        self.server = server = socketio.AsyncServer(
            async_mode="asgi",
            namespaces="*",
            cors_allowed_origins=origins,
            max_http_buffer_size=_MOST_BYTES,
            logger=False,
            engineio_logger=False,
        )
        server.on("connect", self._connect, namespace="*")
        server.on("disconnect", self._disconnect, namespace="*")
        server.on("request_frame", self._request_frame, namespace="*")

    async def _connect(self, namespace: str, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        token = _token(namespace, environ, auth)
        if not await self._may_look(token):
            raise socketio.exceptions.ConnectionRefusedError("a token is needed: http://host:port/t/<token>")
        self._seats[sid] = namespace, token
        if self._telling is None:
            self._telling = self.server.start_background_task(self._tell_of_boards)
        await self._say(namespace, sid, "connection_response", {"status": "connected", "sides": self._line.sides})
        await self._say(namespace, sid, "stats_update", self._counts())

    async def _tell_of_boards(self) -> None:
        """Tell everybody as the counts change."""
        told, asked_at = self._counts(), time.monotonic()
        while True:
            await asyncio.sleep(4 * _LOOK_S)
            if time.monotonic() - asked_at > _ASK_AGAIN_S:
                await self._send_away()
                asked_at = time.monotonic()
            if (counts := self._counts()) != told:
                told = counts
                for sid, (namespace, _) in list(self._seats.items()):
                    await self._say(namespace, sid, "stats_update", counts)

    async def _send_away(self) -> None:
        """Whoever may look no longer."""
        for sid, (namespace, token) in list(self._seats.items()):
            if not await self._may_look(token):
                await self.server.disconnect(sid, namespace=namespace)

    async def _disconnect(self, namespace: str, sid: str, reason: str = "") -> None:
        self._seats.pop(sid, None)

    async def _request_frame(self, namespace: str, sid: str, data: Any = None) -> None:
        side = data.get("camera_id") if isinstance(data, dict) else None
        if side not in self._pictures.sides:
            sides = ", ".join(self._pictures.sides)
            await self._say(namespace, sid, "error", {"message": f"camera_id is none of {sides}"})
            return
        newest = self._pictures.preview(side)
        if newest is None:
            await self._say(namespace, sid, "error", {"message": f"there is no picture of {side} yet"})
            return
        await self._say(namespace, sid, "frame_data", self._frame(side, newest.jpeg))

    def _frame(self, side: str, jpeg: bytes) -> dict[str, Any]:
        last = self._line.state().get("verdict")
        category: Category = last["category"] if last else "unjudged"
        judged = self._pictures.judged() or {"pictures": {}}
        boxes = judged["pictures"].get(side, {}).get("boxes", [])
        return {
            "camera_id": side,
            "image": base64.b64encode(jpeg).decode(),
            "defect_type": self._line.taxonomy.label(category),
            "confidence": max((box["confidence"] for box in boxes), default=0.0),
            "boxes_count": len(boxes),
            "roi_status": "ok",
            "timestamp": self._line.local_now().isoformat(timespec="milliseconds"),
            "type": "frame_data",
        }

    def _counts(self) -> dict[str, int]:
        return shift_counts(self._line.state().get("shift", {}).get("counts", {}), self._line.taxonomy)

    async def _say(self, namespace: str, sid: str, event: str, data: Mapping[str, Any]) -> None:
        with suppress(KeyError):  # it has gone
            await self.server.emit(event, data, to=sid, namespace=namespace)


def shift_counts(counts: Mapping[str, int], taxonomy: Taxonomy) -> dict[str, int]:
    """`stats_update`: the boards of this shift, and of each category by its name."""
    total = {"total_count": sum(counts.values())}
    return total | {taxonomy.label(category): counts.get(category, 0) for category in COUNTED}


def _token(namespace: str, environ: Mapping[str, Any], auth: Any) -> str | None:
    if isinstance(auth, dict) and isinstance(auth.get("token"), str):
        return str(auth["token"])
    if namespace.startswith("/t/"):
        return namespace.removeprefix("/t/").split("/")[0]
    asked = parse_qs(str(environ.get("QUERY_STRING", ""))).get("token")
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    return asked[0] if asked else header.removeprefix("Bearer ") or None

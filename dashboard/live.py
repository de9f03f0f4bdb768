"""The live page's stream: the state as JSON whenever it changes, and pictures as fast as each viewer takes them.

    server ─► viewer   text: {"now": ms, "state": {…}}     binary: one byte, the number of the side, then a JPEG
    viewer ─► server   text: the number of the side whose picture it has drawn

A side's next picture is sent when the last one was drawn, and it is the newest then: a slow viewer alone loses some.
Of a viewer nothing is kept but its socket and what it has been sent.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboard.permissions import TABLE, WEBSOCKET
from dashboard.pictures import Kind, Pictures
from pcb_bus.contract.times import NS_PER_MS, now_ns

if TYPE_CHECKING:
    from dashboard.web import Desk

PATH = "/live"
LOGGED_OUT = 4401
"""Why a socket is closed: whoever looks may do so no longer."""
_ASK_AGAIN_S = 30.0


class Viewers:
    """Whoever looks on. `publish` and `wake` may be called by any thread."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.state: Mapping[str, Any] = {}
        """As it was published last; never changed, but another one."""
        self._state = b"{}"
        self.number = 0
        """Of the state; another one for each."""

    def __len__(self) -> int:
        return len(self._waiting)

    def publish(self, state: dict[str, Any]) -> None:
        """All see it soon."""
        self.state = state
        self._state = json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()
        self.number += 1
        self.wake()

    def wake(self) -> None:
        """There is a new picture."""
        loop = self._loop
        if loop is not None and self._waiting:
            with suppress(RuntimeError):  # the server has stopped
                loop.call_soon_threadsafe(self._wake)

    def message(self) -> bytes:
        """What a viewer is sent, and a program that asks."""
        return b'{"now":%d,"state":%b}' % (now_ns() // NS_PER_MS, self._state)

    def enter(self) -> asyncio.Event:
        """On the server's loop; set when there is something new."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()


class _Viewer:
    """One socket: what it was sent last, and which pictures it has drawn."""

    def __init__(self, socket: WebSocket, viewers: Viewers, pictures: Pictures) -> None:
        self._socket = socket
        self._viewers = viewers
        self._pictures = pictures
        self._state = -1
        self._sent = [0] * len(pictures.sides)
        self._drawn = [True] * len(pictures.sides)
        self._names = [str(place) for place in range(len(pictures.sides))]
        self._event = viewers.enter()

    def close(self) -> None:
        self._viewers.leave(self._event)

    async def hear(self) -> None:
        """What it has drawn, until it goes."""
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                side = message.get("text") or ""
                if side in self._names:
                    self._drawn[self._names.index(side)] = True
                    self._event.set()
        finally:
            self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()

    async def send(self) -> None:
        """What is new."""
        if self._state != self._viewers.number:
            self._state = self._viewers.number
            await self._socket.send_text(self._viewers.message().decode())
        for place, side in enumerate(self._pictures.sides):
            preview = self._pictures.preview(side)
            if preview is not None and self._drawn[place] and preview.number != self._sent[place]:
                self._drawn[place], self._sent[place] = False, preview.number
                await self._socket.send_bytes(bytes((place,)) + preview.jpeg)


def routes(desk: "Desk") -> APIRouter:
    """For `make_app`."""
    router = APIRouter()

    @router.websocket(PATH)
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        viewer = _Viewer(socket, desk.viewers, desk.pictures)
        hearing = asyncio.create_task(viewer.hear())
        asked_at = time.monotonic()
        try:
            while not hearing.done():
                if time.monotonic() - asked_at > _ASK_AGAIN_S:
                    asked_at = time.monotonic()
                    if not await _may_look(desk, socket):
                        return await socket.close(LOGGED_OUT)
                await viewer.send()
                await viewer.wait()
        except WebSocketDisconnect:
            pass  # gone while something was being sent
        finally:
            hearing.cancel()
            viewer.close()

    @router.get("/api/live")
    def now() -> Response:
        return Response(desk.viewers.message(), media_type="application/json", headers={"cache-control": "no-store"})

    @router.get("/live/judged")
    def judged(id: str, side: str, kind: Kind) -> Response:  # noqa: A002 - the name in the address
        picture = desk.pictures.picture(id, side, kind)
        if picture is None:
            raise HTTPException(404)
        headers = {"cache-control": "private, max-age=3600"}
        return Response(picture, media_type="image/jpeg" if kind == "picture" else "image/png", headers=headers)

    return router


async def _may_look(desk: "Desk", socket: WebSocket) -> bool:
    """A session that has ended, or a link that is revoked, ends the stream too; a database that is away does not."""
    ask = partial(desk.accounts.identify, desk.visitor(socket), desk.now())
    try:
        return TABLE[WEBSOCKET, PATH].allows(await to_thread.run_sync(ask))
    except SQLAlchemyError:
        return True

"""A TCP proxy that stands for a bad network: it delays, freezes, cuts, and tampers with what it carries."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

Direction = Literal["up", "down"]
"""`up`: from the client to the server."""
Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]
Pieces = asyncio.Queue[tuple[float, bytes]]
"""When each is due by the loop's clock, and what it is; nothing at the end."""
T = TypeVar("T")

_CHUNK = 64 * 1024
_AHEAD = 1000
_MAX_LENGTH_BYTES = 4
_ANSWER_S = 5.0


async def read_bytes(reader: asyncio.StreamReader) -> bytes:
    """What has come, without regard to its meaning; nothing at the end."""
    return await reader.read(_CHUNK)


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """The next MQTT control packet, whole (MQTT 5.0, section 2.1); nothing at the end."""
    try:
        header = await reader.readexactly(2)
        for _ in range(_MAX_LENGTH_BYTES - 1):
            if not header[-1] & 0x80:
                break
            header += await reader.readexactly(1)
        return header + await reader.readexactly(_remaining_length(header[1:]))
    except asyncio.IncompleteReadError:
        return b""


def _remaining_length(digits: bytes) -> int:
    return sum((digit & 0x7F) << 7 * place for place, digit in enumerate(digits))


class Tamper:
    """Leaves everything as it is; the base of those that do not. Made anew for each connection and direction.

    `pass_on` gives what goes out for a packet that came in; `leftover` what was held back, when nothing follows.
    """

    patience_s = 0.2

    def pass_on(self, packet: bytes) -> tuple[bytes, ...]:
        return (packet,)

    def leftover(self) -> tuple[bytes, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Condition:
    """How a cable is: `delay_s` each way; `tamper` makes what a direction of a connection goes through."""

    delay_s: float = 0.0
    tamper: Callable[[Direction], Tamper] = lambda _: Tamper()


GOOD = Condition()


class Cable:
    """Listens on `host` and carries every connection to `target`, while the context is open.

    Args:
        read: what one piece is: `read_packet` for MQTT, `read_bytes` for anything else.
    """

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1", read: Read = read_bytes) -> None:
        self._target = target
        self._read = read
        self.host = host
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cable", daemon=True)
        self._server: asyncio.Server | None = None
        self._condition = GOOD
        self._version = 0
        self._plugged = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._carrying: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def being(self, condition: Condition) -> Iterator[None]:
        """Within the block the cable is like that; for connections that stand, too."""
        self._loop.call_soon_threadsafe(self._become, condition)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._become, GOOD)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block connections stay open, and nothing comes through."""
        self._loop.call_soon_threadsafe(self._flowing.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._flowing.set)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Within the block every connection is broken, and new ones are refused."""
        self._plug(plugged=False)
        try:
            yield
        finally:
            self._plug(plugged=True)

    def break_connections(self) -> None:
        """Every connection ends now; new ones are welcome."""
        self._run(self._break())

    def _plug(self, *, plugged: bool) -> None:
        self._plugged = plugged
        self.break_connections()

    def _become(self, condition: Condition) -> None:
        self._condition = condition
        self._version += 1

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_S)

    # On the loop's thread

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._carry, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._break()
        await asyncio.sleep(0)  # transports that were aborted say so to their protocols

    async def _break(self) -> None:
        carrying = tuple(self._carrying)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._plugged:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._connect_through(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _connect_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with ExitStack() as ends:
            ends.callback(writer.transport.abort)
            try:
                far_reader, far_writer = await asyncio.open_connection(*self._target)
            except OSError:
                return
            ends.callback(far_writer.transport.abort)
            await _first_of(self._flow("up", reader, far_writer), self._flow("down", far_reader, writer))

    async def _flow(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: Pieces = asyncio.Queue(_AHEAD)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(reader, pieces))
            both.create_task(self._deliver(direction, pieces, writer))

    async def _take(self, reader: asyncio.StreamReader, pieces: Pieces) -> None:
        piece = b"-"
        while piece:
            try:
                piece = await self._read(reader)
            except OSError:
                piece = b""
            await self._flowing.wait()
            await pieces.put((self._loop.time() + self._condition.delay_s, piece))

    async def _deliver(self, direction: Direction, pieces: Pieces, writer: asyncio.StreamWriter) -> None:
        version, tamper = self._version, self._condition.tamper(direction)
        while True:
            coming = asyncio.ensure_future(pieces.get())
            try:
                while not (await asyncio.wait({coming}, timeout=tamper.patience_s))[0]:
                    await self._send(tamper.leftover(), writer)
                due, piece = coming.result()
            finally:
                coming.cancel()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if version != self._version:
                await self._send(tamper.leftover(), writer)
                version, tamper = self._version, self._condition.tamper(direction)
            if not piece:
                return
            await self._send(tamper.pass_on(piece), writer)

    async def _send(self, pieces: tuple[bytes, ...], writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            await self._flowing.wait()
            writer.write(piece)
        with suppress(ConnectionError):
            await writer.drain()


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until one has ended; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Pictures in any file system that fsspec knows. It may be slow or away, and recording never waits for it for long."""

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, wait
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

from fsspec import AbstractFileSystem

from recorder.images.base import Found, Images

T = TypeVar("T")
_LONGEST_REASON = 300
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


class RemoteImages(Images):
    """Below `root` of `system`, whose upload of one object is whole or not at all, as that of object stores is.

    Args:
        timeout_s: a request that takes longer has failed.
        pause_s: after a failure nothing is asked for so long, and each picture fails at once.
        secrets: what no error may quote.
    """

    def __init__(
        self,
        system: AbstractFileSystem,
        root: str,
        timeout_s: float = 5.0,
        pause_s: float = 5.0,
        secrets: Collection[str] = (),
    ) -> None:
        super().__init__()
        self._system = system
        self._secrets = secrets
        self._root = root.rstrip("/")
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._again_at = 0.0
        self._under_way: Future[Any] | None = None
        self._one_at_a_time = threading.Lock()

    def exists(self, path: str) -> bool:
        return self._ask(lambda: self._is_there(self._place(path)))

    def files(self, shard: str) -> Iterator[Found]:
        for entry in self._ask(lambda: self._listing(self._place(shard))):
            name = str(entry["name"]).rsplit("/", 1)[-1]
            yield Found(f"{shard}/{name}", _modified_at(entry))

    def free_bytes(self) -> int | None:
        return None

    def let_go(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for a request that was given up, if there is one."""
        if self._under_way is not None:
            wait([self._under_way], timeout)

    def _put(self, path: str, data: bytes) -> bool:
        return self._ask(lambda: self._upload(self._place(path), data))

    def _delete(self, path: str) -> None:
        self._ask(lambda: self._remove(self._place(path)))

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _is_there(self, place: str) -> bool:
        self._system.invalidate_cache(place.rsplit("/", 1)[0])
        return bool(self._system.exists(place))

    def _upload(self, place: str, data: bytes) -> bool:
        if self._is_there(place):
            return False
        self._system.pipe_file(place, data)
        return True

    def _remove(self, place: str) -> None:
        try:
            self._system.rm_file(place)
        except FileNotFoundError:
            return

    def _listing(self, place: str) -> list[dict[str, Any]]:
        try:
            return [entry for entry in self._system.ls(place, detail=True, refresh=True) if entry["type"] == "file"]
        except FileNotFoundError:
            return []

    def _ask(self, action: Callable[[], T]) -> T:
        # While it fails, nobody waits for another who tries: only the first picture costs time, and each probe its own.
        if not self._one_at_a_time.acquire(timeout=self._timeout_s if self.failure is None else 0):
            raise ConnectionError("the store of images does not answer")
        try:
            return self._ask_alone(action)
        finally:
            self._one_at_a_time.release()

    def _ask_alone(self, action: Callable[[], T]) -> T:
        if time.monotonic() < self._again_at or (self._under_way and not self._under_way.done()):
            raise ConnectionError("the store of images does not answer")
        future: Future[T] = Future()
        self._under_way = future
        threading.Thread(target=_settle, args=(future, action), name="recorder-images", daemon=True).start()
        try:
            error = future.exception(self._timeout_s)
        except TimeoutError:
            raise self._pausing(f"no answer of the store of images in {self._timeout_s:g} s") from None
        if error is not None:
            # Each file system raises errors of its own, and one picture must not end the recording. Not chained: a
            # traceback would quote what the reason hides.
            reason = _without(self._secrets, str(error))
            raise self._pausing(f"the store of images fails: {type(error).__name__}: {reason}")
        return future.result()

    def _pausing(self, why: str) -> ConnectionError:
        self._again_at = time.monotonic() + self._pause_s
        return ConnectionError(why)


def _without(secrets: Collection[str], text: str) -> str:
    """In one line, without `secrets` and without the logins of URLs."""
    for secret in sorted({*secrets, *map(quote, secrets)}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return " ".join(_LOGIN.sub("***@", text).split())[:_LONGEST_REASON]


def _settle(future: "Future[T]", action: Callable[[], T]) -> None:
    with _FailureInto(future):
        future.set_result(action())


class _FailureInto:
    """Whatever is raised within becomes the outcome of a future."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __enter__(self) -> None:
        return

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        if error is not None:
            self._future.set_exception(error)
        return True


def _modified_at(entry: dict[str, Any]) -> float:
    """In seconds; what has no time is taken for new, so that nothing is swept in doubt."""
    for key in ("mtime", "LastModified", "created"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return time.time()

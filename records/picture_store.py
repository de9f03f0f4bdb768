"""Where the evidence pictures lie: a folder of this machine, or any file system that fsspec knows."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

import fsspec
from fsspec import AbstractFileSystem

from pcb_bus.durable.files import make_folder, private, why_denied
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import HIDDEN, redact

KEY = "recorder.images"
T = TypeVar("T")
_EXTRAS = {"s3": "s3", "s3a": "s3"}
_PATIENCE_S = 3
_SLOWEST = 20_000  # bytes/s of an upload
# What each driver takes for a server that hangs: its own patience is minutes, and a request given up blocks the next.
_S3: Mapping[str, Any] = {
    "config_kwargs": {"connect_timeout": _PATIENCE_S, "read_timeout": _PATIENCE_S, "retries": {"max_attempts": 0}}
}
_DEFAULTS = {"s3": _S3, "s3a": _S3}
_MAY_BE_SHOWN = frozenset({"endpoint_url", "region_name", "host", "port"})
_SHORTEST_SECRET = 4
_LONGEST_REASON = 300


class PictureStore(Protocol):
    """Files below a root. Any thread may use it; what it cannot do raises OSError."""

    def put(self, path: str, data: bytes) -> None:
        """It is in the store when this returns, whole or not at all; a file of that name is replaced."""

    def get(self, path: str) -> bytes:
        """What is in the file of that name.

        Raises:
            FileNotFoundError: there is none.
        """

    def delete(self, path: str) -> None:
        """Nothing happens if it is not there."""

    def exists(self, path: str) -> bool:
        """Whether a file of that name is there."""

    def free_bytes(self) -> int | None:
        """Room that is left; None where nobody knows."""


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, path: str, data: bytes) -> None:
        target = self._folder / path
        temporary = target.with_suffix(".tmp")
        make_folder(target.parent)
        try:
            with open(temporary, "wb", opener=private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def get(self, path: str) -> bytes:
        file = (self._folder / path).resolve()
        if not file.is_relative_to(self._folder.resolve()):
            raise FileNotFoundError(f"{path} is not in the store of images")
        return file.read_bytes()

    def delete(self, path: str) -> None:
        (self._folder / path).unlink(missing_ok=True)
        with suppress(OSError):  # the day has more pictures
            (self._folder / path).parent.rmdir()

    def exists(self, path: str) -> bool:
        return (self._folder / path).is_file()

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._folder).free if self._folder.is_dir() else None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Remote:
    """Below `root` of `system`, whose upload of one object is whole or not at all, as that of object stores is.

    Args:
        timeout_s: a request that takes longer has failed, a large picture has more time; until it ends after all, the
            others fail at once.
        lost_s: of one that takes this long nobody waits for the end.
        secrets: what no error may quote.
    """

    def __init__(
        self,
        system: AbstractFileSystem,
        root: str,
        timeout_s: float = 5.0,
        lost_s: float = 60.0,
        secrets: Collection[str] = (),
    ) -> None:
        self._system = system
        self._root = root.rstrip("/")
        self._timeout_s, self._lost_s = timeout_s, lost_s
        self._secrets = secrets
        self._under_way: Future[Any] | None = None
        self._lost_at, self._lost = 0.0, 0
        self._one_at_a_time = threading.Lock()

    def put(self, path: str, data: bytes) -> None:
        self._ask(lambda: self._system.pipe_file(f"{self._root}/{path}", data), len(data) / _SLOWEST)

    def get(self, path: str) -> bytes:
        def read() -> bytes | None:
            with suppress(FileNotFoundError):
                return bytes(self._system.cat_file(f"{self._root}/{path}"))
            return None

        data = self._ask(read)
        if data is None:
            raise FileNotFoundError(f"{path} is not in the store of images")
        return data

    def delete(self, path: str) -> None:
        def remove() -> None:
            with suppress(FileNotFoundError):
                self._system.rm_file(f"{self._root}/{path}")

        self._ask(remove)

    def exists(self, path: str) -> bool:
        def look() -> bool:
            self._system.invalidate_cache(f"{self._root}/{path}".rsplit("/", 1)[0])
            return bool(self._system.exists(f"{self._root}/{path}"))

        return self._ask(look)

    def free_bytes(self) -> int | None:
        return None

    def let_go(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for a request that was given up, if there is one."""
        if self._under_way is not None:
            wait([self._under_way], timeout)

    def _ask(self, action: Callable[[], T], more_s: float = 0.0) -> T:
        timeout_s = self._timeout_s + more_s
        with self._one_at_a_time:
            now = time.monotonic()
            if self._under_way is not None and not self._under_way.done():
                if now < self._lost_at:
                    raise ConnectionError("the store of images does not answer")
                self._lost += 1
            # Each that was lost holds a thread for ever: ever more seldom.
            self._lost_at = now + self._lost_s * (1 + self._lost)
            future: Future[T] = Future()
            self._under_way = future
            threading.Thread(target=_settle, args=(future, action), name="recorder-images", daemon=True).start()
            try:
                error = future.exception(timeout_s)
            except TimeoutError:
                raise ConnectionError(f"no answer of the store of images in {timeout_s:.3g} s") from None
        if error is not None:
            # Each file system raises errors of its own. Not chained: a traceback would quote what the reason hides.
            reason = _without(self._secrets, str(error))
            raise ConnectionError(f"the store of images fails: {type(error).__name__}: {reason}")
        return future.result()


def _settle(future: "Future[T]", action: Callable[[], T]) -> None:
    def fail(_: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        if error is not None:
            future.set_exception(error)
        return True

    with ExitStack() as stack:
        stack.push(fail)
        future.set_result(action())


def _without(secrets: Collection[str], text: str) -> str:
    """In one line, without `secrets` and those of URLs."""
    for secret in sorted({*secrets, *map(quote, secrets)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return " ".join(redact(text).split())[:_LONGEST_REASON]


def local_folder(place: str) -> Path | None:
    """The folder of this machine that `place` names: a path, or `file://` and one. None for anything else."""
    if "://" not in place:
        return Path(place)
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def open_store(place: str, options: Mapping[str, Any]) -> PictureStore:
    """The store at `place`: a folder, which is made, or any URL of fsspec with the options of its file system.

    Raises:
        ConfigError: it can never be used; one line that names the key.
    """
    folder = local_folder(place)
    if folder is None:
        return _remote(place, options)
    if place.startswith("file://") and (urlsplit(place).netloc or not folder.is_absolute()):
        raise ConfigError(f"{KEY}: a folder of this machine is written file:///folder")
    try:
        make_folder(folder)
    except OSError as error:
        raise ConfigError(f"{KEY}: cannot make the folder {folder}: {why_denied(error, folder)}") from None
    return Folder(folder)


def _remote(place: str, options: Mapping[str, Any]) -> Remote:
    scheme, _, rest = place.partition("://")
    if not rest.strip("/") and scheme != "memory":
        raise ConfigError(f"{KEY}: a {scheme} URL names where, as in {scheme}://bucket/prefix")
    if scheme not in fsspec.available_protocols():
        raise ConfigError(f"{KEY}: unknown scheme {scheme}; use a folder, file:///folder or s3://bucket/prefix")
    try:
        system, root = fsspec.core.url_to_fs(place, **{**_DEFAULTS.get(scheme, {}), **options})
    except ImportError:
        extra = _EXTRAS.get(scheme)
        hint = f"pip install 'boardline[{extra}]'" if extra else f"install the fsspec driver of {scheme}"
        raise ConfigError(f"{KEY}: {scheme} needs a package that is missing: {hint}") from None
    except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
        # Not its text, which may quote an option, and an option may be a secret.
        why = f"{scheme} cannot be opened with recorder.image_options ({type(error).__name__})"
        raise ConfigError(f"{KEY}: {why}") from None
    secrets = {*_secrets(options), unquote(urlsplit(place).password or "")}
    return Remote(system, root, secrets={each for each in secrets if len(each) >= _SHORTEST_SECRET})


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    """What may be one among the options: each text that is not known to be none."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and key not in _MAY_BE_SHOWN:
            yield value

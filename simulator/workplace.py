"""The folder of a demo run: its own configuration, logins, logs, database and images."""

import fcntl
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from pcb_bus.durable.files import make_folder, private, why_denied
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import DEFAULT_CONFIG, BrokerSettings

_PARTS = (
    "broker",
    "log",
    "output",
    "recorder",
    "actuator",
    "inference",
    "edge",
    "trigger",
    "load",
    "line.yaml",
    "summary.json",
)
_LOCK = ".lock"


def free_ports(count: int) -> list[int]:
    """TCP ports on loopback that nobody uses right now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Workplace:
    """Takes `folder` for one run and removes what the last run left there.

    Raises:
        ConfigError: another run uses it, or what would be removed is not of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        try:
            self._refuse_what_is_not_ours()
            make_folder(self.folder)
            self._lock = self._take()
            for part in _PARTS:
                _remove(self.folder / part)
        except OSError as error:
            raise ConfigError(f"--folder: cannot use {self.folder}: {why_denied(error, self.folder)}") from None

    @property
    def config(self) -> Path:
        return self.folder / "line.yaml"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def trigger_outbox(self) -> Path:
        return self.folder / "trigger" / "outbox.db"

    @property
    def load(self) -> Path:
        """Which boards ride on the belt, for cameras of boards that nobody announces."""
        return self.folder / "load"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'recorder' / 'boardline.db'}"

    def write_config(self, overrides: Mapping[str, Any]) -> None:
        """The line's own configuration file with `overrides`, section by section."""
        base = yaml.safe_load(DEFAULT_CONFIG.read_text(encoding="utf-8")) if DEFAULT_CONFIG.exists() else {}
        text = yaml.safe_dump(merged(base or {}, overrides), allow_unicode=True, sort_keys=False)
        with open(self.config, "w", encoding="utf-8", opener=private) as file:
            file.write(text)

    def release(self) -> None:
        self._lock.close()

    def _refuse_what_is_not_ours(self) -> None:
        if (self.folder / _LOCK).exists():
            return
        for part in _PARTS:
            if (self.folder / part).exists():
                raise ConfigError(f"--folder: {self.folder} holds {part}, which no demo has made; name another")

    def _take(self) -> IO[str]:
        lock = os.fdopen(private(self.folder / _LOCK, os.O_WRONLY | os.O_CREAT), "w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ConfigError(f"another demo runs in {self.folder}; end it, or choose another --folder") from None
        return lock


def running_line(folder: Path) -> tuple[BrokerSettings, str]:
    """Where the broker and the database of the line are that runs in `folder`.

    Raises:
        ConfigError: none runs there.
    """
    config = folder.resolve() / "line.yaml"
    try:
        with (folder / _LOCK).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if config.exists():  # else it is just being set up
            found = yaml.safe_load(config.read_text(encoding="utf-8"))
            return BrokerSettings.model_validate(found["broker"]), found["recorder"]["database_url"]
    except OSError:
        pass  # there has never been one
    raise ConfigError(f"no line runs in {folder}, whose broker and database a second one shares; first: make demo")


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `overrides`; maps are merged key by key, anything else is replaced."""
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Free space where the recorder writes: the pictures, the spool, a SQLite database."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import URL

MEGABYTE = 1_000_000
_SLACK = 1.1


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system; `holds` names what is on it, `free` is in bytes."""

    holds: tuple[str, ...]
    path: Path
    free: int

    @property
    def subject(self) -> str:
        return ", ".join(self.holds)


def disks_of(places: Mapping[str, Path]) -> Iterator[Disk]:
    """Each file system once, whatever is on it; places that cannot be looked at are left out."""
    on: dict[int, list[str]] = {}
    for name, path in sorted(places.items()):
        try:
            on.setdefault(_existing(path).stat().st_dev, []).append(name)
        except OSError:
            continue
    for names in on.values():
        path = _existing(places[names[0]])
        try:
            yield Disk(tuple(names), path, shutil.disk_usage(path).free)
        except OSError:
            continue


def level_of(free: int, least: float) -> Literal["low", "fine"] | None:
    """`free` and `least` in bytes. None between the two, where neither is news."""
    if free < least:
        return "low"
    return "fine" if free >= least * _SLACK else None


def database_place(url: URL) -> dict[str, Path]:
    """Where a SQLite database is; nothing for a server's."""
    return {"database": Path(url.database)} if url.drivername.startswith("sqlite") and url.database else {}


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next((each for each in (path, *path.parents) if each.exists()), path)

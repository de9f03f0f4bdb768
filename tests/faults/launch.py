"""`python -m faults.launch [--netns FILE] [--clock FILE] … MODULE ARGUMENT…` runs a service elsewhere.

--netns: enter that network namespace first. --clock: the wall clock runs ahead of the machine's by what the file says
(8 bytes, ns, signed), and may be stepped while the service runs. Monotonic time stays true, as it does under NTP.
--pins: each level that the service gives to a mock pin is added to this file, just before the pin has it.
--pictures: each picture takes so much longer to store as this file says, as of a clock.
"""

import argparse
import ctypes
import mmap
import os
import runpy
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pcb_bus.contract.times import NS_PER_S

_NETWORK = 0x40000000  # CLONE_NEWNET
_OFFSET = struct.Struct("<q")
_TRUE_NS = time.time_ns


def enter_network(path: Path) -> None:
    """Move this process into a network namespace.

    Raises:
        OSError: it may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as namespace:
        if libc.setns(namespace.fileno(), _NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")


def write_offset(path: Path, offset_ns: int) -> None:
    """Set the clocks that follow `path`; at once, for those who run."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(_OFFSET.pack(offset_ns))


def _follow(path: Path) -> Callable[[], int]:
    """What the file says, ns, as it changes."""
    file = os.open(path, os.O_RDONLY)
    view = mmap.mmap(file, _OFFSET.size, prot=mmap.PROT_READ)
    os.close(file)
    return lambda: int(_OFFSET.unpack_from(view)[0])


def follow_clock(path: Path) -> None:
    """From now on `time.time` and `time.time_ns` of this process are off by what `path` says."""
    offset = _follow(path)

    def shifted_ns() -> int:
        return _TRUE_NS() + offset()

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / NS_PER_S


@dataclass(frozen=True, slots=True)
class Level:
    """What a pin was made: `at` by the true clock, `own` by that of the process (both ns)."""

    at: int
    own: int
    pin: int
    high: bool


def read_pins(path: Path) -> list[Level]:
    """What `write_down_pins` has written so far."""
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    rows = (map(int, line.split()) for line in lines)
    return [Level(at, own, pin, bool(high)) for at, own, pin, high in rows]


def write_down_pins(path: Path) -> None:
    """From now on every level that is given to a mock pin is a line: true time, time of this process (ns), pin, level.

    What the driver logs, or reports, is its own word; this is what the relays would have seen.
    """
    from gpiozero.pins.mock import MockPin

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    set_level = MockPin._set_state

    def set_state(pin: Any, level: float) -> None:
        os.write(file, f"{_TRUE_NS()} {time.time_ns()} {pin.info.name.removeprefix('GPIO')} {level:g}\n".encode())
        set_level(pin, level)

    MockPin._set_state = set_state


def slow_down_pictures(path: Path) -> None:
    """From now on a folder takes each picture later, by what `path` says."""
    from records.picture_store import Folder

    delay, put = _follow(path), Folder.put

    def put_slowly(self: Any, *arguments: Any) -> Any:
        time.sleep(delay() / NS_PER_S)
        return put(self, *arguments)

    patch.object(Folder, "put", put_slowly).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--netns", type=Path)
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--pins", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.netns:
        enter_network(options.netns)
    if options.clock:
        follow_clock(options.clock)
    if options.pins:
        write_down_pins(options.pins)
    if options.pictures:
        slow_down_pictures(options.pictures)
    sys.argv = [options.module, *options.arguments]
    runpy.run_module(options.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

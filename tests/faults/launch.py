"""`python -m faults.launch [--netns FILE] [--clock FILE] MODULE ARGUMENT…` runs a service elsewhere, or else-when.

--netns: enter that network namespace first. --clock: the wall clock runs ahead of the machine's by what the file says
(8 bytes, ns, signed), and may be stepped while the service runs. Monotonic time stays true, as it does under NTP.
"""

import argparse
import ctypes
import mmap
import os
import runpy
import struct
import sys
import time
from pathlib import Path

from pcb_bus.contract.times import NS_PER_S

_NETWORK = 0x40000000  # CLONE_NEWNET
_OFFSET = struct.Struct("<q")


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


def follow_clock(path: Path) -> None:
    """From now on `time.time` and `time.time_ns` of this process are off by what `path` says."""
    file = os.open(path, os.O_RDONLY)
    view = mmap.mmap(file, _OFFSET.size, prot=mmap.PROT_READ)
    os.close(file)
    true_ns = time.time_ns

    def shifted_ns() -> int:
        return true_ns() + int(_OFFSET.unpack_from(view)[0])

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / NS_PER_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--netns", type=Path)
    parser.add_argument("--clock", type=Path)
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.netns:
        enter_network(options.netns)
    if options.clock:
        follow_clock(options.clock)
    sys.argv = [options.module, *options.arguments]
    runpy.run_module(options.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

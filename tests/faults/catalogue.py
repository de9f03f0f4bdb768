"""The faults, by name. Each is a context: entering does it, leaving mends it, whatever happened between."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random

from faults.line import FaultLine, Means

Inject = Callable[[FaultLine, Random], AbstractContextManager[None]]
_catalogue: dict[str, "Fault"] = {}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can happen to a line.

    Args:
        lasts: how long it lasts, s, from the one to the other by chance.
        root: whether it needs namespaces or mounts.
        loop: whether it needs loop devices.
    """

    name: str
    inject: Inject
    lasts: tuple[float, float]
    root: bool
    loop: bool

    def lacks(self, means: Means) -> str:
        """What it needs and this machine does not have; nothing if it can be done."""
        if self.root and not means.root:
            return "root, for namespaces and mounts"
        return "root and loop devices, for disks that hang" if self.loop and not means.loop else ""


def fault(
    name: str, *, lasts: tuple[float, float] = (0.0, 0.0), root: bool = False, loop: bool = False
) -> Callable[[Callable[[FaultLine, Random], Iterator[None]]], Callable[[FaultLine, Random], Iterator[None]]]:
    """Enter a generator function into the catalogue: it does the fault, yields while it lasts, and mends it."""

    def enter(
        function: Callable[[FaultLine, Random], Iterator[None]],
    ) -> Callable[[FaultLine, Random], Iterator[None]]:
        if name in _catalogue:
            raise ValueError(f"two faults are called {name}")
        _catalogue[name] = Fault(name, contextmanager(function), lasts, root, loop)
        return function

    return enter


def all_faults() -> dict[str, Fault]:
    """Every fault that was entered, by name."""
    # Each module enters its own.
    from faults.kinds import (  # noqa: F401
        broker,
        clocks,
        commands,
        database,
        disks,
        hostile,
        malformed,
        network,
        processes,
        repeats,
    )

    return dict(_catalogue)

"""The services of a line as child processes: started together, watched, started again when they die."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from broker.children import start_child
from pcb_bus.durable.files import make_folder, private

log = logging.getLogger(__name__)

_WATCH_S = 0.2
_STOP_S = 6.0
_RESTARTS_WITHIN_S = 30.0
_MAX_RESTARTS = 5
EXIT_CONFIG = 2


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A child: its node name, and what to run it with (`python -m module arguments…`), with variables of its own.

    `gives_way`: the others come first on a machine that has too little for all.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    gives_way: bool = False


class Child:
    """One process, and when it was last started again."""

    def __init__(self, spec: ProcessSpec, environment: Mapping[str, str], output: Path) -> None:
        self.spec = spec
        self._environment = {**os.environ, **environment, **spec.environment}
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts: list[float] = []

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        nice = shutil.which("nice") if self.spec.gives_way else None
        first = () if nice is None else (nice, "-n", "10")
        command = [*first, sys.executable, "-m", self.spec.module, *self.spec.arguments]
        with open(self._output, "ab", opener=private) as output:
            self._process = start_child(command, output, self._environment)

    def restart(self, now: float) -> bool:
        """Start it again; False when it died too often lately, or can never run as it is configured."""
        self._restarts = [at for at in self._restarts if now - at < _RESTARTS_WITHIN_S]
        if self.exit_code == EXIT_CONFIG or len(self._restarts) >= _MAX_RESTARTS:
            return False
        self._restarts.append(now)
        self.start()
        return True

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float) -> None:
        """Wait for its end; after `timeout` seconds it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %.0f s; killed", self.spec.name, timeout)
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "no output"


class Supervisor:
    """Keeps children running, as systemd does on a real line; they end with this process.

    Args:
        output_folder: one `<name>.out` for what each child prints.
        on_failure: told (name, last line it printed) when a child cannot be kept running.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        environment: Mapping[str, str],
        output_folder: Path,
        on_failure: Callable[[str, str], None],
    ) -> None:
        make_folder(output_folder)
        self._children = [Child(spec, environment, output_folder / f"{spec.name}.out") for spec in specs]
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._given_up: set[str] = set()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.restarts = 0

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by node name."""
        return {child.spec.name: child.pid for child in self._children if child.pid is not None}

    def start(self) -> None:
        for child in self._children:
            child.start()
        self._thread.start()

    def stop(self) -> None:
        """Ask all to stop at once, and wait for each; whoever does not is killed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        _end(self._children)

    def stop_some(self, names: Collection[str]) -> None:
        """As `stop`, of these alone; the others go on."""
        self._given_up |= {*names}
        _end([child for child in self._children if child.spec.name in names])

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_S):
            for child in self._children:
                if child.exit_code is None or child.spec.name in self._given_up:
                    continue
                if child.restart(time.monotonic()):
                    self.restarts += 1
                else:
                    self._given_up.add(child.spec.name)
                    self._on_failure(child.spec.name, child.last_words())


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + _STOP_S
    for child in children:
        child.wait(max(0.1, deadline - time.monotonic()))

"""A Mosquitto process with its own logins, as the demo and the tests need it."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from broker.certificates import Certificates
from broker.children import start_child
from broker.config import LOOPBACK, Listeners, mosquitto_conf
from broker.errors import BrokerDied, MosquittoMissing, PortTaken
from broker.files import write_private
from broker.provision import Trust, provision, read_credentials
from broker.roles import Role, roles_of_lines
from pcb_bus.mqtt.login import Login

ADMIN_PATHS = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin")  # not on every user's PATH
READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
MEMORY_BYTES = 1 << 30
LINES = {"pcb": ("left", "right")}


def find_mosquitto() -> str:
    """The path of Mosquitto.

    Raises:
        MosquittoMissing: it is not installed.
    """
    program = shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), *ADMIN_PATHS)))
    if program is None:
        raise MosquittoMissing("mosquitto is not installed; on Debian: sudo apt-get install mosquitto")
    return program


def prepare(directory: Path, listeners: Listeners, roles: Sequence[Role]) -> tuple[list[str], tuple[str, ...]]:
    """Write certificates, logins and configuration; gives the command that starts the broker, and the new logins.

    Raises:
        MosquittoMissing, PortTaken, ConfigError
    """
    program = find_mosquitto()
    for port, address in listeners.ports:
        _refuse_taken(port, address)
    new = provision(directory, roles, make_trust(directory, listeners))
    (directory / "data").mkdir(exist_ok=True, mode=0o700)
    configuration = directory / "mosquitto.conf"
    write_private(configuration, mosquitto_conf(directory, listeners))
    return [program, "-c", str(configuration)], new


def make_trust(directory: Path, listeners: Listeners, names: Iterable[str] = ()) -> Trust | None:
    """The certificates that these listeners need, made where they are missing; None without TLS.

    Raises:
        ConfigError
    """
    if listeners.tls is None:
        return None
    certificates = Certificates(directory)
    certificates.make(names)
    return Trust(certificates, listeners.certificates_required)


def limit_memory(pid: int) -> None:
    """Let a Mosquitto have a gigabyte; on Linux. It refuses what would need more, and goes on.

    Its own `memory_limit` is of no use in 2.0.11: a login with MQTT's authentication properties, of anybody, makes it
    count too little, below zero after two of them, and from then on it refuses everybody.
    """
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # it has ended at once
            resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _refuse_taken(port: int, address: str | None) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address or "", port))
        except PermissionError:
            return  # a port below 1024: Mosquitto says so itself
        except OSError:
            raise PortTaken(port) from None


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


class Broker:
    """One Mosquitto process. It can be stopped, killed and started again on the same port with the same sessions.

    It ends with the process that started it. Its files, `mosquitto.log` among them, are in `directory`.
    `lines` has the sides of each line, by its root.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        websocket_port: int | None = None,
        *,
        tls_port: int | None = None,
        listen: str | None = LOOPBACK,
        lines: Mapping[str, Sequence[str]] = LINES,
        certificates_required: bool = False,
    ) -> None:
        self.directory = directory
        self.host = listen or LOOPBACK
        self.port = port
        self.tls_port = tls_port
        self.websocket_port = websocket_port
        self._listeners = Listeners(port, tls_port, websocket_port, listen, listen, certificates_required)
        self._roles = roles_of_lines(lines)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log_path(self) -> Path:
        return self.directory / "mosquitto.log"

    @property
    def credentials_folder(self) -> Path:
        """For the setting `broker.credentials`."""
        return self.directory / "credentials"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def credentials(self, role: str, line: str = "") -> Login:
        """The login of a role: `edge-<side>`, `inference`, `viewer`, …; `line` is the root of a further line."""
        return read_credentials(self.directory, role, line)

    def start(self, timeout: float = READY_TIMEOUT_S) -> None:
        """Start and wait until it accepts connections; nothing happens if it runs already.

        Raises:
            MosquittoMissing, PortTaken, BrokerDied
        """
        if self.pid is not None:
            return
        command, _ = prepare(self.directory, self._listeners, self._roles)
        with self._log() as log:
            self._process = start_child(command, log)
        limit_memory(self._process.pid)
        self.wait_ready(timeout)

    def wait_ready(self, timeout: float = READY_TIMEOUT_S) -> None:
        """Wait until it accepts connections on every port.

        Raises:
            BrokerDied: it ended, or the time is over.
        """
        deadline = time.monotonic() + timeout
        while not self._accepts():
            if self.pid is None:
                raise BrokerDied(f"mosquitto ended at once: {self._last_words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerDied(f"mosquitto is not ready after {timeout:g} s: {self._last_words()}")
            time.sleep(0.01)

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """End it cleanly: it writes its sessions down first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reload(self) -> None:
        """Have it read its logins, rights and certificates again; whoever has no right any more is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def restart(self) -> None:
        """Stop cleanly and start again: same port, same sessions."""
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block the process stands still: connections stay open and nothing answers."""
        if self._process is None:
            raise BrokerDied("the broker does not run")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _log(self) -> IO[bytes]:
        return self.log_path.open("ab")

    def _accepts(self) -> bool:
        return all(_answers(self.host, port) for port, _ in self._listeners.ports) and self.pid is not None

    def _last_words(self) -> str:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "no output")

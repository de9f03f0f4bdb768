"""A real MariaDB server of our own, for tests and benchmarks: made in a temporary folder, ended by its process."""

import getpass
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql

USER, PASSWORD = "boardline", "for-tests-only"
READY_TIMEOUT_S = 30.0
SMALL_AND_QUICK = (
    "--skip-name-resolve",
    "--performance-schema=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-method=nosync",  # what a killed process has written is there; only the power may not be cut
    "--sync-frm=0",
)


class MariaDb:
    """One mariadbd on the loopback interface. It can be stopped, killed, frozen and started again with its data."""

    def __init__(self, directory: Path, port: int, options: Sequence[str] = SMALL_AND_QUICK) -> None:
        self._options = options
        self.directory = directory
        self.port = port
        self._socket = directory / "s"
        self._temporary = directory / "tmp"  # in a shared one, servers delete each other's files at their start
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def initialise(self) -> None:
        """Make an empty server, with a login of all rights."""
        self._temporary.mkdir()
        install = [
            *(program("mariadb-install-db"), "--no-defaults", f"--user={getpass.getuser()}"),
            *(f"--datadir={self.directory / 'data'}", f"--tmpdir={self._temporary}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        ]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        self.start()
        self.execute(
            f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1'",
        )

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start and wait until it answers; nothing happens if it runs already."""
        if self.pid is not None:
            return
        command = [
            *(program("mariadbd"), "--no-defaults", f"--user={getpass.getuser()}"),
            *(f"--datadir={self.directory / 'data'}", f"--socket={self._socket}"),
            *("--bind-address=127.0.0.1", f"--port={self.port}", f"--pid-file={self.directory / 'pid'}"),
            f"--tmpdir={self._temporary}",
            *self._options,
        ]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._wait_ready()

    def stop(self) -> None:
        """End it cleanly."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(READY_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block the process stands still: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def fresh_database(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}?charset=utf8mb4"

    def execute(self, *statements: str) -> None:
        """Run statements as the server's root."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @property
    def log_path(self) -> Path:
        return self.directory / "log"

    def connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """As the server's root, for whom it keeps a place when its connections are used up."""
        return pymysql.connect(unix_socket=str(self._socket), user="root", autocommit=True)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._accepts():
            if self.pid is None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd does not start: {self.log_path.read_text()[-2000:]}")
            time.sleep(0.02)

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0


def program(name: str) -> str:
    """The path of a program of the server.

    Raises:
        FileNotFoundError: it is not installed; the tests need it.
    """
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: the tests need a real MariaDB; `make test` installs it")
    return path

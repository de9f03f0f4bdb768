"""The life of a service process: settings, logs, metrics, start, signals, stop, exit code."""

import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.session import NETWORK_THREAD
from pcb_bus.runtime.logs import set_up_logging
from pcb_bus.runtime.metrics import serve_metrics
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.settings import LineSettings, load_settings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=LineSettings)
EXIT_OK, EXIT_FAULT, EXIT_CONFIG = 0, 1, 2
_STOP_S = 4.7  # of the 5 s that a supervisor waits; then this process ends itself, whatever hangs
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Startable(Protocol):
    """What a room builds: `stop` finishes what it holds and returns within 5 s."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def run_service(
    kind: type[S],
    build: Callable[[S], Startable],
    node_name: Callable[[S], str],
    argv: list[str] | None = None,
    *,
    program: str,
) -> int:
    """Run until SIGTERM or SIGINT, however often they come; returns the exit code.

    0: asked to stop. 1: a thread of the service died, so that a supervisor starts it afresh.
    2: wrong configuration; one line on stderr names the key.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to stop, Ctrl-C just ends it
    keep_to_ourselves()
    try:
        settings = load_settings(kind, argv, program=program)
        own = settings.log
        set_up_logging(own.level, own.directory, node_name(settings), max_bytes=own.max_bytes, backups=own.backups)
        serve_metrics(settings.metrics.port, settings.metrics.address)
        service = build(settings)
    except ConfigError as error:
        print(f"{program}: {redact(str(error))}", file=sys.stderr)
        return EXIT_CONFIG
    return _run_until_asked_to_stop(service)


def keep_to_ourselves() -> None:
    """What this process writes is for its own user, and what a library throws or warns of shows no secret."""
    os.umask(0o077)
    sys.excepthook = _tell_without_secrets
    logging.captureWarnings(True)


def _tell_without_secrets(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    print(redact("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _run_until_asked_to_stop(service: Startable) -> int:
    asked, ask = os.pipe()
    os.set_blocking(ask, False)
    faults: list[str] = []

    def on_thread_fault(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "a thread"
        exc_info = (args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
        if name.startswith(NETWORK_THREAD):
            log.critical("%s died; the session's watchdog starts it again", name, exc_info=exc_info)
            return
        faults.append(name)
        log.critical("%s died; the service ends so that it can be started afresh", name, exc_info=exc_info)
        os.write(ask, b"\0")

    threading.excepthook = on_thread_fault
    faulthandler.enable(2)  # a watchdog ends a process that hangs with SIGABRT: the log shows where each thread was
    # The interpreter writes each signal to the pipe. A handler that sets an Event deadlocks when a second signal comes
    # in the middle of it.
    signal.set_wakeup_fd(ask, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    service.start()
    tell_supervisor("READY=1")
    os.read(asked, 1)
    tell_supervisor("STOPPING=1")
    faulthandler.dump_traceback_later(_STOP_S, exit=True)
    service.stop()
    log.info("stopped")
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # one that comes while Python shuts down changes nothing any more
    return EXIT_FAULT if faults else EXIT_OK


def tell_supervisor(*lines: str) -> None:
    """What systemd wants to know of a service, as sd_notify(3) says it; nothing where it did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, path)  # it never holds up who tells

"""The life of a service process: settings, logs, metrics, start, signals, stop, exit code."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.session import NETWORK_THREAD
from pcb_bus.runtime.logs import set_up_logging
from pcb_bus.runtime.metrics import serve_metrics
from pcb_bus.runtime.settings import LineSettings, load_settings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=LineSettings)
EXIT_OK, EXIT_FAULT, EXIT_CONFIG = 0, 1, 2


class Service(Protocol):
    """What a room builds: `stop` finishes what it holds and returns within 5 s."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def run_service(
    kind: type[S],
    build: Callable[[S], Service],
    node_name: Callable[[S], str],
    argv: list[str] | None = None,
    *,
    program: str,
) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    0: asked to stop. 1: a thread of the service died, so that a supervisor starts it afresh.
    2: wrong configuration; one line on stderr names the key.
    """
    try:
        settings = load_settings(kind, argv, program=program)
        log_settings = settings.log
        set_up_logging(
            log_settings.level,
            log_settings.directory,
            node_name(settings),
            max_bytes=log_settings.max_bytes,
            backups=log_settings.backups,
        )
        serve_metrics(settings.metrics.port, settings.metrics.address)
        service = build(settings)
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    return _run_until_asked_to_stop(service)


def _run_until_asked_to_stop(service: Service) -> int:
    stop = threading.Event()
    faults: list[str] = []

    def on_thread_fault(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "a thread"
        exc_info = (args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
        if name.startswith(NETWORK_THREAD):
            log.critical("%s died; the session's watchdog starts it again", name, exc_info=exc_info)
            return
        faults.append(name)
        log.critical("%s died; the service ends so that it can be started afresh", name, exc_info=exc_info)
        stop.set()

    threading.excepthook = on_thread_fault
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service.start()
    stop.wait()
    service.stop()
    log.info("stopped")
    return EXIT_FAULT if faults else EXIT_OK

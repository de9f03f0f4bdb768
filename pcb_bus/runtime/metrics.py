"""Prometheus metrics that every node has, and the optional port that serves them."""

import errno
import logging

from prometheus_client import Counter, Gauge, start_http_server

from pcb_bus.errors import ConfigError

log = logging.getLogger(__name__)

_PORTS = 20
RECEIVED = Counter("boardline_messages_received", "Messages received", ["kind"])
REJECTED = Counter("boardline_messages_rejected", "Messages rejected", ["kind", "reason"])
DROPPED = Counter("boardline_messages_dropped", "Messages dropped unread or unsent", ["kind", "reason"])
PUBLISHED = Counter("boardline_messages_published", "Messages handed to the broker", ["kind"])
PUBLISH_FAILED = Counter("boardline_publish_failed", "Messages that the broker refused", ["kind", "reason"])
OUTBOX_WAITING = Gauge("boardline_outbox_waiting", "Messages that the recorder has not named yet", ["kind"])
NOT_KEPT = Counter("boardline_outbox_not_kept", "Messages published although the outbox could not keep them", ["kind"])
CONNECTED = Gauge("boardline_broker_connected", "1 while connected to the broker and subscribed", ["session"])
CONNECT_FAILED = Counter("boardline_broker_connect_failed", "Failed or refused connections", ["reason"])
HANDLER_ERRORS = Counter("boardline_handler_errors", "Exceptions in message handlers: faults of ours", ["kind"])


def kind_of(topic: str, root: str) -> str:
    """The metric label of a topic: its first level below the root, so that labels stay few."""
    return topic.removeprefix(f"{root}/").split("/", 1)[0]


def serve_metrics(port: int | None, address: str = "127.0.0.1") -> None:
    """Serve `/metrics` in a daemon thread; None serves nothing.

    The services of one machine have one setting: each takes the first free port from `port` on, of twenty.

    Raises:
        ConfigError: no port can be opened.
    """
    if port is None:
        return
    last = min(port + _PORTS - 1, 65_535)
    for each in range(port, last + 1):
        try:
            start_http_server(each, address)
            log.info("metrics at http://%s:%d/metrics", address, each)
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"metrics.port: cannot listen on {address}:{each}: {error.strerror}") from None
    raise ConfigError(f"metrics.port: {port} to {last} are all in use on {address}; name one with free ports above it")

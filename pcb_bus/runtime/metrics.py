"""Prometheus metrics that every node has, and the optional port that serves them."""

from prometheus_client import Counter, Gauge, start_http_server

from pcb_bus.errors import ConfigError

RECEIVED = Counter("boardline_messages_received", "Messages received", ["kind"])
REJECTED = Counter("boardline_messages_rejected", "Messages rejected", ["kind", "reason"])
DROPPED = Counter("boardline_messages_dropped", "Messages dropped unread or unsent", ["kind", "reason"])
PUBLISHED = Counter("boardline_messages_published", "Messages handed to the broker", ["kind"])
PUBLISH_FAILED = Counter("boardline_publish_failed", "Messages that the broker refused", ["kind", "reason"])
OUTBOX_WAITING = Gauge("boardline_outbox_waiting", "Messages that the recorder has not named yet")
NOT_KEPT = Counter("boardline_outbox_not_kept", "Messages published although the outbox could not keep them", ["kind"])
CONNECTED = Gauge("boardline_broker_connected", "1 while connected to the broker and subscribed", ["session"])
CONNECT_FAILED = Counter("boardline_broker_connect_failed", "Failed or refused connections", ["reason"])
HANDLER_ERRORS = Counter("boardline_handler_errors", "Exceptions in message handlers: faults of ours", ["kind"])


def kind_of(topic: str, root: str) -> str:
    """The metric label of a topic: its first level below the root, so that labels stay few."""
    return topic.removeprefix(f"{root}/").split("/", 1)[0]


def serve_metrics(port: int | None, address: str = "127.0.0.1") -> None:
    """Serve `/metrics` in a daemon thread; None serves nothing.

    Raises:
        ConfigError: the port cannot be opened.
    """
    if port is None:
        return
    try:
        start_http_server(port, address)
    except OSError as error:
        raise ConfigError(f"metrics.port: cannot listen on {address}:{port}: {error.strerror}") from None

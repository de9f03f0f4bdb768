"""The errors of the contract.

BoardlineError
 ├─ ConfigError       (ValueError)       a setting is unknown, impossible or missing; the message names its key
 ├─ MessageRejected   (ValueError)       a payload breaks the contract; `reason` is the metric's label
 ├─ BrokerError       (ConnectionError)  the broker cannot be reached or refuses
 ├─ CommandFailed     (RuntimeError)     the node that was asked answered with an error, or not at all
 └─ OutboxFault       (OSError)          the outbox or the ledger cannot be used
"""

_MAX_DETAIL = 300


class BoardlineError(Exception):
    """Root of every error that Boardline raises on purpose."""


class ConfigError(BoardlineError, ValueError):
    """A configuration that cannot work. One line, naming the key."""


class MessageRejected(BoardlineError, ValueError):
    """A payload that breaks the wire contract.

    `reason` is a short stable word for metrics (`not_json`, `schema`, `too_large`, …), `detail` is for the log: it may
    quote the payload, and is cut to what a person reads.
    """

    def __init__(self, reason: str, detail: str) -> None:
        if len(detail) > _MAX_DETAIL:
            detail = f"{detail[:_MAX_DETAIL]}…"
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BrokerError(BoardlineError, ConnectionError):
    """The broker cannot be reached, or refuses what was asked of it."""


class CommandFailed(BoardlineError, RuntimeError):
    """A node answered a command with an error, or did not answer in time."""


class OutboxFault(BoardlineError, OSError):
    """The outbox or the ledger cannot be used: it is full, or its disk fails. What was kept before is still there."""

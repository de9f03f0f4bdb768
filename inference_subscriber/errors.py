"""The errors of this room, beside those of the contract.

BoardlineError
 ├─ ConfigError   (ValueError)    a model that cannot be used: names `inference.model` or `inference.device`
 ├─ EngineFault   (RuntimeError)  the network could not be run on these images
 ├─ AnomalyRefused (ValueError)   an anomaly file that cannot be used, or not for this line
 └─ NotComparable (ValueError)    a frame that cannot be laid over its golden board
"""

from pcb_bus.errors import BoardlineError


class EngineFault(BoardlineError, RuntimeError):
    """The network could not be run on these images."""


class AnomalyRefused(BoardlineError, ValueError):
    """An anomaly file that cannot be used, or not for this line; one line, which names it. The line runs without it."""


class NotComparable(BoardlineError, ValueError):
    """A frame that cannot be laid over its golden board; one line, which says why."""

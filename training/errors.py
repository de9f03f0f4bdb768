"""What can be wrong with a training run or an export; each message is one line and names the file or option."""

from __future__ import annotations

from pcb_bus.errors import BoardlineError


class TrainingError(BoardlineError, ValueError):
    """A run, a checkpoint or an option that cannot be used."""


class ParityError(BoardlineError, ValueError):
    """An exported model does not give what its checkpoint gives."""

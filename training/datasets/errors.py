"""What can be wrong with a dataset; each message is one line and names the file."""

from __future__ import annotations

from pcb_bus.errors import BoardlineError


class DatasetError(BoardlineError, ValueError):
    """The folder does not hold what its layout promises."""

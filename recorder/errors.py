"""What can go wrong between a message and its row.

BoardlineError
 ├─ RowRefused    (ValueError)       the database can never take this row: the message is at fault
 ├─ DatabaseDown  (ConnectionError)  the database cannot take anything now: try again
 └─ SpoolFault    (OSError)          the spool is full, or its disk fails
"""

from pcb_bus.errors import BoardlineError


class RowRefused(BoardlineError, ValueError):
    """A row that the database will never take; trying again is no use."""


class DatabaseDown(BoardlineError, ConnectionError):
    """The database is away, locked, full or read-only; the same write may succeed later."""


class SpoolFault(BoardlineError, OSError):
    """The spool is full, or its disk fails. What it took before is still there."""

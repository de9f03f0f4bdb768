"""What can go wrong between a program and the database.

BoardlineError
 ├─ RowRefused    (ValueError)       the database lives, but never takes this row
 └─ DatabaseDown  (ConnectionError)  the database takes nothing now: try again
"""

from pcb_bus.errors import BoardlineError


class RowRefused(BoardlineError, ValueError):
    """A row that the database will never take; trying again is no use."""


class DatabaseDown(BoardlineError, ConnectionError):
    """The database is away, locked, full or read-only; the same write may succeed later."""

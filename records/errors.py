"""What can go wrong between a program and the database.

BoardlineError
 ├─ RowRefused    (ValueError)       the database lives, but never takes this row
 ├─ ReviewRefused (ValueError)       a decision of a person that cannot be: of no board, or incomplete
 └─ DatabaseDown  (ConnectionError)  the database takes nothing now: try again
"""

from pcb_bus.errors import BoardlineError


class RowRefused(BoardlineError, ValueError):
    """A row that the database will never take; trying again is no use."""


class ReviewRefused(BoardlineError, ValueError):
    """A decision that makes no sense of this board. One line, for the person who made it."""


class DatabaseDown(BoardlineError, ConnectionError):
    """The database is away, locked, full or read-only; the same write may succeed later."""

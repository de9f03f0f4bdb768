"""Which ids are certainly new, told from memory: a fresh verdict then costs no look at the disk."""

_CELLS_A_MEMBER = 16
_MOST = 255


class Sieve:
    """A counting filter. `in` is never wrongly False; of new ids it takes one in 16 for perhaps known.

    Args:
        members: so many at a time; each takes 16 bytes (1.6 MB for 100,000), of which more make it less sure only.
    """

    def __init__(self, members: int) -> None:
        self._cells = bytearray(_CELLS_A_MEMBER * members)

    def __contains__(self, identity: str) -> bool:
        return self._cells[self._cell(identity)] > 0

    def add(self, identity: str) -> None:
        cell = self._cell(identity)
        self._cells[cell] += self._cells[cell] < _MOST

    def discard(self, identity: str) -> None:
        """Of one that was added. A cell that overflowed stays as it is: perhaps for ever."""
        cell = self._cell(identity)
        self._cells[cell] -= 0 < self._cells[cell] < _MOST

    def _cell(self, identity: str) -> int:
        return hash(identity) % len(self._cells)

"""Free run: no trigger names the board, so frames of different sides pair by the time of their capture."""

from collections.abc import Iterable

from inference_subscriber.board import Board
from pcb_bus.contract.messages import Frame


def nearest(frame: Frame, boards: Iterable[Board], window_ns: int) -> Board | None:
    """Of the boards that lack this side, the one captured nearest, if within the window.

    A board that has this very frame is nearer still, so that a repeated frame opens no second board.
    """
    candidates = []
    for board in boards:
        own = board.sightings.get(frame.side)
        if own is not None and own.frame.frame_id == frame.frame_id:
            return board
        if own is None and _distance(frame, board) <= window_ns:
            candidates.append(board)
    return min(candidates, key=lambda board: _distance(frame, board), default=None)


def _distance(frame: Frame, board: Board) -> int:
    """Ns to the farthest frame of the board: all of its sides lie within the window."""
    return max(abs(sighting.frame.captured_at - frame.captured_at) for sighting in board.sightings.values())

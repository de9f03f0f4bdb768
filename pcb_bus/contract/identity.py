"""Ids that are the same after any crash or repeat."""

import os
import uuid

from pcb_bus.contract.times import NS_PER_MS

SAME_BOARD_NS = 200 * NS_PER_MS
"""So far apart two edges may announce one board: they take up to 150 ms to choose its picture. Two boards lie further
apart, 0.3 s on a fast belt."""
FREE_RUN = "free-"
"""How the names of boards begin that nobody announced: no trigger is expected, and no camera asked for their frames."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:boardline:verdict")


def new_id() -> str:
    """A fresh random id, for frames."""
    return os.urandom(16).hex()


def verdict_id(root: str, board_id: str, triggered_at: int | None) -> str:
    """The id of the verdict on one pass of one board.

    `triggered_at` (ns) counts in whole milliseconds, for that is all that a JSON trigger carries of it.
    """
    moment = "" if triggered_at is None else str(triggered_at // NS_PER_MS)
    return str(uuid.uuid5(_NAMESPACE, "\n".join((root, "board", board_id, moment))))


def free_run_board_id(frame_id: str) -> str:
    """The name of a board that nobody announced, after the frame in which it was seen."""
    return f"{FREE_RUN}{frame_id}"[:128].rstrip()

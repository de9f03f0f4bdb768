"""Which frames make a board, and when it is time to judge it. Pure: no MQTT, no clock.

Inputs (`trigger`, `offer`, `inspected`, `lost`) change the state; `due` then says what is to be done. Two clocks come
in as arguments: `received_at`, ns since the epoch, to tell the age of what came, and `now`, monotonic ns, for waiting.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from inference_subscriber.board import Board, BoardKey, Inspected, Receipt, Sighting
from inference_subscriber.finished import Finished
from inference_subscriber.leading import Announced
from pcb_bus.contract.identity import FREE_RUN
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.times import NS_PER_S

_RESENDABLE_NS = 10 * NS_PER_S  # the cameras keep their last frames about so long
_HUNG_NS = 10 * NS_PER_S  # an engine that has not answered by then never will


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """How long to wait, how old a frame may be, and how many boards may be open."""

    timeout_ns: int = 600_000_000
    max_frame_age_ns: int = 2 * NS_PER_S
    max_open: int = 200


@dataclass(frozen=True, slots=True)
class AskResend:
    """A frame went missing: ask the camera of `side` once more."""

    side: str
    board_id: str
    triggered_at: int | None


@dataclass(frozen=True, slots=True)
class Close:
    """Judge this board now; nothing more will be added to it. Each board is closed exactly once."""

    board: Board


@dataclass(frozen=True, slots=True)
class Repeated:
    """The trigger of a closed board came again: acknowledge it once that board's verdict is out."""

    key: BoardKey
    receipt: Receipt


Action = AskResend | Close | Repeated


class Joiner:
    """Boards that are under way, and the ones just finished."""

    def __init__(self, sides: tuple[str, ...], options: JoinOptions) -> None:
        self._sides = sides
        self._options = options
        self._open: list[Board] = []
        self._announced = Announced(f"edge-{side}" for side in sides)
        self._finished = Finished(max(1000, 5 * options.max_open))
        self._repeated: list[Repeated] = []
        self.product: str | None = None
        """What runs on the line; it holds for the boards that are opened from now on."""

    def __len__(self) -> int:
        return len(self._open)

    # What happens

    def trigger(self, trigger: Trigger, receipt: Receipt, *, received_at: int, now: int) -> None:
        """A board was announced, perhaps not for the first time, or by a second edge."""
        own, key = BoardKey.of(trigger.board_id, trigger.triggered_at), self._announced.add(trigger)
        if key != own:
            self._unite(own, key)
        board = self._find(key)
        if board is None:
            finished = self._finished.find(key, now)
            if finished is not None:
                self._repeated.append(Repeated(finished, receipt))
                return
            board = self._open_board(key, now, waited=received_at - trigger.triggered_at)
        if key == own or board.triggered_at is None:
            board.key, board.triggered_at = key, trigger.triggered_at
        board.product = trigger.product or board.product
        board.receipts.append(receipt)

    def offer(self, frame: Frame, *, received_at: int, now: int) -> str | None:
        """A frame of a board came. None lets it in; otherwise why it is dropped: a short word for metrics."""
        assert frame.board_id is not None
        key = self._announced.key_of(BoardKey.of(frame.board_id, frame.triggered_at))
        board = self._find(key)
        if board is None and self._finished.find(key, now) is not None:
            return "late"
        wrong = self.wrong_time(frame, received_at)
        if wrong == "from_the_future" or (wrong and (board is None or frame.side not in board.asked)):
            return wrong
        if board is not None and frame.side in board.sightings:
            return "repeated"
        board = board or self._open_board(key, now)
        board.sightings[frame.side] = Sighting(frame, now)
        if board.triggered_at is None and frame.triggered_at is not None:
            board.key, board.triggered_at = key, frame.triggered_at
        return None

    def wrong_time(self, frame: Frame, received_at: int) -> str | None:
        """`too_old` or `from_the_future`, where the clocks of its camera and of this machine must differ."""
        age = received_at - frame.captured_at
        if age > self._options.max_frame_age_ns:
            return "too_old"
        return "from_the_future" if age < -self._options.max_frame_age_ns else None

    def inspected(self, frame: Frame, result: Inspected) -> bool:
        """The engine is done with a frame that was let in; False if its board did not wait for it."""
        for _, sighting in self._sightings_of(frame):
            sighting.inspected = result
            return True
        return False

    def lost(self, frame: Frame) -> None:
        """A frame that was let in cannot be inspected after all."""
        for board, _ in self._sightings_of(frame):
            del board.sightings[frame.side]
            return

    # What is to be done

    def due(self, now: int) -> list[Action]:
        """What must be done at `now`. Closes the oldest boards when too many are open."""
        actions: list[Action] = [*self._repeated]
        self._repeated.clear()
        excess = len(self._open) - self._options.max_open
        for index, board in enumerate(list(self._open)):
            if index < excess or self._is_over(board, now):
                self._close(board, now)
                actions.append(Close(board))
            else:
                actions.extend(self._ask(board, now))
        return actions

    def next_due(self) -> int | None:
        """When `due` has something to do although nothing happened; None: not before something happens."""
        return min((self._wakes_at(board) for board in self._open), default=None)

    # Inside

    def _is_over(self, board: Board, now: int) -> bool:
        if not board.missing(self._sides) and not board.under_way:
            return True
        return now >= self._ends_at(board)

    def _ends_at(self, board: Board) -> int:
        """A frame that came in time is waited for, even by a slow engine."""
        return board.opened_at + _HUNG_NS if board.under_way else board.give_up_at

    def _wakes_at(self, board: Board) -> int:
        ends_at = self._ends_at(board)
        return ends_at if board.ask_at is None else min(board.ask_at, ends_at)

    def _ask(self, board: Board, now: int) -> Iterator[AskResend]:
        if board.ask_at is None or now < board.ask_at:
            return
        board.ask_at = None
        board.asked = frozenset(board.missing(self._sides))
        for side in sorted(board.asked):
            yield AskResend(side, board.key.board_id, board.triggered_at)

    def _open_board(self, key: BoardKey, now: int, waited: int = 0) -> Board:
        """`waited`: ns since the trigger, if there is one. A frame of long ago cannot be had any more."""
        timeout = self._options.timeout_ns
        ask_at: int | None = now + timeout // 2 if waited <= timeout else now
        board = Board(key, opened_at=now, ask_at=ask_at, give_up_at=now + timeout, running=self.product)
        if key.board_id.startswith(FREE_RUN):
            board.ask_at = None  # to no camera that name says anything
        elif waited > _RESENDABLE_NS:
            board.ask_at, board.give_up_at = None, now
        self._open.append(board)
        return board

    def _close(self, board: Board, now: int) -> None:
        self._open.remove(board)
        self._finished.add(board.key, now)

    def _unite(self, second: BoardKey, first: BoardKey) -> None:
        """Frames that came under the second name, before its trigger, go to the board that was first."""
        board = self._find(first)
        for early in [each for each in self._open if each.key == second]:
            self._open.remove(early)
            if board is not None:
                board.sightings = early.sightings | board.sightings

    def _find(self, key: BoardKey) -> Board | None:
        candidates = [board for board in self._open if board.key.may_be(key)]
        exact = [board for board in candidates if board.key == key]
        return next(iter(exact or candidates), None)

    def _sightings_of(self, frame: Frame) -> Iterator[tuple[Board, Sighting]]:
        for board in self._open:
            sighting = board.sightings.get(frame.side)
            if sighting is not None and sighting.frame is frame:
                yield board, sighting

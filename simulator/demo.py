"""The demo: a virtual line, boards with known defects, a live table of verdicts against truth, and a summary."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from rich.console import Console
from rich.live import Live

from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.times import NS_PER_S, now_ns, to_datetime
from pcb_bus.errors import BoardlineError
from pcb_bus.mqtt.session import SessionOptions
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from simulator.accounting import Books
from simulator.conveyor import Boards, Conveyor, Unannounced
from simulator.display import ROWS, board_line, live_view, misjudged_lines, summary_table
from simulator.lessons import Lesson, NotTaught, learn, lesson_for
from simulator.line import PRESENCE, SIDES, LineOptions, VirtualLine, moving
from simulator.observer import Observer
from simulator.reconciliation import reconcile
from simulator.records import rows_by_board
from simulator.schedule import ASSEMBLED, Schedule

_READY_S = 30.0
_SETTLE_S = 20.0
_REFRESH_S = 0.25


class DemoFailed(BoardlineError, RuntimeError):
    """The line did not come up, or did not stay up."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `make demo` takes; what is not said here is said of `Schedule`.

    Args:
        boards: end after so many; None runs until it is stopped.
    """

    boards: int | None = None
    rate: float = 2.0
    seed: int = 1
    defect_share: float = 0.3
    look: str = ASSEMBLED
    product: int = 1
    oddity_share: float = 0.05
    line: LineOptions = field(default_factory=LineOptions)

    @property
    def seen(self) -> bool:
        """Whether the edges see the boards themselves."""
        return self.line.trigger == PRESENCE

    def schedule(self, epoch_ns: int) -> Schedule:
        schedule = Schedule(
            seed=self.seed,
            rate=self.rate,
            epoch_ns=epoch_ns,
            defect_share=self.defect_share,
            look=self.look,
            product=self.product,
            oddity_share=self.oddity_share,
        )
        return moving(schedule) if self.seen and self.line.all_drawn else schedule


class Demo:
    """One run of the line.

    Args:
        stop: set it to end the run early, in order.
    """

    def __init__(self, options: DemoOptions, console: Console, stop: threading.Event) -> None:
        self._options = options
        self._console = console
        self._stop = stop
        self._failure: str | None = None
        self.summary: dict[str, Any] = {}
        self._taxonomy = load_taxonomy(DEFAULT_TAXONOMY)
        self._schedule = options.schedule(now_ns())
        self.line = VirtualLine(self._schedule, options.line, self._on_failure)
        self.observer = Observer(self.line.topics, self._books())

    def run(self) -> bool:
        """Bring the line up, let the boards pass, take it down, and close the books.

        Returns:
            Whether every board got exactly one verdict, one actuation report and one record, and the recorder
            finds no gap.

        Raises:
            DemoFailed: the line did not come up, or a service cannot be kept running.
        """
        self._teach()
        if self._stop.is_set():
            return False
        with self.line:
            self.observer.start(self.line.session("viewer", SessionOptions(durable=True, expiry_s=600)))
            try:
                self._wait_until_up()
                self._tell_pages()
                self._let_boards_pass()
            finally:
                self.observer.stop()
        return self._close_books()

    def _books(self) -> Books:
        if not self._options.seen:
            return Books()
        if not self._options.line.all_drawn:
            return Books(all_count=True)
        # The edges name the boards; the pictures that a verdict rests on say which one of the schedule it was.
        return Books(lambda verdict: self._schedule.board_id(self._schedule.index_at(verdict.captured_at)))

    def _on_failure(self, name: str, last_words: str) -> None:
        self._failure = f"{name} cannot be kept running: {last_words}"
        self._stop.set()

    def _teach(self) -> None:
        """The anomaly score knows the product's good boards; where they cannot be learned, the line runs without it."""
        options = self._options
        if options.look != ASSEMBLED or not options.line.all_drawn:
            return
        try:
            lesson = lesson_for(self.line.configure(), self._schedule, SIDES, options.line.lessons)
            if not lesson.known(SIDES):
                self._learn(lesson)
            self.line.configure(lesson.settings(SIDES))
        except NotTaught as reason:
            if not self._stop.is_set():
                self._tell(f"no anomaly score: {reason}")

    def _learn(self, lesson: Lesson) -> None:
        boards, began = f"{lesson.boards} good boards of each side", time.monotonic()
        with self._console.status(f"first run with this product and model: learning {boards}"):
            learn(lesson, SIDES, self._stop)
        self._tell(f"learned {boards} for the anomaly score in {time.monotonic() - began:.0f} s: {lesson.folder}")

    def _tell(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _wait_until_up(self) -> None:
        with self._console.status("starting broker, recorder, actuator, inference, dashboard and two cameras"):
            missing = self.observer.wait_for_nodes(self.line.nodes, _READY_S, self._stop)
        if self._failure:
            raise DemoFailed(self._failure)
        if missing and not self._stop.is_set():
            where = self.line.workplace.folder / "output"
            raise DemoFailed(
                f"not online after {_READY_S:.0f} s: {', '.join(sorted(missing))}; what they said: {where}"
            )

    def _tell_pages(self) -> None:
        if self._stop.is_set():
            return
        line = self.line
        known = f"user admin, password {line.password}" if line.password else "logins as that database knows them"
        self._tell(f"pages: {line.pages}  {known}")

    def _let_boards_pass(self) -> None:
        with self._passing() as (boards, waiting):
            boards.start()
            try:
                show = self._show_live if self._console.is_terminal else self._show_lines
                show(self._beats(boards, waiting))
            finally:
                boards.stop()
        if self._failure:
            raise DemoFailed(self._failure)

    @contextmanager
    def _passing(self) -> Iterator[tuple[Boards, Callable[[], int]]]:
        """The boards, and how many triggers of them are not recorded yet that it is for us to know."""
        boards = self._options.boards
        if not self._options.seen:
            with self.line.trigger_source() as source:
                yield Conveyor(self._schedule, source.send, self._expect, boards), lambda: source.waiting
        elif self._options.line.all_drawn:
            yield Unannounced(self._schedule, self.line.workplace.load, self._expect, boards), lambda: 0
        else:
            yield _Others(self.observer, self.line, boards), lambda: 0

    def _expect(self, index: int, _: Trigger | None = None) -> None:
        board_id = self._schedule.board_id(index)
        # Nobody has told us what is on pictures that somebody else took.
        if not self._options.line.all_drawn:
            self.observer.expect(board_id, None)
            return
        truth = self._schedule.truth(index, SIDES, self._taxonomy)
        self.observer.expect(board_id, truth, self._schedule.faults_of_board(index, SIDES))

    def _show_live(self, beats: Iterator[str]) -> None:
        with Live(console=self._console, auto_refresh=False) as live:
            for note in beats:
                latest, tally, nodes = self.observer.view(-ROWS)
                live.update(live_view(latest, tally, nodes, self._options.boards, note), refresh=True)

    def _show_lines(self, beats: Iterator[str]) -> None:
        printed = 0
        for _ in beats:
            waiting, _tally, _nodes = self.observer.view(printed)
            for account in takewhile(lambda each: each.complete, waiting):
                self._console.print(board_line(account), highlight=False)
                printed += 1

    def _beats(self, boards: Boards, waiting: Callable[[], int]) -> Iterator[str]:
        """One for each refresh of the display, until the run is over and everything on its way has arrived."""
        while not self._stop.wait(_REFRESH_S) and not boards.finished.is_set():
            yield "Ctrl-C ends the run"
        boards.stop()
        deadline = time.monotonic() + _SETTLE_S + self._schedule.period_ns / NS_PER_S
        while time.monotonic() < deadline and not self._settled(waiting):
            yield "waiting for the last boards"
        yield ""

    def _settled(self, waiting: Callable[[], int]) -> bool:
        if self.observer.wait_until_complete(_REFRESH_S) and waiting():
            time.sleep(_REFRESH_S)
        return self.observer.books.complete and not waiting()

    def _close_books(self) -> bool:
        books = self.observer.books
        # A shared database may have rows and gaps of earlier days, which are not this run's.
        since = to_datetime(self._schedule.epoch_ns)
        books.counted_rows(rows_by_board(self.line.database_url, self.line.topics.root, since))
        found = reconcile(self.line.workplace.config, since=since)
        summary = self.summary = {**books.summary(), **self._process_facts(), "gaps": not found.whole}
        path = self.line.workplace.summary
        path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self._console.print(summary_table(summary))
        for line in misjudged_lines(summary["misjudged"]):
            self._console.print(line, style="yellow", highlight=False, markup=False)
        for account in books.accounts:
            if not account.complete or account.doubles:
                self._console.print(board_line(account), style="red", highlight=False)
        self._console.print("reconcile: no gap" if found.whole else f"reconcile: gaps\n{found.text}", markup=False)
        return books.in_order and found.whole

    def _process_facts(self) -> dict[str, object]:
        first = self.observer.books.first_verdict_at
        return {
            "restarts": self.line.supervisor.restarts,
            "first_verdict_s": None if first is None else round((first - self._schedule.epoch_ns) / NS_PER_S, 1),
        }


class _Others(Boards):
    """Boards before cameras of others: each that is judged has come. The edges stop first, so that none is cut off."""

    def __init__(self, observer: Observer, line: VirtualLine, boards: int | None) -> None:
        super().__init__(boards)
        self._observer = observer
        self._line = line

    def stop(self) -> None:
        super().stop()
        self._line.supervisor.stop_some([f"edge-{side}" for side in SIDES])

    def _run(self) -> None:
        while not self._stopping.wait(_REFRESH_S):
            if self._left is not None and len(self._observer.books) >= self._left:
                break
        self.finished.set()

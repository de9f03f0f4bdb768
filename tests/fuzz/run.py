"""Sends the cases, many connections at once, and says what went wrong and with which number it began."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random

from support.mqtt_packets import CONNACK, PUBACK, PUBREC, Answer, Connect, Layer, Listener, Wire, text, upgrade

from fuzz.kinds import Case, Target, make_case
from fuzz.line import FuzzedLine

GROWTH_MB: Mapping[str, float] = {"broker": 8.0}
SERVICE_GROWTH_MB = 24.0
"""How much more resident memory a process may have after all packets than after a tenth of them."""
_AT_ONCE = 24
_LURKERS = 10
_PATIENCE_S = 20.0
_SLOWLY_S = 0.01
_KEPT = 20
_SHOWN_BYTES = 160
_REFUSED = 0x80


@dataclass(frozen=True, slots=True)
class Fault:
    """What a packet did that it should not have done."""

    number: int
    listener: str
    kind: str
    what: str
    sent: bytes

    def __str__(self) -> str:
        more = "…" if len(self.sent) > _SHOWN_BYTES else ""
        return f"{self.number} ({self.kind}, {self.listener}): {self.what}; sent {self.sent[:_SHOWN_BYTES].hex()}{more}"


class Fuzzer:
    """Sends cases by their numbers. The listeners take turns, so that a number has its listener, too.

    Args:
        alive: whether the broker is still the process that it was.

    Attributes:
        sent, by_listener: how many cases.
        faults: the first of them, in the order in which they were seen.
    """

    def __init__(self, listeners: Sequence[Listener], target: Target, alive: Callable[[], bool], seed: int) -> None:
        self.sent: Counter[str] = Counter()
        self.by_listener: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self._listeners = listeners
        self._target = target
        self._alive = alive
        self._seed = seed
        self._lock = threading.Lock()
        self._under_way: set[int] = set()
        self._over = threading.Event()

    def send(self, numbers: Sequence[int]) -> None:
        """Send these; stop when the broker dies."""
        queue = iter(numbers)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(self._work, queue) for _ in range(_AT_ONCE)]:
                done.result()

    @contextmanager
    def lurkers(self) -> Iterator[None]:
        """Within the block there are connections that began something, and are silent since."""
        rng = Random(f"{self._seed}/lurkers")
        connect = Connect("", "viewer", self._target.passwords["viewer"]).encode()
        begun = (b"", b"\x10", connect, connect + b"\x30\x7f", upgrade()[:40], text("x", 900))
        with ExitStack() as opened:
            for listener in self._listeners:
                for _ in range(_LURKERS):
                    wire = opened.enter_context(Wire(listener, rng.choice(list(Layer)), _PATIENCE_S))
                    wire.send(rng.choice(begun))
            yield

    def _work(self, queue: Iterator[int]) -> None:
        while not self._over.is_set():
            with self._lock:
                number = next(queue, None)
                if number is None:
                    return
                self._under_way.add(number)
            self._try(number)
            with self._lock:
                self._under_way.discard(number)

    def _try(self, number: int) -> None:
        listener = self._listeners[number % len(self._listeners)]
        case = make_case(self._seed, number, self._target)
        wrong = _outcome(listener, case)
        with self._lock:
            self.sent[case.kind] += 1
            self.by_listener[str(listener)] += 1
            if not self._alive():
                self._over.set()
                wrong = f"the broker died while these were under way: {sorted(self._under_way)}"
            if wrong and len(self.faults) < _KEPT:
                self.faults.append(Fault(number, str(listener), case.kind, wrong, b"".join(case.parts)))


def _outcome(listener: Listener, case: Case) -> str | None:
    try:
        return converse(listener, case)
    except TimeoutError:
        return f"the broker neither answers nor ends the connection within {_PATIENCE_S:g} s"
    except OSError as error:
        return f"no connection: {error}"


def converse(listener: Listener, case: Case) -> str | None:
    """Send a case and hear the broker out; what is wrong with its answers.

    Raises:
        TimeoutError: it neither answers nor ends the connection.
        OSError: there is no connection to be had.
    """
    with Wire(listener, case.layer, _PATIENCE_S) as wire:
        _send(wire, case)
        if case.reset:
            wire.reset()
            return None
        answers = wire.finish()
    needed = Layer.WEBSOCKET if listener.websockets else Layer.STREAM if listener.tls else Layer.TCP
    return _wrong(case, answers) if case.layer >= needed else None  # below that, what comes are no packets


def _send(wire: Wire, case: Case) -> None:
    """Raises TimeoutError: the broker does not read."""
    try:
        for part in case.parts:
            wire.send(part)
            if case.slow:
                threading.Event().wait(_SLOWLY_S)
    except TimeoutError:
        raise
    except OSError:
        return  # the broker has ended it in the middle


def _wrong(case: Case, answers: Sequence[Answer]) -> str | None:
    if case.refused and any(each.kind == CONNACK and not each.reason for each in answers):
        return "it was let in"
    taken = any(each.kind in {PUBACK, PUBREC} and each.reason < _REFUSED for each in answers)
    return "what it may not write was taken" if case.denied and taken else None


@dataclass(slots=True)
class Outcome:
    """Of a run: `early_mb` and `late_mb` are the memory of each process after a tenth of the packets, and after all."""

    sent: Mapping[str, int] = field(default_factory=dict)
    by_listener: Mapping[str, int] = field(default_factory=dict)
    early_mb: Mapping[str, float] = field(default_factory=dict)
    late_mb: Mapping[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def grown(self) -> Iterator[str]:
        for name, late in self.late_mb.items():
            by, bound = late - self.early_mb[name], growth_bound(name)
            if by > bound:
                yield f"{name} has grown by {by:.1f} MB since a tenth of the packets; it may by {bound:g} MB"


def growth_bound(name: str) -> float:
    return GROWTH_MB.get(name, SERVICE_GROWTH_MB)


def fuzz(line: FuzzedLine, packets: int, seed: int, only: Sequence[int] = ()) -> Outcome:
    """Send so many cases to each listener, and look how the line is afterwards.

    Args:
        only: numbers of cases to repeat, instead.
    """
    fuzzer = Fuzzer(line.listeners, line.target, line.broker_lives, seed)
    numbers: Sequence[int] = only or range(packets * len(line.listeners))
    outcome = Outcome()
    tenth = len(numbers) // 10
    with fuzzer.lurkers():
        fuzzer.send(numbers[:tenth])
        outcome.early_mb = line.memory_mb()
        fuzzer.send(numbers[tenth:])
        outcome.wrong += map(str, fuzzer.faults)
        outcome.wrong += line.complaints()
    outcome.late_mb = line.memory_mb()
    outcome.wrong += outcome.grown()
    outcome.sent, outcome.by_listener = fuzzer.sent, fuzzer.by_listener
    return outcome

"""Which board stands where and when, and what is wrong with it: the same answer in every process that asks.

The cameras and the conveyor of a virtual line share nothing but a `Schedule`, so any of them can be killed and
started again without the others noticing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from urllib.parse import urlencode

import numpy as np

from pcb_bus.contract.messages import Category
from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY, Taxonomy
from pcb_bus.contract.times import NS_PER_S
from simulator.assembled.defects import DEFECT_CLASSES as ASSEMBLED_DEFECTS
from simulator.assembled.oddities import ODDITIES
from simulator.bare_board import DEFECT_CLASSES as BARE_DEFECTS
from simulator.product import MOST_DEFECTS

ASSEMBLED, BARE = "assembled", "bare"
#: What the boards look like, and the defects that such boards may have.
LOOKS: Mapping[str, Sequence[str]] = {ASSEMBLED: ASSEMBLED_DEFECTS, BARE: BARE_DEFECTS}
MOST_MARGIN = 0.2
NO_SERIALS = "off"
SERIALS: Mapping[str, str] = {"qr": "QRCode", "datamatrix": "DataMatrix"}
"""What may be printed on boards, as zxing-cpp calls it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is drawn on a side that a good board does not have: a defect of that class, or an oddity."""

    side: str
    name: str
    odd: bool = False

    def category(self, taxonomy: Taxonomy) -> Category:
        """What the verdict should make of it; of an oddity only the anomaly score can know."""
        return taxonomy.category_of(UNKNOWN_ANOMALY if self.odd else self.name)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A conveyor that stops each board in front of the cameras.

    Args:
        seed: of the boards and their defects.
        rate: boards a second.
        epoch_ns: when board 0 was due, ns since the epoch.
        defect_share: share of the sides that carry defects, 0 to 1.
        look: assembled boards in colour, or bare copper.
        product: which product the assembled boards are; bare boards are each of another layout.
        oddity_share: share of the sides that carry an oddity instead, 0 to 1; bare boards have none.
        standstill: share of the period that a board stands still, centred on its trigger.
        margin: share of a picture where the belt shows beside a board that stands, at each of its four ends.
        serials: what is printed on both sides of a board: off, qr or datamatrix.
    """

    seed: int = 1
    rate: float = 2.0
    epoch_ns: int = 0
    defect_share: float = 0.3
    look: str = ASSEMBLED
    product: int = 1
    oddity_share: float = 0.05
    standstill: float = 0.7
    margin: float = 0.0
    serials: str = NO_SERIALS

    @property
    def period_ns(self) -> float:
        return NS_PER_S / self.rate

    @property
    def query(self) -> str:
        """The options of a `sim://` source that shows this schedule."""
        return urlencode({each.name: getattr(self, each.name) for each in fields(self)})

    def trigger_time(self, index: int) -> int:
        """When board `index` stands in place, ns, in whole milliseconds as a JSON trigger carries it."""
        due = self.epoch_ns + round(index * self.period_ns)
        return due // 1_000_000 * 1_000_000

    def comes_into_view_at(self, index: int) -> int:
        """When it begins to move, ns: the board before it has stood in place until then."""
        return self.trigger_time(index) - round((1 - self.standstill / 2) * self.period_ns)

    def index_at(self, now: int) -> int:
        """The board nearest to its place at `now`."""
        return round((now - self.epoch_ns) / self.period_ns)

    def next_index(self, now: int) -> int:
        """The first board that is due after `now`."""
        index = self.index_at(now)
        return index if self.trigger_time(index) > now else index + 1

    def offset_at(self, now: int) -> float:
        """How far the nearest board is from its place: 0 while it stands, -1 and 1 half way to the next."""
        phase = (now - self.epoch_ns) / self.period_ns - self.index_at(now)
        beyond = abs(phase) - self.standstill / 2
        return float(np.copysign(max(0.0, beyond) / (0.5 - self.standstill / 2), phase))

    def board_id(self, index: int) -> str:
        """Names one pass of one board; other runs have other ids."""
        run = self.epoch_ns // NS_PER_S % 0x100000
        return f"{run:05x}-{index:05d}"

    def serial(self, index: int) -> str:
        """What is printed on a board."""
        return f"P{self.product}-{self.board_id(index)}"

    def board_seed(self, index: int, side: str) -> int:
        """Seed of one side of one board, the same in every process."""
        digest = blake2b(f"{self.seed}/{index}/{side}".encode(), digest_size=4).digest()
        return int.from_bytes(digest)

    def faults(self, index: int, side: str) -> tuple[Fault, ...]:
        """What is drawn on this side."""
        rng = np.random.default_rng(self.board_seed(index, side) ^ 0x0DD)
        if self.look == ASSEMBLED and rng.random() < self.oddity_share:
            return (Fault(side, str(rng.choice(ODDITIES)), odd=True),)
        return tuple(Fault(side, name) for name in self._defects(index, side))

    def faults_of_board(self, index: int, sides: Sequence[str]) -> tuple[Fault, ...]:
        return tuple(fault for side in sides for fault in self.faults(index, side))

    def truth(self, index: int, sides: Sequence[str], taxonomy: Taxonomy) -> Category:
        """What the verdict on this board should be."""
        return taxonomy.worst(fault.category(taxonomy) for fault in self.faults_of_board(index, sides))

    def _defects(self, index: int, side: str) -> Sequence[str]:
        rng = np.random.default_rng(self.board_seed(index, side) ^ 0x5EED)
        if rng.random() >= self.defect_share:
            return ()
        count = int(rng.integers(1, MOST_DEFECTS + 1))
        return [str(name) for name in rng.choice(LOOKS[self.look], count)]

"""Which board stands where and when, and what is wrong with it: the same answer in every process that asks.

The cameras and the conveyor of a virtual line share nothing but a `Schedule`, so any of them can be killed and
started again without the others noticing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from urllib.parse import urlencode

import numpy as np

from pcb_bus.clock import NS_PER_S
from pcb_bus.messages import Category
from pcb_bus.taxonomy import Taxonomy
from simulator.bare_board import DEFECT_CLASSES

_MAX_DEFECTS = 3
_STANDSTILL = 0.7  # share of the period that a board stands still, centred on its trigger


@dataclass(frozen=True, slots=True)
class Schedule:
    """A conveyor that stops each board in front of the cameras.

    Args:
        seed: of the boards and their defects.
        rate: boards a second.
        epoch_ns: when board 0 was due, ns since the epoch.
        defect_share: share of the sides that carry defects, 0 to 1.
    """

    seed: int = 1
    rate: float = 2.0
    epoch_ns: int = 0
    defect_share: float = 0.3

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

    def index_at(self, now: int) -> int:
        """The board nearest to its place at `now`."""
        return round((now - self.epoch_ns) / self.period_ns)

    def next_index(self, now: int) -> int:
        """The first board that is due after `now`."""
        index = self.index_at(now)
        return index if self.trigger_time(index) > now else index + 1

    def offset_at(self, now: int) -> float:
        """How far the nearest board is from its place: 0 while it stands, to -1 before and 1 after."""
        phase = (now - self.epoch_ns) / self.period_ns - self.index_at(now)
        beyond = abs(phase) - _STANDSTILL / 2
        return float(np.copysign(max(0.0, beyond) / (0.5 - _STANDSTILL / 2), phase))

    def board_id(self, index: int) -> str:
        """Names one pass of one board; other runs have other ids."""
        run = self.epoch_ns // NS_PER_S % 0x100000
        return f"{run:05x}-{index:05d}"

    def board_seed(self, index: int, side: str) -> int:
        """Seed of one side of one board, the same in every process."""
        digest = blake2b(f"{self.seed}/{index}/{side}".encode(), digest_size=4).digest()
        return int.from_bytes(digest)

    def defects(self, index: int, side: str) -> tuple[str, ...]:
        """Classes of the defects that are drawn on this side."""
        rng = np.random.default_rng(self.board_seed(index, side) ^ 0x5EED)
        if rng.random() >= self.defect_share:
            return ()
        count = int(rng.integers(1, _MAX_DEFECTS + 1))
        return tuple(str(name) for name in rng.choice(DEFECT_CLASSES, count))

    def truth(self, index: int, sides: Sequence[str], taxonomy: Taxonomy) -> Category:
        """What the verdict on this board should be."""
        names = [name for side in sides for name in self.defects(index, side)]
        return taxonomy.worst(taxonomy.category_of(name) for name in names)

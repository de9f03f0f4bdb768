"""Each service ends in time and with its gates off, however often it is asked to."""

from pathlib import Path
from random import Random

import pytest

from broker import Broker
from faults.stops import SERVICES, stops

TIMES = 2


@pytest.mark.parametrize("node", SERVICES)
def test_a_burst_of_signals_ends_a_service_once_and_well(node: str, broker: Broker, tmp_path: Path) -> None:
    ended = list(stops(node, TIMES, broker, tmp_path, Random(1)))
    assert len(ended) == TIMES
    assert [str(each) for each in ended if not each.ok] == []

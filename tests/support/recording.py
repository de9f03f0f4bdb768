"""The real recorder, ways to watch it, and a broker that forgets."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, func, select
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute

from broker import Broker
from pcb_bus.runtime.settings import BrokerSettings
from recorder.service import build
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings
from records.database import database_url, make_engine
from support.probe import Probe, Received


@contextmanager
def recording(broker: Broker, folder: Path) -> Iterator[None]:
    """A recorder of this line runs; its database is `records.db` in `folder`."""
    spool = SpoolSettings(path=folder / "spool.db")
    chosen = RecorderSettings(database_url=_url(folder), images=folder / "images", batch_ms=10, spool=spool)
    settings = RecorderLine(
        broker=BrokerSettings(port=broker.port, credentials=broker.credentials_folder), recorder=chosen
    )
    service = build(settings)
    service.start()
    try:
        yield
    finally:
        service.stop()


def recorded(folder: Path, column: InstrumentedAttribute[str]) -> list[str]:
    """What stands in that column of the database, in order."""
    engine = make_engine(database_url(_url(folder)))
    with engine.connect() as connection:
        found = list(connection.execute(select(column).order_by(column)).scalars())
    engine.dispose()
    return found


def lose_everything(broker: Broker) -> None:
    """The broker dies, and comes back without sessions and without messages."""
    broker.kill()
    shutil.rmtree(broker.directory / "data")
    (broker.directory / "data").mkdir()
    broker.start()


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'records.db'}"


def wait_state(viewer: Probe, state: str, after: int = 0) -> int:
    """Waits for a status; how many messages had come when it was there."""

    def later(message: Received) -> bool:
        return message in viewer.messages[after:] and json.loads(message.payload)["state"] == state

    return viewer.messages.index(viewer.wait_for("pcb/status/recorder", later)) + 1


def wait_recorded(viewer: Probe, *names: str, kind: str = "verdicts", timeout: float = 10) -> None:
    """Waits until each verdict id was named on `pcb/recorded`."""
    missing = set(names)

    def names_the_last(message: Received) -> bool:
        missing.difference_update(json.loads(message.payload)[kind])
        return not missing

    if missing:
        viewer.wait_for("pcb/recorded", names_the_last, timeout)


def count(url: URL, kind: type[DeclarativeBase]) -> int:
    engine = make_engine(url)
    with engine.connect() as connection:
        number = connection.execute(select(func.count()).select_from(kind)).scalar_one()
    engine.dispose()
    return number

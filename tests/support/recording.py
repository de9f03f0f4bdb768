"""The real recorder on SQLite, and a broker that forgets."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from broker import Broker
from pcb_bus.settings import BrokerSettings
from recorder.database import database_url, make_engine
from recorder.service import build
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings


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

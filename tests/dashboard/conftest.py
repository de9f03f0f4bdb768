"""One dashboard for all tests of the room: a real broker, a real database, and people of every role."""

from collections.abc import Iterator
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, delete
from support.dashboard_station import Station, add_user
from support.ports import free_port
from support.probe import Probe
from support.recorded_boards import RecordedBoards

from broker import Broker
from dashboard import accounts
from dashboard.permissions import ROLES
from dashboard.service import build
from dashboard.settings import DashboardLine, DashboardSettings, DoorSettings, Records, Shift
from pcb_bus.runtime.settings import BrokerSettings
from records.database import database_url, make_engine
from records.migrate import bring_up_to_date
from records.tables import Base, Defect, DefectImage, Inspection, InspectionSide, Review, ReviewSample


@pytest.fixture(scope="session")
def quick_hashes() -> Iterator[None]:
    """A password takes a millisecond, not a quarter of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_ROUNDS", 4)
        yield


@pytest.fixture(scope="session")
def station(quick_hashes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Its users are called as their roles."""
    folder = tmp_path_factory.mktemp("station")
    url = f"sqlite:///{folder / 'records.db'}"
    bring_up_to_date(database_url(url), "pcb", ZoneInfo("UTC"))
    engine = make_engine(database_url(url))
    ids = {role: add_user(engine, role, role) for role in ROLES}
    with Broker(folder / "broker", free_port()) as broker:
        settings = DashboardLine(
            broker=BrokerSettings(host=broker.host, port=broker.port, credentials=broker.credentials_folder),
            dashboard=DashboardSettings(
                port=free_port(),
                doors=DoorSettings(port=free_port()),
                shifts=(Shift(begins=time(0), target=1000),),
            ),
            recorder=Records(database_url=url, images=str(folder / "images"), time_zone="UTC"),
        )
        service = build(settings)
        service.start()
        try:
            assert service._service.session.wait_connected(10)
            yield Station(service, settings, broker, engine, ids)
        finally:
            service.stop()
            engine.dispose()


@pytest.fixture
def inference(station: Station) -> Iterator[Probe]:
    with Probe(station.broker, "inference") as probe:
        yield probe


@pytest.fixture
def boards(station: Station) -> Iterator[RecordedBoards]:
    """On empty tables."""
    yield RecordedBoards(station.engine, Path(station.settings.recorder.images))
    with station.engine.begin() as connection:
        for table in (Review, ReviewSample, DefectImage, Defect, InspectionSide, Inspection):
            connection.execute(delete(table))


@pytest.fixture
def engine(tmp_path: Path, quick_hashes: None) -> Iterator[Engine]:
    """Empty tables, for accounts alone."""
    made = make_engine(database_url(f"sqlite:///{tmp_path / 'records.db'}"))
    Base.metadata.create_all(made)
    yield made
    made.dispose()

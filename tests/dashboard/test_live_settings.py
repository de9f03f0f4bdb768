"""The live values of the line: shown, changed after a confirmation, and undone."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from support.dashboard_station import Station

from dashboard.live_settings import CHANGED, typed
from records.live_config import read_table
from records.tables import AuditEntry, SystemConfig


@pytest.fixture
def engineer(station: Station) -> Iterator[httpx.Client]:
    with station.visit("engineer") as client:
        yield client
    with station.engine.begin() as connection:
        connection.execute(SystemConfig.__table__.delete())  # type: ignore[attr-defined]


def values(station: Station) -> dict[str, Any]:
    return read_table(station.engine, "pcb").values


def changes(station: Station) -> list[Any]:
    with station.engine.connect() as connection:
        query = select(AuditEntry.id, AuditEntry.before, AuditEntry.after).where(AuditEntry.action == CHANGED)
        return list(connection.execute(query.order_by(AuditEntry.id)))


def test_a_value_is_compared_set_and_undone(station: Station, engineer: httpx.Client) -> None:
    page = engineer.get("/settings/confidence", params={"value": "0.45"}).text
    assert "<ins>0.45</ins>" in page
    assert values(station) == {}
    assert engineer.post("/settings/confidence", data={"value": "0.45"}).status_code == 303
    assert engineer.post("/settings/confidence", data={"value": "0.5"}).status_code == 303
    assert values(station) == {"confidence": 0.5}
    last = changes(station)[-1]
    assert (last.before, last.after) == ({"value": 0.45}, {"value": 0.5})
    assert "engineer" in engineer.get("/settings").text
    assert engineer.post(f"/settings/undo/{last.id}").status_code == 303
    assert values(station) == {"confidence": 0.45}
    assert engineer.post("/settings/confidence", data={"value": ""}).status_code == 303
    assert values(station) == {}


def test_what_a_key_may_not_have_is_refused(station: Station, engineer: httpx.Client) -> None:
    for key, value in (("confidence", "1.5"), ("fps", "fast"), ("jpeg_quality", "NaN"), ("class_confidence", "[1]")):
        assert key in engineer.get(f"/settings/{key}", params={"value": value}).text
        assert engineer.post(f"/settings/{key}", data={"value": value}).status_code == 422
    assert engineer.post("/settings/server_url", data={"value": "1"}).status_code == 404
    assert engineer.post("/settings/undo/999999").status_code == 404
    assert values(station) == {}


def test_a_product_is_a_name_also_where_it_looks_like_a_number() -> None:
    assert typed("product", "17") == "17"

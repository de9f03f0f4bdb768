"""Recorded pictures: found by what they show, and nothing else is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert
from support.dashboard_station import Station

from dashboard.evidence import address
from records.picture_store import Folder
from records.tables import DefectImage


@pytest.fixture
def recorded(station: Station) -> str:
    """The verdict of a board whose left picture is in the store, and whose right one is in the table alone."""
    folder = Folder(Path(station.settings.recorder.images))
    folder.put("evidence/left.jpg", b"a picture")
    row = {
        "line": "pcb", "verdict_id": "told", "board_id": "b", "kind": "frame", "state": "stored", "sha256": "0" * 64,
        "width": 64, "height": 48, "size_bytes": 9, "received_at": datetime.now(UTC),
    }  # fmt: skip
    with station.engine.begin() as connection:
        connection.execute(delete(DefectImage))
        for side in ("left", "right"):
            connection.execute(insert(DefectImage).values(row | {"camera_id": side, "path": f"evidence/{side}.jpg"}))
    return "told"


def test_a_picture_is_shown_to_whoever_may_read(station: Station, recorded: str) -> None:
    with station.visit("viewer") as viewer:
        found = viewer.get(address(recorded, "left"))
    assert (found.content, found.headers["content-type"]) == (b"a picture", "image/jpeg")


@pytest.mark.parametrize(
    "wanted",
    [
        address("told", "right"),
        address("told", "left", "heat"),
        address("other", "left"),
        "/pictures/told/left/%2e%2e",
        "/pictures/..%2f..%2fetc/left/picture",
        f"/pictures/{'x' * 200}/left/picture",
    ],
)
def test_what_is_not_there_is_not_found(station: Station, recorded: str, wanted: str) -> None:
    with station.visit("viewer") as viewer:
        assert viewer.get(wanted).status_code in (404, 422)

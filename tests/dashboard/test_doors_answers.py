"""What programs of generation 1 read, to the field."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard.doors import answers
from dashboard.doors.answers import Inspections, Page, Prediction
from records.queries import Board

SEOUL = ZoneInfo("Asia/Seoul")
AT = datetime.fromisoformat("2026-12-01T09:30:15.250")
BOARD = Board(7, "pcb", "b-7", "SN-1", "pi-hat", "left", "납땜불량", "solder", 0.91, AT, None, "ok")


def test_each_field_is_there_in_both_spellings() -> None:
    row = answers.inspection(BOARD, SEOUL, "http://pc:5000/api/defect-images/7")
    page = Inspections(data=[row], pagination=Page(page=1, limit=50, total=1, total_pages=1))
    read = json.loads(page.model_dump_json())
    (first,) = read["data"]
    for snake, camel in (("camera_id", "cameraId"), ("defect_type", "defectType"), ("image_path", "imagePath")):
        assert first[snake] == first[camel]
    assert (first["id"], first["defect_type"], first["confidence"]) == (7, "납땜불량", 0.91)
    assert read["pagination"]["total_pages"] == read["pagination"]["totalPages"] == 1


def test_a_time_has_the_lines_offset_and_no_z() -> None:
    read = json.loads(answers.inspection(BOARD, SEOUL, None).model_dump_json())
    assert read["inspection_time"] == read["inspectionTime"] == "2026-12-01T09:30:15.250+09:00"
    assert datetime.fromisoformat(read["inspection_time"]).utcoffset() == timedelta(hours=9)


def test_numbers_stand_in_data_and_beside_it() -> None:
    read = json.loads(answers.statistics({"normal": 6, "solder": 2, "scrap": 2, "unjudged": 5}).model_dump_json())
    expected = {
        "total_inspections": 15, "normal_count": 6, "component_defect_count": 0, "solder_defect_count": 2,
        "discard_count": 2, "unjudged_count": 5, "defect_rate": 40.0,
    }  # fmt: skip
    for place in (read, read["data"]):
        assert {key: place[key] for key in expected} == expected
        assert {key: place[answers.camel(key)] for key in expected} == expected


def test_no_boards_are_no_defects() -> None:
    assert answers.counts({}).defect_rate == 0.0
    assert answers.counts({"unjudged": 3}).defect_rate == 0.0


def test_the_description_names_both_spellings() -> None:
    about = Inspections.model_json_schema(mode="serialization")
    fields = about["$defs"]["Inspection"]["properties"]
    assert {"camera_id", "cameraId", "inspection_time", "inspectionTime"} <= fields.keys()
    assert fields["cameraId"]["type"] == "string"


@pytest.mark.parametrize(("name", "camel"), [("id", "id"), ("raspberry_pi_1_online", "raspberryPi1Online")])
def test_camel_case_is_what_newtonsoft_matches(name: str, camel: str) -> None:
    assert answers.camel(name) == camel


def test_a_box_is_called_class_as_before() -> None:
    box = answers.FoundBox(x1=1, y1=2, x2=3, y2=4, confidence=0.5, class_name="short")
    assert json.loads(box.model_dump_json())["class"] == "short"
    assert "gpioSignal" in Prediction.model_json_schema(mode="serialization")["properties"]

"""Programs of earlier generations: REST, moving pictures and Socket.IO, as those programs use them."""

import base64
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import socketio
from hypothesis import HealthCheck, given, settings
from sqlalchemy import func, insert, select
from support.dashboard_station import PASSWORD, Station
from support.peer import until
from support.probe import Probe
from support.red_spots import RedSpotEngine, board_jpeg
from support.verdicts import verdict

from dashboard.permissions import DOORS, Role, Scope, Who
from inference_subscriber.service import InferenceService
from inference_subscriber.settings import InferenceLine, InferenceSettings
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.times import now_ns
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from records.live_config import read_table
from records.picture_store import Folder
from records.tables import ApiToken, BoardStatistics, DefectImage, Inspection, SystemConfig, User

AT = datetime(2026, 11, 30, 9, 30, 15, 250_000, tzinfo=UTC)
NEWTONSOFT = Path("/usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll")
Client = httpx.Client


@pytest.fixture(scope="module")
def recorded(station: Station) -> Iterator[dict[str, int]]:
    """Ids of three boards of a day, by their defect types; of the bad ones there is a picture each."""
    ids = {}
    rows = [("정상", "normal", "left", 1.0), ("납땜불량", "solder", "right", 0.91), ("폐기", "scrap", "left", 0.8)]
    with station.engine.begin() as connection:
        for number, (label, category, side, confidence) in enumerate(rows):
            row = {
                "line": "pcb", "verdict_id": f"door-{number}", "board_id": f"b-{number}", "camera_id": side,
                "defect_type": label, "category": category, "confidence": confidence,
                "inspection_time": AT.replace(tzinfo=None, second=number), "local_date": AT.date(), "captured_at": AT,
                "image_path": None if category == "normal" else f"/images/door-{number}.jpg", "boxes": [],
                "status": "ok", "received_at": AT,
            }  # fmt: skip
            added = connection.execute(insert(Inspection).values(row))
            ids[label] = int(added.inserted_primary_key[0])  # type: ignore[index]
            if category != "normal":
                _add_picture(station, connection, number, side)
            counted = {"line": "pcb", "begins_at": AT.replace(tzinfo=None, minute=0, second=0, microsecond=0)}
            counted |= {
                "category": category,
                "boards": 1,
                "incomplete": 0,
                "latency_ms_sum": 1.0,
                "latency_ms_max": 1.0,
            }
            connection.execute(insert(BoardStatistics).values(counted))
    yield ids
    with station.engine.begin() as connection:
        for table in (Inspection, DefectImage, BoardStatistics):
            connection.execute(table.__table__.delete())  # type: ignore[attr-defined]


def _add_picture(station: Station, connection: Any, number: int, side: str) -> None:
    jpeg = board_jpeg(short=True)
    Folder(Path(station.settings.recorder.images)).put(f"door-{number}.jpg", jpeg)
    row = {
        "line": "pcb", "verdict_id": f"door-{number}", "board_id": f"b-{number}", "camera_id": side, "kind": "frame",
        "state": "stored", "sha256": f"{number:064}", "path": f"door-{number}.jpg", "width": 64, "height": 48,
        "size_bytes": len(jpeg), "received_at": AT,
    }  # fmt: skip
    connection.execute(insert(DefectImage).values(row))


@pytest.fixture(scope="module")
def inspecting(station: Station, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceService]:
    """Inference, with a detector of red spots."""
    folder = tmp_path_factory.mktemp("inference")
    own = InferenceSettings(outbox=folder / "outbox.db", evidence_outbox=folder / "evidence.db")
    settings = InferenceLine(broker=station.settings.broker, inference=own)
    service = InferenceService(settings, RedSpotEngine(), load_taxonomy(DEFAULT_TAXONOMY))
    service.start()
    until(lambda: "inference" in _online(station))
    yield service
    service.stop()


def _online(station: Station) -> set[str]:
    return {each["node"] for each in station.service.viewers.state.get("nodes", ()) if each["state"] == "online"}


@pytest.fixture
def program(station: Station) -> Iterator[Client]:
    """That has a token of an operator's, for reading and inspecting."""
    headers = {"authorization": f"Bearer {station.token('operator', 'read', 'inspect')}"}
    with Client(base_url=station.doors, headers=headers, trust_env=False) as client:
        yield client


def test_boards_come_in_pages_newest_first(program: Client, recorded: dict[str, int], station: Station) -> None:
    page = program.get("/api/inspections", params={"page": 1, "limit": 2}).json()
    assert [each["id"] for each in page["data"]] == [recorded["폐기"], recorded["납땜불량"]]
    assert page["pagination"] | {"page": 1, "limit": 2, "total": 3, "totalPages": 2} == page["pagination"]
    assert page["data"][0]["imagePath"] == f"{station.doors}/api/defect-images/{recorded['폐기']}"
    assert page["data"][0]["inspection_time"].endswith("+00:00")
    (last,) = program.get("/api/inspections", params={"page": 2, "limit": 2}).json()["data"]
    assert (last["defectType"], last["imagePath"]) == ("정상", None)
    assert program.get("/api/inspections", params={"page": 10**9}).json()["data"] == []


def test_statistics_are_of_whole_days_both_included(program: Client, recorded: dict[str, int]) -> None:
    day = AT.date().isoformat()
    found = program.get("/api/statistics", params={"start_date": day, "end_date": day}).json()
    assert (found["total_inspections"], found["TotalInspections".replace("T", "t", 1)]) == (3, 3)
    assert (found["data"]["discard_count"], found["solderDefectCount"], found["defect_rate"]) == (1, 1, 66.67)
    assert program.get("/api/statistics", params={"end_date": "2001-01-01"}).json()["total_inspections"] == 0


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("/api/statistics?start_date=2026-02-30", "start_date"),
        ("/api/statistics?start_date=2026-03-01&end_date=2026-02-01", "start_date"),
        ("/api/statistics?end_date=9999-12-31", "end_date"),
        ("/api/statistics?start_date=0001-01-01&end_date=0001-01-01", "end_date"),
        ("/api/inspections?page=0", "page"),
        ("/api/inspections?page=99999999999999999999", "page"),
        ("/api/inspections?limit=1%3B%20DROP%20TABLE%20users", "limit"),
        ("/api/defect-images/..%2F..%2Fsecret", "error"),
    ],
)
def test_what_makes_no_sense_is_an_error_in_one_line(program: Client, address: str, names: str) -> None:
    answer = program.get(address)
    assert answer.status_code in (400, 404)
    (error,) = answer.json().values()
    assert names in f"error {error}"
    assert "\n" not in error


def test_a_picture_is_that_of_the_side_which_decided(program: Client, recorded: dict[str, int]) -> None:
    answer = program.get(f"/api/defect-images/{recorded['납땜불량']}")
    assert (answer.headers["content-type"], answer.content) == ("image/jpeg", board_jpeg(short=True))
    for missing in (recorded["정상"], 10**15):
        answer = program.get(f"/api/defect-images/{missing}")
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_the_status_is_flat_and_tells_who_is_there(
    program: Client, station: Station, inspecting: InferenceService
) -> None:
    found = program.get("/api/system-status").json()
    assert found["serverOnline"] is found["server_online"] is True
    assert (found["databaseOnline"], found["raspberryPi1Online"]) == (True, False)
    assert 0 < found["server_memory_usage"] <= 100
    assert datetime.fromisoformat(found["last_update"]).utcoffset() is not None


def test_a_picture_is_inspected_and_nothing_happens_on_the_line(
    program: Client, inspecting: InferenceService, mqtt: Callable[[str], Probe]
) -> None:
    viewer = mqtt("viewer")
    viewer.subscribe("pcb/verdict")
    frame = base64.b64encode(board_jpeg(short=True)).decode()
    found = program.post("/predict", json={"camera_id": "left", "frame": frame, "timestamp": "now"}).json()
    assert (found["status"], found["camera_id"], found["defect_type"]) == ("ok", "left", "납땜불량")
    (box,) = found["boxes"]
    assert (box["class"], box["confidence"]) == ("short", 0.9)
    assert found["gpio_signal"]["action"] == "HIGH"
    assert found["gpioSignal"]["durationMs"] == found["gpio_signal"]["duration_ms"] > 0
    assert viewer.received("pcb/verdict") == []


@pytest.mark.parametrize("names", [("frame_left", "frame_right"), ("left_image", "right_image")])
def test_both_sides_make_one_result(program: Client, inspecting: InferenceService, names: tuple[str, str]) -> None:
    good, short = (base64.b64encode(board_jpeg(short=each)).decode() for each in (False, True))
    found = program.post("/predict_dual", json={names[0]: good, names[1]: f"data:image/jpeg;base64,{short}"}).json()
    assert (found["status"], found["final_defect_type"], found["finalDefectType"]) == ("ok", "납땜불량", "납땜불량")
    assert (found["left"]["defect_type"], found["right"]["defect_type"]) == ("정상", "납땜불량")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"camera_id": "left"}, "frame"),
        ({"camera_id": "left", "frame": "not base64!"}, "frame"),
        ({"camera_id": "left", "frame": base64.b64encode(b"GIF89a").decode()}, "frame"),
        ({"camera_id": "top", "frame": "AAAA"}, "camera_id"),
        ({"camera_id": 7, "frame": None}, "camera_id"),
    ],
)
def test_what_is_no_picture_is_refused(program: Client, body: dict[str, Any], names: str) -> None:
    answer = program.post("/predict", json=body)
    assert answer.status_code == 400
    assert names in answer.json()["error"]


def test_more_than_the_bus_takes_is_refused_before_it_is_read(program: Client) -> None:
    answer = program.post("/predict", content=bytes(9 * 2**20), headers={"content-type": "application/json"})
    assert (answer.status_code, "8 MiB" in answer.json()["error"]) == (413, True)


# Who may come in


@pytest.mark.parametrize("key", sorted(DOORS))
def test_a_stranger_reads_health_and_nothing_else(station: Station, key: tuple[str, str]) -> None:
    method, path = key
    with Client(base_url=station.doors, trust_env=False) as stranger:
        answer = stranger.request(method, path.format(inspection_id=1, side="left", user_id=1))
    if path == "/health":
        assert answer.json()["status"] == "ok"
    elif path == "/api/auth/login":
        assert answer.status_code == 400
    else:
        assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_an_address_with_a_token_reads_and_does_no_more_than_it_says(
    station: Station, recorded: dict[str, int]
) -> None:
    base = f"{station.doors}/t/{station.token('operator', 'read')}"
    with Client(trust_env=False) as client:
        page = client.get(f"{base}/api/inspections").json()
        picture = page["data"][0]["image_path"]
        assert picture.startswith(base)
        assert client.get(picture).content == board_jpeg(short=True)
        assert client.post(f"{base}/predict", json={}).status_code == 403
        assert client.get(f"{station.doors}/t/wrong/api/inspections").status_code == 401


def test_a_viewer_cannot_have_pictures_inspected(station: Station) -> None:
    headers = {"authorization": f"Bearer {station.token('viewer', 'read', 'inspect')}"}
    assert httpx.post(f"{station.doors}/predict", json={}, headers=headers, trust_env=False).status_code == 403


def test_a_person_logs_in_and_out(station: Station) -> None:
    with Client(base_url=station.doors, trust_env=False) as client:
        given = {"username": "engineer", "password": PASSWORD}
        answer = client.post("/api/auth/login", json=given).json()
        assert (answer["success"], answer["user"]["role"]) == (True, "Operator")
        client.headers["authorization"] = f"Bearer {answer['token']}"
        assert client.get("/api/inspections").status_code == 200
        assert client.post("/api/auth/logout").status_code == 200
        assert client.get("/api/inspections").status_code == 401
        wrong = client.post("/api/auth/login", json=given | {"password": "wrong"})
        assert (wrong.status_code, list(wrong.json())) == (401, ["error"])


def test_a_role_in_a_header_is_never_believed(station: Station) -> None:
    answer = httpx.get(f"{station.doors}/api/inspections", headers={"X-User-Role": "Admin"}, trust_env=False)
    assert answer.status_code == 401


def test_pages_of_others_may_not_read_answers(program: Client) -> None:
    answer = program.get("/health", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_the_description_names_every_address_and_both_spellings(program: Client) -> None:
    about = program.get("/openapi.json").json()
    described = {(method.upper(), path) for path, methods in about["paths"].items() for method in methods}
    assert described == set(DOORS) - {("GET", "/openapi.json")}
    assert {"defect_type", "defectType"} <= about["components"]["schemas"]["Inspection"]["properties"].keys()


# Users


@pytest.fixture
def admin(station: Station) -> Iterator[Client]:
    """A program of an admin's."""
    headers = {"authorization": f"Bearer {station.token('admin', 'admin')}"}
    with Client(base_url=station.doors, headers=headers, trust_env=False) as client:
        yield client


def test_an_old_program_looks_after_users(admin: Client, station: Station) -> None:
    new = {"username": "door-kim", "password": "a password of hers", "fullName": "Kim", "role": "Operator"}
    made = admin.post("/api/users", json=new).json()["user"]
    shown = {"fullName": "Kim", "full_name": "Kim", "role": "Operator", "isActive": True, "lastLogin": None}
    assert made | shown == made
    assert made["createdAt"].endswith("+00:00")
    assert made in admin.get("/api/users").json()["data"]
    login = {"username": "door-kim", "password": "a password of hers"}
    assert admin.post("/api/auth/login", json=login).status_code == 200
    again = admin.post("/api/users", json=new)
    assert (again.status_code, list(again.json())) == (409, ["error"])
    one = f"/api/users/{made['id']}"
    assert admin.put(one, json={"full_name": "Kim Jiwon"}).json()["data"]["fullName"] == "Kim Jiwon"
    made_up = admin.post(f"{one}/reset-password").json()["password"]
    assert admin.post("/api/auth/login", json=login).status_code == 401
    assert admin.post("/api/auth/login", json=login | {"password": made_up}).status_code == 403  # to be changed
    assert admin.post(f"{one}/reset-password", json={"newPassword": login["password"]}).json()["password"] is None
    assert admin.post("/api/auth/login", json=login).status_code == 200
    assert admin.delete(one).json()["data"]["isActive"] is False
    assert admin.post("/api/auth/login", json=login).status_code == 401
    today = datetime.now(UTC).date().isoformat()
    wanted = {"start_date": today, "end_date": today, "action_type": "user deactivated", "limit": 1}
    (entry,) = admin.get("/api/users/logs", params=wanted).json()["logs"]
    assert (entry["description"], entry["actionType"], entry["username"]) == ("door-kim", "user deactivated", "admin")
    assert admin.get("/api/users/999999").status_code == 404


def test_an_engineer_stays_one_where_a_program_knows_none(admin: Client, station: Station) -> None:
    one = f"/api/users/{station.ids['engineer']}"
    known = admin.get(one).json()["data"]
    assert known["role"] == "Operator"
    admin.put(one, json={"role": "Operator", "full_name": "Lee"})
    with station.engine.connect() as connection:
        assert connection.scalar(select(User.role).where(User.id == station.ids["engineer"])) == "engineer"


@pytest.mark.parametrize(("role", "scope"), [("engineer", "admin"), ("admin", "read")])
def test_users_are_for_admins_with_a_token_for_it(station: Station, role: Role, scope: Scope) -> None:
    headers = {"authorization": f"Bearer {station.token(role, scope)}", "x-user-role": "Admin"}
    with Client(base_url=station.doors, headers=headers, trust_env=False) as client:
        assert client.get("/api/users").status_code == 403


# Configuration


@pytest.fixture
def unset(station: Station) -> Iterator[None]:
    yield
    with station.engine.begin() as connection:
        connection.execute(SystemConfig.__table__.delete())  # type: ignore[attr-defined]


def test_an_old_program_configures_the_line(station: Station, unset: None) -> None:
    headers = {"authorization": f"Bearer {station.token('engineer', 'command')}"}
    with Client(base_url=station.doors, headers=headers, trust_env=False) as program:
        given = {"server_url": "http://x", "gpio_duration_ms": 5, "fps": 12, "jpeg_quality": 80}
        more = {"max_image_retention_days": 90, "defect_threshold": 0.4, "alert_defect_rate_threshold": 15}
        answer = program.post("/api/config", json=given | more).json()
        assert answer["ignored"] == ["server_url", "gpio_duration_ms"]
        wanted = {"fps": 12, "jpeg_quality": 80, "retention_days": 90, "confidence": 0.4, "alert_defect_rate": 0.15}
        assert read_table(station.engine, "pcb").values == wanted
        for wrong in (
            {"fsp": 1},
            {"fps": 0, "jpeg_quality": 10},
            {"alert_defect_rate_threshold": 10**400},
            {"fps": None},
        ):
            refused = program.post("/api/config", json=wrong)
            assert (refused.status_code, list(refused.json())) == (400, ["error"])
        assert read_table(station.engine, "pcb").values == wanted


# Pictures that move


@pytest.fixture
def mqtt(station: Station) -> Iterator[Callable[[str], Probe]]:
    probes: list[Probe] = []

    def open_probe(role: str) -> Probe:
        probes.append(Probe(station.broker, role))
        return probes[-1]

    yield open_probe
    for each in probes:
        each.close()


def test_ffmpeg_reads_the_stream_of_a_side(station: Station, mqtt: Callable[[str], Probe], tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg")
    camera = mqtt("edge-left")
    camera.publish("pcb/preview/left", board_jpeg(), qos=1)
    until(lambda: station.service._pictures.preview("left") is not None)
    address = f"{station.doors}/t/{station.token('viewer', 'read')}/video_feed/left"
    options = ["-nostdin", "-loglevel", "error", "-f", "mpjpeg", "-i", address, "-frames:v", "2"]
    command = ["ffmpeg", *options, str(tmp_path / "%d.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["1.png", "2.png"]


def test_a_side_without_a_camera_shows_that_there_is_no_picture(station: Station) -> None:
    address = f"{station.doors}/t/{station.token('viewer', 'read')}/video_feed/right"
    with httpx.stream("GET", address, trust_env=False) as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        head, _, body = next(answer.iter_bytes()).partition(b"\r\n\r\n")
    assert head.startswith(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ")
    assert body.startswith(b"\xff\xd8")


@pytest.mark.parametrize("transports", [["websocket"], None], ids=["websocket", "upgraded"])
def test_a_socket_io_client_gets_frames_and_counts(
    station: Station, mqtt: Callable[[str], Probe], inference: Probe, transports: list[str] | None
) -> None:
    mqtt("edge-left").publish("pcb/preview/left", board_jpeg(), qos=1)
    until(lambda: station.service._pictures.preview("left") is not None)
    with socketio.SimpleClient() as client:
        client.connect(station.doors, auth={"token": station.token("viewer", "read")}, transports=transports)
        assert client.receive(timeout=10)[0] == "connection_response"
        name, counts = client.receive(timeout=10)
        assert name == "stats_update"
        assert {"total_count", "정상", "부품불량", "납땜불량", "폐기"} <= counts.keys()
        client.emit("request_frame", {"camera_id": "left"})
        name, frame = client.receive(timeout=10)
        assert (name, frame["camera_id"], base64.b64decode(frame["image"])) == ("frame_data", "left", board_jpeg())
        board = f"socket-{transports}"
        inference.publish("pcb/verdict", encode_json(verdict(board, "scrap", captured_at=now_ns())))
        name, after = client.receive(timeout=10)
        assert (name, after["total_count"]) == ("stats_update", counts["total_count"] + 1)
        client.emit("request_frame", {"camera_id": "top"})
        assert client.receive(timeout=10)[0] == "error"


def test_a_token_that_is_revoked_ends_what_it_opened(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.doors.moving._ASK_AGAIN_S", 0.1)
    token, admin = station.token("viewer", "read"), Who("admin", "admin", station.ids["admin"])
    with station.engine.connect() as connection:
        number = connection.scalar(select(func.max(ApiToken.id)))
    with socketio.SimpleClient() as client:
        client.connect(station.doors, auth={"token": token}, transports=["websocket"])
        with httpx.stream("GET", f"{station.doors}/t/{token}/video_feed/left", trust_env=False) as stream:
            parts = stream.iter_bytes()
            assert next(parts)
            station.service.accounts.revoke(admin, number, datetime.now(UTC), None)
            assert sum(1 for _ in parts) < 100
        until(lambda: not client.connected)


def test_a_socket_io_address_may_hold_the_token(station: Station) -> None:
    with socketio.SimpleClient() as client:
        client.connect(station.doors, namespace=f"/t/{station.token('viewer', 'read')}")
        assert client.receive(timeout=10)[0] == "connection_response"
    with pytest.raises(socketio.exceptions.ConnectionError):
        socketio.Client().connect(station.doors, namespaces=["/t/wrong"], retry=False)


# A program in C#, with DTOs as WinForms clients have them


@pytest.fixture(scope="module")
def winforms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled from `winforms/Client.cs`."""
    if shutil.which("mcs") is None or not NEWTONSOFT.exists():
        pytest.skip("needs mono-mcs and libnewtonsoft-json5.0-cil")
    program = tmp_path_factory.mktemp("winforms") / "Client.exe"
    source = Path(__file__).parent / "winforms" / "Client.cs"
    subprocess.run(["mcs", f"-r:{NEWTONSOFT}", f"-out:{program}", str(source)], check=True, timeout=50)
    return program


def test_a_winforms_client_reads_every_field_with_nothing_but_another_address(
    winforms: Path, station: Station, recorded: dict[str, int], inspecting: InferenceService, tmp_path: Path
) -> None:
    (tmp_path / "board.jpg").write_bytes(board_jpeg(short=True))
    base = f"{station.doors}/t/{station.token('operator', 'read', 'inspect')}"
    command = ["mono", str(winforms), base, str(tmp_path / "board.jpg")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.split("|") for line in done.stdout.splitlines()]
    assert said[0] == ["list", "ok", "1", "50", "3", "1"]
    picture = f"{base}/api/defect-images/{recorded['폐기']}"
    assert said[1] == [
        "inspection", str(recorded["폐기"]), "left", "폐기", "0.8", "2026-11-30T09:30:02.250Z", picture
    ]  # fmt: skip
    assert [each[3] for each in said[1:4]] == ["폐기", "납땜불량", "정상"]
    assert said[4] == ["statistics", "0", "0", "0", "0", "0", "0"]  # of today
    assert said[5][:3] == ["status", "True", "True"]
    assert said[6] == ["picture", str(recorded["폐기"]), str(len(board_jpeg(short=True)))]
    assert said[7] == ["prediction", "ok", "left", "납땜불량", "0"]


# Whatever its own description allows, and what it does not


@pytest.fixture(scope="module")
def described(station: Station) -> Any:
    """Its OpenAPI description, as schemathesis reads it."""
    headers = {"authorization": f"Bearer {station.token('admin', 'read', 'inspect', 'command', 'admin')}"}
    return schemathesis.openapi.from_url(f"{station.doors}/openapi.json", headers=headers)


@pytest.mark.parametrize("key", sorted(set(DOORS) - {("GET", "/openapi.json"), ("GET", "/video_feed/{side}")}))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_that_anybody_sends_is_a_fault(
    station: Station, described: Any, inspecting: InferenceService, recorded: dict[str, int], key: tuple[str, str]
) -> None:
    method, path = key
    headers = {"authorization": f"Bearer {station.token('admin', 'read', 'inspect', 'command', 'admin')}"}
    strategy = described[path][method].as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    strategy |= described[path][method].as_strategy()
    least = 10**6 if "{user_id}" in path else 0  # the people of the other tests stay as they are

    @settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def send(case: Any) -> None:
        if least and isinstance(case.path_parameters.get("user_id"), int):
            case.path_parameters["user_id"] += least
        answer = case.call(headers=headers)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        assert answer.status_code < 400 or list(answer.json()) == ["error"]

    send()

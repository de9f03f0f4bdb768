"""The gate and the pages, over real HTTP."""

import re
import socket
from pathlib import Path

import pytest
from sqlalchemy import select
from support.dashboard_station import PASSWORD, Station, add_user
from support.ports import free_port

from broker.certificates import Certificates
from dashboard.service import Server, _address
from dashboard.settings import DashboardLine, DashboardSettings, Screen
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import BrokerSettings
from records.tables import AuditEntry, Session

LOGIN = {"username": "operator", "password": PASSWORD}


def test_a_login_is_a_cookie_that_scripts_and_other_sites_do_not_get(station: Station) -> None:
    with station.visit() as browser:
        answer = browser.post("/login", data=LOGIN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert re.fullmatch(
            rf"{station.cookie}=\S{{43}}; HttpOnly; Path=/; SameSite=strict", answer.headers["set-cookie"]
        )
        assert "operator" in browser.get("/").text
        browser.post("/logout")
        assert browser.get("/").headers["location"] == "/login"


def test_a_wrong_password_says_so_in_words(station: Station) -> None:
    with station.visit() as browser:
        answer = browser.post("/login", data={"username": "nobody", "password": "x"})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)
        assert "Name or password is wrong" in answer.text


@pytest.mark.parametrize("origin", [None, "null", "http://elsewhere.example", "http://127.0.0.1:1", ""])
def test_what_another_site_sends_is_not_done(station: Station, origin: str | None) -> None:
    with station.visit("admin") as browser:
        del browser.headers["origin"]
        headers = {} if origin is None else {"origin": origin}
        for path, data in (("/logout", {}), ("/account/kiosks", {"name": "x"}), ("/login", LOGIN)):
            assert browser.post(path, data=data, headers=headers).status_code == 403
        assert browser.get("/account").status_code == 200


def test_a_login_leads_to_no_other_site(station: Station) -> None:
    with station.visit() as browser:
        for wanted in (
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "javascript:1",
            "\r\nx: y",
            "//\n/x",
        ):
            assert browser.post("/login", data=LOGIN | {"wanted": wanted}).headers["location"] == "/"
        assert browser.post("/login", data=LOGIN | {"wanted": "/account?x=1"}).headers["location"] == "/account?x=1"


@pytest.mark.parametrize("token", ["x", "x" * 5000, '"', "%00", "a=b", "' OR 1=1"])
def test_a_forged_cookie_opens_nothing(station: Station, token: str) -> None:
    for name in (station.cookie, f"{station.cookie}_screen"):
        with station.visit() as browser:
            assert browser.get("/", headers={"cookie": f"{name}={token}"}).headers["location"] == "/login"


def test_every_answer_has_the_headers_and_no_page_runs_what_stands_in_it(station: Station) -> None:
    with station.visit("admin") as browser:
        for path in ("/", "/account", "/login", "/health", "/no/such/page", "/static/boardline.css", "/api/live"):
            headers = browser.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers
        for path in ("/", "/account", "/login", "/no/such/page"):
            page = browser.get(path)
            assert page.headers["cache-control"] == "no-store"
            assert not re.search(r"<script(?! src=)|<style|\son\w+=|\sstyle=|https?://(?!www\.w3\.org)", page.text)


def test_html_in_names_is_text(station: Station) -> None:
    name = "<img src=x onerror=alert(1)>\"'"
    add_user(station.engine, name, "engineer")
    with station.visit() as browser:
        assert browser.post("/login", data={"username": name, "password": PASSWORD}).status_code == 303
        browser.post("/account/kiosks", data={"name": "<b>hall</b>"})
        for path in ("/", "/account"):
            assert "<img src=x" not in browser.get(path).text
        assert "&lt;b&gt;hall" in browser.get("/account").text
        failed = browser.post("/login", data={"username": name, "password": "x"})
        assert "<img src=x" not in failed.text


def test_a_kiosk_link_is_shown_once_and_opens_a_screen_until_it_is_revoked(station: Station) -> None:
    with station.visit("engineer") as browser, station.visit() as screen:
        made = browser.post("/account/kiosks", data={"name": "hall 2"}).text
        (link,) = set(re.findall(r"http://[^\s\"<>]+/kiosk/[\w-]+", made))
        assert link not in browser.get("/account").text
        opened = screen.get(link)
        assert 'content="0;url=/' in opened.text
        assert "HttpOnly" in opened.headers["set-cookie"]
        assert screen.get("/").status_code == 200
        (revoke,) = re.findall(r"(/account/kiosks/\d+/revoke)", browser.get("/account").text.split("hall 2")[1])[:1]
        assert browser.post(revoke).status_code == 303
        assert browser.post(revoke).status_code == 404
        assert screen.get("/").headers["location"] == "/login"
        assert screen.get(link).status_code == 404


def test_a_made_up_password_has_to_be_changed_first(station: Station) -> None:
    desk = station.service.accounts
    add_user(station.engine, "fresh", "operator")
    with station.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET must_change_password = 1 WHERE username = 'fresh'")
    desk.forget()
    with station.visit() as browser:
        browser.post("/login", data={"username": "fresh", "password": PASSWORD})
        assert browser.get("/").headers["location"] == "/account"
        passwords = {"old": PASSWORD, "new": "one of my own", "again": "one of my own"}
        assert "differ" in browser.post("/account/password", data=passwords | {"again": "another"}).text
        assert browser.post("/account/password", data=passwords).headers["location"] == "/"
        assert browser.get("/").status_code == 200


def test_a_change_says_from_where(station: Station) -> None:
    with station.visit() as browser:
        browser.post("/login", data=LOGIN)
    with station.engine.connect() as connection:
        row = connection.execute(select(AuditEntry.address, AuditEntry.line).order_by(AuditEntry.id.desc())).first()
    assert row == ("127.0.0.1", "pcb")


def test_a_body_that_is_too_large_is_refused(station: Station) -> None:
    def endless() -> object:
        for _ in range(200):
            yield b"x" * 1024

    form = {"content-type": "application/x-www-form-urlencoded"}
    with station.visit() as browser:
        assert browser.post("/login", data={"username": "x" * 100_000, "password": "x"}).status_code == 413
        answer = browser.post("/login", content=endless(), headers=form)  # type: ignore[arg-type]
        assert answer.status_code in (400, 422)
        assert browser.get("/health").status_code == 200


@pytest.mark.parametrize("data", [{}, {"username": "x"}, {"username": "x" * 2000, "password": "x"}])
def test_a_form_that_makes_no_sense_is_an_error(station: Station, data: dict[str, str]) -> None:
    with station.visit() as browser:
        assert browser.post("/login", data=data).status_code == 422


@pytest.mark.parametrize("path", ["/static/..%2Fweb.py", "/static/%2e%2e", "/static/live.js%00", "/../etc/passwd"])
def test_tricks_in_a_path_find_nothing(station: Station, path: str) -> None:
    with station.visit("admin") as browser:
        assert browser.get(path).status_code == 404


def test_the_language_is_the_browsers_until_somebody_switches(station: Station) -> None:
    with station.visit() as browser:
        assert 'lang="en"' in browser.get("/login").text
        assert 'lang="ko"' in browser.get("/login?lang=ko").text
        assert 'lang="ko"' in browser.get("/login").text


def test_errors_are_pages_for_people_and_json_for_programs(station: Station) -> None:
    with station.visit("viewer") as browser:
        page = browser.get("/no/such/page")
        assert (page.status_code, "There is no such page" in page.text) == (404, True)
        answer = browser.get("/no/such/page", headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()) == (404, {"error": "There is no such page."})
        assert browser.put("/").status_code == 405


def test_letters_and_targets_have_the_size_that_the_screens_need(station: Station) -> None:
    with station.visit() as browser:
        css = browser.get("/screen.css").text
    assert "--letter: 91px; --touch: 73px" in css  # 25 mm and 20 mm, at 0.2767 mm a pixel
    assert "@media (max-width: 1280px) { :root { --letter: 30px; --touch: 118px" in css


def test_a_screen_that_is_too_small_to_be_read_from_there_is_refused() -> None:
    with pytest.raises(ValueError, match="take a larger screen, or read it from nearer"):
        Screen(diagonal_inch=15, distance_m=10)


def line_of(folder: Path, **changes: object) -> DashboardLine:
    chosen = DashboardSettings.model_validate({"port": free_port(), **changes})
    return DashboardLine(broker=BrokerSettings(credentials=folder / "credentials"), dashboard=chosen)


def serve(line: DashboardLine) -> Server:
    address = _address(line, encrypted=line.certificate is not None)
    return Server("dashboard", address, line.dashboard.port, line.certificate)


def test_with_the_lines_certificate_it_is_tls_and_without_one_for_this_machine_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dashboard\.address: 0\.0\.0\.0: no certificate is there for TLS"):
        serve(line_of(tmp_path, address="0.0.0.0"))
    server = serve(line_of(tmp_path))
    assert server.address.startswith("http://127.0.0.1:")
    server.close()
    certificates = Certificates(tmp_path)
    certificates.make()
    line = line_of(tmp_path)
    assert line.certificate == certificates.server
    server = serve(line)
    assert server.address.startswith("https://")
    server.close()


@pytest.mark.parametrize(
    ("content", "reason"), [("nonsense", "holds no certificate with its key"), (None, "cannot read")]
)
def test_a_certificate_that_is_none_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "mine.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=rf"dashboard\.certificate: .*{reason}"):
        serve(line_of(tmp_path, certificate=file))


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError, match=r"dashboard\.port: cannot"):
        serve(line_of(tmp_path, port=other.getsockname()[1]))


def test_sessions_are_none_of_the_pages_business(station: Station) -> None:
    """What lies in the database opens nothing."""
    station.session("admin")
    with station.engine.connect() as connection:
        stored = connection.scalar(select(Session.token_sha256))
    with station.visit(None, **{station.cookie: str(stored)}) as browser:
        assert browser.get("/").headers["location"] == "/login"

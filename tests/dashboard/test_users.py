"""Users, their tokens and the audit log: what an admin does on the pages, and what nobody may."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine, select
from support.dashboard_station import PASSWORD, Station, add_user

from dashboard import audit
from dashboard.accounts import Accounts, Refused, Visitor
from dashboard.permissions import Who
from dashboard.staff import Act, Staff
from records.tables import AuditEntry, User

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    return Accounts(engine, "pcb", minutes=60)


@pytest.fixture
def staff(engine: Engine, accounts: Accounts) -> Staff:
    return Staff(engine, "pcb", accounts.forget)


@pytest.fixture
def act(engine: Engine) -> Act:
    return Act(Who("boss", "admin", add_user(engine, "boss", "admin")), NOW, "10.0.0.9")


def last_entry(engine: Engine) -> AuditEntry:
    with engine.connect() as connection:
        return audit.entries(connection, audit.Chosen(), 1)[0]


def test_a_new_user_has_a_made_up_password_to_change(
    staff: Staff, act: Act, accounts: Accounts, engine: Engine
) -> None:
    made, password = staff.make(act, "kim", "김지원", "operator", None)
    who = accounts.identify(Visitor(session=accounts.log_in("kim", password, NOW, None)), NOW)
    assert who == Who("kim", "operator", made, must_change=True)
    with pytest.raises(Refused, match="user_there"):
        staff.make(act, "kim", "", "viewer", None)
    with engine.connect() as connection:
        (entry,) = audit.entries(connection, audit.Chosen(action="user made"), 10)
    assert entry.after == {"username": "kim", "full_name": "김지원", "role": "operator", "active": True}
    assert (entry.username, entry.address, entry.line) == ("boss", "10.0.0.9", "pcb")


@pytest.mark.parametrize(
    ("name", "full_name", "key"),
    [(" ", "", "user_name_wrong"), ("x" * 65, "", "user_name_wrong"), ("a\nb", "", "user_name_wrong"),
     ("kim", "x" * 129, "user_full_name_wrong")],
)  # fmt: skip
def test_names_that_will_not_do(staff: Staff, act: Act, name: str, full_name: str, key: str) -> None:
    with pytest.raises(Refused, match=key):
        staff.make(act, name, full_name, "viewer", None)
    assert [each.username for each in staff.all()] == ["boss"]


def test_a_role_holds_at_once_and_the_log_has_before_and_after(
    staff: Staff, act: Act, accounts: Accounts, engine: Engine
) -> None:
    kim = add_user(engine, "kim", "operator")
    visitor = Visitor(session=accounts.log_in("kim", PASSWORD, NOW, None))
    assert accounts.identify(visitor, NOW) == Who("kim", "operator", kim)
    staff.change(act, kim, role="engineer", full_name="Kim")
    assert accounts.identify(visitor, NOW) == Who("kim", "engineer", kim)
    entry = last_entry(engine)
    assert (entry.before["role"], entry.after["role"], entry.after["full_name"]) == ("operator", "engineer", "Kim")  # type: ignore[index]
    staff.change(act, kim, role="engineer", full_name="Kim")
    assert last_entry(engine).id == entry.id


def test_a_deactivated_user_is_out_and_may_come_back(
    staff: Staff, act: Act, accounts: Accounts, engine: Engine
) -> None:
    kim = add_user(engine, "kim", "operator")
    visitor = Visitor(session=accounts.log_in("kim", PASSWORD, NOW, None))
    assert accounts.identify(visitor, NOW)
    staff.change(act, kim, active=False)
    assert accounts.identify(visitor, NOW) is None
    with pytest.raises(Refused):
        accounts.log_in("kim", PASSWORD, NOW, None)
    staff.change(act, kim, active=True)
    assert accounts.identify(visitor, NOW) is None  # the old login has ended
    assert accounts.log_in("kim", PASSWORD, NOW, None)


def test_an_admin_is_left_and_nobody_locks_themselves_out(staff: Staff, act: Act, engine: Engine) -> None:
    boss = act.who.user_id or 0
    with pytest.raises(Refused, match="user_last_admin"):
        staff.change(act, boss, role="engineer")
    with pytest.raises(Refused, match="user_oneself"):
        staff.change(act, boss, active=False)
    other = add_user(engine, "other", "admin")
    with pytest.raises(Refused, match="user_oneself"):
        staff.change(act, boss, active=False)
    staff.change(act, boss, role="engineer")
    with pytest.raises(Refused, match="user_last_admin"):
        staff.change(act, other, active=False)
    with pytest.raises(Refused, match="user_unknown"):
        staff.change(act, 999, active=False)


def test_a_reset_ends_the_logins_and_lifts_a_lock(staff: Staff, act: Act, accounts: Accounts, engine: Engine) -> None:
    kim = add_user(engine, "kim", "operator")
    visitor = Visitor(session=accounts.log_in("kim", PASSWORD, NOW, None))
    for _ in range(5):
        with pytest.raises(Refused):
            accounts.log_in("kim", "wrong", NOW, None)
    password = staff.reset_password(act, kim)
    assert accounts.identify(visitor, NOW) is None
    who = accounts.identify(Visitor(session=accounts.log_in("kim", password, NOW, None)), NOW)
    assert who is not None
    assert who.must_change


def test_a_token_has_the_rights_of_its_user_until_its_end(accounts: Accounts, engine: Engine, act: Act) -> None:
    kim = add_user(engine, "kim", "operator")
    ends = NOW + timedelta(days=1)
    token = accounts.make_token(act.who, "line PC", ["read"], NOW, None, owner=kim, expires_at=ends)
    assert accounts.identify(Visitor(bearer=token), NOW) == Who("kim", "operator", kim, frozenset({"read"}))
    assert accounts.identify(Visitor(bearer=token), ends) is None
    assert last_entry(engine).after == {"scopes": ["read"], "expires_at": ends.isoformat(), "user_id": kim}


def test_the_log_is_read_by_key_person_action_and_day(engine: Engine) -> None:
    with engine.begin() as connection:
        for number in range(6):
            who, change = Who(("kim", "lee")[number % 2], "admin", 1), audit.Change(f"act {number % 3}", str(number))
            audit.note(connection, "pcb", who, change, NOW + number * timedelta(hours=6), None)

        def subjects(limit: int = 10, **chosen: object) -> str:
            return "".join(each.subject for each in audit.entries(connection, audit.Chosen(**chosen), limit))  # type: ignore[arg-type]

        assert (subjects(4), subjects(4, older_than=3)) == ("5432", "10")
        assert (subjects(username="kim"), subjects(action="act 1")) == ("420", "41")
        assert subjects(since=NOW + timedelta(hours=6), until=NOW + timedelta(hours=18)) == "21"
        assert audit.actions(connection) == ["act 0", "act 1", "act 2"]


@pytest.fixture
def admin(station: Station) -> Iterator[httpx.Client]:
    with station.visit("admin") as client:
        yield client


def secret(page: httpx.Response) -> str:
    found = re.search(r'class="secret">([^<]+)<', page.text)
    assert found
    return found[1]


def test_an_admin_makes_a_user_and_a_token_on_the_pages(station: Station, admin: httpx.Client) -> None:
    page = admin.post("/users", data={"username": "<b>park", "full_name": "박", "role": "viewer"})
    assert page.status_code == 200
    assert "<b>park" not in page.text
    assert station.service.accounts.log_in("<b>park", secret(page), datetime.now(UTC), None)
    with station.engine.connect() as connection:
        made = connection.scalar(select(User.id).where(User.username == "<b>park"))
    again = admin.post("/users", data={"username": "<b>park", "role": "viewer"})
    assert (again.status_code, "a user of this name" in again.text) == (422, True)
    page = admin.post(f"/users/{made}/tokens", data={"name": "PC", "scopes": ["read", "inspect"], "days": ""})
    answer = httpx.get(
        f"{station.doors}/api/inspections", headers={"authorization": f"Bearer {secret(page)}"}, trust_env=False
    )
    assert answer.status_code == 200
    assert secret(page) not in admin.get(f"/users/{made}").text
    for wrong in ({"scopes": ["kiosk"]}, {"scopes": []}, {"scopes": ["read"], "days": "0"}):
        assert admin.post(f"/users/{made}/tokens", data={"name": "PC", "days": ""} | wrong).status_code == 422
    changed = admin.post(f"/users/{made}", data={"role": "operator", "full_name": "박수진"})
    assert (changed.status_code, changed.headers["location"]) == (303, f"/users/{made}")
    assert admin.post(f"/users/{made}/active", data={"active": "false"}).status_code == 303
    log = admin.get("/audit", params={"user": "admin", "action": "user changed", "first": "2020-01-01", "last": ""})
    assert "박수진" in log.text
    assert admin.get("/audit", params={"first": "2026-02-30"}).status_code == 422


def test_a_user_who_is_not_there(admin: httpx.Client) -> None:
    for path in ("", "/password", "/sessions"):
        answer = admin.post(f"/users/999999{path}", data={"role": "viewer"})
        assert answer.status_code in (404, 422)
    assert admin.get("/users/999999").status_code == 404
    assert admin.get("/users/nobody").status_code == 422

"""Who may log in, for how long, and what is kept of it."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import bcrypt
import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from support.dashboard_station import PASSWORD, add_user

from dashboard import accounts
from dashboard.accounts import Accounts, Refused, Visitor, check_password
from dashboard.permissions import Who
from records.tables import ApiToken, AuditEntry, Session, User

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def desk(engine: Engine) -> Accounts:
    add_user(engine, "kim", "operator")
    return Accounts(engine, "pcb", minutes=60)


def fails(desk: Accounts, password: str = "wrong", name: str = "kim", now: datetime = NOW) -> bool:
    try:
        desk.log_in(name, password, now, "10.0.0.9")
    except Refused as refused:
        return refused.key == "login_refused"
    return False


def test_five_failures_lock_for_five_minutes(desk: Accounts) -> None:
    assert all(fails(desk) for _ in range(5))
    assert fails(desk, PASSWORD)
    assert fails(desk, PASSWORD, now=NOW + 4.9 * MINUTE)
    assert not fails(desk, PASSWORD, now=NOW + 5 * MINUTE)


def test_a_login_forgets_the_failures_before_it(desk: Accounts) -> None:
    for _ in range(3):
        assert all(fails(desk) for _ in range(4))
        assert not fails(desk, PASSWORD)


def test_after_a_lock_there_are_five_tries_again(desk: Accounts) -> None:
    assert all(fails(desk) for _ in range(5))
    later = NOW + 6 * MINUTE
    assert all(fails(desk, now=later) for _ in range(4))
    assert not fails(desk, PASSWORD, now=later)


def test_guesses_at_once_are_no_more_than_one_after_the_other(
    desk: Accounts, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []
    check: Callable[[bytes, bytes], bool] = bcrypt.checkpw
    with engine.connect() as connection:
        kim = connection.scalar(select(User.password_hash))

    def counting(password: bytes, hashed: bytes) -> bool:
        looked_at.extend([password] if hashed.decode() == kim else [])
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    with ThreadPoolExecutor(4) as guessing:
        assert all(guessing.map(lambda number: fails(desk, f"guess {number}"), range(12)))
    assert len(looked_at) == 5


@pytest.mark.parametrize("name", ["nobody", "KIM", "", "kim'--", "x" * 5000])
def test_who_is_not_there_is_told_the_same(desk: Accounts, name: str) -> None:
    assert fails(desk, PASSWORD, name)


def test_who_is_not_active_is_out_at_once(desk: Accounts, engine: Engine) -> None:
    visitor = Visitor(session=desk.log_in("kim", PASSWORD, NOW, None))
    assert desk.identify(visitor, NOW) is not None
    with engine.begin() as connection:
        connection.execute(update(User).values(active=False))
    assert desk.identify(visitor, NOW + MINUTE) is None
    assert fails(desk, PASSWORD)


def test_a_session_lasts_as_long_as_it_is_used(desk: Accounts) -> None:
    visitor = Visitor(session=desk.log_in("kim", PASSWORD, NOW, None))
    for hour in range(5):
        assert desk.identify(visitor, NOW + hour * timedelta(minutes=59)) == Who("kim", "operator", 1)
    assert desk.identify(visitor, NOW + 4 * timedelta(minutes=59) + 61 * MINUTE) is None


def test_whoever_may_revoke_wall_screens_may_not_revoke_programs(desk: Accounts, engine: Engine) -> None:
    kim = Who("kim", "engineer", 1)
    visitor = Visitor(bearer=desk.make_token(kim, "plc", ["read"], NOW, None))
    with engine.connect() as connection:
        (number,) = connection.scalars(select(ApiToken.id))
    with pytest.raises(Refused):
        desk.revoke(kim, number, NOW, None, screens=True)
    assert desk.identify(visitor, NOW) is not None


def test_a_link_of_a_wall_screen_lasts_until_it_is_revoked(desk: Accounts) -> None:
    kim = Who("kim", "engineer", 1)
    visitor = Visitor(kiosk=desk.make_token(kim, "hall 2", ["kiosk"], NOW, None))
    later = NOW + timedelta(days=900)
    who = desk.identify(visitor, later)
    assert who is not None
    assert (who.name, who.role, who.is_kiosk) == ("hall 2", "viewer", True)
    (link,) = desk.kiosks()
    desk.revoke(kim, link.id, later, None)
    assert desk.identify(visitor, later) is None
    assert desk.kiosks() == []
    with pytest.raises(Refused):
        desk.revoke(kim, link.id, later, None)


def test_a_token_ends_when_it_says(desk: Accounts, engine: Engine) -> None:
    token = desk.make_token(Who("kim", "operator", 1), "report", ["read"], NOW, None)
    with engine.begin() as connection:
        connection.execute(update(ApiToken).values(expires_at=NOW + MINUTE))
    assert desk.identify(Visitor(bearer=token), NOW) is not None
    assert desk.identify(Visitor(bearer=token), NOW + 2 * MINUTE) is None


@pytest.mark.parametrize("token", ["", "x", "\0", "안녕", "x" * 100_000, "' OR 1=1 --"])
def test_a_forged_token_is_nobody(desk: Accounts, token: str) -> None:
    for visitor in (Visitor(session=token), Visitor(kiosk=token), Visitor(bearer=token)):
        assert desk.identify(visitor, NOW) is None


def test_the_database_knows_no_token_and_no_password(desk: Accounts, engine: Engine) -> None:
    session = desk.log_in("kim", PASSWORD, NOW, None)
    token = desk.make_token(Who("kim", "operator", 1), "report", ["read"], NOW, None)
    with engine.connect() as connection:
        assert connection.scalar(select(Session.token_sha256)) == hashlib.sha256(session.encode()).hexdigest()
        assert connection.scalar(select(ApiToken.token_sha256)) == hashlib.sha256(token.encode()).hexdigest()
        hashed = connection.scalar(select(User.password_hash))
    assert hashed is not None
    assert bcrypt.checkpw(PASSWORD.encode(), hashed.encode())


def test_another_password_ends_the_other_sessions(desk: Accounts, engine: Engine) -> None:
    mine, other = (Visitor(session=desk.log_in("kim", PASSWORD, NOW, None)) for _ in range(2))
    who = desk.identify(mine, NOW)
    assert who == desk.identify(other, NOW)
    assert who is not None
    with pytest.raises(Refused, match="password_wrong"):
        desk.change_password(who, "wrong", "another password", NOW, mine)
    desk.change_password(who, PASSWORD, "another password", NOW, mine)
    assert desk.identify(mine, NOW) == who
    assert desk.identify(other, NOW) is None
    assert fails(desk, PASSWORD)
    assert not fails(desk, "another password")


@pytest.mark.parametrize(
    ("password", "key"),
    [
        ("short", "password_short"),
        ("x" * 73, "password_long"),
        ("비밀번호" * 7, "password_long"),
        ("kim-jiwon-1", "password_name"),
    ],
)
def test_a_password_that_will_not_do(password: str, key: str) -> None:
    with pytest.raises(Refused, match=key):
        check_password(password, "kim-jiwon")


def test_a_password_is_not_guessed_by_changing_it(desk: Accounts) -> None:
    who, visitor = Who("kim", "operator", 1), Visitor()
    for number in range(5):
        with pytest.raises(Refused):
            desk.change_password(who, f"guess {number}", "another password", NOW, visitor)
    with pytest.raises(Refused):
        desk.change_password(who, PASSWORD, "another password", NOW, visitor)


def test_the_first_start_makes_an_admin_once(engine: Engine) -> None:
    desk = Accounts(engine, "pcb", minutes=60)
    password = desk.make_first(None, NOW)
    assert password is not None
    assert desk.make_first(None, NOW) is None
    who = desk.identify(Visitor(session=desk.log_in("admin", password, NOW, None)), NOW)
    assert who is not None
    assert (who.role, who.must_change) == ("admin", True)


def test_a_first_password_of_ones_own_is_not_told(engine: Engine) -> None:
    desk = Accounts(engine, "pcb", minutes=60)
    assert desk.make_first("chosen by hand", NOW) is None
    who = desk.identify(Visitor(session=desk.log_in("admin", "chosen by hand", NOW, None)), NOW)
    assert who is not None
    assert not who.must_change


def test_what_is_changed_is_audited(desk: Accounts, engine: Engine) -> None:
    token = desk.log_in("kim", PASSWORD, NOW, "10.0.0.9")
    kim, visitor = Who("kim", "operator", 1), Visitor(session=token, address="10.0.0.9")
    desk.make_token(kim, "hall 2", ["kiosk"], NOW, "10.0.0.9")
    desk.revoke(kim, 1, NOW, "10.0.0.9")
    desk.change_password(kim, PASSWORD, "another password", NOW, visitor)
    desk.log_out(kim, token, NOW, "10.0.0.9")
    assert all(fails(desk) for _ in range(5))
    with engine.connect() as connection:
        rows = connection.execute(
            select(AuditEntry.action, AuditEntry.subject, AuditEntry.username, AuditEntry.address)
        )
        found = [tuple(row) for row in rows]
    assert found == [
        ("login", "kim", "kim", "10.0.0.9"),
        ("token made", "hall 2", "kim", "10.0.0.9"),
        ("token revoked", "hall 2", "kim", "10.0.0.9"),
        ("password changed", "kim", "kim", "10.0.0.9"),
        ("logout", "kim", "kim", "10.0.0.9"),
        ("last try before the lock", "kim", "kim", "10.0.0.9"),
    ]


def test_without_its_database_it_knows_who_was_there(desk: Accounts, engine: Engine) -> None:
    visitor = Visitor(session=desk.log_in("kim", PASSWORD, NOW, None))
    who = desk.identify(visitor, NOW)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE sessions RENAME TO away"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "meaning", lambda _: "passing")  # as a server that is away would say
        assert desk.identify(visitor, NOW + 30 * MINUTE) == who
        with pytest.raises(SQLAlchemyError):
            desk.identify(visitor, NOW + 90 * MINUTE)
        with pytest.raises(SQLAlchemyError):
            desk.identify(Visitor(session="a stranger"), NOW)

"""The tables that programs of the earlier system read, as views of a database of their own, with a login of their own.

Times are those of the line's wall clock. The login reads these views and nothing else. Of what a client writes itself
it may set `users.last_login`, which has a column of its own.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pymysql.converters import escape_string
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pcb_bus.errors import ConfigError
from records.database import KEY, never_works, reason

_EXISTS = 1396  # the server's number for a login that is there already
_NOW = "UTC_TIMESTAMP(3)"
_YEARS = range(2000, 2041)
_COUNTS = """SUM(boards) AS total_inspections,
    SUM(IF(category = 'normal', boards, 0)) AS normal_count,
    SUM(IF(category = 'component', boards, 0)) AS component_defect_count,
    SUM(IF(category = 'solder', boards, 0)) AS solder_defect_count,
    SUM(IF(category = 'scrap', boards, 0)) AS discard_count"""
_RATE = "ROUND(100 * SUM(IF(category = 'normal', 0, boards)) / SUM(boards), 2) AS defect_rate"
_LAST_HOUR = "MAX(begins_at) + INTERVAL 1 HOUR"


@dataclass(frozen=True, slots=True)
class Views:
    """What is made: the database `name` with views of the tables in `source`, of one line, whose clock is in `zone`."""

    name: str
    source: str
    line: str
    zone: str
    image_url: str

    def statements(self) -> Iterator[str]:
        """Each may be run again."""
        yield f"CREATE DATABASE IF NOT EXISTS {_name(self.name)} CHARACTER SET utf8mb4"
        for view, query in self._queries().items():
            yield f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW {_name(self.name)}.{_name(view)} AS\n{query}"

    def _queries(self) -> dict[str, str]:
        of_line = f"line = {quoted(self.line)}"
        base = quoted(f"{self.image_url.rstrip('/')}/")
        return {
            "inspections": f"""SELECT id, camera_id, defect_type, confidence, inspection_time, image_path, boxes,
    gpio_pin, gpio_duration_ms, user_id, notes FROM {self._table("inspections")} WHERE {of_line}""",
            "defect_images": f"""SELECT p.id, i.id AS inspection_id, CONCAT({base}, p.path) AS image_path,
    p.size_bytes AS image_size_bytes, p.width AS image_width, p.height AS image_height,
    {self._local("p.received_at")} AS upload_time
FROM {self._table("defect_images")} AS p
JOIN {self._table("inspections")} AS i ON i.line = p.line AND i.verdict_id = p.verdict_id
WHERE p.{of_line} AND p.kind = 'frame' AND p.state = 'stored'""",
            "statistics_daily": f"""SELECT TO_DAYS(begins_at) AS id, DATE(begins_at) AS stat_date, {_COUNTS}, {_RATE},
    MIN(begins_at) AS created_at, {_LAST_HOUR} AS updated_at
FROM {self._table("board_statistics")} WHERE {of_line} GROUP BY TO_DAYS(begins_at), DATE(begins_at)""",
            "statistics_hourly": f"""SELECT TIMESTAMPDIFF(HOUR, '2000-01-01', begins_at) AS id,
    begins_at AS stat_datetime, {_COUNTS}, begins_at AS created_at, {_LAST_HOUR} AS updated_at
FROM {self._table("board_statistics")} WHERE {of_line} GROUP BY begins_at""",
            "v_realtime_statistics": f"""SELECT DATE({self._local(_NOW)}) AS stat_date, {_COUNTS}, {_RATE}
FROM {self._table("board_statistics")} WHERE {of_line} AND begins_at >= DATE({self._local(_NOW)})""",
            "system_logs": f"""SELECT id, level AS log_level, source, message, details,
    {self._local("logged_at")} AS created_at FROM {self._table("system_logs")} WHERE {of_line}""",
            "system_config": f"""SELECT CRC32(`key`) AS id, CASE `key` WHEN 'confidence' THEN 'defect_threshold'
        WHEN 'retention_days' THEN 'max_image_retention_days'
        WHEN 'alert_defect_rate' THEN 'alert_defect_rate_threshold' ELSE `key` END AS config_key,
    IF(`key` = 'alert_defect_rate', CAST(100 * CAST(value AS CHAR) AS CHAR), JSON_UNQUOTE(value)) AS config_value,
    '' AS description, {self._local("updated_at")} AS updated_at, user_id AS updated_by
FROM {self._table("system_config")} WHERE {of_line}""",
            # Its three roles; who is locked out is not active, for the client checks the password itself.
            "users": f"""SELECT id, username, password_hash, COALESCE(full_name, username) AS full_name,
    CASE role WHEN 'admin' THEN 'Admin' WHEN 'viewer' THEN 'Viewer' ELSE 'Operator' END AS role,
    active AND NOT must_change_password AND COALESCE(locked_until < {_NOW}, TRUE) AS is_active,
    client_login_at AS last_login, {self._local("created_at")} AS created_at FROM {self._table("users")}""",
            "alerts": f"""SELECT id, kind AS alert_type, level AS severity, message, details,
    resolved_at IS NOT NULL AS is_resolved, {self._local("resolved_at")} AS resolved_at, user_id AS resolved_by,
    {self._local("raised_at")} AS created_at FROM {self._table("alerts")} WHERE {of_line}""",
        }

    def _table(self, name: str) -> str:
        return f"{_name(self.source)}.{_name(name)}"

    def _local(self, moment: str) -> str:
        return f"CONVERT_TZ({moment}, '+00:00', {quoted(self.zone)})"

    def grants(self, login: str) -> Iterator[str]:
        """What `login` may: read the views, and say when somebody logged in. `login` is quoted, with its host."""
        every = self.name.replace("_", r"\_").replace("%", r"\%")  # else they stand for any character
        yield f"GRANT SELECT ON {_name(every)}.* TO {login}"
        yield f"GRANT UPDATE (last_login) ON {_name(self.name)}.`users` TO {login}"


def make(connection: Connection, views: Views, login: str, password: str | None) -> str | None:
    """Make them, and the login. A new login without a password is given one, which is returned.

    Raises:
        ConfigError: the connection's login may not.
        SQLAlchemyError: the database fails.
    """
    given = password or secrets.token_urlsafe(18)
    try:
        for statement in views.statements():
            _run(connection, statement)
        is_new = _create_login(connection, login, given)
        if password is not None and not is_new:
            _run(connection, f"ALTER USER {login} IDENTIFIED BY {quoted(password)}")
        for statement in views.grants(login):
            _run(connection, statement)
    except SQLAlchemyError as error:
        if never_works(error):
            hint = "let an administrator run what `--print` prints"
            raise ConfigError(f"{KEY}: its login may not make this: {reason(error)}; {hint}") from None
        raise
    return given if is_new and password is None else None


def script(views: Views, login: str, password: str | None) -> Iterator[str]:
    """The same as statements for an administrator."""
    made = f"CREATE USER IF NOT EXISTS {login} IDENTIFIED BY {quoted(password or secrets.token_urlsafe(18))}"
    return (f"{each};" for each in (*views.statements(), made, *views.grants(login)))


def _create_login(connection: Connection, login: str, password: str) -> bool:
    """Whether it is new."""
    try:
        _run(connection, f"CREATE USER {login} IDENTIFIED BY {quoted(password)}")
    except DBAPIError as error:
        if getattr(error.orig, "args", ())[:1] != (_EXISTS,):
            raise
        return False
    return True


def _run(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement.replace("%", "%%"))


def refuse_tables(connection: Connection, name: str) -> None:
    """Where the earlier system has its own database, nothing of it is touched.

    Raises:
        ConfigError: there are tables in the database of this name.
    """
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = :name AND table_type = 'BASE TABLE'"
    found = connection.execute(text(f"{tables} ORDER BY table_name"), {"name": name}).scalars().all()
    if found:
        raise ConfigError(f"--database: {name} has tables of its own, as {found[0]}: choose another name for the views")


def zone_for(connection: Connection, zone: ZoneInfo) -> str:
    """How the server is to be told of the zone: by name if it knows that, else by an offset that never changes.

    Raises:
        ConfigError: it knows no zones, and the line's clocks change twice a year.
    """
    asked = text("SELECT CONVERT_TZ('2026-01-01', '+00:00', :zone)")
    if connection.scalar(asked, {"zone": zone.key}) is not None:
        return zone.key
    offsets = {datetime(year, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for year in _YEARS for month in (1, 7)}
    if len(offsets) > 1:
        raise ConfigError(
            f"recorder.time_zone: the database does not know {zone.key}, whose clocks change: load its zones with"
            " mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb mysql (MySQL: mysql_tzinfo_to_sql)"
        )
    minutes = round((offsets.pop() or timedelta()) / timedelta(minutes=1))
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _name(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def quoted(value: str) -> str:
    return f"'{escape_string(value)}'"

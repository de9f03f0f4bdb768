"""What the columns of the tables are made of."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Date, DateTime, Dialect, Double, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

ON_MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
Id = String(128)
Line = String(64)
BigId = BigInteger().with_variant(Integer, "sqlite")
Bytes = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")
LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
LocalTime = DateTime().with_variant(mysql.DATETIME(fsp=3), "mysql")
"""Of a wall clock: a datetime without a zone."""


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware datetime; DATETIME(3) on MySQL and MariaDB. Cut, not rounded, to milliseconds."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = mysql.DATETIME(fsp=3) if dialect.name == "mysql" else DateTime()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None, microsecond=utc.microsecond // 1000 * 1000)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Root of the tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcTime, date: Date, float: Double}

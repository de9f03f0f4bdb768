"""Values as text of an SQL statement for MariaDB and MySQL. Pure.

The server has to take a backslash in a string for an escape: its `sql_mode` must not have NO_BACKSLASH_ESCAPES.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pymysql.converters import escape_string


def literals(column: Sequence[Any]) -> list[str]:
    """Each of the values: None, a bool, an int, a finite float, a str or bytes.

    Raises:
        ValueError: a number is not finite.
        TypeError: something else is among them.
    """
    if set(map(type, column)) <= _TEXTS:
        known = {value: _literal(value) for value in set(column)}  # many rows of one batch have the same words
        return [known[value] for value in column]
    return [_literal(value) for value in column]


def _literal(value: Any) -> str:
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"{type(value).__name__} can not be stored")
    return form(value)


def _number(value: float) -> str:
    text = repr(value)
    if "n" in text:
        raise ValueError(f"{text} can not be stored")
    return text if "e" in text else f"{text}e0"  # without an exponent it would be a decimal, and lose bits


_TEXTS = frozenset({str, type(None)})
_FORMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    bool: lambda value: "1" if value else "0",
    int: repr,
    float: _number,
    str: lambda value: f"'{escape_string(value)}'",
    bytes: lambda value: f"x'{value.hex()}'",
}

"""Logins on first use: one credentials file for each role, and what Mosquitto reads made from them.

    <directory>/credentials/<role>.yaml   username and password, for the node of that name
    <directory>/passwords                 the same, hashed, for Mosquitto
    <directory>/acl                       who may write and read what

Everything is readable by its owner alone.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from broker.passwords import new_password, password_line
from broker.roles import Role, acl_file
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import BrokerSettings, with_credentials


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login."""

    username: str
    password: str


def provision(directory: Path, roles: Sequence[Role]) -> tuple[str, ...]:
    """Make what is missing in `directory`; a login that is there is kept. Gives the names of the new ones.

    Raises:
        ConfigError: a credentials file that is there cannot be used.
    """
    folder = directory / "credentials"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = tuple(role.name for role in roles if not _file(directory, role.name).exists())
    for name in new:
        document = {"username": name, "password": new_password()}
        write_private(_file(directory, name), yaml.safe_dump(document, sort_keys=False))
    logins = [read_credentials(directory, role.name) for role in roles]
    write_private(directory / "passwords", _lines(password_line(each.username, each.password) for each in logins))
    write_private(directory / "acl", acl_file(roles))
    return new


def read_credentials(directory: Path, role: str) -> Credentials:
    """The login of a role.

    Raises:
        ConfigError: there is none, or the file does not hold one.
    """
    login = with_credentials(BrokerSettings(credentials=directory / "credentials"), role)
    if login.username != role or login.password is None:
        raise ConfigError(f"{_file(directory, role)}: needs the username {role!r}, and a password")
    return Credentials(role, login.password)


def write_private(path: Path, content: str) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    draft.replace(path)


def _file(directory: Path, role: str) -> Path:
    return directory / "credentials" / f"{role}.yaml"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

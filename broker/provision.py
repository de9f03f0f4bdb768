"""Logins on first use: one credentials file for each role, and what Mosquitto reads made from them.

    <directory>/credentials/<role>.yaml        all that the node of that name needs: copy it to the node's machine
    <directory>/credentials/<root>/<role>.yaml the same of a further line
    <directory>/passwords                      the passwords, hashed, for Mosquitto
    <directory>/acl                            who may write and read what

Everything is readable by its owner alone.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from broker.certificates import RENEWED_BEFORE, Certificates
from broker.files import write_private
from broker.passwords import new_password, password_line
from broker.roles import Role, acl_file
from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.login import Login, login_of
from pcb_bus.runtime.settings import BrokerSettings

_KEYS = ("username", "password", "client_id", "authority", "certificate", "key")


@dataclass(frozen=True, slots=True)
class Trust:
    """What a credentials file holds beside its login: whom to trust, and, where clients need one, a certificate."""

    certificates: Certificates
    of_clients: bool = False


def provision(directory: Path, roles: Sequence[Role], trust: Trust | None = None) -> tuple[str, ...]:
    """Make what is missing in `directory`; a login that is there is kept. Gives the usernames of the new ones.

    Args:
        trust: None for a broker without TLS.

    Raises:
        ConfigError: a credentials file that is there cannot be used.
    """
    new = []
    for role in roles:
        file = _file(directory, role)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            new.append(role.username)
            _write(file, Login(BrokerSettings(), role.username, new_password()))
        login = _read(directory, role)
        if (complete := _completed(login, role, trust)) != login:
            _write(file, complete)
    _tell_mosquitto(directory, roles)
    return tuple(new)


def rotate(directory: Path, roles: Sequence[Role], names: Iterable[str]) -> list[Path]:
    """Give these logins another password each; gives their files. Mosquitto has to be told to read its files again.

    Raises:
        ConfigError: one of the names is no login of these roles.
    """
    by_name = {role.username: role for role in roles}
    changed, chosen = [], list(names)
    for name in chosen:
        if name not in by_name:
            raise ConfigError(f"{name} is no login; there are {', '.join(by_name)}")
    for name in chosen:
        changed.append(_file(directory, by_name[name]))
        _write(changed[-1], replace(_read(directory, by_name[name]), password=new_password()))
    _tell_mosquitto(directory, roles)
    return changed


def read_credentials(directory: Path, name: str, line: str = "") -> Login:
    """The login of a role.

    Raises:
        ConfigError: there is none, or the file does not hold one.
    """
    return _read(directory, Role(name, line=line))


def _read(directory: Path, role: Role) -> Login:
    file = _file(directory, role)
    login = login_of(file, BrokerSettings())
    if login.username != role.username:
        raise ConfigError(f"{file}: needs the username {role.username!r}, and a password")
    return login


def _completed(login: Login, role: Role, trust: Trust | None) -> Login:
    if login.client_id is None and not role.is_guest:
        login = replace(login, client_id=f"{role.username}-{secrets.token_hex(12)}")
    authority = trust.certificates.authority.read_text() if trust else None
    login = replace(login, authority=authority)
    if trust is None or not trust.of_clients:
        return replace(login, certificate=None, key=None)
    if trust.certificates.login_ends(login.certificate or "") - datetime.now(UTC) > RENEWED_BEFORE:
        return login
    certificate, key = trust.certificates.for_login(role.username)
    return replace(login, certificate=certificate, key=key)


def _tell_mosquitto(directory: Path, roles: Sequence[Role]) -> None:
    logins = [_read(directory, role) for role in roles]
    lines = (password_line(each.username or "", each.password or "") for each in logins)
    write_private(directory / "passwords", "".join(f"{line}\n" for line in lines))
    write_private(directory / "acl", acl_file(roles))


def _write(file: Path, login: Login) -> None:
    document = {key: value for key in _KEYS if (value := getattr(login, key)) is not None}
    write_private(file, yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """Writes PEM as the lines that it is."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _file(directory: Path, role: Role) -> Path:
    return directory / "credentials" / role.line / f"{role.name}.yaml"

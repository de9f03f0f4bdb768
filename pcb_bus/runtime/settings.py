"""Settings: `config/line.yaml` < the node's own file beside it < environment `PCB_…` < command line.

Every service declares its own section (`edge`, `recorder`, …) in a subclass of `LineSettings`. A service cannot know
the keys of its neighbours' sections, so it checks the common part and its own, and that no section is misspelt.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pcb_bus.contract.codec import first_error, read_yaml
from pcb_bus.contract.messages import Name, Pin, Verdict, printable
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import is_secret, redact, redact_address, remember, secrets_of

log = logging.getLogger(__name__)

KEYS_OF_PROGRAMS = frozenset(
    ("edge", "inference", "actuator", "recorder", "dashboard", "simulator", "directory", "listen", "plain_port")
) | {"websocket_port", "names", "client_certificates", "lines", "minutes", "picture", "exposure_ms"}
"""What stands in the file for one program alone: its section, and what only the broker or an edge's set-up reads."""
DEFAULT_CONFIG = Path("config/line.yaml")
DEFAULT_TAXONOMY = Path("config/pcb_defects.yaml")
CONFIG_VARIABLE = "PCB_CONFIG"

Port = Annotated[int, Field(ge=1, le=65_535)]
S = TypeVar("S", bound="LineSettings")


def sixty_minutes_an_hour(value: Any) -> Any:
    """A time of day as YAML 1.1 reads it: an unquoted 23:30 is the number 1410 there."""
    return time(*divmod(value, 60)) if type(value) is int and 0 <= value < 24 * 60 else value


class Section(BaseModel):
    """A part of the settings: immutable, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
    _printable = field_validator("*")(printable)  # the environment may hold any bytes


class TlsSettings(Section):
    """TLS to the broker, with files of one's own."""

    ca_file: Path | None = None
    """Certificate authority that signed the broker's certificate; none: those that this machine trusts."""
    cert_file: Path | None = None
    """Certificate of this node, if the broker asks for one."""
    key_file: Path | None = None
    """Key of that certificate."""


class BrokerSettings(Section):
    """The MQTT broker, and how to log in."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Host name or address; `--broker HOST` for short."""
    port: Port | None = None
    """TCP port; none: 8883 with TLS, 1883 without."""
    username: str | None = None
    """Login; without one, the node's file in `credentials` is read."""
    password: Annotated[str | None, Field(repr=False)] = None
    """Password; better in the credentials file than here."""
    credentials: Path = Path("var/broker/credentials")
    """Folder with one `<node>.yaml` each, as `make broker` writes them: the login, and the authority to trust."""
    keepalive_s: Annotated[int, Field(ge=2, le=600)] = 5
    """A frozen broker is noticed after about twice this time."""
    tls: TlsSettings | None = None
    """TLS with files of your own; not needed where the credentials file holds the broker's authority."""
    plain: Literal["loopback", "lan"] = "loopback"
    """From where `make broker` takes connections without TLS: from this machine alone, or from everywhere."""

    @field_validator("host")
    @classmethod
    def _host_is_a_name(cls, host: str) -> str:
        try:
            host.encode("idna")  # as a connection attempt will, on a thread that would die of it
        except UnicodeError:
            raise ValueError("not a host name") from None
        return host


class LogSettings(Section):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""
    directory: Path | None = Path("var/log")
    """Folder of the rotating files; none: console only."""
    max_bytes: Annotated[int, Field(ge=10_000)] = 5_000_000
    """Size at which a file is rotated."""
    backups: Annotated[int, Field(ge=1, le=100)] = 5
    """Rotated files that are kept."""


class MetricsSettings(Section):
    """Prometheus metrics."""

    port: Port | None = None
    """Port that serves /metrics; none: not served."""
    address: str = "127.0.0.1"
    """Address that port is bound to."""


class LineSettings(BaseSettings):
    """What every node of a line shares."""

    model_config = SettingsConfigDict(
        env_prefix="PCB_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        cli_avoid_json=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        env_parse_none_str="none",  # on the command line too
    )
    _printable = field_validator("*")(printable)
    shortcuts: ClassVar[dict[str, str]] = {"broker.port": "port"}
    may_be_seen: ClassVar[frozenset[str]] = frozenset()
    """Keys whose secrets are let pass on the command line, with a warning."""
    secrets_go: ClassVar[dict[str, str]] = {"broker.password": "the node's file in `broker.credentials`"}
    """Where a secret is better than on the command line, by its key."""
    keys_of_own_files: ClassVar[frozenset[str] | None] = None
    """What counts of `own_files`; none: all."""

    _read_again: Callable[[], Self] | None = PrivateAttr(default=None)

    root: str = "pcb"
    """Root of every topic; a second line is a second root."""
    sides: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)] = ("left", "right")
    """The sides of a board that have a camera."""
    taxonomy: Path = DEFAULT_TAXONOMY
    """The defect taxonomy."""
    broker: BrokerSettings = BrokerSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    led_pin: Pin | None = None
    """BCM number of a status lamp's pin on a Raspberry Pi: steady, all is well; slow blinks, something is wrong; fast
    ones, no broker. Each node of a Pi has its own: `PCB_LED_PIN`."""

    @field_validator("root")
    @classmethod
    def _root_is_topic(cls, root: str) -> str:
        Topics(root)
        return root

    @field_validator("sides")
    @classmethod
    def _sides_differ(cls, sides: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(sides)) != len(sides):
            raise ValueError("each side once")
        if taken := set(sides) & Verdict.model_fields.keys():
            raise ValueError(f"a verdict has a field of its own called {', '.join(sorted(taken))}")
        return sides

    def come_from(self, read: Callable[[], Self]) -> None:
        """`read` reads them again."""
        self._read_again = read

    def again(self) -> Self:
        """As file, environment and command line say now.

        Raises:
            ConfigError: they are wrong.
        """
        return self if self._read_again is None else self._read_again()

    @property
    def topics(self) -> Topics:
        return Topics(self.root)

    def own_files(self, folder: Path) -> tuple[Path, ...]:
        """Settings of this node alone, in the folder of the line's file and over that, if they are there."""
        return ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # load_settings hands the file's content over as init values: the weakest source here.
        return env_settings, init_settings


def load_settings(kind: type[S], argv: list[str] | None = None, *, program: str | None = None) -> S:
    """Read the settings of one service from file, environment and command line (`argv` without the program's name).

    `--config FILE` or `PCB_CONFIG` names the file; without either, `config/line.yaml` is read if it is there.

    Raises:
        ConfigError: one line that names the key.
        SystemExit: `--help` was asked for, or an option is unknown (argparse prints which, code 2).
    """
    parser = _Parser(program, description=(kind.__doc__ or "").strip(), allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help=f"YAML file of the line (default: {DEFAULT_CONFIG})")
    arguments, path = _take_config_option(sys.argv[1:] if argv is None else argv)
    remember({name: value for name, value in os.environ.items() if name.startswith("PCB_")})
    data = _read_yaml(path, kind)
    remember(data)
    try:
        command_line = CliSettingsSource[Any](
            kind, root_parser=parser, cli_parse_args=arguments, cli_shortcuts=dict(kind.shortcuts)
        )
        given = command_line()
        remember(given)
        _refuse_secrets(kind, given)
        settings = kind(_cli_settings_source=command_line, **data)
        for own in filter(Path.is_file, settings.own_files(_folder(path))):
            path, news = own, _read_own(own, kind)
            remember(news)
            data = _over(data, news)
            settings = kind(_cli_settings_source=command_line, **data)
        remember(settings.model_dump(mode="json"))  # a variable may hold several in one, as JSON
        settings.come_from(partial(load_settings, kind, sys.argv[1:] if argv is None else argv, program=program))
        return settings
    except SettingsError as error:
        raise ConfigError(f"environment: {redact(str(error))}") from None
    except ValidationError as error:
        raise ConfigError(_describe(error, path)) from None


def _over(data: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with what `news` says, key by key."""
    both = {
        key: _over(data[key], news[key])
        for key in news
        if isinstance(data.get(key), dict) and isinstance(news[key], dict)
    }
    return {**data, **news, **both}


def config_folder(argv: list[str]) -> Path:
    """Where the line's file is that `load_settings` reads."""
    return _folder(_take_config_option(argv)[1])


def _folder(path: Path | None) -> Path:
    return (path or DEFAULT_CONFIG).parent


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(redact(message))


def _refuse_secrets(kind: type[LineSettings], given: Mapping[str, Any]) -> None:
    """On the command line everybody reads them; the environment of a process is its user's alone.

    Raises:
        ConfigError: there is one.
    """
    for key in _keys_of_secrets(given):
        variable = f"PCB_{key.upper().replace('.', '__')}"
        place = kind.secrets_go.get(key, f"{key} in the line's file, or the variable {variable}")
        line = f"{key}: every user of this machine can read a password on the command line, `ps` shows it; put it into"
        if key not in kind.may_be_seen:
            raise ConfigError(f"{line} {place}")
        log.warning("%s %s", line, place)


def _keys_of_secrets(given: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in given.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _keys_of_secrets(value, f"{key}.")
        elif any(secrets_of(value, name)):
            yield key


def _take_config_option(argv: list[str]) -> tuple[list[str], Path | None]:
    rest, path = [], os.environ.get(CONFIG_VARIABLE)
    arguments = iter(argv)
    for argument in arguments:
        option, _, value = argument.partition("=")
        if option == "--config":
            path = value or next(arguments, "")
        elif option == "--broker":
            rest.append(argument.replace("--broker", "--broker.host", 1))
        else:
            rest.append(argument)
    if path == "":
        raise ConfigError("--config: needs the path of a YAML file")
    if path is None:
        return rest, DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None
    return rest, Path(path)


def _read_yaml(path: Path | None, kind: type[LineSettings]) -> dict[str, Any]:
    if path is None:
        return {}
    data = read_yaml(path) or {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a map of settings")
    return {key: value for key, value in data.items() if key in kind.model_fields or key not in KEYS_OF_PROGRAMS}


def _read_own(path: Path, kind: type[LineSettings]) -> dict[str, Any]:
    keys = kind.keys_of_own_files
    return {key: value for key, value in _read_yaml(path, kind).items() if keys is None or key in keys}


def _describe(error: ValidationError, path: Path | None) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key (in {path or 'the environment'})"
    show = "image_options" not in first["loc"] and not any(is_secret(str(part)) for part in first["loc"])
    return first_error(error, show=show, without_secrets=redact_address)

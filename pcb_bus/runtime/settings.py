"""Settings: `config/line.yaml` < environment `PCB_…` < command line.

Every service declares its own section (`edge`, `recorder`, …) in a subclass of `LineSettings`. A service cannot know
the keys of its neighbours' sections, so it checks the common part and its own, and that no section is misspelt.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pcb_bus.contract.codec import first_error, read_yaml
from pcb_bus.contract.messages import Name, Verdict, printable
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import ConfigError

KEYS_OF_PROGRAMS = frozenset(
    ("edge", "inference", "actuator", "recorder", "dashboard", "simulator", "directory", "listen", "websocket_port")
)
"""What stands in the file for one program alone: its section, and what only the broker reads."""
DEFAULT_CONFIG = Path("config/line.yaml")
DEFAULT_TAXONOMY = Path("config/pcb_defects.yaml")
CONFIG_VARIABLE = "PCB_CONFIG"

Port = Annotated[int, Field(ge=1, le=65_535)]
S = TypeVar("S", bound="LineSettings")


class Section(BaseModel):
    """A part of the settings: immutable, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
    _printable = field_validator("*")(printable)  # the environment may hold any bytes


class TlsSettings(Section):
    """TLS to the broker."""

    ca_file: Path | None = None
    """Certificate authority that signed the broker's certificate."""
    cert_file: Path | None = None
    """Certificate of this node, if the broker asks for one."""
    key_file: Path | None = None
    """Key of that certificate."""


class BrokerSettings(Section):
    """The MQTT broker, and how to log in."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Host name or address; `--broker HOST` for short."""
    port: Port = 1883
    """TCP port."""
    username: str | None = None
    """Login; without one, the node's file in `credentials` is read."""
    password: Annotated[str | None, Field(repr=False)] = None
    """Password; better in the credentials file than here."""
    credentials: Path = Path("var/broker/credentials")
    """Folder with one `<node>.yaml` (username, password) each, as `make broker` writes them."""
    keepalive_s: Annotated[int, Field(ge=2, le=600)] = 5
    """A frozen broker is noticed after about twice this time."""
    tls: TlsSettings | None = None
    """TLS, if the broker asks for it."""

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

    root: str = "pcb"
    """Root of every topic; a second line is a second root."""
    sides: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)] = ("left", "right")
    """The sides of a board that have a camera."""
    taxonomy: Path = DEFAULT_TAXONOMY
    """The defect taxonomy."""
    broker: BrokerSettings = BrokerSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()

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

    @property
    def topics(self) -> Topics:
        return Topics(self.root)

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
    parser = argparse.ArgumentParser(program, description=(kind.__doc__ or "").strip(), allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help=f"YAML file of the line (default: {DEFAULT_CONFIG})")
    arguments, path = _take_config_option(sys.argv[1:] if argv is None else argv)
    data = _read_yaml(path, kind)
    try:
        command_line = CliSettingsSource[Any](
            kind, root_parser=parser, cli_parse_args=arguments, cli_shortcuts=dict(kind.shortcuts)
        )
        return kind(_cli_settings_source=command_line, **data)
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None
    except ValidationError as error:
        raise ConfigError(_describe(error, path)) from None


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


_SECRET_KEYS = ("password", "database_url", "image_options")


def _describe(error: ValidationError, path: Path | None) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key (in {path or 'the environment'})"
    return first_error(error, show=not key.endswith(_SECRET_KEYS))


def with_credentials(broker: BrokerSettings, name: str) -> BrokerSettings:
    """`broker` with the login of `<credentials>/<name>.yaml`, unless it has one or there is no such file.

    Raises:
        ConfigError: the file is there but cannot be used.
    """
    if broker.username is not None:
        return broker
    path = broker.credentials / f"{name}.yaml"
    try:
        data = read_yaml(path, secret=True)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return broker
        raise ConfigError(f"broker.credentials: {error}") from None
    login = {key: data.get(key) for key in ("username", "password")} if isinstance(data, dict) else {}
    if not login or not all(isinstance(each, str) and each for each in login.values()):
        raise ConfigError(f"broker.credentials: {path} needs username and password, a number in quotes")
    return broker.model_copy(update=login)

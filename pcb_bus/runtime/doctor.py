"""`python -m <node> doctor`: what is wrong with a machine and its settings, and what to do about it.

Here is what every node can be asked; a node adds what it alone has, as its camera.
"""

import ctypes
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import ClockReply, Command
from pcb_bus.contract.times import NS_PER_MS, now_ns, ns_to_ms
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.login import read_login
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime.clock import Exchange, OffsetEstimate
from pcb_bus.runtime.pins import FACTORY_VARIABLE
from pcb_bus.runtime.process import EXIT_CONFIG, EXIT_FAULT, EXIT_OK, keep_to_ourselves
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.settings import LineSettings, load_settings

S = TypeVar("S", bound=LineSettings)
State = Literal["well", "wrong", "skipped"]
_COLOURS = {"well": "green", "wrong": "bold red", "skipped": "dim"}
_BROKER_S = 8.0
_ASKED, _ANSWERS_S, _MOST_OFF_NS = 4, 1.0, 20 * NS_PER_MS
_LEAST_FREE = 500 * 1024 * 1024
_OUT_OF_STEP = 5  # what adjtimex(2) returns
_OLDEST = 1_735_689_600  # 2025: this program is younger
_LOW_VOLTAGE, _THROTTLED = (1 << 0, 1 << 16), (1 << 1 | 1 << 2 | 1 << 3, 1 << 17 | 1 << 18 | 1 << 19)  # now, once


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing, and what to do if it is wrong."""

    what: str
    state: State
    found: str
    to_do: str = ""


Check = Callable[[], Finding]


def examine(kind: type[S], checks: Callable[[S], Iterator[Finding]], argv: list[str], *, program: str) -> int:
    """Run the checks and print what they found; the exit code: 0 all well, 1 something is wrong, 2 wrong usage."""
    keep_to_ourselves()
    logging.basicConfig(handlers=[logging.NullHandler()])  # what went wrong stands in the findings
    as_json = "--json" in argv
    try:
        settings = load_settings(kind, [each for each in argv if each != "--json"], program=f"{program} doctor")
        findings = list(checks(settings))
    except ConfigError as error:
        print(f"{program} doctor: {redact(str(error))}", file=sys.stderr)
        return EXIT_CONFIG
    shown = [replace(each, found=redact(each.found), to_do=redact(each.to_do)) for each in findings]
    if as_json:
        print(json.dumps([asdict(each) for each in shown], indent=2, ensure_ascii=False))
    else:
        _print_table(shown)
    return EXIT_FAULT if any(each.state == "wrong" for each in findings) else EXIT_OK


def _print_table(findings: Sequence[Finding]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for each in findings:
        table.add_row(each.what, f"[{_COLOURS[each.state]}]{each.state}", *map(_plain, (each.found, each.to_do)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")  # no markup of rich's


def check_broker(settings: LineSettings, node: str) -> Iterator[Finding]:
    """Whether the node's login reaches the broker, and how far this machine's clock is off the line's.

    The session is another one: the node's own goes on undisturbed.

    Raises:
        ConfigError: the credentials or TLS files cannot be used.
    """
    login = replace(read_login(settings.broker, node, settings.root), client_id=None, file=None)
    where = f"{login.broker.host}:{login.port}"
    session = MqttSession(f"doctor-{node}-{os.getpid()}", login, root=settings.root)
    line = _LineTime(session, settings.topics, node)
    session.start()
    try:
        end = time.monotonic() + _BROKER_S
        while not session.wait_connected(0.05) and not session.trouble and time.monotonic() < end:
            pass
        if session.connected:
            secured = "with TLS" if login.encrypted else "without TLS"
            yield Finding("broker", "well", f"{where}, {secured}, as {login.username or 'nobody'}")
            yield line.check()
        else:
            yield _no_broker(session.trouble or f"{where} does not answer within {_BROKER_S:g} s", node)
    finally:
        session.stop(0)


class _LineTime:
    """What inference's clock says; made before the session starts."""

    def __init__(self, session: MqttSession, topics: Topics, node: str) -> None:
        self._session = session
        self._clock = topics.clock
        self._reply = topics.reply(f"{node}/doctor")
        self._answers: Inbox[Delivery] = Inbox(_ASKED)
        session.subscribe(Subscription(exactly(self._reply), self._answers.put, qos=0))

    def check(self) -> Finding:
        estimate = OffsetEstimate()
        for _ in range(_ASKED):
            asked_at, question = now_ns(), encode_json(Command(command="clock"))
            self._session.publish(self._clock, question, qos=0, response_topic=self._reply)
            answer = self._answers.take(_ANSWERS_S)
            if answer is None:
                return Finding("line's clock", "skipped", "inference, whose clock it is, does not answer")
            reply = decode_msgpack(ClockReply, answer.payload)
            estimate.add(Exchange(asked_at, reply.heard_at, reply.said_at, answer.received_at))
        off = estimate.at(now_ns())
        if off is None:
            return Finding("line's clock", "skipped", "it was set while this machine asked")
        found = f"{ns_to_ms(off.ns):+.1f} ms from this one's, give or take {ns_to_ms(off.uncertainty):.1f} ms"
        if abs(off.ns) - off.uncertainty <= _MOST_OFF_NS:
            return Finding("line's clock", "well", found)
        return Finding("line's clock", "wrong", found, "have chrony set this machine's: docs/clocks.md")


def _no_broker(why: str, node: str) -> Finding:
    if " refuses " in why:
        to_do = f"copy {node}.yaml from the broker's machine again, into the folder of broker.credentials"
    elif "TLS" in why:
        to_do = "see the reason; docs/security.md explains certificates"
    else:
        to_do = "is the broker running, is broker.host its machine, and does a firewall let the port through?"
    return Finding("broker", "wrong", why, to_do)


def check_disk(*folders: Path | None) -> Finding:
    """Whether there is room where the node writes."""
    free, folder = min(
        (shutil.disk_usage(place).free, str(place)) for each in folders if each for place in [_that_is_there(each)]
    )
    found = f"{free / 2**30:.1f} GiB free in {folder}"
    if free >= _LEAST_FREE:
        return Finding("disk", "well", found)
    return Finding("disk", "wrong", found, f"make room: what takes it, shows du -xh {folder}")


def _that_is_there(path: Path) -> Path:
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def check_clock(state: int | None = None, now: float | None = None) -> Finding:
    """Whether the kernel says that its clock is kept in step: `state` as adjtimex(2) returns it, `now` in s."""
    now = time.time() if now is None else now
    if now < _OLDEST:
        date = time.strftime("%Y-%m-%d", time.gmtime(now))
        return Finding("clock", "wrong", f"it shows {date}", "connect it to the network, or set it: sudo date -s …")
    with suppress(OSError, AttributeError):
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) if state is None else state
    if state is None:
        return Finding("clock", "skipped", "this system does not say whether its clock is kept in step")
    if state == _OUT_OF_STEP:
        to_do = "sudo timedatectl set-ntp true, or chrony with the line's PC as its server"
        return Finding("clock", "wrong", "nothing keeps it in step", to_do)
    return Finding("clock", "well", "kept in step")


def check_power(told: str | None = None, hardware: Path = Path("/sys/class/hwmon")) -> Finding:
    """What a Raspberry Pi says of its supply: `told` as `vcgencmd get_throttled` prints it, else the kernel's alarm."""
    bits = _throttled(_vcgencmd() if told is None else told)
    if bits is None:
        alarm = _voltage_alarm(hardware)
        if alarm is None:
            return Finding("power", "skipped", "this machine does not say: no vcgencmd, and no rpi_volt in its sensors")
        bits = _LOW_VOLTAGE[0] if alarm else 0
    supply = "use the supply made for this Pi and a short, thick cable; give cameras a powered hub"
    for (now, once), what, to_do in (
        (_LOW_VOLTAGE, "undervoltage", supply),
        (_THROTTLED, "too hot, or throttled", "give it a heat sink or a fan"),
    ):
        if bits & (now | once):
            return Finding("power", "wrong", f"{what} {'now' if bits & now else 'since its start'}", to_do)
    return Finding("power", "well", "no undervoltage since its start")


def _vcgencmd() -> str:
    with suppress(OSError, subprocess.SubprocessError):
        command = ["vcgencmd", "get_throttled"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    return ""


def _throttled(told: str) -> int | None:
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", told)
    return int(found[1], 16) if found else None


def _voltage_alarm(hardware: Path) -> bool | None:
    for sensor in hardware.glob("*"):
        with suppress(OSError):
            if (sensor / "name").read_text().strip() == "rpi_volt":
                return (sensor / "in0_lcrit_alarm").read_text().strip() == "1"
    return None


def check_pins(needed_for: str, devices: Path = Path("/dev")) -> Finding:
    """Whether this user may use the pins; `needed_for`: what the settings want of them, empty for nothing."""
    if not needed_for:
        return Finding("pins", "skipped", "the settings need none")
    if os.environ.get(FACTORY_VARIABLE) == "mock":
        to_do = f"on a Raspberry Pi, leave {FACTORY_VARIABLE} out"
        return Finding("pins", "wrong", f"simulated: {FACTORY_VARIABLE} is mock, and nothing moves", to_do)
    chips = sorted(devices.glob("gpiochip*"))
    if not chips:
        return Finding("pins", "wrong", f"there are none, but {needed_for} needs them", "run it on a Raspberry Pi")
    if any(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
        return Finding("pins", "well", f"for {needed_for}")
    return Finding("pins", "wrong", f"no permission for {chips[0]}", "sudo usermod -aG gpio $USER, then log in again")

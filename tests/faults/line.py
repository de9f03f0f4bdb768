"""The line that the faults are done to: every service as a process, far ends behind a bad network, disks of its own."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from os import geteuid, kill
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

import yaml
from pymysql.err import MySQLError
from support import block_disk
from support.block_disk import BlockDisk
from support.cable import Cable, Condition, read_packet
from support.mariadb import MariaDb
from support.netns import FarNetwork
from support.probe import Probe
from support.tmpfs import SmallDisk
from support.verdicts import verdict

from broker.server import Broker
from faults import contents as contents_of_line
from faults.books import Evidence, Pass, Slowness
from faults.launch import read_pins, write_offset
from faults.operator import LOGIN as OPERATOR
from faults.operator import Operator
from faults.records import Records
from faults.witness import Witness
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.trigger_source import TriggerSource
from pcb_bus.mqtt.login import Login, read_login
from pcb_bus.mqtt.session import MqttSession, SessionOptions
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY, BrokerSettings
from simulator.processes import ProcessSpec, Supervisor
from simulator.schedule import Schedule
from simulator.workplace import Workplace, free_ports, merged

SIDES = ("left", "right")
EDGES = tuple(f"edge-{side}" for side in SIDES)
DATABASE, LOGIN, NEIGHBOUR, PASSWORD = "line", "recorder", "neighbour", "for-tests-only"
ZONE = ZoneInfo("Asia/Seoul")
DISKS_MB = {"images": 128, "evidence": 64, "outbox": 16, "ledger": 16, "spool": 32, "database": 320}
THAT_HANG = {"outbox": "inference", "ledger": "actuator", "spool": "recorder"}
"""Disks that can hang, and whose they are: their logs are on them, too."""
SAFE_AFTER_S = 0.7
DOWNSTREAM = "solder"
GATES: Mapping[str, Mapping[str, Any]] = {
    "scrap": {"exclusive": "arm"},
    DOWNSTREAM: {"duration_ms": 60, "gate_delay_ms": 2000},  # downstream: decided long before it fires
    "component": {"exclusive": "arm"},
}
"""What this line's taxonomy says otherwise."""
_PROJECT = Path(__file__).parents[2]
_UP_S = 40.0
_STILL_S = 10.0
_SOURCE = "harness"  # what hostile messages say of another sender has nothing to do with ours
_NEAR_NS = 100 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Means:
    """What this machine lets us do. `root`: namespaces and mounts; `loop`: disks that hang."""

    root: bool
    loop: bool

    @classmethod
    def of_this_machine(cls) -> "Means":
        return cls(root=geteuid() == 0, loop=block_disk.available())


class FaultLine:
    """Runs while the context is open. What a fault needs to get at is public here.

    Args:
        folder: a new folder with a short path (a socket's has 107 characters at most).

    Raises:
        TimeoutError: the line does not come up.
    """

    def __init__(self, folder: Path, schedule: Schedule, means: Means) -> None:
        self.folder = folder
        self.schedule = schedule
        self.means = means
        self.topics = Topics()
        self.given_up: list[str] = []
        self.offsets = [0]
        self.slowness: list[Slowness] = []
        self.foreign: set[str] = set()
        self.made_up: list[Pass] = []
        self._resources = ExitStack()
        self.workplace = Workplace(folder)
        broker_port, database_port = free_ports(2)
        self.broker = Broker(folder / "broker", broker_port, lines={"pcb": SIDES})
        self.mariadb = MariaDb(folder / "mariadb", database_port)
        self.disks: Mapping[str, SmallDisk] = {name: self._disk(name, size) for name, size in DISKS_MB.items()}
        self.far = FarNetwork() if means.root else None
        self.pi = Cable((self.broker.host, broker_port), self.far.near if self.far else "127.0.0.1", read_packet)
        self.pc = Cable((self.broker.host, broker_port), read=read_packet)
        self.to_database = Cable(("127.0.0.1", database_port))
        self.pins = folder / "pins"
        self._records = Records(self.mariadb, DATABASE, self.topics.root, self.pins, self._disk_path("images"))
        self._taxonomy = merged(
            yaml.safe_load((_PROJECT / DEFAULT_TAXONOMY).read_text(encoding="utf-8")), {"categories": GATES}
        )

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self._resources)
            self._resources.callback(self.workplace.release)
            self._build()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def evidence(self) -> Evidence:
        """What is on record now.

        Raises:
            OSError, pymysql.err.Error: the database does not answer.
        """
        gates = self._taxonomy["categories"].values()
        return replace(
            self._records.read(),
            deadlines=self.witness.deadlines,
            delays={gate["pin"]: gate["gate_delay_ms"] * NS_PER_MS for gate in gates if "gate_delay_ms" in gate},
            offsets=tuple(self.offsets),
            slowness=tuple(self.slowness),
            silences=tuple(self.operator.silences),
            tests=tuple(self.operator.tests),
            carried_out=tuple(self.operator.carried_out),
            foreign=frozenset(self.foreign),
        )

    def spoiled(self) -> list[str]:
        """Rows that are not what was sent, wrong statistics, pictures that are gone; one line for each.

        Raises:
            OSError, pymysql.err.Error: the database does not answer.
        """
        heard, contents = self.witness.heard, self._records.contents(ZONE)
        ours = {row["verdict_id"] for row in contents.inspections} - self.foreign
        return [
            *contents_of_line.spoiled(contents, heard, self._records.picture),
            *contents_of_line.without_pictures(contents.pictures, heard, ours),
        ]

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset({"recorder", "actuator", "inference", *EDGES})

    def clock(self, node: str) -> Path:
        """The file that this node's wall clock follows."""
        return self.folder / f"{node}.clock"

    def kill(self, *nodes: str) -> None:
        """End them as a power cut would; the supervisor starts them again."""
        for node in nodes:
            self._signal(node, signal.SIGKILL)

    @contextmanager
    def broker_down(self) -> Iterator[None]:
        """Within the block there is no broker."""
        self.broker.kill()
        try:
            yield
        finally:
            self.broker.start()

    @property
    def far_network(self) -> FarNetwork:
        """Where the Pis are."""
        assert self.far is not None, "this fault needs root"
        return self.far

    @contextmanager
    def frozen(self, node: str) -> Iterator[None]:
        """Within the block this service stands still."""
        self._signal(node, signal.SIGSTOP)
        try:
            self._wait_until_still(self.supervisor.pids[node])
            yield
        finally:
            self._signal(node, signal.SIGCONT)

    def send_board(self, category: str, clock_ahead_ns: int = 0) -> Pass:
        """A made-up board comes by, and is judged at once; the clock of its camera is ahead by so much."""
        with Probe(self.broker, "trigger") as source, Probe(self.broker, "inference") as inference:
            # Once the sessions stand: until then it would be a board whose trigger was held up.
            now = time.time_ns() // NS_PER_MS * NS_PER_MS
            board = f"made-up-{now}"
            key = verdict_id(self.topics.root, board, now)
            self.foreign |= {board, key}
            self.made_up.append(Pass(board, key, now))
            trigger = Trigger(board_id=board, triggered_at=now, source=_SOURCE)
            source.publish(str(self.topics.trigger), encode_json(trigger))
            judged = verdict(
                board, category, key, captured_at=now + clock_ahead_ns, judged_at=now, deadline_at=now + NS_PER_S
            )
            inference.publish(str(self.topics.verdict), encode_json(judged))
        return self.made_up[-1]

    def wait_until_fired_downstream(self, board: Pass) -> bool:
        """Whether the gate downstream fires when that board is there."""
        gate = self._taxonomy["categories"][DOWNSTREAM]
        due = board.triggered_at + gate["gate_delay_ms"] * NS_PER_MS

        def fired() -> bool:
            levels = (each for each in read_pins(self.pins) if each.high and each.pin == gate["pin"])
            return any(abs(each.at - due) < _NEAR_NS for each in levels)

        return self.witness.wait_until(fired, (due - time.time_ns() + NS_PER_S) / NS_PER_S)

    def ask_to_stop(self, node: str) -> None:
        """End it as systemd would; the supervisor starts it again."""
        self._signal(node, signal.SIGTERM)

    def hanging(self, disk: str) -> AbstractContextManager[None]:
        """Within the block everything that writes to this disk waits."""
        found = self.disks[disk]
        assert isinstance(found, BlockDisk), "this fault needs loop devices"
        return found.hung()

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Within the block the Pis' cable holds everything up, each way."""
        since = time.time_ns()
        try:
            with self.pi.being(Condition(delay_s=delay_s)):
                yield
        finally:
            # A trigger goes from the far end to the broker, and back.
            self.slowness.append(Slowness(since, time.time_ns(), round(2 * delay_s * NS_PER_S)))

    @contextmanager
    def slow_pictures(self, delay_s: float) -> Iterator[None]:
        """Within the block each picture takes the recorder so much longer to store."""
        write_offset(self._picture_delay, round(delay_s * NS_PER_S))
        try:
            yield
        finally:
            write_offset(self._picture_delay, 0)

    def has_row(self, board: Pass) -> bool:
        """Whether that board is in the database."""
        try:
            return any(row.verdict_id == board.verdict_id for row in self._records.read().inspections)
        except (OSError, MySQLError):
            return False

    @contextmanager
    def clock_off(self, node: str, offset_ns: int) -> Iterator[None]:
        """Within the block this service's wall clock is ahead by so much."""
        self.offsets.append(offset_ns)
        write_offset(self.clock(node), offset_ns)
        try:
            yield
        finally:
            write_offset(self.clock(node), 0)

    def session(self, login: str, options: SessionOptions | None = None, *, name: str | None = None) -> MqttSession:
        """A session of one's own, straight to the broker, with the login of a role; not started yet."""
        return MqttSession(name or f"faults-{login}", self._way(self.broker.host, self.broker.port, login), options)

    @contextmanager
    def trigger_source(self) -> Iterator[TriggerSource]:
        """The photo-eye's voice; it stands at the far end."""
        with closing(Outbox(self.workplace.trigger_outbox)) as outbox:
            session = MqttSession("faults-source", self._way(self.pi.host, self.pi.port, "trigger"))
            source = TriggerSource(session, self.topics, outbox)
            session.start()
            source.start()
            try:
                yield source
            finally:
                source.stop()
                session.stop(flush_s=0)

    def wait_until_up(self, timeout: float = _UP_S) -> frozenset[str]:
        """Those who are not there after `timeout` seconds."""
        self.witness.wait_until(lambda: not self.witness.absent(self.nodes), timeout)
        return self.witness.absent(self.nodes)

    # Building

    def _build(self) -> None:
        enter = self._resources.enter_context
        for disk in self.disks.values() if self.means.root else ():
            enter(disk)
        if self.far:
            enter(self.far)
        self._start_database()
        enter(self.broker)
        for cable in (self.pi, self.pc, self.to_database):
            enter(cable)
        for file in (*map(self.clock, self.nodes), self._picture_delay):
            write_offset(file, 0)
        self._taxonomy_file.write_text(yaml.safe_dump(self._taxonomy, sort_keys=False), encoding="utf-8")
        self.workplace.write_config(self._settings())
        pins = {name: gate["pin"] for name, gate in self._taxonomy["categories"].items() if "pin" in gate}
        self.operator = Operator(self.session(OPERATOR), self.topics, pins)
        self._resources.callback(self.operator.stop)
        self.operator.start()
        self.witness = Witness(self.session("viewer", SessionOptions(durable=True)), self.topics)
        self._resources.callback(self.witness.stop)
        self.witness.start()
        self._start_services()

    def _start_database(self) -> None:
        self.mariadb.directory.mkdir(exist_ok=True)
        self._resources.callback(self.mariadb.kill)
        self.mariadb.initialise()
        self.mariadb.execute(
            f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
            # No more than its own tables: who has all rights writes to a read-only server.
            f"CREATE USER '{LOGIN}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON {DATABASE}.* TO '{LOGIN}'@'127.0.0.1'",
            f"CREATE USER '{NEIGHBOUR}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        )

    def _start_services(self) -> None:
        environment = {
            "PCB_CONFIG": str(self.workplace.config),
            "GPIOZERO_PIN_FACTORY": "mock",
            "PYTHONPATH": f"{_PROJECT}:{_PROJECT / 'tests'}",
        }
        self.supervisor = Supervisor(self._specs(), environment, self.folder / "output", self._give_up)
        self._resources.callback(self.supervisor.stop)
        self.supervisor.start()
        if absent := self.wait_until_up():
            raise TimeoutError(f"the line does not come up: no {', '.join(sorted(absent))}; {self.given_up}")

    def _give_up(self, node: str, last_words: str) -> None:
        self.given_up.append(f"{node} cannot be kept running: {last_words}")

    def _specs(self) -> list[ProcessSpec]:
        edges = [
            self._spec(
                f"edge-{side}", "edge_publisher", "--side", side, "--source", f"sim://{side}?{self.schedule.query}"
            )
            for side in SIDES
        ]
        return [
            self._spec("recorder", "recorder", *self._log_on("spool")),
            self._spec("actuator", "actuator", *self._log_on("ledger")),
            self._spec("inference", "inference_subscriber", *self._log_on("outbox")),
            *edges,
        ]

    def _log_on(self, disk: str) -> tuple[str, ...]:
        return "--log.directory", str(self._disk_path(disk) / "log")

    def _spec(self, node: str, module: str, *arguments: str) -> ProcessSpec:
        far = node == "actuator" or node in EDGES
        cable = self.pi if far else self.pc
        launch = ["--clock", str(self.clock(node))]
        if far and self.far:
            launch += ["--netns", str(self.far.path)]
        if node == "actuator":
            launch += ["--pins", str(self.pins)]
        if node == "recorder":
            launch += ["--pictures", str(self._picture_delay)]
        way = ("--broker.host", cable.host, "--broker.port", str(cable.port))
        return ProcessSpec(node, "faults.launch", (*launch, module, *way, *arguments))

    def _way(self, host: str, port: int, login: str) -> Login:
        return read_login(BrokerSettings(host=host, port=port, credentials=self.broker.credentials_folder), login)

    @property
    def _picture_delay(self) -> Path:
        return self.folder / "pictures.delay"

    @property
    def _taxonomy_file(self) -> Path:
        return self.folder / "pcb_defects.yaml"

    def _disk(self, name: str, megabytes: int) -> SmallDisk:
        kind = BlockDisk if self.means.loop and name in {*THAT_HANG, "images"} else SmallDisk
        return kind(self._disk_path(name), megabytes)

    def _disk_path(self, name: str) -> Path:
        return self.mariadb.directory / "data" if name == "database" else self.folder / "disks" / name

    def _settings(self) -> dict[str, Any]:
        disk = self._disk_path
        database = f"127.0.0.1:{self.to_database.port}/{DATABASE}"
        return {
            "sides": list(SIDES),
            "taxonomy": str(self._taxonomy_file),
            "broker": {"credentials": str(self.broker.credentials_folder)},
            "log": {"directory": str(self.folder / "log"), "max_bytes": 500_000},
            "edge": {"trigger": "mqtt", "preview_fps": 0},
            "actuator": {
                "ledger": str(disk("ledger") / "ledger.db"),
                "outbox": str(disk("ledger") / "outbox.db"),
                "safe_state": {"mode": "stop", "after_ms": round(SAFE_AFTER_S * 1000)},
            },
            "inference": {
                "outbox": str(disk("outbox") / "outbox.db"),
                "evidence_outbox": str(disk("evidence") / "evidence.db"),
                "threads": 1,
            },
            "recorder": {
                "database_url": f"mysql://{LOGIN}:{PASSWORD}@{database}?charset=utf8mb4",
                "images": str(disk("images")),
                "time_zone": ZONE.key,
                "verdict_deadline_ms": 4000,
                "spool": {"path": str(disk("spool") / "spool.db"), "megabytes": 16},
                "oversight": {"report_after_s": 2},
            },
        }

    def _wait_until_still(self, pid: int) -> None:
        """On a busy machine the thread that takes the signal waits for its turn, and the others go on meanwhile."""
        deadline = time.monotonic() + _STILL_S
        while not _stands_still(pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pid} does not stop")
            wait(0.005)

    def _signal(self, node: str, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # dead this very moment: the supervisor is about to see it
            kill(self.supervisor.pids[node], number)


def wait(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)


def _stands_still(pid: int) -> bool:
    """Whether none of its threads runs; a process that is gone does not run either."""
    states = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(each.read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "TZX" for each in states)
    except OSError:  # a thread has just ended
        return False

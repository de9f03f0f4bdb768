"""Who may say and hear what on the bus: one role for each kind of node, each writing its own topics only.

The public face of this table is `topics.md`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pcb_bus.contract.topics import Topics

BROKER_STATISTICS = "$SYS/#"
GUESTS = ("operator", "trigger", "viewer")


@dataclass(frozen=True, slots=True)
class Role:
    """What one login may do. `name` is the node's where the role is a node.

    `line` is the root of its line where a broker serves several, and it is not the first.
    """

    name: str
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    line: str = ""

    @property
    def username(self) -> str:
        return f"{self.name}@{self.line}" if self.line else self.name

    @property
    def is_guest(self) -> bool:
        """Whether any number of sessions may use the login at once."""
        return self.name in GUESTS


def roles_of(topics: Topics, sides: Sequence[str]) -> tuple[Role, ...]:
    """Every role of a line with these sides."""
    return (
        *(_edge(topics, side) for side in sides),
        _inference(topics, sides),
        _actuator(topics),
        _recorder(topics),
        _dashboard(topics, sides),
        Role("operator", _commands(topics, sides), (*_public(topics), *_own_replies(topics, "operator"))),
        Role("trigger", (str(topics.trigger), str(topics.resend_trigger)), (str(topics.recorded),)),
        Role("viewer", (), tuple(_public(topics))),
    )


def roles_of_lines(lines: Mapping[str, Sequence[str]]) -> tuple[Role, ...]:
    """Every role of several lines, each with its sides by its root; those of the first have plain names."""
    first = next(iter(lines))
    return tuple(
        replace(role, line="" if root == first else root)
        for root, sides in lines.items()
        for role in roles_of(Topics(root), sides)
    )


def _edge(topics: Topics, side: str) -> Role:
    return _node(
        topics,
        f"edge-{side}",
        writes=(
            *map(str, (topics.frame(side), topics.preview(side), topics.serial(side))),
            *map(str, (topics.trigger, topics.resend_trigger, topics.clock)),
        ),
        reads=(
            *map(str, (topics.trigger, topics.recorded, topics.status("inference"))),
            *_own_replies(topics, f"edge-{side}"),
        ),
    )


def _inference(topics: Topics, sides: Sequence[str]) -> Role:
    return _node(
        topics,
        "inference",
        writes=(
            str(topics.verdict),
            str(topics.all_serials),
            str(topics.all_evidence),
            str(topics.resend_verdict),
            str(topics.all_resent_evidence),
            *(str(topics.command(f"edge-{side}")) for side in sides),
        ),
        reads=(
            str(topics.trigger),
            str(topics.frames),
            str(topics.all_inspect),
            str(topics.recorded),
            *(str(topics.status(f"edge-{side}")) for side in sides),
            str(topics.clock),
            *_own_replies(topics, "inference"),
        ),
    )


def _actuator(topics: Topics) -> Role:
    return _node(
        topics,
        "actuator",
        writes=(*map(str, (topics.actuation, topics.resend_actuation, topics.clock)),),
        reads=(
            *map(str, (topics.verdict, topics.recorded, topics.unreported, topics.trigger)),
            str(topics.status("inference")),
            *_own_replies(topics, "actuator"),
        ),
    )


def _recorder(topics: Topics) -> Role:
    return _node(
        topics,
        "recorder",
        writes=(str(topics.recorded), str(topics.config), str(topics.unreported)),
        reads=(
            str(topics.trigger),
            str(topics.verdict),
            str(topics.all_serials),
            str(topics.all_evidence),
            str(topics.actuation),
            _of(topics, "resend/+"),
            str(topics.all_resent_evidence),
            str(topics.all_status),
            str(topics.all_events),
            BROKER_STATISTICS,
        ),
    )


def _dashboard(topics: Topics, sides: Sequence[str]) -> Role:
    return _node(
        topics,
        "dashboard",
        writes=(*_commands(topics, sides), str(topics.inspect("dashboard"))),
        reads=(*_public(topics), str(topics.all_evidence), *_own_replies(topics, "dashboard")),
    )


def _node(topics: Topics, name: str, writes: tuple[str, ...], reads: tuple[str, ...]) -> Role:
    return Role(
        name,
        (*writes, str(topics.status(name)), str(topics.event(name)), _of(topics, "reply/+/#")),
        (*reads, str(topics.config), str(topics.command(name))),
    )


def _commands(topics: Topics, sides: Sequence[str]) -> tuple[str, ...]:
    """To the nodes that there are: under any name, retained ones could fill the broker."""
    nodes = (*(f"edge-{side}" for side in sides), "inference", "actuator", "recorder", "dashboard")
    return tuple(str(topics.command(node)) for node in nodes)


def _public(topics: Topics) -> Iterator[str]:
    """What anybody on the line may look at; not the binary traffic, and not verdicts that go out again."""
    yield from map(str, (topics.trigger, topics.verdict, topics.all_serials, topics.recorded, topics.actuation))
    yield from map(str, (topics.all_status, topics.all_events, topics.config))
    yield _of(topics, "preview/+")
    yield BROKER_STATISTICS


def _own_replies(topics: Topics, name: str) -> tuple[str, ...]:
    return (f"{topics.reply(name)}/#",)


def _of(topics: Topics, pattern: str) -> str:
    return f"{topics.root}/{pattern}"


def acl_file(roles: Sequence[Role]) -> str:
    """Mosquitto's ACL file for these roles. Nothing is allowed but what it names."""
    lines = ["# Written by `python -m broker`; changes are lost."]
    for role in roles:
        lines += ["", f"user {role.username}"]
        lines += [f"topic write {pattern}" for pattern in role.writes]
        lines += [f"topic read {pattern}" for pattern in role.reads]
    return "\n".join(lines) + "\n"


_FOR = {
    "edge-<side>": "one camera's node",
    "inference": "the node that judges",
    "actuator": "the node at the gates",
    "recorder": "the node that records",
    "dashboard": "the web pages",
    "operator": "a person or program that commands",
    "trigger": "a photo-eye or a PLC",
    "viewer": "whoever looks on",
}


def rights_table(roles: Sequence[Role]) -> str:
    """Who may do what, in Markdown, as docs/security.md shows it."""
    lines = ["| login | for | may write | may read |", "|---|---|---|---|"]
    for role in roles:
        both = (", ".join(f"`{each}`" for each in dict.fromkeys(topics)) for topics in (role.writes, role.reads))
        writes, reads = (each or "nothing" for each in both)
        lines.append(f"| `{role.name}` | {_FOR[role.name]} | {writes} | {reads} |")
    return "\n".join(lines)

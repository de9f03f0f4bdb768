"""The live table of a running line: verdicts against truth."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from pcb_bus.contract.messages import Category, Outcome
from simulator.accounting import Tally
from simulator.accounts import BoardAccount, Judgement, is_escape, is_false_call
from simulator.scoring import MOST_ESCAPES, MOST_FALSE_CALLS

ROWS = 14
_COLUMNS: Sequence[tuple[str, int, JustifyMethod]] = (
    ("board", 11, "left"),
    ("truth", 9, "left"),
    ("verdict", 17, "left"),
    ("found", 5, "left"),  # gives way first on a narrow terminal
    ("gate", 13, "left"),
    ("ms", 4, "right"),
    ("stored", 6, "center"),
)
_COLOURS: Mapping[str, str] = {
    "normal": "green",
    "component": "yellow",
    "solder": "dark_orange",
    "scrap": "red",
    "unjudged": "magenta",
}
_BOUNDS = {"escape_rate": MOST_ESCAPES, "false_call_rate": MOST_FALSE_CALLS}
_MISJUDGED_SHOWN = 12
_STATES: Mapping[str, str] = {"online": "green", "degraded": "yellow", "offline": "red"}


def live_view(
    latest: Sequence[BoardAccount], tally: Tally, nodes: Mapping[str, str], total: int | None, note: str = ""
) -> RenderableType:
    """The last boards, with a line of node states above and the counts below."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=_nodes_line(nodes),
        title_justify="left",
        title_style="",
    )
    for heading, width, justify in _COLUMNS:
        table.add_column(heading, justify=justify, min_width=width, no_wrap=True)
    for account in latest:
        table.add_row(*_row(account))
    return Group(table, _count_line(tally, total), Text(note, style="dim"))


def _row(account: BoardAccount) -> tuple[RenderableType, ...]:
    judgement = account.judgement
    if judgement is None:
        return account.board_id, _category(account.truth), Text("…", "dim"), "", "", "", ""
    return (
        account.board_id,
        _category(account.truth),
        _judgement(account.truth, judgement.category),
        _found(judgement.found),
        _gate(account.outcome, judgement),
        "" if judgement.latency_ms is None else f"{judgement.latency_ms:.0f}",
        Text("✓", "green") if account.stored else Text("…", "dim"),
    )


def board_line(account: BoardAccount) -> str:
    """One finished board as plain text, for a console that is no terminal."""
    judgement = account.judgement
    found = judgement.category if judgement else "no verdict"
    latency = "" if judgement is None or judgement.latency_ms is None else f"{judgement.latency_ms:.0f} ms"
    outcome = account.outcome or "no report"
    return f"{account.board_id}  truth {account.truth or '?':<9}  verdict {found:<10}  {outcome:<9}  {latency}"


def _category(category: Category | None) -> Text:
    return Text("?", "dim") if category is None else Text(category, _COLOURS[category])


def _judgement(truth: Category | None, found: Category) -> Text:
    text = _category(found)
    if truth is not None and is_escape(truth, found):
        text.append(" escape", "bold red")
    elif truth is not None and is_false_call(truth, found):
        text.append(" false call", "bold yellow")
    return text


def _found(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")


def _gate(outcome: Outcome | None, judgement: Judgement) -> Text:
    if outcome is None:
        return Text("…", "dim")
    if outcome == "fired" and judgement.gate is not None:
        return Text(f"pin {judgement.gate.pin} {judgement.gate.duration_ms} ms")
    return Text(outcome, "magenta")


def _nodes_line(nodes: Mapping[str, str]) -> Text:
    text = Text()
    for name, state in sorted(nodes.items()):
        text.append("● ", _STATES.get(state, "dim")).append(f"{name}   ")
    return text


def _count_line(tally: Tally, total: int | None) -> Text:
    of_total = "" if total is None else f" of {total}"
    counts = f"{tally.accounted} accounted for, {tally.escapes} escapes, {tally.false_calls} false calls"
    return Text(f"{tally.boards}{of_total} boards, {counts}")


def summary_table(summary: Mapping[str, object]) -> Table:
    """The summary as a person reads it; the wrong verdicts are `misjudged_lines`."""
    table = Table(title="The run", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for key, value in summary.items():
        if key != "misjudged":
            table.add_row(key.replace("_", " "), _plain(key, value))
    return table


def misjudged_lines(misjudged: Sequence[Mapping[str, Any]] | None) -> Iterator[str]:
    """A line for each wrong verdict; the rest stand in the summary's file."""
    for each in (misjudged or ())[:_MISJUDGED_SHOWN]:
        drawn, found = ", ".join(each["drawn"]) or "nothing", _found(each["found"]) or "nothing"
        verdict = f"{each['error']}: {each['board_id']}  {each['verdict']} for {each['truth']}"
        yield f"{verdict}; drawn: {drawn}; found: {found}"
    if misjudged and len(misjudged) > _MISJUDGED_SHOWN:
        yield f"and {len(misjudged) - _MISJUDGED_SHOWN} more in summary.json"


def _plain(key: str, value: object) -> str:
    if value is None:
        return "unknown"
    if key in _BOUNDS and isinstance(value, float):
        return f"{value:.1%} of the boards (at most {_BOUNDS[key]:.0%})"
    if isinstance(value, Mapping):
        return "   ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, bool):
        return "yes" if value else ("none" if key == "gaps" else "no")
    return str(value)

"""The page of the nodes: how each one is, and what a person may have it do. Every command is in the audit log."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard import audit
from dashboard.accounts import Refused
from dashboard.web import Desk
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import to_datetime
from pcb_bus.errors import CommandFailed
from records.database import for_reading, reason
from records.people import AuditEntry

log = logging.getLogger(__name__)

_WAIT_S = 3.0
_ACTUATOR, _INFERENCE = "actuator", "inference"
_DISARM, _SNAPSHOT = "disarm", "snapshot"
_AUDITED = "command "
_Name = Annotated[str, Path(max_length=64)]
_Id = Annotated[int | None, Query(ge=1, le=2**62)]
_Typed = Annotated[str, Field(max_length=200)]


@dataclass(frozen=True, slots=True)
class Param:
    """One that the form asks for. `automatic`: a number, or "auto"."""

    name: str
    kind: str  # number, text or category
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A command of `topics.md`. Without `required`, any of its parameters do, but one at least if it has some."""

    command: str
    params: tuple[Param, ...] = ()
    required: tuple[str, ...] = ()


_OF_EDGES = (
    Order(_SNAPSHOT),
    Order("pause"),
    Order("resume"),
    Order(
        "set",
        (
            *(Param(each, "number") for each in ("fps", "quality")),
            *(Param(each, "number", automatic=True) for each in ("exposure", "white_balance", "focus")),
            Param("gain", "number"),
            Param("source", "text"),
        ),
    ),
    Order("reload"),
)
_OF_OTHERS: Mapping[str, tuple[Order, ...]] = {
    _INFERENCE: (Order("product", (Param("name", "text"),), ("name",)),),
    _ACTUATOR: (
        Order("arm"),
        Order(_DISARM),
        Order("test_pulse", (Param("category", "category"), Param("duration_ms", "number")), ("category",)),
    ),
}


class _Given(BaseModel):
    """What the form of a command says; empty: left out."""

    fps: _Typed = ""
    quality: _Typed = ""
    exposure: _Typed = ""
    gain: _Typed = ""
    white_balance: _Typed = ""
    focus: _Typed = ""
    source: _Typed = ""
    name: _Typed = ""
    category: _Typed = ""
    duration_ms: _Typed = ""


def orders(node: str, sides: Sequence[str]) -> tuple[Order, ...]:
    """What a node can be told; nothing, where the line has none of this name."""
    return _OF_EDGES if node in {f"edge-{side}" for side in sides} else _OF_OTHERS.get(node, ())


def params_of(order: Order, given: Mapping[str, str]) -> dict[str, Any]:
    """As the node wants them.

    Raises:
        Refused: a number that is none, or too few of them.
    """
    found = {each.name: _value(each, given[each.name].strip()) for each in order.params if given[each.name].strip()}
    if not set(order.required) <= found.keys() or (order.params and not found):
        raise Refused("command_too_little")
    return found


def _value(param: Param, typed: str) -> Any:
    if param.kind != "number" or (param.automatic and typed == "auto"):
        return typed
    try:
        number = float(typed)
    except ValueError:
        raise Refused("command_number_wrong") from None
    if not abs(number) < 1e12:
        raise Refused("command_number_wrong")
    return int(number) if number.is_integer() else number


@dataclass(slots=True)
class _Nodes:
    """What the routes share: the newest snapshot of each edge, of which there are few."""

    desk: Desk
    snapshots: dict[str, bytes] = field(default_factory=dict)

    def order(self, node: str, command: str) -> Order:
        """Raises HTTPException: the node has no such command."""
        for each in orders(node, self.desk.settings.sides):
            if each.command == command:
                return each
        raise HTTPException(404)

    def done(self, request: Request, node: str, order: Order, params: dict[str, Any]) -> dict[str, Any]:
        """Ask for it, and note what came of it.

        Returns:
            The entry's `after`, with its `id`; without one, the database was away.
        """
        after: dict[str, Any] = {"params": params}
        try:
            after |= self._ask(node, order.command, params)
        except CommandFailed as failure:
            after |= {"error": str(failure)}
        change = audit.Change(f"{_AUDITED}{order.command}", node, after=after)
        desk, address = self.desk, self.desk.visitor(request).address
        try:
            with desk.engine.begin() as connection:
                noted = audit.note(connection, desk.settings.root, request.state.who, change, desk.now(), address)
        except SQLAlchemyError as error:
            log.error("not in the audit log (%s): %s of %s: %s", reason(error), change.action, request.state.who, after)
            return after | {"action": change.action, "subject": node}
        return after | {"id": noted}

    def _ask(self, node: str, command: str, params: dict[str, Any]) -> dict[str, Any]:
        if command != _SNAPSHOT:
            return {"result": self.desk.requester.ask(node, command, _WAIT_S, **params)}
        frame = self.desk.requester.fetch(Frame, node, command, _WAIT_S)
        self.snapshots[node] = frame.jpeg
        return {"result": {"frame_id": frame.frame_id, "width": frame.width, "height": frame.height}}

    def said(self, request: Request, entry_id: int | None) -> dict[str, Any] | None:
        """What came of a command that this person gave."""
        if entry_id is None:
            return None
        row = AuditEntry
        with for_reading(self.desk.engine).connect() as connection:
            query = select(row.action, row.subject, row.after)
            mine = row.id == entry_id, row.user_id == request.state.who.user_id, row.action.startswith(_AUDITED)
            found = connection.execute(query.where(*mine)).first()
        return None if found is None else {"action": found.action, "subject": found.subject, **found.after}

    def show(self, request: Request, said: dict[str, Any] | None) -> Response:
        desk = self.desk
        shown: dict[str, Any] = {"nodes": desk.heard(), "said": said, "snapshots": self.snapshots}
        of_node = partial(orders, sides=desk.settings.sides)
        zone = desk.settings.recorder.zone
        return desk.render(request, "nodes.html", orders=of_node, zone=zone, moment=to_datetime, **shown)

    def tell(self, request: Request, node: str, order: Order, params: dict[str, Any]) -> Response:
        said = self.done(request, node, order, params)
        return RedirectResponse(f"/nodes?done={said['id']}", 303) if "id" in said else self.show(request, said)

    def confirm(self, request: Request, node: str, order: Order, error: str = "") -> Response:
        desk = self.desk
        gates = [each for each in desk.labels if each != "unjudged"]
        shown: dict[str, Any] = {"node": node, "order": order, "categories": gates, "labels": desk.labels}
        return desk.render(request, "command.html", 422 if error else 200, error=error, **shown)


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router, nodes = APIRouter(), _Nodes(desk)

    @router.get("/nodes")
    def page(request: Request, done: _Id = None) -> Response:
        return nodes.show(request, nodes.said(request, done))

    @router.post(f"/nodes/{_ACTUATOR}/{_DISARM}")
    def disarm(request: Request) -> Response:
        """At once, whatever else is away."""
        return nodes.tell(request, _ACTUATOR, Order(_DISARM), {})

    @router.get("/nodes/{node}/snapshot.jpg")
    def snapshot(node: _Name) -> Response:
        if node not in nodes.snapshots:
            raise HTTPException(404)
        return Response(nodes.snapshots[node], media_type="image/jpeg", headers={"cache-control": "no-store"})

    @router.get("/nodes/{node}/{command}")
    def confirm(request: Request, node: _Name, command: _Name) -> Response:
        return nodes.confirm(request, node, nodes.order(node, command))

    @router.post("/nodes/{node}/{command}")
    def give(request: Request, node: _Name, command: _Name, given: Annotated[_Given, Form()]) -> Response:
        order = nodes.order(node, command)
        try:
            params = params_of(order, given.model_dump())
        except Refused as refused:
            return nodes.confirm(request, node, order, refused.key)
        with for_reading(desk.engine).connect() as connection:
            connection.execute(select(1))  # what nobody can note is not done
        return nodes.tell(request, node, order, params)

    return router

"""What a fault of one part means: the node says so, and what is done now and then is done again later."""

from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.messages import Level
from pcb_bus.errors import BoardlineError
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Action
from records.database import reason
from records.errors import DatabaseDown


def show(service: Service, part: str, fault: str, level: Level = "error") -> None:
    """The node is degraded as long as a part (`database`, `spool`, `images`) has a fault; with one event each way."""
    before, service.health[part] = service.health[part], fault and f"{part}: {fault}"
    if fault and not before:
        service.event(level, f"the recorder's {part} fails", reason=fault)
    elif before and not fault:
        service.event("info", f"the recorder's {part} works again")


def careful(service: Service, name: str, action: Callable[[], object]) -> Action:
    """The same, but the failure of a database or a disk is told, seldom, and not raised."""

    def act() -> None:
        try:
            action()
        except (DatabaseDown, SQLAlchemyError) as error:
            # One complaint for all that need the database: they fail together.
            service.session.complain("oversight database", f"{name}: {reason(error)}")
        except (BoardlineError, OSError) as error:
            service.session.complain(f"oversight {name}", f"{name}: {error}")

    return act

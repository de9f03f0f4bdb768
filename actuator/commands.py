"""What a person, or the recorder, may ask of the gates. The handlers run on the node's thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from actuator.accounts import Account, Accounts
from actuator.decision import GatePlan
from actuator.driver import PulseDriver
from actuator.worker import Worker
from pcb_bus.contract.messages import Id, WireModel
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import CommandFailed
from pcb_bus.runtime.node import Node

_WRITTEN_S = 1.0
_ACCOUNTED_S = 1.5


class TestPulse(WireModel):
    """Parameters of the command `test_pulse`."""

    __test__ = False  # no test, whatever pytest thinks of the name

    category: Id
    duration_ms: Annotated[int, Field(gt=0)] | None = None


@dataclass(frozen=True, slots=True)
class Commands:
    """Every command of the actuator.

    Args:
        remember_armed: writes down, on the worker's thread, whether the gates are armed; False when it could not.
    """

    node: Node
    driver: PulseDriver
    worker: Worker
    plans: Mapping[str, GatePlan]
    accounts: Accounts
    remember_armed: Callable[[], bool]

    def declare(self) -> None:
        self.node.on_command("arm", self._arm)
        self.node.on_command("disarm", self._disarm)
        self.node.on_command("test_pulse", self._test_pulse)
        self.node.on_command("account", self._account)

    def _arm(self, _: dict[str, Any]) -> dict[str, Any]:
        self.driver.arm()
        return self._armed("gates armed by command")

    def _disarm(self, _: dict[str, Any]) -> dict[str, Any]:
        self.driver.disarm()
        return self._armed("gates disarmed by command")

    def _armed(self, message: str) -> dict[str, Any]:
        self.node.event("warning", message)
        try:
            written = self.worker.call(self.remember_armed, _WRITTEN_S)
        except TimeoutError:
            written = False
        if not written:
            raise CommandFailed("done, but it is not in the ledger yet: it may not outlive a restart")
        return {"armed": self.driver.armed}

    def _test_pulse(self, params: dict[str, Any]) -> dict[str, Any]:
        wanted = TestPulse.model_validate(params)
        plan = self.plans.get(wanted.category)
        if plan is None:
            raise CommandFailed(f"no gate for the category {wanted.category}")
        duration_ms = plan.duration_ns // NS_PER_MS
        if wanted.duration_ms is not None:
            duration_ms = min(duration_ms, wanted.duration_ms)
        self.driver.test(plan.pin, duration_ms * NS_PER_MS)
        self.node.event("warning", "test pulse", category=wanted.category, pin=plan.pin, duration_ms=duration_ms)
        return {"pin": plan.pin, "duration_ms": duration_ms}

    def _account(self, params: dict[str, Any]) -> dict[str, Any]:
        account = Account.model_validate(params)
        try:
            return {"reported": self.worker.call(lambda: self.accounts.settle(account), _ACCOUNTED_S)}
        except TimeoutError:
            raise CommandFailed("busy: they are accounted for later") from None

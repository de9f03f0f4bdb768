"""What a person may ask of the gates. `disarm` is obeyed where it arrives, always; the rest waits for its turn."""

from collections.abc import Mapping
from typing import Any

from actuator.decide import GatePlan
from actuator.ledger import Ledger
from actuator.pulses import Pulses
from pcb_bus.contract.messages import Id, PulseMs, WireModel
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import CommandFailed, OutboxFault
from pcb_bus.runtime.service import Request, Service


class TestPulse(WireModel):
    """Parameters of the command `test_pulse`."""

    __test__ = False  # no test, whatever pytest thinks of the name

    category: Id
    duration_ms: PulseMs | None = None


class Commands:
    """`arm`, `disarm` and `test_pulse`. Make it before the service starts.

    Args:
        plans: the gates, by category.
        thread: the one that may use the ledger.
    """

    def __init__(
        self, service: Service, pulses: Pulses, ledger: Ledger, plans: Mapping[str, GatePlan], thread: str
    ) -> None:
        self._service = service
        self._pulses = pulses
        self._ledger = ledger
        self._plans = plans
        self._written = pulses.armed
        self._worker = service.worker(thread)
        service.command("arm", self._arm, thread=thread)
        service.command("disarm", self._disarm, urgent=True)
        service.command("test_pulse", self._test_pulse)

    def _arm(self, request: Request) -> dict[str, Any]:
        """On disk last: an answer that says it failed must be true for ever, also after a crash."""
        self._ledger.probe()
        request.check()
        self._pulses.arm(request.received_at)
        self._worker.do(self.keep_armed)
        self._service.event("warning", "gates armed by command")
        return {"armed": True}

    def _disarm(self, _: Request) -> dict[str, Any]:
        self._pulses.disarm()
        self._worker.do(self.keep_armed)
        self._service.event("warning", "gates disarmed by command")
        return {"armed": False}

    def keep_armed(self) -> None:
        """On the ledger's thread, write down whether the gates are armed: at each change, until the disk takes it."""
        armed = self._pulses.armed
        if self._written != armed:
            try:
                self._ledger.remember_armed(armed)
            except OutboxFault as fault:
                self._service.health["arming"] = f"a restart may forget whether the gates are armed: {fault}"
                return
            self._written = armed
            self._service.health["arming"] = ""

    def _test_pulse(self, request: Request) -> dict[str, Any]:
        wanted = request.read(TestPulse)
        plan = self._plans.get(wanted.category)
        if plan is None:
            raise CommandFailed(f"no gate for the category {wanted.category}")
        longest_ms = plan.duration_ns // NS_PER_MS
        duration_ms = min(longest_ms, wanted.duration_ms or longest_ms)
        self._pulses.test(plan.pin, duration_ms * NS_PER_MS, request.received_at)
        self._service.event("warning", "test pulse", category=wanted.category, pin=plan.pin, duration_ms=duration_ms)
        return {"pin": plan.pin, "duration_ms": duration_ms}

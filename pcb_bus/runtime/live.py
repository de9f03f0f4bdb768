"""Settings that change while a service runs: `pcb/config` says what stands in `system_config` now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pcb_bus.contract.codec import decode_json, first_error
from pcb_bus.contract.messages import LiveConfig
from pcb_bus.contract.topics import exactly
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, Subscription
from pcb_bus.runtime.node import Node

T = TypeVar("T")


class LiveValue(Generic[T]):
    """One value that holds now. Reading it is a single look at an immutable object: any thread, no lock.

    Args:
        key: its name in `system_config`.
        kind: type and range (`Annotated[int, Field(ge=1, le=100)]`), checked strictly.
        from_file: what holds as long as `pcb/config` says nothing, or nothing that makes sense.
        check: raises ValueError for what its type alone does not forbid.
    """

    def __init__(self, key: str, kind: Any, from_file: T, check: Callable[[T], None] | None = None) -> None:
        self.key = key
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._from_file = from_file
        self._check = check
        self._now = from_file

    def __call__(self) -> T:
        return self._now

    def take(self, value: Any) -> None:
        """`value` holds from now on.

        Raises:
            ValueError: it makes no sense; the file's value holds.
        """
        try:
            taken = self._adapter.validate_python(value, strict=True)
            if self._check is not None:
                self._check(taken)
        except ValueError as error:
            self._now = self._from_file
            raise ValueError(first_error(error) if isinstance(error, ValidationError) else str(error)) from None
        self._now = taken

    def reset(self) -> None:
        """The file's value holds."""
        self._now = self._from_file


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value that makes no sense, and why."""

    key: str
    value: Any
    reason: str


class LiveValues:
    """What a service takes from `system_config`. Pure: knows neither MQTT nor threads.

    A refusal is told once, and again only when it comes with another value.
    """

    def __init__(self, *values: LiveValue[Any]) -> None:
        self._values = values
        self._refused: dict[str, Any] = {}

    def take(self, config: LiveConfig) -> list[Refusal]:
        """Let each key's value hold; the file's where the key is absent. Gives what is refused for the first time."""
        refusals = [refusal for each in self._values if (refusal := _offer(each, config.values)) is not None]
        news = [each for each in refusals if each.key not in self._refused or self._refused[each.key] != each.value]
        self._refused = {each.key: each.value for each in refusals}
        return news


class LiveSettings:
    """Keeps the values of a node up to date; make it before the node starts.

    A message that breaks the contract is rejected, and what held before goes on holding.

    Args:
        on_change: called on the network thread once the values are taken; it only swaps what others read.
    """

    def __init__(self, node: Node, on_change: Callable[[], None], *values: LiveValue[Any]) -> None:
        self._node = node
        self._on_change = on_change
        self._values = LiveValues(*values)
        node.session.subscribe(Subscription(exactly(node.topics.config), self._hear, retained=True))

    def _hear(self, delivery: Delivery) -> None:
        try:
            config = decode_json(LiveConfig, delivery.payload)
        except MessageRejected as rejection:
            self._node.reject("config", rejection)
            return
        refusals = self._values.take(config)
        self._on_change()
        for each in refusals:
            self._node.event(
                "warning", f"{each.key} is refused; the file's value holds", value=each.value, reason=each.reason
            )


def _offer(live: LiveValue[Any], values: dict[str, Any]) -> Refusal | None:
    if live.key not in values:
        live.reset()
        return None
    try:
        live.take(values[live.key])
    except ValueError as error:
        return Refusal(live.key, values[live.key], str(error))
    return None

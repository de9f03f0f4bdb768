"""Settings that change while a service runs: `pcb/config` says what stands in `system_config` now, a command what holds
until then.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pcb_bus.contract.codec import first_error
from pcb_bus.contract.messages import LiveConfig
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.service import Service

T = TypeVar("T")


class LiveValue(Generic[T]):
    """One value that holds now. Reading it is a single look at an immutable object: any thread, no lock.

    The last word holds: what a command set does until `pcb/config` says something else of it than before.

    Args:
        key: its name in `system_config`.
        kind: type and range (`Annotated[int, Field(ge=1, le=100)]`), checked strictly.
        from_file: what holds as long as `pcb/config` says nothing, or nothing that makes sense.
        check: raises ValueError for what its type alone does not forbid.
    """

    def __init__(self, key: str, kind: Any, from_file: T, check: Callable[[T], None] = lambda value: None) -> None:
        self.key = key
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._from_file = self._now = from_file
        self._check = check
        self._said: Any = None
        self.commanded = False
        """What holds was set by a command, which a restart forgets."""

    def __call__(self) -> T:
        return self._now

    def take(self, values: dict[str, Any]) -> None:
        """What stands under its key holds from now on; the file's value where nothing does.

        Raises:
            ValueError: it makes no sense; the file's value holds.
        """
        before, self._said = self._said, values.get(self.key)
        self.commanded = self.commanded and self._said == before
        configured = self._from_file
        try:
            if self.key in values:
                configured = self.checked(values[self.key])
        finally:
            if not self.commanded:
                self._now = configured

    def checked(self, value: Any) -> T:
        """The value, if it may be one.

        Raises:
            ValueError: it makes no sense.
        """
        try:
            checked = self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(first_error(error)) from None
        self._check(checked)
        return checked

    def reload(self, from_file: T) -> None:
        """The file says this now: what a command set is forgotten."""
        self._from_file, self.commanded = from_file, False
        with suppress(ValueError):  # told already
            self.take({} if self._said is None else {self.key: self._said})

    def command(self, value: T) -> None:
        """A command sets it to a value that was `checked`."""
        self._now, self.commanded = value, True


class LiveSettings:
    """Keeps the values of a node up to date; make it before the node starts.

    A message that breaks the contract is rejected, and what held before goes on holding. A refusal is told once, and
    again only when it comes with another value.

    Args:
        on_change: called on the network thread once the values are taken; it only swaps what others read.
    """

    def __init__(self, service: Service, on_change: Callable[[], None], *values: LiveValue[Any]) -> None:
        self._service = service
        self._on_change = on_change
        self._values = values
        self._refused: dict[str, Any] = {}
        service.on(service.topics.config, LiveConfig, self._take, retained=True, thread=None)

    def _take(self, config: LiveConfig, _: Delivery) -> None:
        before, self._refused = self._refused, {}
        reasons: dict[str, str] = {}
        for each in self._values:
            try:
                each.take(config.values)
            except ValueError as error:
                self._refused[each.key] = config.values[each.key]
                reasons[each.key] = str(error)
        self._on_change()
        for key, value in self._refused.items():
            if key not in before or before[key] != value:
                message = f"{key} is refused; the file's value holds"
                self._service.event("warning", message, value=value, reason=reasons[key])

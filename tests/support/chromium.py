"""A headless Chromium, driven over its DevTools protocol: what a person sees, does and hears of a page."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import connect

PROGRAM = shutil.which("chromium")
_TIMEOUT_S = 20.0
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--force-device-scale-factor=1", "--autoplay-policy=user-gesture-required"),
)


class Chromium:
    """One browser with one page. `errors` is what its console complained of.

    Args:
        folder: for its profile, which is new.

    Raises:
        TimeoutError: whatever a method waits for does not come.
    """

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        profile = folder / "profile"
        command = [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        self._open = ExitStack()
        self._open.callback(self._end)
        self.errors: list[str] = []
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._loaded = 0
        try:
            self._connect(profile / "DevToolsActivePort")
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def look_as(
        self, language: str = "ko", dark: bool = False, width: int = 1920, height: int = 1080, *, touch: bool = False
    ) -> None:
        """A new visitor with such a browser and screen, without cookies."""
        self.call("Network.clearBrowserCookies")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})

    def open(self, address: str) -> None:
        """And wait until all of it is loaded."""
        before = self._loaded
        self.call("Page.navigate", url=address)
        self._wait_loaded(before)

    def value(self, expression: str) -> Any:
        """Of JavaScript, on the page as it is now."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = _TIMEOUT_S) -> None:
        """Until it is true; it may be an element."""
        deadline = time.monotonic() + timeout
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not true after {timeout:g} s: {expression}; the page says {self.text()[:2000]}")
            time.sleep(0.02)

    def text(self) -> str:
        return str(self.value("document.body.innerText"))

    def fill(self, **fields: str) -> None:
        """The fields of those names, as if typed."""
        for name, text in fields.items():
            self.value(f"document.getElementsByName({json.dumps(name)})[0].focus()")
            self.call("Input.insertText", text=text)

    def click(self, selector: str, *, loads: bool = False) -> None:
        """Its middle, with the mouse. `loads`: another page comes of it."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.value(f"(() => {{ const b = {box}; return [b.x + b.width / 2, b.y + b.height / 2] }})()")
        before = self._loaded
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        if loads:
            self._wait_loaded(before)

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the mouse, between two places of an element, as shares of its width and height."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        left, top, width, height = self.value(f"(b => [b.x, b.y, b.width, b.height])({box})")
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            at = {"x": left + x * width, "y": top + y * height}
            self.call("Input.dispatchMouseEvent", type=kind, **at, button="left", buttons=1, clickCount=1)

    def press(self, key: str, *, loads: bool = False) -> None:
        """One key, as of a numpad."""
        before = self._loaded
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        text = {"Enter": "\r", "Tab": ""}.get(key, key)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        if loads:
            self._wait_loaded(before)

    def screenshot(self, file: Path) -> None:
        """As PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The protocol's answer (https://chromedevtools.github.io/devtools-protocol)."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + _TIMEOUT_S
        while number not in self._answers:
            self._hear(deadline)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _wait_loaded(self, before: int) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while self._loaded == before:
            self._hear(deadline)

    def _hear(self, deadline: float) -> None:
        message = json.loads(self._socket.recv(max(0.0, deadline - time.monotonic())))
        if "id" in message:
            self._answers[message["id"]] = message
        elif message["method"] == "Page.loadEventFired":
            self._loaded += 1
        elif (complaint := _complaint(message["method"], message["params"])) is not None:
            self.errors.append(complaint)

    def _connect(self, file: Path) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not (file.exists() and file.read_text().count("\n")):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError("Chromium does not start")
            time.sleep(0.02)
        port, path = file.read_text().splitlines()[:2]
        with connect(f"ws://127.0.0.1:{port}{path}", proxy=None) as browser:
            browser.send(json.dumps({"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
            target = json.loads(browser.recv(_TIMEOUT_S))["result"]["targetId"]
        page = f"ws://127.0.0.1:{port}/devtools/page/{target}"
        self._socket = self._open.enter_context(connect(page, max_size=None, ping_interval=None, proxy=None))
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _end(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _complaint(method: str, details: Mapping[str, Any]) -> str | None:
    if method == "Log.entryAdded" and details["entry"]["level"] == "error":
        return f"{details['entry']['text']} {details['entry'].get('url', '')}"
    if method == "Runtime.exceptionThrown":
        return str(details["exceptionDetails"])
    return None

"""A browser without a window, driven through the DevTools protocol over two pipes: nothing to install.

    with Browser() as browser:
        tab = browser.open(path, width=1400, height=900)
        tab.evaluate("document.title")
        tab.picture()

Messages are JSON, each ended by a NUL byte: the browser reads from file descriptor 3 and writes to 4.

Source: Chrome DevTools Protocol, https://chromedevtools.github.io/devtools-protocol/ (domains by name below).
"""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20.0  # seconds that any answer may take
FLAGS = ("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars")  # fmt: skip
PIPES = """import os, sys
os.dup2(int(sys.argv[1]), 3), os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])"""
KEYS = {" ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}


def find() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """A Chromium and its profile, which are both gone after the ``with``.

    Raises:
        TimeoutError: an answer took longer than PATIENCE.
        RuntimeError: the browser ended, or refused what it was asked.
    """

    def __enter__(self) -> Browser:
        self.profile = tempfile.mkdtemp(prefix="neuroscope")
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # Above 9, so that neither is in the way of the 3 and 4 that the browser knows them by.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
        os.close(theirs_in), os.close(theirs_out)
        command = [sys.executable, "-c", PIPES, *map(str, ends), str(find()), *FLAGS,
                   f"--user-data-dir={self.profile}", "about:blank"]  # fmt: skip
        self.process = subprocess.Popen(
            command, pass_fds=ends, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in ends:
            os.close(end)
        self.reading, self.writing = ours_in, ours_out
        self.received, self.asked, self.tabs = b"", 0, {}
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        os.close(self.reading), os.close(self.writing)
        shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, method: str, session: str = "", **parameters: object) -> dict:
        """Call a method of the protocol and return its result; events before it go to their tabs."""
        self.asked += 1
        message = {"id": self.asked, "method": method, "params": parameters}
        text = json.dumps(message | ({"sessionId": session} if session else {}))
        with suppress(BrokenPipeError):  # it has ended, which reading will say
            os.write(self.writing, text.encode() + b"\0")
        limit = time.monotonic() + PATIENCE
        while True:
            answer = self._next(limit, method)
            if answer.get("id") == self.asked:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if answer.get("sessionId") in self.tabs:
                self.tabs[answer["sessionId"]].events.append((answer["method"], answer["params"]))

    def _next(self, limit: float, method: str) -> dict:
        while b"\0" not in self.received:
            if not select.select([self.reading], [], [], max(0.0, limit - time.monotonic()))[0]:
                raise TimeoutError(f"the browser did not answer {method} within {PATIENCE:.0f} s")
            arrived = os.read(self.reading, 1 << 20)
            if not arrived:
                raise RuntimeError(f"the browser ended before it answered {method}")
            self.received += arrived
        message, _, self.received = self.received.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, address: str = "", **screen: object) -> Tab:
        """A file in a new tab.

        Args:
            path: of the file.
            address: what follows it, "#step=3".
            screen: as for ``Tab.screen``.
        """
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self, self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            tab.ask(f"{domain}.enable")
        tab.screen(**screen)
        tab.go(path.as_uri() + address)
        return tab


class Tab:
    """One page: what a person does to it and what they see."""

    def __init__(self, browser: Browser, session: str):
        self.browser, self.session = browser, session
        self.events: list[tuple[str, dict]] = []
        browser.tabs[session] = self

    def ask(self, method: str, **parameters: object) -> dict:
        """Call a method of the protocol in this tab."""
        return self.browser.ask(method, self.session, **parameters)

    def go(self, url: str) -> None:
        """Load a page, also if only what follows its # differs."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=url)
        self.until(
            "document.readyState === 'complete' && location.protocol === 'file:' && !!window.neuroscope"
        )
        self.settle()

    def screen(self, width: int = 1400, height: int = 900, density: float = 1.0, dark: bool = False) -> None:
        """Set the size in CSS pixels, the pixels of the screen in each of them, and the theme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str) -> object:
        """The value of an expression of JavaScript, awaited if it is a promise."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true, through a page that is loading anew, too."""
        limit = time.monotonic() + PATIENCE
        while True:
            with suppress(RuntimeError):
                if self.evaluate(expression):
                    return
            if time.monotonic() > limit:
                raise TimeoutError(f"this did not come true within {PATIENCE:.0f} s: {expression}")
            time.sleep(0.03)

    def settle(self) -> None:
        """Wait until everything asked for is drawn."""
        self.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def state(self) -> dict:
        """What the page says of itself: ``window.neuroscope.state()``."""
        state = self.evaluate("window.neuroscope.state()")
        assert isinstance(state, dict)
        return state

    def text(self, selector: str) -> str:
        """What is shown of an element, "" if it is hidden."""
        element = f"document.querySelector({json.dumps(selector)})"
        return str(self.evaluate(f"{element}.checkVisibility() ? {element}.innerText : ''"))

    def press(self, key: str, shift: bool = False) -> None:
        """Press a key: a letter, " " or a name such as "ArrowLeft"."""
        code = KEYS.get(key) or ord(key.upper())
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **common)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)
        self.settle()

    def mouse(self, *path: Sequence[float], click: bool = False, drag: bool = False) -> None:
        """Move through points, (x, y) in CSS pixels, with the button down if dragging; click at the last."""
        held = {"button": "left", "clickCount": 1}
        for k, (x, y) in enumerate(path):
            self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, buttons=int(drag and k > 0))
            if (drag and k == 0) or (click and k == len(path) - 1):
                self.ask("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **held)
        if click or drag:
            self.ask("Input.dispatchMouseEvent", type="mouseReleased", x=path[-1][0], y=path[-1][1], **held)
        self.settle()

    def click(self, selector: str) -> None:
        """Click in the middle of an element, scrolled into view."""
        found = json.dumps(selector)
        self.evaluate(f"document.querySelector({found}).scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"document.querySelector({found}).getBoundingClientRect().toJSON()")
        assert isinstance(box, dict)
        self.mouse((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), click=True)

    def choose(self, selector: str, path: Path) -> None:
        """Put a file into a file chooser."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def picture(self, path: Path | None = None, whole: bool = False) -> np.ndarray:
        """What is seen, uint8 (H, W, 3), and as a PNG at ``path``; ``whole`` with all that lies below."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        content = base64.b64decode(shot)
        if path:
            path.write_bytes(content)
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))

    def complaints(self) -> list[str]:
        """Errors on the console, and every request for anything but a file."""
        self.evaluate("0")  # what was said so far has arrived before the answer
        found = []
        for method, event in self.events:
            if method == "Runtime.exceptionThrown":
                found.append(str(event["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
                found.append(str(event["args"]))
            elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
                found.append(event["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = event["request"]["url"]
                if not url.startswith(("file:", "data:", "about:", "blob:")):
                    found.append(f"a request to {url}")
        return found

    def close(self) -> None:
        """Close the tab."""
        self.ask("Page.close")
        del self.browser.tabs[self.session]

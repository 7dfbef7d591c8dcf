"""Drive a real headless Chromium over its DevTools protocol."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager, suppress

import aiohttp
from support.tools import tool
from support.waiting import until

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Tab:
    """One page of the browser."""

    def __init__(self, socket):
        """Speak over the socket given."""
        self._socket = socket
        self._number = 0
        self._answers = {}
        self._loaded = asyncio.Event()
        self.complaints = []
        """What the console says of errors, broken policies and failed requests."""

    async def listen(self):
        """Take what the browser says until it hangs up."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif told["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(told["params"]))

    async def ask(self, method, **parameters):
        """Send a command and return its result."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, 30)
        assert "error" not in told, told
        return told["result"]

    async def look(self, *, width=1280, height=900, dark=False, scripts=True):
        """Set how wide the page is, how light, and whether it may run scripts."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        await self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)

    async def open(self, url):
        """Load a page and everything on it."""
        async with self.loading():
            await self.ask("Page.navigate", url=url)

    @asynccontextmanager
    async def loading(self):
        """Do something that leads to another page, and wait until that is there."""
        self._loaded.clear()
        yield
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def evaluate(self, expression):
        """Return the value of a JavaScript expression; works where the page itself may run none."""
        told = await self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def text(self):
        """Return what a reader sees."""
        root = await self.ask("DOM.getDocument")
        body = await self.ask("DOM.querySelector", nodeId=root["root"]["nodeId"], selector="body")
        node = await self.ask("DOM.resolveNode", nodeId=body["nodeId"])
        told = await self.ask(
            "Runtime.callFunctionOn", objectId=node["object"]["objectId"],
            functionDeclaration="function () { return this.innerText }", returnByValue=True,
        )  # fmt: skip
        return told["result"]["value"]

    async def picture(self, *, whole=True):
        """Return a PNG of the page."""
        told = await self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(told["data"])


@asynccontextmanager
async def chromium(folder):
    """Run a browser with a profile in the folder given; gives a tab."""
    process = await asyncio.create_subprocess_exec(
        tool("chromium"), *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        active = folder / "DevToolsActivePort"
        await until(lambda: active.exists() and active.read_text().count("\n"), seconds=60)
        port = active.read_text().split()[0]
        async with aiohttp.ClientSession() as client:
            address = await until(lambda: _tab_address(client, port), seconds=30)
            async with client.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                for domain in ("Page", "Log", "Runtime", "DOM"):
                    await tab.ask(f"{domain}.enable")
                yield tab
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _tab_address(client, port):
    async with client.get(f"http://127.0.0.1:{port}/json/list") as response:
        targets = await response.json(content_type=None)
    return next((one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page"), None)

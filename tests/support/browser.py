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
        """Use the socket given."""
        self._socket = socket
        self._number = 0
        self._replies = {}
        self._loaded = asyncio.Event()
        self.console_errors = []
        """What the console reports: errors, policy violations and failed requests."""

    async def listen(self):
        """Handle the browser's messages until it closes the socket."""
        async for frame in self._socket:
            message = json.loads(frame.data)
            if "id" in message:
                self._replies.pop(message["id"]).set_result(message)
            elif message["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif message["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.console_errors.append(json.dumps(message["params"]))

    async def send(self, method, **parameters):
        """Send a command and return its result."""
        self._number += 1
        answer = self._replies[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        reply = await asyncio.wait_for(answer, 30)
        assert "error" not in reply, reply
        return reply["result"]

    async def emulate(self, *, width=1280, height=900, dark=False, scripts=True):
        """Set the size and colour scheme of the page, and whether it may run scripts."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        await self.send("Emulation.setScriptExecutionDisabled", value=not scripts)

    async def open(self, url):
        """Load a page and everything on it."""
        async with self.loading():
            await self.send("Page.navigate", url=url)

    @asynccontextmanager
    async def loading(self):
        """Wait until the page that the block navigates to has loaded."""
        self._loaded.clear()
        yield
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def evaluate(self, expression):
        """Return the value of a JavaScript expression, even where the page may not run scripts."""
        reply = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def text(self):
        """Return what a reader sees."""
        root = await self.send("DOM.getDocument")
        body = await self.send("DOM.querySelector", nodeId=root["root"]["nodeId"], selector="body")
        node = await self.send("DOM.resolveNode", nodeId=body["nodeId"])
        reply = await self.send(
            "Runtime.callFunctionOn",
            objectId=node["object"]["objectId"],
            functionDeclaration="function () { return this.innerText }",
            returnByValue=True,
        )
        return reply["result"]["value"]

    async def picture(self, *, whole=True):
        """Return a PNG of the page."""
        reply = await self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(reply["data"])


@asynccontextmanager
async def chromium(folder):
    """Run a browser with its profile in a folder, and yield a tab."""
    process = await asyncio.create_subprocess_exec(
        tool("chromium"),
        *FLAGS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        active = folder / "DevToolsActivePort"
        await until(lambda: active.exists() and active.read_text().count("\n"), seconds=60)
        port = active.read_text().split()[0]
        async with aiohttp.ClientSession() as client:
            address = await until(lambda: _tab_address(client, port), seconds=30)
            async with client.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                listener = asyncio.create_task(tab.listen())
                for domain in ("Page", "Log", "Runtime", "DOM"):
                    await tab.send(f"{domain}.enable")
                yield tab
                listener.cancel()
                with suppress(asyncio.CancelledError):
                    await listener
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _tab_address(client, port):
    async with client.get(f"http://127.0.0.1:{port}/json/list") as response:
        targets = await response.json(content_type=None)
    return next((one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page"), None)

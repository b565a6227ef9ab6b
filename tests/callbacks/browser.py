"""A headless Chromium, driven over the WebDriver protocol through chromedriver."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
]


def missing():
    """Returns the programs that are not installed."""
    return [name for name in ("chromium", "chromedriver") if not shutil.which(name)]


class Browser:
    def __init__(self, base):
        self._base = base
        profile = tempfile.mkdtemp()
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={profile}"],
        }
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = self._post("/session", {"capabilities": capabilities})
        self._base += f"/session/{session['sessionId']}"

    def open(self, url):
        self._post("/url", {"url": url})

    def run(self, script):
        return self._post("/execute/sync", {"script": script, "args": []})

    def until(self, script, seconds=90):
        """Waits for a script to return something true, and returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            result = self.run(script)
            if result:
                return result
            time.sleep(0.5)
        raise TimeoutError(f"Still false after {seconds} s: {script}")

    def screenshot(self, path):
        with urllib.request.urlopen(f"{self._base}/screenshot") as reply:
            png = base64.b64decode(json.load(reply)["value"])
        with open(path, "wb") as file:
            file.write(png)

    def quit(self):
        request = urllib.request.Request(self._base, method="DELETE")
        urllib.request.urlopen(request).close()

    def _post(self, path, body):
        request = urllib.request.Request(
            self._base + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)["value"]


@contextlib.contextmanager
def browser():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        page = Browser(_started(f"http://127.0.0.1:{port}"))
        try:
            yield page
        finally:
            page.quit()
    finally:
        os.killpg(driver.pid, signal.SIGTERM)
        driver.wait()


def _started(base, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{base}/status").close()
            return base
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

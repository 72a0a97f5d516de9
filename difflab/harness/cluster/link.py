"""The coordinator's end of a cluster: starts the process that speaks to it, sends texts, takes in events."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import DifflabError
from ..limits import last_line, shorten
from ..process import search_path

MODULE = "difflab.harness.cluster.transport"
START_SECONDS = 20.0
CLOSE_SECONDS = 15.0
MOST_LOCAL = 64
PIECE = 2**22
ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


class NodeError(DifflabError):
    """A node did not do what it was asked; ``lost`` if it cannot be counted on any more."""

    def __init__(self, text: str, lost: bool) -> None:
        super().__init__(text)
        self.lost = lost


def checked(address: str) -> str:
    """An address as the user gave it, if it can be one.

    Raises:
        DifflabError: it cannot.

    >>> checked("tcp://10.0.0.1:8786")
    'tcp://10.0.0.1:8786'
    >>> checked("local:x")
    Traceback (most recent call last):
    difflab.errors.DifflabError: --cluster local:x: the number of workers must be from 1 to 64, such as local:2
    """
    if address.startswith("local"):
        count = address.removeprefix("local:")
        if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MOST_LOCAL):
            raise DifflabError(
                f"--cluster {address}: the number of workers must be from 1 to {MOST_LOCAL}, such as local:2"
            )
        return f"local:{int(count)}"
    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 2**16:
        raise DifflabError(
            f"--cluster {address}: this is no address of a Dask scheduler; one looks like tcp://HOST:PORT or "
            f"tls://HOST:PORT, and local:N starts N workers on this machine"
        )
    return address


@contextlib.contextmanager
def reach(address: str | None) -> Iterator[Link | None]:
    """The link to the cluster at ``address``, closed at the end; ``None`` without an address.

    Raises:
        DifflabError: it cannot be reached; one sentence says why.
    """
    if address is None:
        yield None
        return
    link = Link(checked(address))
    try:
        link.open()
        yield link
    finally:
        link.close()


class Link:
    """A process that carries texts to a cluster.

    Args:
        address: a checked address.

    ``wait`` returns events: ``nodes`` (the workers there are), ``answer``, ``fault`` and ``words`` (of what ``send``
    was given as ``name``), ``gone`` (the scheduler).
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **search_path()},
            start_new_session=True,  # it ends when its input does
        )
        self._buffer = b""
        self._waiting: list[dict[str, Any]] = []

    def open(self) -> None:
        """Wait until the scheduler is reached."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if not (found := self._read(0.2)):
                continue
            event, *self._waiting = found
            if event["event"] == "ready":
                return
            if event["event"] == "missing":
                raise DifflabError(
                    f"--cluster needs the package distributed (Dask), which cannot be imported here ({event['why']}); "
                    f"install it with: pip install 'difflab[cluster]'"
                )
            raise DifflabError(
                f"--cluster {self.address}: no Dask scheduler can be used there ({_brief(event['why'])})"
            )
        raise DifflabError(f"--cluster {self.address}: nothing answered within {START_SECONDS:g} s")

    def send(self, how: str, name: str, node: str, **data: Any) -> None:
        """Have a node ``perform`` a unit or answer a ``call``; what comes of it has the same name."""
        line = json.dumps({"do": how, "id": name, "node": node, "text": json.dumps(data)})
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the next wait says that it is gone
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def wait(self, timeout: float) -> list[dict[str, Any]]:
        """What has happened; sleeps for ``timeout`` seconds at most when nothing has."""
        found, self._waiting = self._waiting, []
        return found or self._read(timeout)

    def ask(self, name: str, node: str, **data: Any) -> dict[str, Any]:
        """Have a node answer a short question at once; other events are kept for ``wait``.

        Raises:
            NodeError: it does not.
        """
        self.send("call", name, node, **data)
        while True:
            found = self._read(1.0)
            mine = next((one for one in found if one.get("id") == name), None)
            self._waiting += [one for one in found if one is not mine]
            if mine is not None:
                if mine["event"] == "fault":
                    raise NodeError(mine["why"], mine["lost"])
                return json.loads(mine["text"])
            if gone := next((one for one in found if one["event"] == "gone"), None):
                raise NodeError(gone["why"], True)

    def push(self, node: str, digest: str, path: Path) -> None:
        """Send a blob to a node, in pieces."""
        size, offset = path.stat().st_size, 0
        with open(path, "rb") as stream:
            while offset < size:
                data = stream.read(PIECE)
                last = offset + len(data) >= size
                text = base64.b64encode(data).decode()
                self.ask(f"put {digest} {offset}", node, do="put", sha256=digest, offset=offset, data=text, last=last)
                offset += len(data)

    def fetch(self, node: str, digest: str, size: int) -> bytes:
        """Fetch a blob from a node, in pieces."""
        content = b""
        while len(content) < size:
            asked = {"do": "get", "sha256": digest, "offset": len(content), "size": PIECE}
            data = base64.b64decode(self.ask(f"get {digest} {len(content)}", node, **asked)["data"])
            if not data:
                raise NodeError("a blob that it has made is shorter than it said", False)
            content += data
        return content

    def _read(self, timeout: float) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            if not selector.select(timeout):
                return []
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            return [{"event": "gone", "why": self._death()}]
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def _death(self) -> str:
        code = self.process.wait(CLOSE_SECONDS)
        self._errors.seek(0)
        last = last_line(self._errors.read()[-4096:].decode(errors="replace"))
        return f"the process that speaks to it ended with exit code {code}{': ' if last else ''}{last}"

    def close(self) -> None:
        """End the process and all that it has begun on the cluster."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        end = time.monotonic() + CLOSE_SECONDS
        try:
            while self.process.poll() is None and time.monotonic() < end:
                if any(event["event"] == "gone" for event in self._read(0.1)):  # it must not wait for a reader
                    self.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._errors.close()


def _brief(why: str) -> str:
    """The first sentence of what Dask says, without the addresses of both ends once more."""
    return shorten(why.splitlines()[0] if why else "no reason is known", 160)

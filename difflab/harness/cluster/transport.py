"""The process between a coordinator and a cluster: a client of Dask that carries texts and knows nothing of them.

``python -m difflab.harness.cluster.transport ADDRESS`` reads JSON lines from standard input and writes JSON lines to
standard output (``link.py`` is the other end).  It is a process of its own because Dask imports NumPy and runs threads,
and the coordinator does neither.  When its input ends, so does everything that it has begun on the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from . import remote

CONNECT_SECONDS = 6.0
LOOK_SECONDS = 0.5
BEAT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
SILENT_SECONDS = 45.0  # below the lease of a unit, so a node that is given up is not trusted again while it computes
CLOSE_SECONDS = 5.0
LONGEST_LINE = 2**30


class Client(Protocol):
    """What is used of ``distributed.Client`` in its asynchronous form."""

    status: str

    def run(self, function: Any, *args: Any, workers: list[str]) -> Awaitable[dict[str, Any]]:
        """Call a function in the event loop of workers."""
        ...

    def submit(self, function: Any, *args: Any, **options: Any) -> Any:
        """Make a task of a call."""
        ...

    def nthreads(self) -> Awaitable[dict[str, int]]:
        """The workers by address."""
        ...

    def cancel(self, futures: list[Any], force: bool) -> Awaitable[None]:
        """Forget tasks."""
        ...


class Carrier:
    """Carries texts to the workers of one cluster and back.

    Args:
        client: connected to the scheduler.
        out: where events go, as JSON lines.
    """

    def __init__(self, client: Client, out: asyncio.StreamWriter) -> None:
        self.client, self._out = client, out
        self.nodes: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def tell(self, event: str, **data: Any) -> None:
        """Write one event."""
        self._out.write(json.dumps({"event": event, **data}).encode() + b"\n")
        await self._out.drain()

    async def serve(self, lines: asyncio.StreamReader) -> None:
        """Do what the lines say until there are no more or the scheduler is gone."""
        watch = asyncio.ensure_future(self._watch())
        try:
            while True:
                reading = asyncio.ensure_future(lines.readline())
                await asyncio.wait((reading, watch), return_when=asyncio.FIRST_COMPLETED)
                if watch.done():
                    reading.cancel()
                    await self.tell("gone", why=watch.result())
                    return
                if not (line := reading.result()):
                    return
                asked = json.loads(line)
                work = self._perform(asked) if asked["do"] == "perform" else self._call(asked)
                self._tasks[asked["id"]] = asyncio.ensure_future(self._answer(asked["id"], work))
        finally:
            watch.cancel()
            for task in list(self._tasks.values()):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=CLOSE_SECONDS)

    async def _answer(self, name: str, work: Awaitable[str]) -> None:
        try:
            await self.tell("answer", id=name, text=await work)
        except LostError as fault:
            await self.tell("fault", id=name, lost=True, why=str(fault))
        except Exception as fault:  # whatever Dask or the far side raised is for the coordinator to judge
            await self.tell("fault", id=name, lost=False, why=f"{type(fault).__name__}: {fault}")
        finally:
            del self._tasks[name]

    async def _watch(self) -> str:
        """Tell which workers there are, whenever that changes; returns why there is no telling any more."""
        while True:
            try:
                found = set(await asyncio.wait_for(self.client.nthreads(), ANSWER_SECONDS))
            except Exception as fault:  # of many kinds, depending on how the connection ended
                return f"{type(fault).__name__}: {fault}"
            if self.client.status != "running":
                return f"the connection is {self.client.status}"
            if found != self.nodes:
                self.nodes = found
                await self.tell("nodes", nodes=sorted(found))
            await asyncio.sleep(LOOK_SECONDS)

    async def _call(self, asked: dict[str, Any]) -> str:
        """Have one worker answer a short question, beside whatever it computes."""
        return await asyncio.wait_for(self._ask(asked["node"], asked["text"]), ANSWER_SECONDS)

    async def _ask(self, node: str, text: str) -> str:
        if node not in self.nodes:
            raise LostError("it has left the cluster")
        return (await self.client.run(remote.call, text, workers=[node]))[node]

    async def _perform(self, asked: dict[str, Any]) -> str:
        """Have one worker do a unit of work; ends early when the worker leaves or falls silent."""
        name, node = asked["id"], asked["node"]
        place = {"workers": [node], "allow_other_workers": False}
        future = self.client.submit(remote.perform, asked["text"], key=name, retries=0, pure=False, **place)
        result = asyncio.ensure_future(future.result())
        heard, words = asyncio.get_running_loop().time(), ""
        try:
            while True:
                done, _ = await asyncio.wait((result,), timeout=BEAT_SECONDS)
                if done:
                    return result.result()
                if node not in self.nodes:
                    raise LostError("it has left the cluster")
                beat = await self._beat(node, name)
                now = asyncio.get_running_loop().time()
                heard = heard if beat is None else now
                if now - heard > SILENT_SECONDS:
                    raise LostError(f"it has been silent for {SILENT_SECONDS:g} s")
                if beat and beat["words"] != words:
                    words = beat["words"]
                    await self.tell("words", id=name, text=words)
        finally:
            if not result.done():
                result.cancel()
                await self._forget(future, node, name)

    async def _beat(self, node: str, name: str) -> dict[str, Any] | None:
        """A sign of life, in both directions; ``None`` for silence."""
        text = json.dumps({"do": "beat", "id": name})
        try:
            return json.loads(await asyncio.wait_for(self._ask(node, text), ANSWER_SECONDS))
        except Exception:  # a dying worker fails in many ways; silence is judged by how long it lasts
            return None

    async def _forget(self, future: Any, node: str, name: str) -> None:
        """End a unit of work that nobody waits for any more."""
        with contextlib.suppress(Exception):  # where nothing can be reached, the lease of the unit ends it
            await asyncio.wait_for(self.client.cancel([future], force=True), CLOSE_SECONDS)
            await asyncio.wait_for(self._ask(node, json.dumps({"do": "stop", "id": name})), CLOSE_SECONDS)


class LostError(Exception):
    """A worker cannot be counted on any more."""


@contextlib.asynccontextmanager
async def _reached(address: str) -> AsyncIterator[Client]:
    """A client of the scheduler at ``address``; for ``local:N``, of one that is started here with N workers."""
    from dask import config
    from distributed import Client as DaskClient
    from distributed import LocalCluster

    async with contextlib.AsyncExitStack() as stack:
        target: Any = address
        if address.startswith("local:"):
            stack.enter_context(config.set({"distributed.worker.profile.enabled": False}))  # it disturbs clocks
            target = await stack.enter_async_context(
                LocalCluster(
                    n_workers=int(address.removeprefix("local:")),
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,  # the limits are those of each case
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                    asynchronous=True,
                )
            )
        client: Any = DaskClient(target, asynchronous=True, timeout=CONNECT_SECONDS, set_as_default=False)
        await asyncio.wait_for(client, CONNECT_SECONDS + 1)
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):  # a scheduler that is gone cannot be told good-bye
                await asyncio.wait_for(client.close(), CLOSE_SECONDS)


async def _run(address: str, messages: int) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    pipe, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(messages, "wb", 0))
    out = asyncio.StreamWriter(pipe, protocol, None, loop)
    try:
        async with _reached(address) as client:
            carrier = Carrier(client, out)
            await carrier.tell("ready")
            await carrier.serve(lines)
    except ImportError as fault:
        await _refuse(out, "missing", str(fault))
    except TimeoutError:
        await _refuse(out, "unreachable", f"what listens there gave no answer of Dask within {CONNECT_SECONDS:g} s")
    except Exception as fault:  # of many kinds, from names that do not resolve to certificates that are not accepted
        await _refuse(out, "unreachable", f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__)


async def _refuse(out: asyncio.StreamWriter, event: str, why: str) -> None:
    out.write(json.dumps({"event": event, "why": why}).encode() + b"\n")
    await out.drain()
    os._exit(1)  # a look-up of a name may go on for long in its thread


def main() -> None:
    """Run as ``python -m difflab.harness.cluster.transport ADDRESS``; see the module's text."""
    messages = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not stand between the lines
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    asyncio.run(_run(sys.argv[1], messages))


if __name__ == "__main__":
    main()

"""An ASGI application in uvicorn, which is given the master's socket.

einhorn -b 127.0.0.1:7000 -n 2 -m manual python uvicorn_app.py
"""

import asyncio
import os

import einhorn_worker
import uvicorn

DRAIN_SECONDS = 30


async def app(scope, receive, send):
    body = b"hello from %d\n" % os.getpid()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class LastAnswer:
    """Has the application's answers end their connections, once that is switched on."""

    def __init__(self, app):
        self.app = app
        self.on = False

    async def __call__(self, scope, receive, send):
        async def last(message):
            if self.on and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, last)


class Worker(uvicorn.Server):
    """uvicorn ends idle connections at once when it stops; this one lets them finish first."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        asked = einhorn_worker.graceful_shutdown()
        self.drained = asyncio.ensure_future(self.drain(asked))
        if einhorn_worker.is_worker():
            await asyncio.to_thread(einhorn_worker.ack)

    async def drain(self, asked):
        await asked
        self.config.app.on = True
        for server in self.servers:
            await einhorn_worker.stop_accepting(server)
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self.server_state.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        self.should_exit = True


worker = Worker(uvicorn.Config(LastAnswer(app), lifespan="off", log_level="warning"))
worker.run(sockets=[einhorn_worker.socket(0)])

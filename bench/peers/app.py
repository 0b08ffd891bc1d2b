"""What the Python servers serve: as bench_worker, /?ms=10 is answered 10 ms later.

`wsgi` is for gunicorn and uWSGI, `asgi` for uvicorn. The module is loaded once in each worker,
which reports that to whoever measures, and acknowledges if its parent is an einhorn.
"""

import asyncio
import json
import os
import socket
import time

with open(os.environ["BENCH_VERSION_FILE"], encoding="utf-8") as file:
    VERSION = file.read().strip()


def body():
    return f"time={time.time():.3f} pid={os.getpid()} index=- version={VERSION}\n".encode()


def seconds(query):
    return int(query[3:]) / 1000 if query.startswith("ms=") else 0


def wsgi(environ, start_response):
    time.sleep(seconds(environ["QUERY_STRING"]))
    answer = body()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(seconds(scope["query_string"].decode()))
    answer = body()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def connected(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def report():
    if os.environ.get("EINHORN_MASTER_PID") == str(os.getppid()):
        with connected(os.environ["EINHORN_SOCK_PATH"]) as master:
            line = json.dumps({"command": "worker:ack", "pid": os.getpid()})
            master.sendall(line.encode() + b"\n")
            master.recv(1)
    connected(os.environ["BENCH_DONE_PATH"]).close()


report()

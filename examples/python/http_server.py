"""A worker with nothing but http.server: a thread a connection, keep-alive.

einhorn -b 127.0.0.1:7000 -n 2 -m manual python http_server.py
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import einhorn_worker

stopping = threading.Event()


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that an idle connection is kept
    disable_nagle_algorithm = True  # head and body are two writes

    def do_GET(self):
        body = f"hello from {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if stopping.is_set():
            self.send_header("Connection", "close")  # the client goes to another worker
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits until each connection is finished


listener = einhorn_worker.socket(0)
server = Server(listener.getsockname(), Hello, bind_and_activate=False)
server.socket.close()
server.socket = listener
# Another worker may take the connection first; accept must not wait for the next one then.
listener.setblocking(False)


@einhorn_worker.on_graceful_shutdown
def stop():
    stopping.set()
    server.shutdown()


if einhorn_worker.is_worker():
    einhorn_worker.ack()
server.serve_forever(poll_interval=0.1)
server.server_close()

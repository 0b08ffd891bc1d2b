"""A WSGI application, as any server runs it."""

import os


def app(environ, start_response):
    body = f"hello from {os.getpid()}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]

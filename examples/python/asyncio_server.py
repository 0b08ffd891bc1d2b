"""A worker on asyncio streams: HTTP/1.1 with keep-alive, by hand.

einhorn -b 127.0.0.1:7000 -n 2 -m manual python asyncio_server.py
"""

import asyncio
import os

import einhorn_worker

IDLE_SECONDS = 30


async def main():
    connections = set()

    async def serve(reader, writer):
        connections.add(asyncio.current_task())
        try:
            last = False
            while not last:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
                # Whoever is asked to stop answers once more and sends the client elsewhere.
                last = stopping.done() or b"\r\nconnection: close\r\n" in head.lower()
                body = b"hello from %d\n" % os.getpid()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                    b"Connection: %s\r\n\r\n%s"
                    % (len(body), b"close" if last else b"keep-alive", body)
                )
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client left, or is no client of ours
        except asyncio.TimeoutError:
            pass  # it has been silent for long enough
        finally:
            writer.close()
            connections.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, sock=einhorn_worker.socket(0))
    stopping = einhorn_worker.graceful_shutdown()
    if einhorn_worker.is_worker():
        await asyncio.to_thread(einhorn_worker.ack)
    await stopping
    await einhorn_worker.stop_accepting(server)
    if connections:
        await asyncio.wait(connections)


asyncio.run(main())

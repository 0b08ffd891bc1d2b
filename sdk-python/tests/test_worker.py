"""The package inside real processes, under a master that the test plays.

Run against the package that is installed, or that PYTHONPATH names:

    packaging/kit python && PYTHONPATH=target/kit/python python3 -m unittest discover sdk-python/tests
"""

import contextlib
import inspect
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import unittest

import einhorn_worker

#: Longer than any machine needs.
LONG = 60


class Worker:
    """A Python program whose parent, and so whose master, is this test."""

    def __init__(self, case, program, pass_fds=(), **environment):
        variables = {
            **os.environ,
            "EINHORN_MASTER_PID": str(os.getpid()),
            "EINHORN_FD_COUNT": str(len(pass_fds)),
            **{f"EINHORN_FD_{n}": str(fd) for n, fd in enumerate(pass_fds)},
            **environment,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", textwrap.dedent(program)],
            env=variables,
            pass_fds=pass_fds,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        case.addCleanup(self._end)

    def _end(self):
        self.process.kill()
        self.process.communicate()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask_to_stop(self):
        self.process.send_signal(signal.SIGUSR2)

    def rest(self):
        """What it still prints, until it exits; its exit status if that is not 0."""
        out, err = self.process.communicate(timeout=LONG)
        status = self.process.returncode
        return out.strip() if status == 0 else f"{status}: {out}{err}"


class Sockets(unittest.TestCase):
    def listener(self, family, address):
        listener = self.enterContext(socket.socket(family, socket.SOCK_STREAM))
        listener.bind(address)
        listener.listen()
        return listener

    def enterContext(self, context):  # unittest has it from 3.11 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def test_family_and_type_are_the_socket_s_own(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        listeners = [
            self.listener(socket.AF_INET, ("127.0.0.1", 0)),
            self.listener(socket.AF_INET6, ("::1", 0)),
            self.listener(socket.AF_UNIX, folder + "/s"),
        ]
        worker = Worker(
            self,
            """
            import einhorn_worker, socket
            for n in range(einhorn_worker.socket_count()):
                s, again = einhorn_worker.socket(n), einhorn_worker.socket(n)
                assert isinstance(s, socket.socket)
                assert s.fileno() != again.fileno() != einhorn_worker.socket_fd(n)
                assert not s.get_inheritable(), "close-on-exec"
                again.close()
                assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
                print(s.family.name, s.type.name, s.getsockname())
            """,
            pass_fds=[listener.fileno() for listener in listeners],
        )
        expected = [
            f"{listener.family.name} SOCK_STREAM {listener.getsockname()}" for listener in listeners
        ]
        self.assertEqual(worker.rest().splitlines(), expected)

    def test_a_unix_socket_s_file_survives_asyncio(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        listener = self.listener(socket.AF_UNIX, folder + "/s")
        worker = Worker(
            self,
            """
            import asyncio, einhorn_worker, os
            async def main():
                s = einhorn_worker.socket(0)
                path = s.getsockname()
                server = await asyncio.start_unix_server(lambda r, w: w.close(), sock=s)
                reader, writer = await asyncio.open_unix_connection(path)
                assert await reader.read() == b""
                writer.close()
                server.close()
                await asyncio.sleep(0)
                print(os.path.exists(path))
            asyncio.run(main())
            """,
            pass_fds=[listener.fileno()],
        )
        self.assertEqual(worker.rest(), "True")

    def test_what_is_wrong_is_named(self):
        for environment, error, text in [
            (
                {"EINHORN_FD_COUNT": "abc"},
                "BadEnvironmentError",
                'EINHORN_FD_COUNT is "abc", but must be a number of sockets',
            ),
            (
                {"EINHORN_FD_COUNT": "1", "EINHORN_FD_0": "900"},
                "BadDescriptorError",
                "EINHORN_FD_0 is 900, but descriptor 900 is not open",
            ),
            (
                {},
                "NoSuchSocketError",
                "there is no socket 0: EINHORN_FD_COUNT is 0, and indexes count from 0 (give "
                "the master a -b for each socket)",
            ),
        ]:
            worker = Worker(
                self,
                """
                import einhorn_worker
                try:
                    einhorn_worker.socket()
                except einhorn_worker.EinhornError as error:
                    print(type(error).__name__, error, sep=": ")
                """,
                **environment,
            )
            self.assertEqual(worker.rest(), f"{error}: {text}")

    def test_a_blocking_accept_sees_the_request_to_stop(self):
        listener = self.listener(socket.AF_INET, ("127.0.0.1", 0))
        worker = Worker(
            self,
            """
            import einhorn_worker
            listener = einhorn_worker.socket()
            print("registered", einhorn_worker.graceful_shutdown_fd() > 2)
            while (accepted := einhorn_worker.accept(listener)) is not None:
                connection, address = accepted
                assert connection.getblocking()
                connection.sendall(repr(address).encode())
                connection.close()
            print("asked")
            """,
            pass_fds=[listener.fileno()],
        )
        self.assertEqual(worker.line(), "registered True")
        with socket.create_connection(listener.getsockname()) as client:
            client.settimeout(LONG)
            self.assertEqual(client.recv(100).decode(), repr(client.getsockname()))
        worker.ask_to_stop()
        self.assertEqual(worker.rest(), "asked")


class Messages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = folder.name + "/einhorn.sock"
        self.commands = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.commands.close)
        self.commands.settimeout(LONG)
        self.commands.bind(self.path)
        self.commands.listen()

    def received(self):
        connection, _ = self.commands.accept()
        self.addCleanup(connection.close)
        return connection, connection.makefile().readline()

    def test_other_threads_run_while_ack_waits(self):
        worker = Worker(
            self,
            """
            import einhorn_worker, threading
            other = threading.Thread(target=lambda: print("alive", input()))
            other.start()
            einhorn_worker.ack()
            print("taken")
            """,
            EINHORN_SOCK_PATH=self.path,
        )
        connection, line = self.received()
        self.assertEqual(line, '{"command": "worker:ack", "pid": %d}\n' % worker.process.pid)
        worker.tell("still")
        self.assertEqual(worker.line(), "alive still")
        connection.close()
        self.assertEqual(worker.rest(), "taken")

    def test_ping_takes_text(self):
        worker = Worker(
            self,
            """
            import einhorn_worker
            einhorn_worker.ping("request é")
            try:
                einhorn_worker.ping(b"bytes")
            except TypeError:
                print("text only")
            """,
            EINHORN_SOCK_PATH=self.path,
        )
        connection, line = self.received()
        self.assertIn('"request_id": "request \\u00e9"', line)
        connection.close()
        self.assertEqual(worker.rest(), "text only")

    def test_an_unreachable_master_is_named(self):
        worker = Worker(
            self,
            """
            import einhorn_worker
            try:
                einhorn_worker.ack()
            except einhorn_worker.UnreachableError as error:
                print(error.code, error.kind, error)
            """,
            EINHORN_SOCK_PATH="/nonexistent/s",
        )
        self.assertEqual(
            worker.rest(),
            '6 UNREACHABLE cannot reach the master at "/nonexistent/s" (from '
            "EINHORN_SOCK_PATH): No such file or directory (os error 2)",
        )


class Stopping(unittest.TestCase):
    def test_callbacks_run_on_a_thread_once_and_fail_alone(self):
        worker = Worker(
            self,
            """
            import einhorn_worker, queue, sys, threading
            calls = queue.Queue()
            sys.unraisablehook = lambda what: calls.put(("failed", str(what.exc_value)))
            @einhorn_worker.on_graceful_shutdown
            def first():
                raise ValueError("alone")
            einhorn_worker.on_graceful_shutdown(lambda: calls.put(("second", threading.get_ident())))
            try:
                einhorn_worker.on_graceful_shutdown("first")
            except TypeError as error:
                print(error)
            input()
            assert calls.get(timeout=60) == ("failed", "alone")
            name, thread = calls.get(timeout=60)
            assert name == "second" and thread != threading.get_ident()
            einhorn_worker.on_graceful_shutdown(lambda: calls.put(("late", 0)))
            assert calls.get(timeout=60) == ("late", 0)
            assert calls.empty()
            print("done", callable(first))
            """,
        )
        self.assertEqual(worker.line(), "callback must be callable, not str")
        worker.ask_to_stop()
        worker.ask_to_stop()
        worker.tell("")
        self.assertEqual(worker.rest(), "done True")

    def test_asyncio_awaits_it(self):
        worker = Worker(
            self,
            """
            import asyncio, einhorn_worker
            async def main():
                cancelled = einhorn_worker.graceful_shutdown()
                cancelled.cancel()
                stopping = einhorn_worker.graceful_shutdown()
                print("registered")
                await asyncio.wait_for(stopping, 60)
                await einhorn_worker.graceful_shutdown()
                print("asked")
            asyncio.run(main())
            """,
        )
        self.assertEqual(worker.line(), "registered")
        worker.ask_to_stop()
        self.assertEqual(worker.rest(), "asked")

    def test_asyncio_loses_no_connection_that_was_just_accepted(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            worker = Worker(
                self,
                """
                import asyncio, einhorn_worker
                async def answer(reader, writer):
                    writer.write(await reader.readline())
                    writer.close()
                async def main():
                    server = await asyncio.start_server(answer, sock=einhorn_worker.socket())
                    print("ready")
                    input()  # connections come in while the loop stands still
                    loop = asyncio.get_running_loop()
                    # Right after the round in which they are accepted.
                    loop.call_soon(lambda: loop.call_soon(stop.set))
                    stop = asyncio.Event()
                    await stop.wait()
                    await einhorn_worker.stop_accepting(server)
                    await einhorn_worker.stop_accepting(server)
                    begun = asyncio.all_tasks() - {asyncio.current_task()}
                    print(len(begun))
                    await asyncio.wait(begun)
                asyncio.run(main())
                """,
                pass_fds=[listener.fileno()],
            )
            self.assertEqual(worker.line(), "ready")
            with contextlib.ExitStack() as clients:
                connections = [
                    clients.enter_context(socket.create_connection(listener.getsockname(), LONG))
                    for _ in range(20)
                ]
                worker.tell("")
                self.assertEqual(worker.line(), "20")
                for n, connection in enumerate(connections):
                    connection.sendall(b"%d\n" % n)
                    self.assertEqual(connection.makefile().read(), f"{n}\n")
                self.assertEqual(worker.rest(), "")

    def test_a_loop_that_is_gone_is_no_trouble(self):
        worker = Worker(
            self,
            """
            import asyncio, einhorn_worker, threading
            async def main():
                einhorn_worker.graceful_shutdown()
            asyncio.run(main())
            asked = threading.Event()
            einhorn_worker.on_graceful_shutdown(asked.set)
            print("registered")
            print(asked.wait(60))
            """,
        )
        self.assertEqual(worker.line(), "registered")
        worker.ask_to_stop()
        self.assertEqual(worker.rest(), "True")

    def test_a_forked_child_is_no_worker_and_dies_of_the_signal(self):
        worker = Worker(
            self,
            """
            import einhorn_worker, os, signal
            assert einhorn_worker.is_worker()
            einhorn_worker.on_graceful_shutdown(lambda: print("the parent was asked"))
            child = os.fork()
            if child == 0:
                if not einhorn_worker.is_worker() and einhorn_worker.child_index() is None:
                    os.kill(os.getpid(), signal.SIGUSR2)
                os._exit(1)
            _, status = os.waitpid(child, 0)
            print(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGUSR2)
            """,
            EINHORN_CHILD_INDEX="0",
        )
        self.assertEqual(worker.rest(), "True")


class Package(unittest.TestCase):
    def test_every_name_is_explained(self):
        for name in einhorn_worker.__all__:
            self.assertGreater(len(inspect.getdoc(getattr(einhorn_worker, name))), 30, name)

    def test_the_stub_of_the_compiled_part_is_complete(self):
        import ast

        from einhorn_worker import _einhorn_worker, _unavailable

        folder = os.path.dirname(einhorn_worker.__file__)
        with open(folder + "/_einhorn_worker.pyi", encoding="ascii") as file:
            stub = ast.parse(file.read())
        names = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
        self.assertEqual(names, {n for n in dir(_einhorn_worker) if not n.startswith("_")})
        self.assertEqual(names, {n for n in names if callable(getattr(_unavailable, n, None))})

    def test_without_the_compiled_part_a_program_still_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.dirname(einhorn_worker.__file__)
            shutil.copytree(
                source, folder + "/einhorn_worker", ignore=shutil.ignore_patterns("*.so")
            )
            program = textwrap.dedent(
                f"""
                import sys; sys.path.insert(0, {folder!r})
                import einhorn_worker
                assert einhorn_worker.__file__.startswith({folder!r})
                einhorn_worker.on_graceful_shutdown(print)
                print(einhorn_worker.is_worker(), einhorn_worker.socket_count())
                try:
                    einhorn_worker.ack()
                except einhorn_worker.NotWorkerError as error:
                    print(error)
                """
            )
            out = subprocess.check_output([sys.executable, "-c", program], text=True)
        first, second = out.splitlines()
        self.assertEqual(first, "False 0")
        self.assertRegex(second, "^not a worker: the compiled part .* cannot be loaded here")

    def test_importing_it_costs_little(self):
        program = (
            "import time; t = time.process_time(); import einhorn_worker; "
            "print(time.process_time() - t)"
        )
        runs = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(7)]
        # The least of several runs: what the package costs, not what else the machine does.
        self.assertLess(min(runs), 0.020)
        print(f"import einhorn_worker: {min(runs) * 1000:.1f} ms")


if __name__ == "__main__":
    unittest.main()

"""Every package of dist/, installed: in an empty environment, offline, far from the source.

Of the source tree it reads the READMEs, whose workers it runs as they stand, and the
libraries' own tests, which it runs against what is installed. Needs packaging/build.
"""

import contextlib
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TOOLS = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "tools"
CARGO_HOME = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))

#: Longer than any machine needs.
LONG = 120


def package(pattern):
    """The one package of that name."""
    [path] = glob.glob(str(DIST / pattern))
    return path


def readme(language, block):
    """The first block of code of that kind in a library's README."""
    text = (ROOT / f"sdk-{language}" / "README.md").read_text()
    return re.search(rf"```{block}\n(.*?)```", text, re.DOTALL)[1]


def unpack(path, folder):
    """Unpacks an archive without its top folder."""
    with tarfile.open(path) as archive:
        archive.extractall(folder)
    [top] = pathlib.Path(folder).iterdir()
    return top


class Installed(unittest.TestCase):
    """An empty folder, an empty environment and a master from its package."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="einhorn-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        (cls.folder / "master").mkdir()
        cls.bin = unpack(package("einhorn-[0-9]*.tar.gz"), cls.folder / "master") / "bin"
        cls.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(cls.folder),
            "LANG": "C.UTF-8",
            # Whatever asks a registry for anything fails.
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "CARGO_NET_OFFLINE": "true",
            "npm_config_offline": "true",
        }
        for name in ("CARGO_HOME", "RUSTUP_HOME", "PYENV_ROOT"):
            if name in os.environ:
                cls.environment[name] = os.environ[name]
        cls.environment.setdefault("CARGO_HOME", CARGO_HOME)
        cls.environment.setdefault("RUSTUP_HOME", os.path.expanduser("~/.rustup"))

    def run_in(self, folder, *command, **environment):
        """Runs a command; its output, or the test fails with it."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10 * LONG,
        )
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}")
        return done.stdout

    @contextlib.contextmanager
    def master(self, folder, *worker, address="127.0.0.1:0", **environment):
        """A master of two such workers; gives what runs einhornsh, and the port.

        With -k, so that no worker outlives a test that fails.
        """
        command_socket, log = folder / "einhorn.sock", folder / "einhorn.log"
        options = ["-k", "-b", address, "-n", "2", "-m", "manual", "-s", "0.1"]
        options += ["-d", command_socket, "-e", folder / "pid", "-f", folder / "lock"]
        with open(log, "w") as output:
            process = subprocess.Popen(
                [str(word) for word in (self.bin / "einhorn", *options, "--", *worker)],
                cwd=folder,
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
            )
        try:
            deadline = time.monotonic() + LONG
            while not (found := re.search(r"127\.0\.0\.1:(\d+)", log.read_text())):
                self.assertLess(time.monotonic(), deadline, log.read_text())
                self.assertIsNone(process.poll(), log.read_text())
                time.sleep(0.01)

            def tell(command):
                shell = self.bin / "einhornsh"
                return self.run_in(folder, shell, "-d", command_socket, "-e", command)

            yield tell, int(found[1])
            process.send_signal(signal.SIGUSR2)
            self.assertEqual(process.wait(LONG), 0, log.read_text())
        finally:
            process.kill()
            process.wait()

    def greeting(self, port, http):
        """What a worker says to a connection: all of them say hello, some in HTTP.

        Who does not read is not written to: to close with unread input resets the connection.
        """
        with socket.create_connection(("127.0.0.1", port), timeout=LONG) as connection:
            if http:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = b""
            while piece := connection.recv(4096):
                said += piece
        return said.decode()

    def wait_for_the_old_to_leave(self, tell):
        """The smallest workers do not wait for their connections when they stop."""
        deadline = time.monotonic() + LONG
        while len(json.loads(tell("status json"))["workers"]) > 2:
            self.assertLess(time.monotonic(), deadline)

    def check_worker(self, folder, *worker, http=False, **options):
        """The worker of a README serves, is replaced, serves again and stops."""
        with self.master(folder, *worker, **options) as (tell, port):
            for _ in range(2):
                self.assertRegex(self.greeting(port, http), r"hello\n\Z")
                # An upgrade is done when as many have acknowledged as there shall be.
                self.assertIn("upgrade done", tell("upgrade"))
                self.wait_for_the_old_to_leave(tell)
            self.assertRegex(self.greeting(port, http), r"hello\n\Z")


class Python(Installed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.venv = cls.folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", cls.venv], check=True)
        cls.python = cls.venv / "bin/python"
        cls.pip = [cls.python, "-m", "pip", "install", "--quiet", "--no-index"]
        subprocess.run([*cls.pip, package("*.whl")], check=True)

    def test_the_wheel_s_worker_works(self):
        (self.folder / "hello.py").write_text(readme("python", "python"))
        self.check_worker(self.folder, self.python, "hello.py")

    def test_the_worker_for_asyncio_works(self):
        text = (ROOT / "sdk-python/README.md").read_text()
        _, program = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        (self.folder / "hello_asyncio.py").write_text(program)
        self.check_worker(self.folder, self.python, "hello_asyncio.py")

    def test_the_library_s_own_tests_pass(self):
        shutil.copytree(ROOT / "sdk-python/tests", self.folder / "tests")
        self.run_in(self.folder, self.python, "-m", "unittest", "discover", "tests")

    def test_a_program_that_uses_the_types_is_checked(self):
        (self.folder / "typed.py").write_text(
            "import socket\nimport einhorn_worker\n\n"
            "listener: socket.socket = einhorn_worker.socket(0)\n"
            "index: int | None = einhorn_worker.child_index()\n"
            "@einhorn_worker.on_graceful_shutdown\ndef stop() -> None: ...\n"
        )
        mypy = [TOOLS / "python/bin/mypy", "--strict", "--python-executable", self.python]
        self.run_in(self.folder, *mypy, "typed.py")
        (self.folder / "typed_badly.py").write_text(
            "import einhorn_worker\neinhorn_worker.ping(1)\n"
        )
        with self.assertRaisesRegex(AssertionError, "incompatible type"):
            self.run_in(self.folder, *mypy, "typed_badly.py")

    def test_the_stubs_say_what_the_compiled_part_has(self):
        where = "import einhorn_worker, os; print(os.path.dirname(einhorn_worker.__file__))"
        package = self.run_in(self.folder, self.python, "-c", where).strip()
        shutil.copytree(package, self.folder / "stubs/einhorn_worker")
        paths = dict.fromkeys(("PYTHONPATH", "MYPYPATH"), str(self.folder / "stubs"))
        stubtest = [TOOLS / "python/bin/python", "-m", "mypy.stubtest", "einhorn_worker"]
        self.run_in(self.folder, *stubtest, **paths)

    def test_it_can_be_built_from_its_source_package(self):
        pip = TOOLS / "python/bin/pip"
        built = self.folder / "from-source"
        self.run_in(
            self.folder,
            *(pip, "install", "--quiet", "--no-build-isolation", "--target", built),
            package("einhorn_worker-*.tar.gz"),
            PATH=f"{TOOLS / 'python/bin'}:{self.environment['PATH']}",
            # That it builds is what counts here, not how quick it is then.
            CARGO_PROFILE_RELEASE_LTO="off",
            CARGO_PROFILE_RELEASE_OPT_LEVEL="0",
            CARGO_PROFILE_RELEASE_CODEGEN_UNITS="16",
        )
        program = "import einhorn_worker as e; print(e._native.__name__, e.is_worker())"
        said = self.run_in(self.folder, self.python, "-S", "-c", program, PYTHONPATH=str(built))
        self.assertEqual(said, "einhorn_worker._einhorn_worker False\n")


class Node(Installed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.project = cls.folder / "project"
        cls.project.mkdir()
        (cls.project / "package.json").write_text('{ "private": true }\n')
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", package("*.tgz")]
        subprocess.run(install, check=True, cwd=cls.project, env=cls.environment)

    def test_nothing_else_is_installed(self):
        installed = sorted(os.listdir(self.project / "node_modules"))
        self.assertEqual([name for name in installed if name[0] != "."], ["einhorn-worker"])

    def test_the_worker_works(self):
        (self.project / "hello.mjs").write_text(readme("node", "js"))
        self.check_worker(self.project, "node", "hello.mjs", http=True)

    def test_the_library_s_own_tests_pass(self):
        test = shutil.copy(ROOT / "sdk-node/test/worker.test.mjs", self.folder)
        self.run_in(self.folder, "node", "--test", test, EINHORN_TEST_PROJECT=str(self.project))

    def test_a_program_that_uses_the_types_is_checked(self):
        program = (
            "import { createServer, type Server } from 'node:http'\n"
            "import { ack, childIndex, listen, type EinhornErrorCode } from 'einhorn-worker'\n"
            "const server: Server = await listen(createServer(), 0, { backlog: 100 })\n"
            "const index: number | null = childIndex()\n"
            "const code: EinhornErrorCode = 'EINHORN_NOT_WORKER'\n"
            "ack().then(() => console.log(server, index, code))\n"
        )
        (self.project / "typed.mts").write_text(program)
        (self.project / "typed.cts").write_text(
            "import worker = require('einhorn-worker')\nworker.onGracefulShutdown(() => {})\n"
        )
        (self.project / "typed_badly.mts").write_text(
            "import { ping } from 'einhorn-worker'\nping(1)\n"
        )
        compiler = [TOOLS / "node/node_modules/.bin/tsc", "--noEmit", "--strict"]
        compiler += ["--target", "es2022", "--module", "nodenext", "--types", "node"]
        compiler += ["--typeRoots", TOOLS / "node/node_modules/@types"]
        compiler += ["--skipLibCheck", "--pretty", "false"]
        # One run for all, since the compiler is slow to start: one error, where it is due.
        with self.assertRaises(AssertionError) as raised:
            self.run_in(self.project, *compiler, "typed.mts", "typed.cts", "typed_badly.mts")
        errors = [line for line in str(raised.exception).splitlines() if "error TS" in line]
        self.assertEqual(len(errors), 1, errors)
        self.assertRegex(errors[0], r"^typed_badly\.mts\(2,6\).* not assignable to parameter")


class C(Installed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.folder / "c").mkdir()
        cls.prefix = unpack(package("einhorn-c-*.tar.gz"), cls.folder / "c")

    def pkg_config(self, *arguments):
        path = str(self.prefix / "lib/pkgconfig")
        flags = self.run_in(self.folder, "pkg-config", *arguments, "einhorn", PKG_CONFIG_PATH=path)
        return flags.split()

    def compile(self, source, out, *flags):
        strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        self.run_in(self.folder, *flags[:1], *strict, "-o", out, source, *flags[1:])
        return self.folder / out

    def test_the_worker_works_shared_and_static(self):
        (self.folder / "hello.c").write_text(readme("c", "c"))
        libraries = {"LD_LIBRARY_PATH": str(self.prefix / "lib")}
        shared = self.pkg_config("--cflags", "--libs")
        worker = self.compile("hello.c", "shared", "cc", "-std=c99", *shared)
        self.check_worker(self.folder, worker, address="127.0.0.1:0,n", **libraries)
        static = self.pkg_config("--static", "--cflags", "--libs")
        worker = self.compile("hello.c", "static", "cc", "-std=c99", "-static", *static)
        self.check_worker(self.folder, worker, address="127.0.0.1:0,n")

    def test_the_example_works(self):
        example = self.prefix / "share/doc/libeinhorn/examples/http_poll.c"
        shared = self.pkg_config("--cflags", "--libs")
        worker = self.compile(example, "http_poll", "cc", "-std=c99", *shared)
        libraries = {"LD_LIBRARY_PATH": str(self.prefix / "lib")}
        with self.master(self.folder, worker, address="127.0.0.1:0,n", **libraries) as (_, port):
            self.assertIn("200 OK", self.greeting(port, http=True))

    def test_a_c_plus_plus_program_compiles_and_runs(self):
        (self.folder / "program.cc").write_text(
            "#include <einhorn.h>\n#include <cstdio>\n"
            "int main() { std::puts(einhorn_strerror(einhorn_ack())); return einhorn_is_worker(); }\n"
        )
        shared = self.pkg_config("--cflags", "--libs")
        program = self.compile("program.cc", "program", "c++", "-std=c++11", *shared)
        libraries = {"LD_LIBRARY_PATH": str(self.prefix / "lib")}
        self.assertIn(
            "EINHORN_MASTER_PID is not set", self.run_in(self.folder, program, **libraries)
        )

    def test_pkg_config_knows_where_it_is(self):
        version = self.pkg_config("--modversion")
        self.assertEqual([f"einhorn-c-{v}" for v in version], [self.prefix.name.rsplit("-", 1)[0]])
        [libdir] = self.pkg_config("--variable=libdir")
        self.assertTrue(os.path.samefile(libdir, self.prefix / "lib"))

    def test_the_shared_library_loads_on_old_systems(self):
        symbols = self.run_in(self.folder, "readelf", "-V", self.prefix / "lib/libeinhorn.so.1")
        needed = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)", symbols)}
        self.assertLessEqual(max(needed), (2, 17))


class Ruby(Installed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gems = cls.folder / "gems"
        install = ["gem", "install", "--silent", "--local", "--no-document"]
        install += ["--install-dir", cls.gems, package("*.gem")]
        subprocess.run(install, check=True, env=cls.environment)
        [cls.library] = cls.gems.glob("gems/einhorn-worker-*/lib")

    def test_the_worker_works(self):
        (self.folder / "hello.rb").write_text(readme("ruby", "ruby"))
        self.check_worker(self.folder, "ruby", "-I", self.library, "hello.rb")

    def test_the_worker_works_as_a_gem(self):
        (self.folder / "hello_gem.rb").write_text(readme("ruby", "ruby"))
        self.check_worker(self.folder, "ruby", "hello_gem.rb", GEM_HOME=str(self.gems))

    def test_the_library_s_own_tests_pass(self):
        test = shutil.copy(ROOT / "sdk-ruby/test/worker_test.rb", self.folder)
        self.run_in(self.folder, "ruby", "-w", "-I", self.library, test)


class Rust(Installed):
    def test_the_worker_works(self):
        project = self.folder / "project"
        (project / "src").mkdir(parents=True)
        crates = {}
        for name in ("einhorn-protocol", "einhorn-worker"):
            (self.folder / name).mkdir()
            crates[name] = unpack(package(f"{name}-*.crate"), self.folder / name)
        version = crates["einhorn-worker"].name.rsplit("-", 1)[1]
        patches = "".join(f'{name} = {{ path = "{path}" }}\n' for name, path in crates.items())
        (project / "Cargo.toml").write_text(
            '[package]\nname = "hello"\nversion = "0.0.0"\nedition = "2021"\n\n'
            f'[dependencies]\neinhorn-worker = "{version}"\n'
            'rustix = { version = "1.1", features = ["event"] }\n\n'
            f"[patch.crates-io]\n{patches}"
        )
        (project / "src/main.rs").write_text(readme("rust", "rust,no_run"))
        self.run_in(project, "cargo", "build", "--quiet")
        self.check_worker(project, project / "target/debug/hello")


class Dist(unittest.TestCase):
    def test_nothing_is_missing_and_all_is_listed(self):
        manifest = (ROOT / "Cargo.toml").read_text()
        version = re.search(r'^version = "(.*)"', manifest, re.MULTILINE)[1]
        machine = os.uname().machine
        expected = [
            rf"einhorn_worker-{version}-cp39-abi3-manylinux\w+(\.manylinux\w+)?\.whl",
            rf"einhorn_worker-{version}\.tar\.gz",
            rf"einhorn-worker-{version}\.tgz",
            rf"einhorn-c-{version}-{machine}\.tar\.gz",
            rf"einhorn-protocol-{version}\.crate",
            rf"einhorn-worker-{version}\.crate",
            rf"einhorn-worker-{version}\.gem",
            rf"einhorn-{version}-{machine}\.tar\.gz",
        ]
        listed = re.findall(r"^[0-9a-f]{64}  (.+)$", (DIST / "CONTENTS").read_text(), re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(set(os.listdir(DIST)) - {"CONTENTS"}))
        for pattern in expected:
            found = [name for name in listed if re.fullmatch(pattern, name)]
            self.assertEqual(len(found), 1, pattern)
        self.assertEqual(len(listed), len(expected))


class Layout(Installed):
    def test_the_archives_have_what_make_install_has_in_the_same_places(self):
        (self.folder / "c").mkdir()
        archives = [self.bin.parent, unpack(package("einhorn-c-*.tar.gz"), self.folder / "c")]
        self.run_in(
            self.folder,
            ROOT / "packaging/install",
            FROM=str(self.bin),
            CFROM=str(archives[1] / "lib"),
            PREFIX="/usr/local",
            DESTDIR=str(self.folder / "installed"),
        )

        def files(root):
            return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}

        unpacked = files(archives[0]) | files(archives[1])
        apart = {path for path in unpacked if path.startswith("share/doc/libeinhorn/")}
        self.assertEqual(unpacked - apart, files(self.folder / "installed/usr/local"))
        self.assertIn("share/doc/libeinhorn/LICENSE", apart)

    def test_the_archive_has_everything_where_people_look_for_it(self):
        root = self.bin.parent
        for path in (
            "bin/einhornsh",
            "share/man/man1/einhorn.1",
            "share/man/man7/einhorn.7",
            "share/bash-completion/completions/einhornsh",
            "share/zsh/site-functions/_einhorn",
            "share/fish/vendor_completions.d/einhorn.fish",
            "share/doc/einhorn/docs/upgrades.md",
            "share/doc/einhorn/LICENSE",
        ):
            self.assertTrue((root / path).is_file(), path)
        unit = (root / "lib/systemd/system/einhorn@.service").read_text()
        self.assertIn("ExecStart=/usr/local/bin/einhorn ", unit)


if __name__ == "__main__":
    unittest.main()

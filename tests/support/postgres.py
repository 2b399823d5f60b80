"""A real PostgreSQL for tests: a server of its own in a temporary folder, on a Unix socket only."""

import atexit
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

USER = "postgres"
_NUMBERS = itertools.count(1)


def new_database() -> str:
    """URL of an empty database; without PostgreSQL the test is skipped, or fails where it must not be."""
    server, reason = _server_or_reason()
    if server is None:
        if os.environ.get("SHARPEYES_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return server.create(f"test_{next(_NUMBERS)}")


class PostgresServer:
    """A server that ends with the tests; data that is lost with the power does not matter here."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="sharpeyes-pg-"))
        self._as_root = os.geteuid() == 0
        if self._as_root:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam(USER)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off -c max_connections=50"
        self._run("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start")

    def create(self, name: str) -> str:
        """URL of a new database."""
        self._run("createdb", "-h", str(self._folder), "-U", USER, name)
        return f"postgresql+psycopg://{USER}@/{name}?host={self._folder}"

    def stop(self) -> None:
        """End it and delete its data."""
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self) -> None:
        """Cut all connections, and be back."""
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "restart", "-l", "log")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            user=USER if self._as_root else None,
            group=pwd.getpwnam(USER).pw_gid if self._as_root else None,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the server
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}")


@functools.cache
def _server_or_reason() -> tuple[PostgresServer | None, str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        return None, "PostgreSQL is not installed; tests/support/install-postgres.sh installs it"
    if os.geteuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return None, "PostgreSQL refuses to run as root, and there is no user postgres"
    server = PostgresServer(found[-1].parent)
    atexit.register(server.stop)
    return server, ""


def restart() -> None:
    """Restart the server, if there is one."""
    server, _ = _server_or_reason()
    if server is not None:
        server.restart()

"""A PostgreSQL of one's own to measure with: the tests' server, with commits that are on the disk."""

from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]

from tests.support.postgres import PostgresServer


class Postgres(PostgresServer):
    """See `start`."""

    @classmethod
    def start(cls) -> Self:
        """A server in a temporary folder, on a Unix socket only."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        if not found:
            raise SystemExit("PostgreSQL is not installed; tests/support/install-postgres.sh installs it")
        server = cls(found[-1].parent)
        # the tests' server does not sync; this one must, or its speed would mean nothing
        options = f"-k {server._folder} -c listen_addresses='' -c fsync=on -c max_connections=100"
        server._run("pg_ctl", "-D", "data", "-m", "fast", "-w", "-l", "log", "-o", options, "restart")
        return server

    @property
    def processes(self) -> list[psutil.Process]:
        """All of it."""
        pid = int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]

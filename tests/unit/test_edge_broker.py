"""The embedded server: up in a moment, found by local tools, gone with the node however that ends."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

import edge.broker
from edge.broker import HOST, EmbeddedBroker, read_broker_url
from edge.errors import BrokerError


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path, port=0) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.broker, "_PREDECESSOR_S", 0.05)


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def test_it_answers_with_the_password_only(broker: EmbeddedBroker) -> None:
    with client(broker.url) as connection:
        assert connection.ping()
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
    with client(broker.display_url) as connection, pytest.raises(redis.AuthenticationError):
        connection.ping()
    assert broker.display_url.startswith(f"redis://{HOST}:")
    assert broker.running


def test_local_tools_find_it_and_nobody_else_reads_the_password(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    assert read_broker_url(tmp_path) == broker.url
    assert (tmp_path / "broker.url").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "broker").stat().st_mode & 0o777 == 0o700
    assert broker.url.split("@")[0].removeprefix("redis://:") not in " ".join(
        psutil.Process(broker.pid).cmdline()
    )


def test_stopping_leaves_its_data_and_nothing_else(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "a b 北门", port=0)
    broker.start()
    server = psutil.Process(broker.pid)
    with client(broker.url) as connection:
        connection.xadd("stream", {"ce": "1"})
    broker.stop()
    broker.stop()
    assert not server.is_running()
    assert not broker.running
    with pytest.raises(BrokerError, match="does not run"):
        _ = broker.pid
    left = {str(path.relative_to(tmp_path / "a b 北门")) for path in (tmp_path / "a b 北门").rglob("*")}
    assert {name for name in left if "appendonly" not in name} == {"broker", "broker/valkey.log"}
    assert read_broker_url(tmp_path / "a b 北门") is None
    with EmbeddedBroker(tmp_path / "a b 北门", port=0) as again, client(again.url) as connection:
        assert connection.xlen("stream") == 1


def test_it_takes_no_part_in_the_terminals_ctrl_c(broker: EmbeddedBroker) -> None:
    assert os.getsid(broker.pid) != os.getsid(0)
    assert os.getpgid(broker.pid) != os.getpgid(0)


NODE = """
import sys, threading
from pathlib import Path
from edge.broker import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]), port=0)
broker.start()
print(broker.pid, flush=True)
threading.Event().wait()
"""


def test_it_ends_with_a_node_that_is_killed_and_the_next_one_starts(tmp_path: Path) -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    with node:
        try:
            assert node.stdout
            server = psutil.Process(next(int(line) for line in node.stdout if line.strip().isdigit()))
            first_url = read_broker_url(tmp_path)
        finally:
            node.kill()
    with EmbeddedBroker(tmp_path, port=0) as broker:
        assert read_broker_url(tmp_path) == broker.url != first_url
    assert psutil.wait_procs([server], timeout=10)[1] == []


def test_a_server_that_was_killed_starts_again_at_the_same_address(broker: EmbeddedBroker) -> None:
    url = broker.url
    with client(url) as connection:
        connection.config_set("appendfsync", "always")
        connection.xadd("stream", {"ce": "1"})
    server = psutil.Process(broker.pid)
    server.kill()
    psutil.wait_procs([server], timeout=10)
    assert broker._lease
    broker._lease.wait(10)
    assert not broker.running
    broker.restart()
    assert broker.running
    assert broker.url == url
    with client(url) as connection:
        assert connection.xlen("stream") == 1


def test_a_server_that_hangs_is_killed(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.broker, "_STOP_S", 0.05)
    server = psutil.Process(broker.pid)
    server.suspend()
    broker.stop()
    assert psutil.wait_procs([server], timeout=10)[1] == []


@pytest.mark.usefixtures("impatient")
def test_one_node_per_directory(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="another node"):
        EmbeddedBroker(tmp_path, port=0).start()
    with pytest.raises(BrokerError, match="runs already"):
        broker.start()
    assert broker.running
    assert read_broker_url(tmp_path) == broker.url


def test_a_taken_port_is_evaded(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        with EmbeddedBroker(tmp_path, port=taken) as broker:
            assert f":{taken}/" not in broker.url
    with EmbeddedBroker(tmp_path, port=taken) as broker:
        assert broker.display_url == f"redis://{HOST}:{taken}/0"


def test_a_port_taken_in_the_last_moment_is_evaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.broker, "_is_free", lambda port: True)
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        with EmbeddedBroker(tmp_path, port=taken) as broker, client(broker.url) as connection:
            assert f":{taken}/" not in broker.url
            assert connection.ping()


def test_damaged_data_is_reported_with_the_servers_words(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path, port=0) as broker, client(broker.url) as connection:
        connection.xadd("stream", {"ce": "1"})
    manifest = next((tmp_path / "broker" / "appendonlydir").glob("*.manifest"))
    manifest.write_text("this is no manifest")
    broker = EmbeddedBroker(tmp_path, port=0)
    with pytest.raises(BrokerError, match=r"ended at once: .*manifest"):
        broker.start()
    assert not broker.running
    assert read_broker_url(tmp_path) is None


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmbeddedBroker, "_answers", lambda self: False)
    broker = EmbeddedBroker(tmp_path, port=0)
    with pytest.raises(BrokerError, match="does not answer"):
        broker.start(timeout_s=0.1)
    assert not broker.running


def test_a_restart_that_fails_can_be_tried_again(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = broker.url
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedBroker, "_answers", lambda self: False)
        with pytest.raises(BrokerError, match="does not answer"):
            broker.restart(timeout_s=0.05)
    assert not broker.running
    broker.restart()
    assert broker.running
    assert broker.url == url
    broker.stop()
    with pytest.raises(BrokerError, match="never started, or stopped"):
        broker.restart()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BrokerError, match=r"file/broker cannot be used"):
        EmbeddedBroker(tmp_path / "file").start()


def test_a_machine_without_a_server_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Path:
        raise edge.broker.ValkeyServerError("Unsupported architecture: riscv64")

    monkeypatch.setattr(edge.broker, "get_binary_path", none)
    with pytest.raises(BrokerError, match=r"riscv64.*configure redis\.url"):
        EmbeddedBroker(tmp_path, port=0).start()


def test_a_long_log_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    log = tmp_path / "broker" / "valkey.log"
    log.write_bytes(b"x" * (edge.broker._LOG_BYTES + 1))
    with EmbeddedBroker(tmp_path, port=0):
        assert log.stat().st_size < edge.broker._LOG_BYTES

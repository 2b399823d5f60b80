import structlog

from edge.tally import Tally


def test_counts_every_error_and_logs_once_a_period():
    now = [0.0]
    tally = Tally(lambda: now[0], period_s=1.0)
    with structlog.testing.capture_logs() as logs:
        tally.add("a", ValueError("bad"))
        assert [(entry["camera"], entry["times"]) for entry in logs] == [("a", 1)]
        for _ in range(50):
            tally.add("a", ValueError("bad"))
        assert len(logs) == 1
        now[0] = 1.5
        tally.add("b", TypeError("worse"))
    assert {(e["camera"], e["error"], e["times"]) for e in logs[1:]} == {
        ("a", "ValueError: bad", 50),
        ("b", "TypeError: worse", 1),
    }
    assert tally.total("a") == 51
    assert tally.total("b") == 1
    assert tally.total("c") == 0

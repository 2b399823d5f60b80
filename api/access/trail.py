"""What the HTTP interface writes to the audit log, before it happens, and how refusals do not fill disks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from api.access.lockout import Rate
from api.access.roles import Principal
from edge.audit import AuditLog
from edge.audit_chain import Act, AuditError, plain

REFUSALS, REFUSALS_PER_S = 60, 1.0
"""Refusals and failures that are recorded one by one; of more, the next entry says how many."""


class Trail:
    """The audit log as routes write it. One loop only.

    Args:
        log: the node's; None where nothing may be done that must be recorded.
        now: monotonic seconds.
    """

    def __init__(self, log: AuditLog | None, now: Callable[[], float]) -> None:
        self._log = log
        self._rate = Rate(now, REFUSALS, REFUSALS_PER_S)
        self._untold = 0
        # one writes at a time anyway: whoever waits for the disk holds up nothing else
        self._worker = ThreadPoolExecutor(1, "audit")

    async def record(self, who: Principal, what: str, origin: str = "", **more: str) -> None:
        """Write an entry; it is on the disk when this returns, and only then may happen what it tells of.

        Args:
            who: who does it.
            what: such as `video.live`.
            origin: the address that asks.
            more: `outcome`, `object`, `why`, `detail`, as in `edge.audit_chain.Act`, cut to its lengths.

        Raises:
            AuditError: it cannot be written: refuse what was asked for.
        """
        if self._log is None:
            raise AuditError("nothing is recorded here without users: set access.users to true")
        lengths = {"outcome": 20, "object": 200, "why": 500, "detail": 300}
        told = {name: plain(text, lengths[name]) for name, text in more.items()}
        act = Act(
            plain(who.name, 80), what, unit=plain(who.unit, 100), role=plain(who.roles, 80),
            origin=plain(origin, 64), **told,
        )  # fmt: skip
        await asyncio.get_running_loop().run_in_executor(self._worker, self._log.append, act)

    async def refusal(self, who: Principal, what: str, origin: str = "", **more: str) -> None:
        """Write that something was refused or failed, unless too many were; see `record`.

        Raises:
            AuditError: it cannot be written.
        """
        if self._rate.take("all"):
            self._untold += 1
            return
        if self._untold:
            more["detail"] = (
                f"{self._untold} more before this were not recorded one by one; {more.get('detail', '')}"
            )
            self._untold = 0
        await self.record(who, what, origin, **more)

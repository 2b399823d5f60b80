"""The centre's memory: what came, what became of it, and who decided what; in SQLite or PostgreSQL."""

from api.center.store.store import Store

__all__ = ["Store"]

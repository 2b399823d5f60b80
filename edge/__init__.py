"""From tracks to events in Redis: analysis, incidents, outbox, publisher, runtime. Loses nothing."""

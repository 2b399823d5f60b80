"""From camera to frame: sources, decode, gate and schedule. May drop, and counts each drop."""

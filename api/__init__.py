"""The ways in: command line, HTTP, status page."""

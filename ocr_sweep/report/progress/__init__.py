"""The progress report: what was tried in a period, what it taught, what failed, and what to ask next, from the records alone."""

"""Trials side by side: where they run, what they need, how their ends are recorded."""

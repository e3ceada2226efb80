"""One trial in its own process: its folder, its work, its sealed results."""

"""A past run again: from its record alone, to a verdict that names the first step and the first thing that differs."""

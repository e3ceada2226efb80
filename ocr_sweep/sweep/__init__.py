"""The life of a study: its loop, and a room for each part of it."""

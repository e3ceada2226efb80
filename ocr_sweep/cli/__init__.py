"""Typer commands and rich tables; nothing else prints."""

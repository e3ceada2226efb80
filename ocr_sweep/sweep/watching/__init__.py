"""What a study tells while it runs, and whoever looks at it."""

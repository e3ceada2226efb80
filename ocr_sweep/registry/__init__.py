"""Registered models: which version is what, and which one is in production; mlflow enters here and in tracking."""

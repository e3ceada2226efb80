"""What is remembered of a run; mlflow enters here."""

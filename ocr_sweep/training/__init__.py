"""One trial: batches, phases, metrics, checkpoints. Knows neither Optuna nor MLflow."""

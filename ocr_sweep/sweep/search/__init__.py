"""What is proposed next, and what of it is on record; optuna enters here."""

"""The life of a study: ask, run, tell, confirm, reproduce; optuna enters here."""

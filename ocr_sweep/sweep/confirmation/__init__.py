"""Who won: the race of the best trials, the verdict, the audit of the pruner."""

"""What a project keeps: corpora, caches, and what can go."""

"""A study's summary in the tracking store: words, numbers, pictures."""

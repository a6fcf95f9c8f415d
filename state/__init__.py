"""What is remembered: sessions as folds of events, and the result cache."""

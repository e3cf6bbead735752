"""Feature vectors to probabilities: training the head, and the saved classifier."""

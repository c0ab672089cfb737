"""Makes the weights: synthetic temporal pairs, the two training programs, evaluation."""

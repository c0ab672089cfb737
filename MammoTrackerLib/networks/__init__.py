"""The two networks: Keras, nothing of mammograms."""

"""An archive of mammograms, and the manifest of what can be tracked in it."""

"""The pictures that the command writes."""

"""The `mammotracker` command, and what it writes."""

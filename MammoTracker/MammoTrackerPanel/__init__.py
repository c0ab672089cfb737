"""The parts of the MammoTracker module's panel."""

"""The one exception that bad input raises."""


class MammoTrackerError(Exception):
    """Input that cannot be used; the message says what is wrong and what to do.

    The message is shown to the user as it is, so it names no patient.
    """

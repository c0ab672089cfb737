"""The one exception that bad input raises."""


class MammoTrackerError(Exception):
    """Input that cannot be used; the message says what is wrong and what to do.

    The message is shown to the user as it is, so it names no patient. What cannot be printed,
    such as a file's name that is not UTF-8 or holds control characters, is escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            "".join(
                letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(message)
            )
        )

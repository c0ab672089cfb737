"""Text of others, such as names and paths, as it is: Qt takes it for HTML where it looks so."""

from __future__ import annotations

import html


def plain(text: str) -> str:
    """Return what a tool tip or a message box, which know no plain text, shows as this text."""
    if "<" not in text and "&lt;" not in text:
        return text
    return f'<span style="white-space: pre-wrap">{html.escape(text)}</span>'

"""What makes a sentence unusable, whatever file it came from."""

import unicodedata


def text_fault(text: str, *, max_chars: int) -> str:
    """Return why a text cannot be used, or an empty string.

    Reasons: empty; control characters only; control characters (anything of Unicode class Cc that is not white
    space, such as NUL); no letters or digits; too long (more than max_chars characters).
    """
    if not text.strip():
        return "empty"
    # Nearly every sentence is printable as a whole, and then holds no control character to count.
    controls = not text.isprintable() and sum(unicodedata.category(c) == "Cc" and not c.isspace() for c in text)
    if controls and not any(c.isprintable() and not c.isspace() for c in text):
        return "control characters only"
    if controls:
        return "control characters"
    if not any(c.isalnum() for c in text):
        return "no letters or digits"
    return "too long" if len(text) > max_chars else ""

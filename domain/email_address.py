"""An email address as people type it, made one that can be written to."""

from email_validator import EmailNotValidError, validate_email

from domain.address import has_invisible


def checked(text: str) -> str:
    """The address with blanks trimmed and its domain in lower case and ASCII, safe to stand in a header as it is.

    Syntax only: no name server is asked, so `.example` domains pass. Raises ValueError with one plain sentence, which
    does not repeat the address.
    """
    text = text.strip()
    if not text:
        raise ValueError("An email address is needed, such as name@practice.example, because none was given.")
    if has_invisible(text):
        raise ValueError("The email address has a line break or an invisible character in it; type it again.")
    if text.count("@") != 1:
        raise ValueError("The email address needs exactly one @; give one address such as name@practice.example.")
    normalised = _normalised(text)
    if normalised is not None:
        return normalised
    domain = text.partition("@")[2]
    if _normalised(f"x@{domain}") is None:
        raise ValueError(
            "The email address can't be written to because what stands after the @ is not the name of a mail domain; "
            "check it, for example practice.example."
        )
    raise ValueError(
        "The email address can't be written to because what stands before the @ has a character in the wrong place or "
        "is too long; use ASCII letters, digits, dots and hyphens."
    )


def _normalised(text: str) -> str | None:
    try:
        # Without SMTPUTF8, which many mail servers don't speak yet. Strict: at most 64 characters before the @.
        return validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True).ascii_email
    except EmailNotValidError:
        return None

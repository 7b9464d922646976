"""The four-digit PIN of a soft token: which ones are too easy to guess."""

from itertools import pairwise


def refusal(pin: str) -> str | None:
    """Why `pin` can't be taken, as one sentence that never contains it; None when it can.

    Refused are anything but four ASCII digits, one digit four times, and runs of the keypad up or down. Runs go round
    (…8, 9, 0, 1…), because the row of keys on a phone and on a keyboard ends in 0 rather than beginning with it.
    """
    # The sentences hold no digits, so that no PIN can stand in one.
    if len(pin) != 4 or not pin.isascii() or not pin.isdigit():
        return "The PIN has to be exactly four digits; choose one without letters, blanks or signs."
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if steps == {0}:
        return "The PIN is one digit four times, which is guessed first; choose four that are not all the same."
    if steps in ({1}, {9}):
        return "The PIN is a run of digits, which is guessed first; choose four that don't follow each other."
    return None

from email.headerregistry import Address as MailboxHeader

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.email_address import checked


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("miriam.aldous@lakeside.example", "miriam.aldous@lakeside.example"),
        ("  miriam.aldous@Lakeside.EXAMPLE \n", "miriam.aldous@lakeside.example"),
        ("O'Dell+tokens@example.com", "O'Dell+tokens@example.com"),
        ("x@münchen.example", "x@xn--mnchen-3ya.example"),
    ],
)
def test_what_is_kept(typed: str, kept: str) -> None:
    assert checked(typed) == kept


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "is needed"),
        ("   ", "is needed"),
        ("nobody", "exactly one @"),
        ("a@b@lakeside.example", "exactly one @"),
        ("a@lakeside.example, b@lakeside.example", "exactly one @"),
        ("a@lakeside.example\r\nBcc: b", "line break"),
        ("a\x00b@lakeside.example", "line break"),
        ("a\u200bb@lakeside.example", "line break"),
        ("a@lakeside", "after the @"),
        ("a@-lakeside.example", "after the @"),
        ("a@", "after the @"),
        ("a@[192.0.2.1]", "after the @"),
        ("a@localhost", "after the @"),
        ("@lakeside.example", "before the @"),
        ("a b@lakeside.example", "before the @"),
        (".a@lakeside.example", "before the @"),
        ("ä@lakeside.example", "before the @"),
        ("x" * 65 + "@lakeside.example", "before the @"),
        ("Ann <ann@lakeside.example>", "@"),
        ('"a b"@lakeside.example', "before the @"),
    ],
)
def test_what_is_refused_in_one_sentence(typed: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        checked(typed)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert typed.strip() == "" or typed.strip() not in sentence


@given(st.one_of(st.text(), st.builds("{}@{}.example".format, st.text(), st.text()), st.emails()))
def test_whatever_is_typed_nothing_is_injected_into_a_header(typed: str) -> None:
    try:
        kept = checked(typed)
    except ValueError:
        return
    assert kept.isascii()
    assert kept.isprintable()
    assert " " not in kept
    assert MailboxHeader(addr_spec=kept).addr_spec == kept
    assert checked(kept) == kept

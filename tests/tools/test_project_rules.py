"""What `make check` and `make audit-packages` say of a breach."""

from pathlib import Path

import pytest

from tools import audit_packages, check_project


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("httpx.Client(base_url=url)", "without a timeout"),
        ("httpx.AsyncClient(timeout=None)", "without a timeout"),
        ("httpx.post(url, json={})", "without a timeout"),
        ("smtplib.SMTP(host, port)", "without a timeout"),
        ("httpx.Client(timeout=5, verify=False)", "any certificate"),
        ("context.verify_mode = ssl.CERT_NONE", "any certificate"),
        ("httpx.Client(timeout=5)", None),
        ("httpx.Client(timeout=patience, verify=context)", None),
        ("smtplib.SMTP(host, port, timeout=10)", None),
    ],
)
def test_whatever_speaks_over_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, complaint: str | None
) -> None:
    monkeypatch.setattr(check_project, "ROOT", tmp_path)
    (tmp_path / "activities").mkdir()
    file = tmp_path / "activities" / "party.py"
    file.write_text(f"import httpx\n{code}\n")
    said = list(check_project.network([file]))
    assert len(said) == (complaint is not None)
    assert all(
        complaint in sentence and sentence.startswith("activities/party.py:2 ") for sentence in said if complaint
    )


def test_packages_with_known_vulnerabilities_fail_and_an_index_that_knows_nothing_does_not() -> None:
    good = {"name": "one", "version": "1.0", "vulns": []}
    bad = {"name": "two", "version": "2.0", "vulns": [{"id": "XYZ-2026-1", "fix_versions": ["2.1"]}]}
    unknown = {"name": "three", "skip_reason": "not found"}
    said, code = audit_packages.judged({"dependencies": [good, bad, unknown]})
    assert (said[0], code) == ("two 2.0 has XYZ-2026-1; fixed in 2.1, run `make lock`.", 1)
    assert audit_packages.judged({"dependencies": [good]}) == (["No known vulnerabilities in 1 packages."], 0)
    assert audit_packages.judged({"dependencies": [good, unknown]})[1] == 0
    said, code = audit_packages.judged({"dependencies": [unknown, unknown]})
    assert ("no advisory service" in said[0], code) == (True, 0)

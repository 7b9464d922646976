"""What `tokens stock` counts and what it calls low, without a stack."""

from collections import Counter

from sqlalchemy import text

from domain.policy import Policy
from starter.commands.stock import counted
from tests.stage import Stage

POLICY = Policy(low_stock_tokens=10, low_stock_tokens_of_batch=3)


def counts(stage: Stage) -> dict[tuple[str, str], tuple[int, bool]]:
    with stage.sessions() as session:
        return {(row["batch"], row["state"]): (row["tokens"], row["low"]) for row in counted(session, POLICY)}


def become(stage: Stage, state: str, where: str) -> None:
    with stage.sessions.begin() as session:
        session.execute(text(f"update tokens set state = '{state}' where {where}"))


async def test_low_by_batch_and_in_all(stage: Stage) -> None:
    assert counts(stage) == {("H-2026-01", "in_stock"): (40, False), ("T-2026-01", "in_stock"): (8, False)}
    become(
        stage,
        "shipped",
        "serial_number in (select serial_number from tokens where batch = 'T-2026-01' order by serial_number limit 5)",
    )
    assert counts(stage)["T-2026-01", "in_stock"] == (3, True)
    assert counts(stage)["H-2026-01", "in_stock"] == (40, False)
    become(
        stage,
        "active",
        "serial_number in (select serial_number from tokens where batch = 'H-2026-01' order by serial_number limit 33)",
    )
    # Seven and three: all that is in stock is low, other states never are.
    found = counts(stage)
    assert found["H-2026-01", "in_stock"] == (7, True)
    assert Counter(low for (_, state), (_, low) in found.items() if state != "in_stock") == {False: 2}
    become(stage, "destroyed", "state = 'in_stock'")
    assert counts(stage)["", "in_stock"] == (0, True)
    assert sum(tokens for tokens, _ in counts(stage).values()) == 48

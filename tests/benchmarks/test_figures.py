"""The benchmarks' own arithmetic, and that the bare workflow has the commands of the journey that it stands for."""

from pathlib import Path

import pytest

from benchmarks import chart, cpu, table
from benchmarks.driving import Round
from benchmarks.figures import REACH, Figure, Line, Spread


def figure(*pairs: tuple[float, float], key: str = "part/what") -> Figure:
    return Figure(key, "what", "ms", "bare", pairs)


def test_spread() -> None:
    assert Spread.of([3]) == Spread(3, 3, 3)
    assert Spread.of([4, 1, 2]) == Spread(1, 2, 4)
    assert Spread.of([1, 2, 3, 4, 5]) == Spread(2, 3, 4)
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_ratio_is_taken_pair_by_pair() -> None:
    """The machine was twice as slow during the second pair; the ratio does not see it."""
    found = figure((10, 5), (20, 10), (11, 5.5))
    assert found.ratio == Spread(2, 2, 2)
    assert found.ours.middle == 11
    assert found.as_json()["ratio"] == {"low": 2, "middle": 2, "high": 2}


@pytest.mark.parametrize(
    ("sense", "bound", "reached"),
    [("at least", 2, True), ("at least", 2.1, False), ("at most", 2, True), ("at most", 1.9, False)],
)
def test_a_line_is_judged_by_its_bound(sense: str, bound: float, reached: bool) -> None:
    line = Line("what", "ratio", sense, bound, "", ("part/what",))  # type: ignore[arg-type]
    assert line.judge([figure((10, 5))]).reached is reached


def test_a_line_is_judged_by_its_worst_figure_and_only_with_all_of_them() -> None:
    line = Line("what", "ours", "at most", 5, "ms", ("a/one", "a/two"))
    good, bad = figure((4, 1), key="a/one"), figure((6, 1), key="a/two")
    judged = line.judge([good, bad])
    assert judged.reached is False
    assert judged.found == Spread(6, 6, 6)
    assert line.judge([good]).word == "not measured"


def test_every_line_of_the_issue_is_judged() -> None:
    assert [line.asked for line in REACH] == [
        "at least 0.85",
        "at least 1.2",
        "at most 60",
        "at most 40",
        "at most 20 KB",
        "at most 1.3",
        "at most 2 s",
        "at most 300 MB",
        "at most 50 ms",
        "at most 1.15",
        "at most 3",
        "at most 1.15",
    ]


def test_tables_and_chart(tmp_path: Path) -> None:
    figures = [figure((12.345, 6), (13, 6)), figure((70, 60), key="history/hard/events")]
    text = table.markdown(figures)
    assert "| what | ms | 12.7 (12.3 to 13) | bare | 6 | 2.11 (2.06 to 2.17) |" in text
    assert "| events of a hard journey to Active | at most 60 | 70 | not reached |" in text
    assert "| import against a bare insert | at most 3 |  | not measured |" in text
    chart.draw(figures, tmp_path / "bench.svg")
    assert (tmp_path / "bench.svg").read_text().startswith("<?xml")


def test_processor_time_is_told_by_role() -> None:
    found = Round(10, 2.0, {"worker product": 1.0, "worker bare": 0.5, "postgres": 0.2})
    assert found.rate == 5
    assert found.milliseconds("worker") == 150
    assert cpu.between({"a": 1.0}, {"a": 1.5, "b": 2.0}) == {"a": 0.5, "b": 2.0}

"""The ratios as an SVG: a dot at the median, a bar from quartile to quartile, one row for each figure."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure


def draw(figures: Sequence[Figure], file: Path) -> None:
    """Writes the chart; ratios stand on a logarithmic axis, so that half and double lie equally far from one."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    drawn = list(reversed(figures))
    middles = [figure.ratio.middle for figure in drawn]
    errors = [
        [figure.ratio.middle - figure.ratio.low for figure in drawn],
        [figure.ratio.high - figure.ratio.middle for figure in drawn],
    ]
    shape, axes = pyplot.subplots(figsize=(9, 0.8 + 0.28 * len(drawn)), layout="constrained")
    axes.errorbar(middles, range(len(drawn)), xerr=errors, fmt="o", color="#1f5f8b", ecolor="#8fb3c9", capsize=3)
    axes.axvline(1, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_yticks(range(len(drawn)), [f"{figure.what} / {figure.against}" for figure in drawn], fontsize=7)
    axes.set_xlabel("ratio, median and quartiles")
    axes.grid(visible=True, axis="x", alpha=0.3)
    shape.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(shape)

"""The ablation in the form of the paper's Table 3, for a terminal and as Markdown.

Every table is made once, as rows of text, and rendered twice. Scores are shown in percent with one decimal, means over
training seeds with half their 95% interval; what is not known yet is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from focusdiff.ablation.arms import ARMS, BASE
from focusdiff.ablation.comparing import MEASURES, Comparison, Comparisons, SeedMean
from focusdiff.ablation.measuring import SAMPLERS
from focusdiff.ablation.results import ArmResult

__all__ = ["AGAINST", "TextTable", "ablation_tables", "to_markdown", "to_terminal"]

_MISSING = "–"  # noqa: RUF001 - an en dash
_HEADINGS = {"s_a": "s_a", "s_g": "s_g", "gap": "gap", "full_pass": "full pass"}
#: What each arm is held against, beside the base: the arm that lacks one thing of it.
AGAINST: dict[str, tuple[str, ...]] = {
    "vanilla": ("sft_pairs", "sft_more"), "vanilla_other_prompts": ("vanilla",), "wo_group": ("vanilla",),
    "wo_gt": ("vanilla",), "pair": ("vanilla", "wo_group", "wo_gt", "sft_pairs", "sft_more"),
    "pair_literal": ("vanilla", "pair"),
}  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """A table before it is rendered.

    Attributes:
        title: stands above it.
        note: how to read it; stands below.
        columns: headings.
        rows: as many cells as there are headings.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def ablation_tables(results: Sequence[ArmResult], *, judge: str) -> list[TextTable]:
    """Everything there is to show: scores by sampler, differences, subtasks, other judges and fidelity, training.

    Args:
        results: of one setting, in any order; arms that have none yet are left out.
        judge: whose scores.
    """
    samplers = [name for name in SAMPLERS if any(name in result.measured for result in results)]
    read = {sampler: Comparisons(results, sampler, judge) for sampler in samplers}
    return [
        *(_scores(results, read[sampler], sampler, judge) for sampler in samplers),
        *(_differences(read[sampler], sampler) for sampler in samplers),
        *(_subtasks(results, read[sampler], sampler) for sampler in samplers),
        _faithfulness(results, judge, samplers),
        _trainings(results),
    ]


def _arms_of(results: Iterable[ArmResult]) -> list[str]:
    there = {result.arm for result in results}
    return [name for name in ARMS if name in there]


def _scores(results: Sequence[ArmResult], read: Comparisons, sampler: str, judge: str) -> TextTable:
    rows = []
    for arm in _arms_of(results):
        means = [read.mean(arm, measure) for measure in MEASURES]
        seeds = next((mean.seeds for mean in means if mean), 0)
        rows.append((ARMS[arm].title, str(seeds), *map(_percent, means)))
    suite = results[0].setting["suite"]["name"]
    title = f"{SAMPLERS[sampler].title}: {suite}, judged by {judge}"
    note = "Percent; mean over training seeds ± half its 95% interval (Student's t over the seeds)."
    return TextTable(title, note, ("arm", "seeds", *(_HEADINGS[each] for each in MEASURES)), tuple(rows))


def _differences(read: Comparisons, sampler: str) -> TextTable:
    rows = []
    for arm in [name for name in ARMS if name in read.arms and name != BASE]:
        for other in [BASE, *AGAINST.get(arm, ())]:
            found = {measure: read.difference(arm, other, measure) for measure in MEASURES}
            first = next((each for each in found.values() if each), None)
            if first is not None:
                label = f"{ARMS[arm].title} − {ARMS[other].title}"  # noqa: RUF001 - a minus sign
                rows.append((label, str(first.over_seeds.seeds), *(_points(each) for each in found.values())))
    note = ("Points; mean difference, paired by training seed [95% over seeds] {95% over pairs}. The first "
            "interval speaks of other trainings, the second of other prompts; a claim needs the first.")  # fmt: skip
    columns = ("difference", "seeds", *(_HEADINGS[measure] for measure in MEASURES))
    return TextTable(f"{SAMPLERS[sampler].title}: differences", note, columns, tuple(rows))


def _subtasks(results: Sequence[ArmResult], read: Comparisons, sampler: str) -> TextTable:
    measured = next(each for result in results for each in result.measured.get(sampler, {}).values())
    names = measured.values.subtask_names
    rows = [
        (ARMS[arm].title, *("/".join(_short(read.mean(arm, measure, name)) for measure in ("s_a", "s_g"))
                            for name in names))
        for arm in _arms_of(results)
    ]  # fmt: skip
    note = "Percent, s_a/s_g, mean over training seeds."
    return TextTable(f"{SAMPLERS[sampler].title}: by subtask", note, ("arm", *names), tuple(rows))


def _faithfulness(results: Sequence[ArmResult], judge: str, samplers: Sequence[str]) -> TextTable:
    others = sorted({name for each in results for judges in each.measured.values() for name in judges} - {judge})
    columns = ["arm"]
    for sampler in samplers:
        columns += [f"{sampler}: s_g by {other}" for other in others]
        columns += [f"{sampler}: {what}" for what in ("wrong pixels", "blemished")]
    rows = []
    for arm in _arms_of(results):
        cells = [ARMS[arm].title]
        for sampler in samplers:
            cells += [_short(Comparisons(results, sampler, other).mean(arm, "s_g")) for other in others]
            cells += [_mean_of([each.fidelity.get(sampler, {}).get(what) for each in results if each.arm == arm])
                      for what in ("distance", "blemished")]  # fmt: skip
        rows.append(tuple(cells))
    note = ("Percent. Wrong pixels: share that the nearest rendered scene leaves unexplained; blemished: pictures with "
            "at least four such. They watch for rewards won with pictures that look like nothing.")  # fmt: skip
    return TextTable("Fidelity and judges that gave no reward", note, tuple(columns), tuple(rows))


def _trainings(results: Sequence[ArmResult]) -> TextTable:
    """FLOPs, seconds and whatever the trainer diagnosed, as means over seeds."""
    told = dict.fromkeys(name for result in results for name in result.training.get("diagnostics", {}))
    rows = []
    for arm in [name for name in _arms_of(results) if name != BASE]:
        mine = [result for result in results if result.arm == arm]
        figures = [
            _plain([result.training.get("steps") for result in mine], "{:.0f}"),
            _plain([result.training.get("images") for result in mine], "{:.0f}"),
            _plain([_tera(result.training.get("flops", {}).get("total")) for result in mine], "{:.1f}"),
            _plain([result.surroundings.get("training_cpu_seconds") for result in mine], "{:.0f}"),
        ]
        figures += [_plain([result.training.get("diagnostics", {}).get(name) for result in mine], "{:.3g}")
                    for name in told]  # fmt: skip
        rows.append((ARMS[arm].title, *figures))
    note = "Means over training seeds. TFLOPs are counted, not timed; processor seconds are those of one thread."
    return TextTable("What training took", note, ("arm", "steps", "images", "TFLOPs", "CPU s", *told), tuple(rows))


def _percent(mean: SeedMean | None) -> str:
    if mean is None:
        return _MISSING
    return f"{100 * mean.mean:.1f}" + ("" if mean.half is None else f" ± {100 * mean.half:.1f}")


def _short(mean: SeedMean | None) -> str:
    return _MISSING if mean is None else f"{100 * mean.mean:.1f}"


def _points(found: Comparison | None) -> str:
    if found is None:
        return _MISSING
    parts = [f"{100 * found.over_seeds.mean:+.1f}"]
    if found.over_seeds.interval is not None:
        low, high = found.over_seeds.interval
        parts.append(f"[{100 * low:+.1f}, {100 * high:+.1f}]")
    if found.over_pairs is not None:
        low, high = found.over_pairs
        parts.append(f"{{{100 * low:+.1f}, {100 * high:+.1f}}}")
    return " ".join(parts)


def _mean_of(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * sum(known) / len(known):.2f}" if known else _MISSING


def _plain(values: Iterable[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return form.format(sum(known) / len(known)) if known else _MISSING


def _tera(flops: float | None) -> float | None:
    return None if flops is None else flops / 1e12


def to_markdown(tables: Iterable[TextTable]) -> str:
    """GitHub's tables, each under a heading with its note."""
    return "\n".join(line for table in tables for line in _markdown_lines(table))


def _markdown_lines(table: TextTable) -> Iterator[str]:
    yield f"### {table.title}\n"
    yield f"| {' | '.join(table.columns)} |"
    yield f"|{'---|' * len(table.columns)}"
    yield from (f"| {' | '.join(row)} |" for row in table.rows)
    yield f"\n{table.note}\n"


def to_terminal(tables: Iterable[TextTable]) -> RenderableType:
    """A Rich renderable of all tables; one that is wider than the terminal is cut into several, side after side."""
    return Group(*(_Fitting(table) for table in tables))


@dataclass(frozen=True)
class _Fitting:
    """A table whose columns are shown in as many blocks as the width needs; each names the rows again."""

    table: TextTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [_Column.of(self.table, place) for place in range(len(self.table.columns))]
        title: Text | None = Text(self.table.title, style="bold")
        for block in _blocks(columns, options.max_width):
            rendered = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
            for place, column in enumerate(block):
                rendered.add_column(column.heading, justify="right" if place else "left", width=column.width)
            for row in zip(*(column.cells for column in block), strict=True):
                rendered.add_row(*map(Text, row))
            yield rendered
            title = None
        yield Text(self.table.note + "\n", style="dim")


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: tuple[str, ...]
    width: int

    @classmethod
    def of(cls, table: TextTable, place: int) -> _Column:
        """A column as a terminal shows it: intervals below their means, headings broken between words."""
        heading = table.columns[place]
        if heading not in _HEADINGS.values():
            heading = heading.replace("_", " ")
        cells = tuple(row[place].replace(" [", "\n[").replace(" {", "\n{") for row in table.rows)
        lines = [line for cell in cells for line in cell.split("\n")]
        return cls(heading, cells, max(map(cell_len, [*heading.split(), *lines])))


def _blocks(columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """Columns that fit side by side, the first of all before each block."""
    first, *others = columns
    edges, between = 2, 3  # characters of the box around a row and between two columns
    block: list[_Column] = []
    taken = edges + first.width
    for column in others:
        if block and taken + between + column.width > width:
            yield [first, *block]
            block, taken = [], edges + first.width
        block.append(column)
        taken += between + column.width
    yield [first, *block]

"""Which runs stand in the rows of the paper's tables 2 to 5, and of the table of its claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from uniperceiver.config import ConfigError, ImageEncoderConfig, TaskKind
from uniperceiver.reproduction import paper_figures
from uniperceiver.reproduction.baseline import Baseline
from uniperceiver.reproduction.paper_figures import PaperFigures
from uniperceiver.reproduction.variation import Encoder, Variation

TableName = Literal["table2", "table3", "table4", "table5", "claim"]
TABLE_NAMES: tuple[TableName, ...] = ("table2", "table3", "table4", "table5", "claim")


@dataclass(frozen=True)
class Column:
    """A metric of a task."""

    task: TaskKind
    metric: str
    """Its name in `EvaluationResult.metrics`."""
    title: str
    """Short: the tables are wide."""
    needs_regions: bool = False


COLUMNS = (
    Column("detection", "box_ap", "box AP", needs_regions=True),
    Column("classification", "top1", "top-1"),
    Column("retrieval", "image_to_text_r1", "I2T R@1"),
    Column("retrieval", "text_to_image_r1", "T2I R@1"),
    Column("captioning", "bleu4", "BLEU-4"),
    Column("detection", "mask_ap", "mask AP", needs_regions=True),
    Column("masked_language_modeling", "top1", "words"),
    Column("visual_question_answering", "accuracy", "VQA"),
)
"""The five figures of the paper's ablations, in its order, and three more: its ablations leave these tasks out."""

TASK_TITLES: dict[TaskKind, str] = {
    "detection": "Detection",
    "classification": "Classification",
    "retrieval": "Retrieval",
    "captioning": "Captioning",
    "masked_language_modeling": "Masked Words",
    "visual_question_answering": "VQA",
}
"""Names of the tasks in the rows of Tab. 3."""


@dataclass(frozen=True)
class Row:
    """A row: what it is called, the paper's figures, and which of our runs gives the figures of each stream."""

    title: str
    """Its name in a word or two."""
    labels: tuple[str, ...]
    """What stands in its first columns."""
    paper: PaperFigures | None
    """None: the paper has no such row."""
    runs: Mapping[str, Variation]
    """Stream → the run that trained it; a stream without one has no figure. Empty: a row of the paper's alone."""
    reference: str | None = None
    """Title of the row to which gaps are given."""


@dataclass(frozen=True)
class Contrast:
    """Two rows to compare, seed by seed."""

    claim: str
    row: str
    """Title of the row that should be as good…"""
    against: str
    """…as this one…"""
    tolerance: float
    """…or below it by at most this part of it."""


@dataclass(frozen=True)
class AblationTable:
    """A table to fill with runs."""

    name: TableName
    title: str
    headers: tuple[str, ...]
    """Of the labels of the rows."""
    rows: tuple[Row, ...]
    contrasts: tuple[Contrast, ...] = ()
    note: str = ""

    def variations(self) -> list[Variation]:
        """Every run of one seed once, in the order of the rows."""
        return list(dict.fromkeys(variation for row in self.rows for variation in row.runs.values()))

    def only(self, titles: Sequence[str]) -> AblationTable:
        """The table with some of its rows.

        Raises:
            ConfigError: a title of no row.
        """
        known = [row.title for row in self.rows]
        unknown = [title for title in titles if title not in known]
        if unknown:
            raise ConfigError(f"{self.name} has no row {', '.join(unknown)}: its rows are {', '.join(known)}")
        return replace(
            self,
            rows=tuple(row for row in self.rows if row.title in titles),
            contrasts=tuple(c for c in self.contrasts if c.row in titles and c.against in titles),
        )


def ablation_table(name: str, baseline: Baseline, encoders: Sequence[Encoder] = ()) -> AblationTable:
    """One of `TABLE_NAMES`; ``encoders`` are further rows of Tab. 5.

    Raises:
        ConfigError: no such table, or ``encoders`` for another than table5.
    """
    if encoders and name != "table5":
        raise ConfigError(f"encoders are rows of table5, not of {name}")
    match name:
        case "table2":
            return _table_2(baseline)
        case "table3":
            return _table_3(baseline)
        case "table4":
            return _table_4(baseline)
        case "table5":
            return _table_5(baseline, encoders)
        case "claim":
            return _claim(baseline)
    raise ConfigError(f"no table {name!r}: give one of {', '.join(TABLE_NAMES)}")


def _joint(variation: Variation) -> dict[str, Variation]:
    """One run for all its streams."""
    return dict.fromkeys(variation.streams, variation)


def _table_2(baseline: Baseline) -> AblationTable:
    streams = baseline.streams
    blind = {baseline.stream_of(column.task) for column in COLUMNS if column.needs_regions}
    runs = {
        "Global": Variation(tuple(name for name in streams if name not in blind), "global"),
        "Regional": Variation(streams, "regional"),
        "Global + Regional": Variation(streams),
    }
    rows = [Row(name, (name,), paper_figures.TABLE_2[name], _joint(variation)) for name, variation in runs.items()]
    title = "Table 2. Representation types for general region proposals"
    return AblationTable("table2", title, ("Representation Types",), tuple(rows))


def _table_3(baseline: Baseline) -> AblationTable:
    plain, conditional = _task_rows(baseline, is_conditional=False), _task_rows(baseline, is_conditional=True)
    title = "Table 3. Collaboration and interference between tasks"
    note = "In brackets: gaps to All Tasks; of the rows w/ MoE but All Tasks w/ MoE itself, to that row."
    return AblationTable("table3", title, ("Tasks",), (*plain, *conditional), note=note)


def _task_rows(baseline: Baseline, is_conditional: bool) -> list[Row]:
    """Single-task models, all tasks, and all but one of them."""
    streams, suffix = baseline.streams, " w/ MoE" if is_conditional else ""

    def row(title: str, runs: dict[str, Variation], reference: str | None) -> Row:
        title += suffix
        return Row(title, (title,), paper_figures.TABLE_3.get(title), runs, reference)

    everything = f"All Tasks{suffix}"
    rows = [
        row("Single Task", _single(baseline, is_conditional), everything),
        row("All Tasks", _joint(Variation(streams, is_conditional=is_conditional)), _plain_all(is_conditional)),
    ]
    for task, title in TASK_TITLES.items():
        stream = baseline.stream_of(task)
        if stream is not None:
            rest = tuple(name for name in streams if name != stream)
            rows.append(row(f"w/o {title}", _joint(Variation(rest, is_conditional=is_conditional)), everything))
    return rows


def _plain_all(is_conditional: bool) -> str | None:
    return "All Tasks" if is_conditional else None


def _single(baseline: Baseline, is_conditional: bool) -> dict[str, Variation]:
    """A run of its own for every stream."""
    return {name: Variation((name,), is_conditional=is_conditional) for name in baseline.streams}


_ONE_PROCESS = (
    "All runs were trained in one process, where there is nothing to gather: the rows with and without Gather Feature "
    "are the same runs."
)


def _table_4(baseline: Baseline) -> AblationTable:
    title = "Table 4. Sampling strategies and improved optimizer"
    headers = ("Task Sampling", "Gather Feature", "MT-AdamW Optimizer")
    note = _ONE_PROCESS if baseline.processes == 1 else ""
    return AblationTable("table4", title, headers, tuple(_sampling_rows(baseline)), note=note)


def _sampling_rows(baseline: Baseline) -> list[Row]:
    # Without others there is nothing to gather: one run, not two with equal results.
    plain = Variation(baseline.streams, optimizer="adamw", gathers_negatives=baseline.processes == 1)
    gathered = replace(plain, gathers_negatives=True)
    runs = (replace(plain, sampling="mixed"), plain, gathered, Variation(baseline.streams))
    titles = ("mixed", "unmixed", "unmixed gathered", "unmixed gathered MT-AdamW")
    return [
        Row(title, labels, paper, _joint(run))
        for title, (labels, paper), run in zip(titles, paper_figures.TABLE_4.items(), runs, strict=True)
    ]


def _table_5(baseline: Baseline, encoders: Sequence[Encoder]) -> AblationTable:
    image = baseline.model.image
    assert isinstance(image, ImageEncoderConfig)  # Baseline checks it
    own = {("None", ""): Variation(baseline.streams, encoder=Encoder("None", "", None))}
    if image.backbone.pretrained is not None:
        own["Supervised", "IN-1k"] = Variation(baseline.streams)
    given = {(e.method, e.data): Variation(baseline.streams, encoder=e) for e in encoders}
    runs = own | given
    rows = [
        Row(
            " ".join(labels).strip(),
            labels,
            paper_figures.TABLE_5.get(labels),
            _joint(runs[labels]) if labels in runs else {},
        )
        for labels in dict.fromkeys((*own, *paper_figures.TABLE_5, *given))
    ]
    title = "Table 5. Pre-trained image encoders"
    note = "Without pre-training the backbone is not frozen, and its batch norms are the identity."
    return AblationTable("table5", title, ("Pretrained Method", "Pretrained Data"), tuple(rows), note=note)


def _claim(baseline: Baseline) -> AblationTable:
    """Joint against single-task training (Tab. 3), and the strategies of Tab. 4."""
    title = "one model per task"
    singles = Row(
        title, (title, "✓", "✓"), paper_figures.TABLE_3["Single Task"], _single(baseline, is_conditional=True)
    )
    rows = (singles, *_sampling_rows(baseline))
    mixed, plain, gathered, joint = (row.title for row in rows[1:])
    contrasts = (
        Contrast("Joint training within 5 % of every single-task model", joint, singles.title, 0.05),
        Contrast("MT-AdamW no worse than AdamW", joint, gathered, 0.0),
        Contrast("Unmixed sampling no worse than mixed, with AdamW", plain, mixed, 0.0),
    )
    note = "The paper's single-task models have no MoE; ours have it in every row."
    if baseline.processes == 1:
        note = f"{note} {_ONE_PROCESS}"
    headers = ("Task Sampling", "Gather Feature", "MT-AdamW Optimizer")
    return AblationTable("claim", "The paper's claim in small (Tables 3 and 4)", headers, rows, contrasts, note)

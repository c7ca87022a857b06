"""The model card of a trial, in Markdown with the front matter of the Hugging Face Hub: the model, its guarantee, its
limits.

The card is made from the trial's record, and holds no real image. Without a dataset that is declared public, it has no
scores either: they are computed from real images, which no guarantee protects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Context
from typing import NamedTuple

from dpbench.core.counted import counted
from dpbench.core.metric import Column
from dpbench.core.variants import titled
from dpbench.results.privacy_record import Record
from dpbench.results.provenance import now
from dpbench.results.record import TrialRecord
from dpbench.results.rounding import privacy, rounded
from dpbench.results.stored_ledger import StoredLedger, segments_of

BETTER = {"high": "higher", "low": "lower", None: ""}

MOST_CLASSES = 20
"""Maximum number of classes that a card lists."""

ACCOUNTANTS = {"PLD": "privacy loss distributions (PLD)"}


class Origin(NamedTuple):
    """The content of a card that is not in the trial's folder.

    Attributes:
        summary: a description of the method in one line; "" if the method is not known.
        paper: where the method was published, e.g. "arXiv 2602.23262"; "" for nowhere.
        command: the command that makes the trial again; "" if it is not known.
        runs: the private runs on the same images, according to this user's privacy record.
    """

    summary: str
    paper: str
    command: str
    runs: Record


class CardScores(NamedTuple):
    """The scores of a card.

    Attributes:
        values, ci95: column -> value, and half of its 95% interval; see scores.json.
        real: column -> the score of as many real images.
        columns: what the columns mean.
    """

    values: Mapping[str, float | None]
    ci95: Mapping[str, float]
    real: Mapping[str, float]
    columns: Sequence[Column]


def model_card(record: TrialRecord, ledger: StoredLedger, origin: Origin, measured: CardScores) -> str:
    """The card of a finished trial that dpbench trained.

    Args:
        record, ledger: the trial's record and ledger.
        origin: see `Origin`.
        measured: see `CardScores`; left out of the card unless the dataset is declared public.
    """
    sections = {
        "Method": _method(record, origin),
        "Privacy guarantee": [_guarantee(record), *_spending(record, ledger)],
        "What the guarantee does not cover": _limits(record, origin.runs),
        "Scores": _scores(record, measured),
        "What it must not be used for": _misuse(record),
        "How it was made": _making(record, origin.command),
        "More images": _sampling(),
    }
    parts = [_front_matter(record), f"# {_title(record)}", *_introduction(record)]
    for heading, paragraphs in sections.items():
        parts += [f"## {heading}", *paragraphs]
    return "\n\n".join(parts)


def _front_matter(record: TrialRecord) -> str:
    import yaml

    content = {
        "license": "other",
        "library_name": "dpbench",
        "pipeline_tag": "text-to-image" if record.caption_bytes else "unconditional-image-generation",
        "tags": ["differential-privacy", "synthetic-data", "image-generation", record.method],
    } | ({"datasets": [record.dataset]} if record.public_benchmark else {})
    return f"---\n{yaml.safe_dump(content, allow_unicode=True, sort_keys=False)}---"


def _title(record: TrialRecord) -> str:
    return f"{titled(record.method, record.variant)} on {record.dataset}, {_budget(record)}"


def _budget(record: TrialRecord) -> str:
    assert record.epsilon is not None
    return privacy(record.epsilon)


def _introduction(record: TrialRecord) -> Iterator[str]:
    size, colour = f"{record.resolution}×{record.resolution}", "grey" if record.channels == 1 else "colour"
    learned = (
        "that has seen only public data" if record.epsilon == 0 else f"trained on the images of `{record.dataset}`"
    )
    yield f"An image generator {learned}, and images drawn from it: {size} pixels, {colour}{_conditions(record)}."
    yield (
        "All images here are synthetic. No licence is chosen: before you publish this, replace `other` above by your "
        "licence, as far as the terms of the data and of pretrained weights allow."
    )


def _conditions(record: TrialRecord) -> str:
    if record.caption_bytes:
        return f", drawn with prompts ({record.prompts})"
    classes = record.classes or ()
    if not classes:
        return ""
    names = ", ".join(classes[:MOST_CLASSES])
    return f", of {len(classes)} classes ({names}{', ...' if len(classes) > MOST_CLASSES else ''})"


def _method(record: TrialRecord, origin: Origin) -> Iterator[str]:
    published = f" It was published as {origin.paper}." if origin.paper else ""
    summary = f": {origin.summary.rstrip('.')}." if origin.summary else "."
    source = f"version {record.method_version}, from {record.method_source or 'dpbench'}"
    yield f"`{record.method}` {source}{summary}{published}"
    private, total = record.parameters_private or 0, record.parameters_total or 0
    yield from _listed(
        {
            "settings": f"preset `{record.preset}`" + (f", changed: `{record.variant}`" if record.variant else ""),
            "tuned on": record.tuning,
            "public images": record.public_source,
            "pretrained weights": record.pretrained,
            "public data of any kind": "" if record.public_source or record.pretrained else "none",
            "parameters trained on private data": f"{private:,} of {total:,}",
        }
    )


def _guarantee(record: TrialRecord) -> str:
    if record.epsilon == 0:
        return "No private record was read: the guarantee holds for any ε."
    if reason := _why_none(record):
        return f"**None.** {reason}. Protect the model and its images like the records, unless those are public."
    assert record.epsilon_spent is not None
    assert record.epsilon_rdp is not None
    assert record.delta is not None
    stated = f"({_rounded_up(record.epsilon_spent)}, {_rounded_up(record.delta)})-differentially private"
    accountant = ACCOUNTANTS.get(record.accountant, record.accountant)
    return (
        f"The generator and all images drawn from it, however many, are together **{stated}** with respect to the "
        f"{record.n_train:,} training records of `{record.dataset}`. A record is one image with its label or captions. "
        f"Neighbouring datasets differ in {record.neighbouring}. ε is stated by {accountant} over all releases; by "
        f"Rényi accounting it is {_rounded_up(record.epsilon_rdp)}. {_budget(record)} was requested, and noise was "
        "calibrated to it before training."
    )


def _why_none(record: TrialRecord) -> str:
    """Why a model that has seen private records has no guarantee; "" if it has one."""
    if record.accounting == "unverified":
        return f"Records were read outside the mechanisms: {'; '.join(record.unverified)}"
    if record.epsilon is None or math.isinf(record.epsilon):
        return "It was trained without noise, as a reference"
    return (
        "Its noise came from a known seed, for a test, and can be subtracted" if record.noise == "reproducible" else ""
    )


def _rounded_up(value: float) -> str:
    """Four significant digits, rounded up, so that the stated guarantee is never stronger than the actual one."""
    return f"{float(Context(prec=4, rounding=ROUND_CEILING).create_decimal(repr(value))):g}"


def _spending(record: TrialRecord, ledger: StoredLedger) -> Iterator[str]:
    """The releases of each mechanism, as in the ledger."""
    lines = [
        f"| {m.name} | {m.kind} | {part['releases']:,} | {part['rate']:.4g} | {m.clip:g} | {part['noise']:.4g} |"
        for m in ledger.mechanisms
        for part in segments_of(m)
    ]
    if lines:
        heads = ("mechanism", "kind", "releases", "sampling rate", "clip", "noise multiplier")
        yield "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines])


def _limits(record: TrialRecord, runs: Record) -> Iterator[str]:
    limits = [
        "Scores computed from real images, here or elsewhere.",
        "Other models trained on the same images: guarantees add up. " + _known_runs(runs),
        "Several records of one person, or facts about a person that other people's records show as well.",
        "Public images and pretrained weights: they may be memorised.",
        "Exact noise is assumed; dpbench draws it in floating point, from generators that are not cryptographic. Its "
        "checks guard against mistakes in a method's code, not against malice.",
    ]
    yield "\n".join(f"- {limit}" for limit in limits)


def _known_runs(runs: Record) -> str:
    if not runs.runs:
        return "The privacy record of the machine that wrote this card knows of no run."
    return (
        f"On {now()[:10]}, the privacy record of the machine that wrote this card had "
        f"{counted(runs.runs, 'private run')} on them, Σε = {runs.epsilon:g}."
    )


def _scores(record: TrialRecord, measured: CardScores) -> Iterator[str]:
    if not record.public_benchmark:
        yield (
            "Scores are left out: they are computed from real images, which no guarantee protects, and the dataset is "
            "not declared public."
        )
        return
    known = {column.name: column for column in measured.columns}
    shown = {name: value for name, value in measured.values.items() if value is not None}
    if not shown:
        yield "There are none."
        return
    heads = ["score", "value", *(["real images"] if measured.real else []), "better", "meaning"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, value in shown.items():
        real = [rounded(measured.real[name]) if name in measured.real else ""] if measured.real else []
        meaning = [BETTER[known[name].better], known[name].help] if name in known else ["", ""]
        cells = [name, rounded(value, measured.ci95.get(name, math.nan)), *real, *meaning]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    yield "\n".join(lines)
    yield "Compared with the test split, which was opened once, after sampling. ± is a 95% interval."


def _misuse(record: TrialRecord) -> Iterator[str]:
    uses = [
        "Decisions about people, diagnoses or measurements. The images show nobody and nothing that exists.",
        "Claims about the real data without checking the real data: rare classes and details are lost first, and "
        "biases of the data stay.",
        "A proof that the *real* images may be published, or that other models of them are private.",
        "Attempts to find out who was in the training data.",
        "Passing the images off as real ones.",
    ]
    if record.is_sensitive:
        uses.insert(0, "Publication. No guarantee protects the records behind it.")
    yield "\n".join(f"- {use}" for use in uses)


def _making(record: TrialRecord, command: str) -> Iterator[str]:
    if command:
        yield f"```\n{command}\n```"
        yield "The noise is drawn anew in every run, so another run gives another model of the same kind."
    yield from _listed(
        {
            "seed": str(record.seed),
            "dpbench": " ".join(filter(None, [record.dpbench_version, record.git_commit])),
            "device": f"{record.device}, {record.computed_in}",
            "date": record.date,
            "trial": record.key,
        }
    )


def _sampling() -> Iterator[str]:
    yield "In this folder, with dpbench installed:"
    yield "```\ndpbench sample . --count 1000\n```"
    yield "Drawing more images reads no private record and costs no privacy. Existing images are in `samples/`."


def _listed(facts: Mapping[str, str]) -> Iterable[str]:
    """One paragraph with a line for each known fact."""
    return ["\n".join(f"- {name}: {fact}" for name, fact in facts.items() if fact)]

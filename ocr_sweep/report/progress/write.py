"""The report as slides and as a work log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import store_errors, write_bytes
from ocr_sweep.registry.chain import Entry
from ocr_sweep.report.page import write_page
from ocr_sweep.report.progress.news import News, StudyNews, Training, gather
from ocr_sweep.report.progress.period import Period
from ocr_sweep.report.svg import Scale, bottom_axis, drawing, line, mark, padded, text
from ocr_sweep.report.words import percent
from ocr_sweep.tracking.tracker import Tracker

_WIDTH, _NAME, _ROW = 620, 190, 19  # pixels
_MOST = 16  # trainings that a picture shows
_DID = {
    "found": "stood, moved by others, on",
    "promote": "went to",
    "rollback": "went back to",
    "vacate": "points nowhere; it was on",
    "refuse": "was refused",
}


@dataclass(frozen=True)
class Written:
    """Where a report is."""

    slides: Path
    log: Path
    news: News


def write_report(period: Period, tracker: Tracker, paths: Paths) -> Written:
    """Write slides (HTML) and a work log (Markdown) into the reports; a report of the same day is replaced.

    No test number is read for it: it tells what validation says.

    Raises:
        StoreError: a store is unavailable, or the disk refuses.
    """
    news = gather(period, tracker, paths)
    name = f"progress-{period.until:%Y-%m-%d}"
    log = paths.reports / f"{name}.md"
    with store_errors(f"creating {paths.reports}"):
        paths.reports.mkdir(parents=True, exist_ok=True)
    write_bytes(log, "\n".join(log_lines(news)).encode("utf-8", "backslashreplace"))
    content = {
        "title": f"Progress, {period}",
        "news": news,
        "pictures": {study.study: picture(study) for study in news.studies},
        "questions": [(study.study, question) for study in news.studies for question in study.questions],
    }
    filters: dict[str, Callable[..., Any]] = {"counts": counts, "interval": interval, "event": event, "bare": bare}
    slides = write_page(paths.reports / f"{name}.html", "progress/slides.html", content, filters)
    return Written(slides, log, news)


def log_lines(news: News) -> Iterator[str]:
    """The work log: an entry for each study, and the models."""
    yield f"# Progress, {news.period}"
    yield ""
    if not news.studies:
        yield "No study ran in this time."
    else:
        yield f"{said(news)}."
    for study in news.studies:
        yield from _entry(study)
    if news.models:
        yield from ("", "## Models", "")
        for model in news.models:
            yield from (f"- {_plain(model.model)}: {_plain(event(entry))}" for entry in model.entries)
            if model.broken:
                yield f"- {_plain(model.model)}: {_plain(model.broken)}"
    yield ""


def _entry(study: StudyNews) -> Iterator[str]:
    mark = " (simulated)" if study.simulated else ""
    yield from ("", f"## {study.ended:%Y-%m-%d} {_plain(study.study)}", "")
    yield f"- Asked: {_plain(study.question) or 'no question is on record'}"
    days = f"{study.began:%Y-%m-%d} to {study.ended:%Y-%m-%d}"
    yield f"- Done: {counts(study.outcomes)}, {study.hours:.1f} hours of training, {days}"
    yield f"- Learnt: {_plain(study.learnt)}{mark}"
    if study.best is not None:
        which = "Winner" if study.best.winner else "Best so far"
        yield f"- {which}: {_plain(study.best.name)}, {study.metric}{mark} {interval(study.best)}"
    if study.arms:
        each = ", ".join(f"{_plain(one.arm)} {interval(one)}" for one in study.arms)
        yield f"- Best training of each arm{mark}: {each}"
    for reason, count in study.failures:
        yield f"- Failed: {count} with `{_plain(reason)}`"
    for verdict, count in study.reproductions.items():
        yield f"- Reproduced: {count} {_plain(verdict)}"
    for question in study.questions:
        yield f"- Next: {question}"


def said(news: News) -> str:
    """3 studies, 41 trainings, 6.2 hours of training."""
    pairs = ((len(news.studies), "study", "studies"), (news.trainings, "training", "trainings"))
    return ", ".join(
        [*(f"{count} {one if count == 1 else many}" for count, one, many in pairs), f"{news.hours:.1f} hours of training"]
    )


def counts(outcomes: Mapping[str, int]) -> str:
    """7 trainings: 6 complete, 1 failed."""
    total = sum(outcomes.values())
    said = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items(), key=lambda pair: -pair[1]))
    return f"{total} {'training' if total == 1 else 'trainings'}" + (f": {said}" if said else "")


def interval(one: Training) -> str:
    """86.1 % [84.0, 88.0]."""
    if one.low is None or one.high is None:
        return percent(one.value)
    return f"{percent(one.value)} [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def event(entry: Entry) -> str:
    """One thing that happened to a pointer, in words."""
    version = f"version {entry.version if entry.version is not None else entry.former}"
    forced = ", forced" if entry.forced else ""
    if entry.what == "refuse":
        return f"{entry.when[:10]} {version} was refused for {entry.alias}: {entry.why}"
    return f"{entry.when[:10]} {entry.alias} {_DID[entry.what]} {version}{forced}, by {entry.who}: {entry.why}"


def bare(words: str) -> str:
    """Without the marks of Markdown's code."""
    return words.replace("`", "")


def _plain(words: str) -> str:
    """Text of others, on one line and without what Markdown would take for its own."""
    return " ".join("".join(f"\\{c}" if c in r"\`*_[]<>#|" else c for c in words).split())


def picture(study: StudyNews) -> Markup:
    """The best trainings of a study with their 95 % intervals, the winner marked; empty where nothing completed."""
    shown = study.arms or sorted(study.trainings, key=lambda one: -one.value)
    shown = shown[:_MOST]
    if not shown:
        return Markup("")
    low, high = padded([end for one in shown for end in _ends(one)])
    scale = Scale(max(0.0, low), min(1.004, high), _NAME, _WIDTH - 16)
    bottom = 8 + _ROW * len(shown)
    mark_of = " (simulated)" if study.simulated else ""
    which = "; of each arm the best, so it is flattered" if study.arms else ""
    parts = bottom_axis(
        scale, 4, bottom, f"{study.metric}{mark_of}, %, with 95 % interval{which}", lambda share: f"{100 * share:.4g}"
    )
    for number, one in enumerate(shown):
        y, place = 8 + _ROW * (number + 0.5), 1 if one.winner else 0
        left, right = _ends(one)
        parts.append(text(_NAME - 12, y + 3, one.arm if study.arms else one.name, "name", "end"))
        parts.append(line(scale(left), y, scale(right), y, f"whisker a{place}"))
        parts.append(mark(place, scale(one.value), y, 4.0))
    return drawing(_WIDTH, bottom + 34, f"{study.study}: its best trainings", parts, wide=True)


def _ends(one: Training) -> Sequence[float]:
    return one.value if one.low is None else one.low, one.value if one.high is None else one.high

"""Figures as inline SVG: no outside reference, colours by name for light and dark, the same bytes for the same figure."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape

import attrs
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports import messages, plots
from treasury_arena_reports.drawing import style
from treasury_arena_reports.palette import LIGHT


@attrs.frozen
class Chart:
    """One figure of the page: its id, its message, its drawing, and a second drawing for narrow screens where one helps."""

    name: str
    message: str
    svg: str
    narrow: str = ""


def draw(result: RunResult) -> dict[str, Chart]:
    """Every figure of the page by id."""
    drawn: dict[str, tuple[Callable[[RunResult], str], Callable[..., Figure]]] = {
        "lead": (messages.lead_message, plots.lead),
        "drawdown": (messages.drawdown_message, plots.drawdown),
        "allocation": (messages.allocation_message, plots.allocation),
        "population": (messages.population_message, plots.population),
        "fitness-generation": (messages.fitness_by_generation_message, plots.fitness_by_generation),
        "fitness-cycle": (messages.fitness_by_cycle_message, plots.fitness_by_cycle),
        "family": (messages.family_message, plots.family_tree),
    }
    words = messages.growth_message(result)
    charts = {
        "growth": Chart(
            "growth",
            words,
            to_svg(plots.growth(result, title=False), "growth", words),
            to_svg(plots.growth(result, narrow=True, title=False), "growth-narrow", words),
        )
    }
    for name, (message, plot) in drawn.items():
        words = message(result)
        charts[name] = Chart(name, words, to_svg(plot(result, title=False), name, words))
    return charts


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Draw `figure` as an `<svg>` element for HTML.

    Ids are prefixed with `name`, so that several drawings can share a page; `label` is what a screen reader says.
    """
    buffer = io.StringIO()
    with style():
        FigureCanvasSVG(figure)
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    extent = box.group(1) if box else "0 0 648 288"
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'href="#([^"]+)"', body)) | set(re.findall(r"url\(#([^)]+)\)", body))

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match.group(1)}"' if match.group(1) in used else ""

    body = re.sub(r' id="([^"]*)"', rename, body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    for tone, colour in LIGHT.items():
        body = body.replace(colour, f"var(--{tone})")
    body = re.sub(r"\n\s*", "\n", body)
    body = re.sub(r' d="[^"]*"', lambda match: re.sub(r"(?<=\d\.\d{2})\d+", "", match.group()), body)
    return f'<svg viewBox="{extent}" role="img" aria-label="{escape(label)}">{body}'

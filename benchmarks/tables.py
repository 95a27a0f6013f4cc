"""The figures of a benchmark run as Markdown tables and as a picture."""

from __future__ import annotations

import math
from typing import Any

Spread = dict[str, float]


def tables(result: dict[str, Any]) -> str:
    about = result["machine"]
    lines = [
        f"{about['date']}, {about['cpu']}, {about['cores']} cores, kernel {about['kernel']}, Python "
        f"{about['python']}; {result['rounds']} rounds; load {about['load']:.1f} at the start. Each figure "
        "is the median, with minimum and maximum in brackets.",
        "",
    ]
    for kind, by_tool in result.get("calls", {}).items():
        lines += [
            f"**Functions that begin with `{kind}`**, {result['calls_per_run']:,} calls a run",
            "",
            "| | ns per call | to `funcsnoop record` | bytes per event | lost |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for tool, figures in by_tool.items():
            size = figures.get("bytes_per_event")
            lines.append(
                f"| {tool} | {_number(figures['ns_per_call'])} | {_ratio(figures['ratio_to_record'])} | "
                f"{'' if size is None else format(size['median'], '.1f')} | "
                f"{'' if size is None else format(figures['lost'], ',')} |"
            )
        lines.append("")
    for part, (title, unit, cell) in PARTS.items():
        if result.get(part):
            lines += [f"**{title}**", "", f"| | {unit} |", "| --- | ---: |"]
            lines += [f"| {name} | {cell(figures)} |" for name, figures in result[part].items()]
            lines.append("")
    if result.get("large"):
        lines += [
            "**Latency, call graph and arguments of large traces**",
            "",
            "| events | s | CPU s | MB |",
            "| ---: | ---: | ---: | ---: |",
        ]
        for name, figures in result["large"].items():
            lines.append(f"| {name} | {' | '.join(_number(each) for each in figures.values())} |")
        lines.append("")
    return "\n".join(lines)


def _number(figures: Spread) -> str:
    digits = 1 if figures["median"] < 100 else 0
    low, middle, high = (f"{figures[key]:,.{digits}f}" for key in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"


def _ratio(figures: Spread) -> str:
    return "{median:.2f} ({min:.2f} to {max:.2f})".format(**figures)


def _seconds(figures: Spread) -> str:
    return "{median:.3f} ({min:.3f} to {max:.3f})".format(**figures)


#: By part: title, unit, and how a figure is written.
PARTS = {
    "start": ("From the command to the first event", "seconds", _ratio),
    "drain": ("From the ring to the disk", "", _number),
    "disk": ("On disk", "bytes per event", _ratio),
    "attach": ("Probes on functions of libLLVM", "seconds", _seconds),
    "analysis": ("The latency table", "seconds", _seconds),
}

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 360, 64, 44, 16, 190
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def growth_plot(analysis: dict[str, Spread]) -> str:
    """Seconds against events, both logarithmic, a line for each way, with minimum and maximum."""
    ways: dict[str, list[tuple[int, Spread]]] = {}
    for name, figures in analysis.items():
        way, number = name.split(", ")
        ways.setdefault(way, []).append((int(number.replace(",", "")), figures))
    numbers = sorted({number for points in ways.values() for number, _ in points})
    times = [figures[key] for points in ways.values() for _, figures in points for key in ("min", "max")]
    low, high = 10 ** math.floor(math.log10(min(times))), 10 ** math.ceil(math.log10(max(times)))

    def x(number: float) -> float:
        share = math.log(number / numbers[0]) / max(1e-9, math.log(numbers[-1] / numbers[0]))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(seconds: float) -> float:
        return HEIGHT - BOTTOM - math.log(seconds / low) / math.log(high / low) * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    tick = low
    while tick <= high:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g} s</text>'
        )
        tick *= 10
    middle = (LEFT + WIDTH - RIGHT) / 2
    labels = [(x(number), HEIGHT - BOTTOM + 18, f"{number / 1e6:g} M") for number in numbers]
    parts += [
        f'<text x="{across:.1f}" y="{down}" text-anchor="middle">{text}</text>'
        for across, down, text in [*labels, (middle, HEIGHT - 6, "events")]
    ]
    for colour, (way, points) in zip(COLOURS, ways.items(), strict=False):
        line = " ".join(f"{x(number):.1f},{y(figures['median']):.1f}" for number, figures in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for number, figures in points:
            parts.append(
                f'<line x1="{x(number):.1f}" x2="{x(number):.1f}" y1="{y(figures["min"]):.1f}" '
                f'y2="{y(figures["max"]):.1f}" stroke="{colour}" stroke-width="4" opacity="0.5"/>'
            )
        last = points[-1]
        parts.append(
            f'<text x="{x(last[0]) + 10:.1f}" y="{y(last[1]["median"]) + 4:.1f}" fill="{colour}">{way}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"

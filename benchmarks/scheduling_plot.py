"""The picture of the scheduling benchmark: bars by policy and workload, as SVG, without a library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ROW, NAME, WIDE, GAP, TOP = 15, 150, 130, 34, 52
SECONDS = (0.5, 5000.0)
"""The ends of the logarithmic scale."""
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#444}.head{font-weight:600;fill:#222}.us{font-weight:600;fill:#0a6}"
    ".wait{fill:#8aa4c8}.served{fill:#c9c9c9}.mine{fill:#0a6}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}.head{fill:#eee}}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One policy on one workload."""

    workload: str
    policy: str
    mean: float
    """Seconds to the first token."""
    served: float
    """0 to 1."""


def draw(bars: Sequence[Bar]) -> str:
    """Two charts below each other: mean time to the first token (logarithmic), and the share that was served."""
    policies = list(dict.fromkeys(bar.policy for bar in bars))
    workloads = list(dict.fromkeys(bar.workload for bar in bars))
    by_place = {(bar.policy, bar.workload): bar for bar in bars}
    high = TOP + ROW * len(policies)
    width, height = NAME + len(workloads) * (WIDE + GAP), 2 * high + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>Time to the first token and share served, by policy</title><style>{STYLE}</style>",
    ]
    for chart, title in enumerate(("Mean time to the first token, seconds (logarithmic)", "Calls served, %")):
        top = chart * high
        parts.append(f'<text class="head" x="4" y="{top + 18}">{title}</text>')
        for column, workload in enumerate(workloads):
            left = NAME + column * (WIDE + GAP)
            parts.append(f'<text class="head" x="{left}" y="{top + 40}">{workload}</text>')
            for row, policy in enumerate(policies):
                bar = by_place[policy, workload]
                parts += _bar(left, top + TOP + row * ROW, bar, served=chart == 1)
        for row, policy in enumerate(policies):
            mark = ' class="us"' if policy == "Corral" else ""
            parts.append(f'<text{mark} x="4" y="{top + TOP + row * ROW + 9}">{escape(policy)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(left: int, top: int, bar: Bar, *, served: bool) -> list[str]:
    low, high = SECONDS
    share = bar.served if served else math.log(max(low, bar.mean) / low) / math.log(high / low)
    kind = "mine" if bar.policy == "Corral" else "served" if served else "wait"
    wide = max(1.0, WIDE * min(1.0, share))
    said = f"{100 * bar.served:.0f}" if served else f"{bar.mean:,.1f}" if bar.mean < 100 else f"{bar.mean:,.0f}"
    return [
        f'<rect class="{kind}" x="{left}" y="{top}" width="{wide:.1f}" height="{ROW - 4}" rx="2"/>',
        f'<text x="{left + wide + 3:.1f}" y="{top + 9}">{said}</text>',
    ]

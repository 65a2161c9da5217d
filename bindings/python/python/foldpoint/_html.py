"""A structure as a notebook shows it: pictures that need no script and no network."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from foldpoint import Structure

SIDE = 320
"""Width and height of a picture, in pixels."""

CONFIDENCE = [(90.0, "#0053d6"), (70.0, "#65cbf3"), (50.0, "#ffdb13"), (-np.inf, "#ff7d45")]
"""Colours of pLDDT above the numbers, as in the AlphaFold database."""

CA = 1
"""Place of CA in the atom14 layout."""

FURTHEST = 31.75
"""Largest predicted aligned error, in angstrom."""


def structure(result: Structure) -> str:
    """HTML of a structure: its backbone, scores, and predicted aligned errors."""
    scores = {"pTM": result.ptm, "ipTM": result.iptm}
    told = "".join(f", {name} {score:.3f}" for name, score in scores.items() if score is not None)
    title = f"<b>{escape(result.id)}</b> " if result.id else ""
    parts = [
        f"<div>{title}{len(result)} residues, mean pLDDT {result.mean_plddt:.1f}{told}</div>",
        f'<div style="display:flex;gap:24px;flex-wrap:wrap">{_figure(_backbone(result), _legend())}',
    ]
    errors = result.pae
    if errors is not None:
        picture = base64.b64encode(_heat_map(errors)).decode()
        image = (
            f'<img width="{SIDE}" height="{SIDE}" style="image-rendering:pixelated" '
            f'src="data:image/png;base64,{picture}" alt="predicted aligned errors"/>'
        )
        caption = f"predicted aligned error, 0 &#8491; (dark) to {FURTHEST:.0f} &#8491; (white)"
        parts.append(_figure(image, caption))
    parts.append("</div>")
    parts += [f"<div>&#9888; {escape(warning)}</div>" for warning in result.warnings]
    return "".join(parts)


def _figure(picture: str, caption: str) -> str:
    return f'<figure style="margin:8px 0">{picture}<figcaption>{caption}</figcaption></figure>'


def _legend() -> str:
    names = ["above 90", "70 to 90", "50 to 70", "below 50"]
    squares = [
        f'<span style="color:{color}">&#9632;</span> {name}'
        for (_, color), name in zip(CONFIDENCE, names, strict=True)
    ]
    return "pLDDT: " + " ".join(squares)


def _color(plddt: float) -> str:
    return next(color for bound, color in CONFIDENCE if plddt > bound)


def _backbone(result: Structure) -> str:
    """The way through the CA atoms, seen from where it is widest; what is nearer is drawn later and wider."""
    mask = result.atom_mask[:, CA]
    places = result.coords[:, CA][mask].astype(np.float64)
    if len(places) == 0:
        return ""
    plddt = result.plddt[mask]
    centred = places - places.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    if len(axes) < 3:
        axes = np.eye(3)
    # A view is a rotation, and never a reflection.
    axes[2] *= np.sign(np.linalg.det(axes))
    turned = centred @ axes.T
    scale = 0.46 * SIDE / max(float(np.abs(turned[:, :2]).max()), 1.0)
    points = turned[:, :2] * scale * [1, -1] + SIDE / 2
    depth = turned[:, 2] / max(float(np.abs(turned[:, 2]).max()), 1.0)
    chains = np.repeat(np.arange(result.sequence.count(":") + 1), [len(c) for c in result.sequence.split(":")])
    follows = (np.diff(np.flatnonzero(mask)) == 1) & (np.diff(chains[mask]) == 0)
    lines = []
    for a in np.argsort(depth[:-1] + depth[1:]) if len(points) > 1 else []:
        if follows[a]:
            (x1, y1), (x2, y2) = points[a], points[a + 1]
            color = _color(float(min(plddt[a], plddt[a + 1])))
            shape = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            # A white edge parts what crosses; it is shorter, so as not to part the line from the next.
            mx, my, dx, dy = (x1 + x2) / 2, (y1 + y2) / 2, 0.3 * (x2 - x1), 0.3 * (y2 - y1)
            lines.append(
                f'<line x1="{mx - dx:.1f}" y1="{my - dy:.1f}" x2="{mx + dx:.1f}" y2="{my + dy:.1f}" '
                f'stroke="white" stroke-linecap="butt" stroke-width="{8 + 2 * depth[a]:.1f}"/>'
            )
            lines.append(f'<line {shape} stroke="{color}" stroke-width="{4.5 + 2 * depth[a]:.1f}"/>')
    if len(points) == 1:
        lines.append(f'<circle cx="{SIDE / 2}" cy="{SIDE / 2}" r="5" fill="{_color(float(plddt[0]))}"/>')
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE}" height="{SIDE}" stroke-linecap="round">'
    return begin + "".join(lines) + "</svg>"


def _heat_map(errors: NDArray[np.float32]) -> bytes:
    """A PNG of [L, L] errors, dark green for 0 to white, at most about as many pixels as are shown."""
    step = max(1, len(errors) // (2 * SIDE))
    share = np.clip(errors[::step, ::step] / FURTHEST, 0, 1)[..., None]
    dark, white = np.array([0, 80, 40]), np.array([255, 255, 255])
    pixels = (dark + (white - dark) * np.sqrt(share)).astype(np.uint8)
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )

"""Plots of a network's internals: an embedding in two dimensions, and reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_ser.reports.embedding_maps import layout
from keras_ser.reports.pictures import COLOURS, mark, new

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "os^DvP*h"  # fillable markers
NAMED = 10  # maximum number of classes in a legend


def planes(x: np.ndarray) -> dict[str, np.ndarray]:
    """Map (points, units) to two dimensions, (points, 2): by principal components, and by t-SNE on the first 50 of them."""
    from sklearn.decomposition import PCA

    with np.errstate(invalid="ignore"):  # the variance of equal embeddings is 0
        parts = PCA(min(50, *x.shape), random_state=0).fit_transform(x)
    parts = parts if parts.shape[1] > 1 else np.pad(parts, ((0, 0), (0, 1)))
    return {"PCA": parts[:, :2], "t-SNE": layout(parts)}


def scatter(x: np.ndarray, labels: Mapping[str, Sequence[str]], tested: np.ndarray, title: str) -> Figure:
    """Draw a row for each plane and a column for each colouring; test clips filled, training clips hollow.

    Args:
        x: embeddings, (clips, units).
        labels: name of a colouring -> label of each clip; "" = unknown, left out.
        tested: mask of the test clips, (clips,) bool.
        title: title of the plot.
    """
    found = planes(x)
    figure = new(3.6 * len(labels) + 0.4, 3.2 * len(found) + 1.2)
    grid = figure.subplots(len(found), len(labels), squeeze=False)
    for number, (row, (plane, points)) in enumerate(zip(grid, found.items(), strict=True), start=1):
        for axes, (task, names) in zip(row, labels.items(), strict=True):
            names = np.asarray(names, dtype=str)
            classes = sorted(set(names) - {""})
            handles = []
            for k, name in enumerate(classes):
                colour = COLOURS[k % 8] if len(classes) <= NAMED else _shade(k / len(classes))
                style = {"marker": MARKERS[(k + k // 8) % 8], "s": 14, "linewidths": 0.6, "edgecolors": [colour]}
                handles.append(mark(name, color=colour, marker=style["marker"], linestyle="", ms=5))
                here = names == name
                axes.scatter(*points[here & ~tested].T, facecolors="none", alpha=0.45, **style)
                axes.scatter(*points[here & tested].T, facecolors=[colour], **style)
            axes.set_title(f"{task}, {plane}", fontsize=9.5, loc="left")
            axes.set_xticks([])
            axes.set_yticks([])
            if number == len(found) and len(classes) <= NAMED:
                axes.legend(
                    handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.03), ncols=3, fontsize=7, frameon=False
                )
    shown = "test clips" if np.all(tested) else "filled: test clips, hollow: training clips"
    figure.suptitle(f"{title} ({shown})", fontsize=10)
    return figure


def _shade(place: float):
    from matplotlib import colormaps

    return colormaps["nipy_spectral"](place)


def reconstructions(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw each clip's input above its reconstruction, both (frames, bins), on one scale."""
    figure = new(3.2 * len(pairs) + 0.8, 4.6)
    grid = figure.subplots(2, len(pairs), squeeze=False, sharex="col", sharey=True)
    low, high = np.percentile(np.concatenate([np.ravel(x) for x, _ in pairs.values()]), [1, 99])
    for column, (name, both) in zip(grid.T, pairs.items(), strict=True):
        error = float(np.mean(np.square(both[0] - both[1])))
        for axes, image, what in zip(column, both, (name, f"reconstruction, squared error {error:.2f}"), strict=True):
            drawn = axes.imshow(image.T, origin="lower", aspect="auto", cmap="Greys", vmin=low, vmax=high)
            axes.set_title(what, fontsize=8.5, loc="left")
    figure.supxlabel("frame", fontsize=9)
    figure.supylabel("band", fontsize=9)
    figure.colorbar(drawn, ax=grid, label="standardised", shrink=0.8)
    figure.suptitle(title, fontsize=10)
    return figure

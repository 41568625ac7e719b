"""Plots of embeddings, laid out in two dimensions by t-SNE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_ser.reports.pictures import COLOURS, MARKERS, mark, new

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 4  # minimum number of clips for t-SNE


def layout(vectors: np.ndarray) -> np.ndarray:
    """Map (clips, units) to (clips, 2) by deterministic t-SNE; needs at least `FEWEST` clips. Equal embeddings are one point."""
    from sklearn.manifold import TSNE

    if (vectors == vectors[0]).all():  # t-SNE would divide by their deviation
        return np.zeros((len(vectors), 2), np.float32)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(np.asarray(vectors, np.float32))


def maps(parts: Mapping[str, np.ndarray], truth: Sequence[str], labels: Sequence[str]) -> Figure:
    """Draw clips in two dimensions, a panel for each part, a colour and a marker for each class.

    Args:
        parts: heading -> (clips, 2).
        truth: true class of each clip, (clips,); clips of classes other than `labels` are left out.
        labels: the classes.
    """
    figure = new(3.8 * len(parts) + 0.3, 4.3)
    truth, styles = np.asarray(truth), [(COLOURS[k % 8], MARKERS[k % 8]) for k in range(len(labels))]
    for axes, (heading, places) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts.items(), strict=True):
        for label, (colour, marker) in zip(labels, styles, strict=True):
            x, y = places[truth == label].T
            axes.scatter(x, y, s=14, color=colour, marker=marker, linewidths=0.7)
        axes.set_title(heading, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    handles = [
        mark(label, color=colour, marker=marker, linestyle="none")
        for label, (colour, marker) in zip(labels, styles, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure

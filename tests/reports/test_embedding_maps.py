"""Embeddings in two dimensions, and curves by panel."""

import numpy as np
import pandas as pd
import pytest

from keras_ser.reports.curves import by_panel
from keras_ser.reports.embedding_maps import layout, maps


@pytest.mark.parametrize("clips", [4, 60])
def test_clusters_stay_apart_in_the_layout(rng, clips):
    truth = np.arange(clips) % 2
    vectors = rng.normal(size=(clips, 12)) + 40 * truth[:, None]
    places = layout(vectors)
    assert places.shape == (clips, 2) and np.isfinite(places).all()
    np.testing.assert_array_equal(places, layout(vectors))
    if clips > 4:
        apart = np.linalg.norm(places[:, None] - places, axis=-1)
        same = truth[:, None] == truth
        assert np.where(np.eye(clips, dtype=bool), np.inf, apart).argmin(1).tolist() == [
            np.where(same[i] & (np.arange(clips) != i), apart[i], np.inf).argmin() for i in range(clips)
        ], "each clip's neighbour is of its own cluster"


@pytest.mark.filterwarnings("error")
def test_equal_embeddings_are_one_point():
    """Those of a network whose last units are all 0."""
    np.testing.assert_array_equal(layout(np.zeros((9, 5))), np.zeros((9, 2)))


def test_maps_have_a_panel_for_each_part_and_the_clips_of_each_class(rng):
    truth = ["calm", "cross", "calm", "", "calm"]
    parts = {name: rng.normal(size=(5, 2)) for name in ("without", "with")}
    figure = maps(parts, truth, ("calm", "cross"))
    assert [axes.get_title() for axes in figure.axes] == ["without", "with"]
    for axes, places in zip(figure.axes, parts.values(), strict=True):
        drawn = [np.asarray(collection.get_offsets()) for collection in axes.collections]
        np.testing.assert_allclose(drawn[0], places[[0, 2, 4]])
        np.testing.assert_allclose(drawn[1], places[[1]])


def test_curves_have_one_style_a_system_in_all_panels():
    series = pd.Series([10.0, 20.0, 15.0], index=[1, 2, 3])
    figure = by_panel({"f01": {"ser": series, "mf": 2 * series}, "m02": {"mf": series}}, "accuracy, %")
    (ser, mf), (again,) = (axes.get_lines() for axes in figure.axes[:2])
    assert mf.get_color() == again.get_color() != ser.get_color()
    np.testing.assert_array_equal(mf.get_xydata(), [[1, 20], [2, 40], [3, 30]])
    assert [axes.get_title() for axes in figure.axes[:2]] == ["f01", "m02"]

"""Plots of embeddings and reconstructions of one run of each protocol."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from keras_ser.models import is_baseline
from keras_ser.models.paper import Reconstruction
from keras_ser.pipelines.sources import waveforms
from keras_ser.reports.latent import reconstructions, scatter
from keras_ser.reports.report import Picture
from keras_ser.settings import mask_of, of_stream
from keras_ser.training import Data, Run
from keras_ser.training.predictions import own_source, truths
from keras_ser.training.transfer import begin_from

MOST = 1500  # maximum number of clips in a scatter plot
SHOWN = 3  # number of reconstructions


def run_views(run: Run, data: Data) -> Iterator[Picture]:
    """Yield the plots of a run: its network's `views` and each `Reconstruction`; none for a cascade or a baseline."""
    if is_baseline(run.recipe) or run.recipe.first is not None:
        return
    from keras_ser.models.whole_model import network_again

    where = run.folder.parent.name.replace("-", "_")
    whole = run.model()
    network = network_again(run.recipe, whole)
    title = f"{run.recipe.name}, {run.split.protocol}, fold {run.split.fold}, seed {run.seed}"
    for name, tensor in network.views.items():
        found, labels, tested = _points(run, data, whole, network.layer_of(tensor))
        draw = partial(scatter, found, labels, tested, f"{name} of {title}")
        yield Picture(f"{name}-{where}.png", f"{name} in two dimensions, {run.split.protocol}", draw)
    images = {n: o.target.feature for n, o in network.outputs.items() if isinstance(o.target, Reconstruction)}
    if images:
        begin_from(network, run.recipe.tasks, run.folder)
    for name, feature in images.items():
        draw = partial(reconstructions, _pairs(run, data, whole, network, name, feature), title)
        yield Picture(f"{name}-{where}.png", f"{name} of test clips, {run.split.protocol}", draw)


def _points(run: Run, data: Data, whole: Any, layer: str) -> tuple[np.ndarray, dict[str, list[str]], np.ndarray]:
    """Return a layer's output (clips, units) for training and test clips, their labels, and a mask of test clips.

    Where only other corpora train, the clips are those of the test set.
    The output is averaged over each clip's valid frames: otherwise the padding of the last segment would show the clip's length.
    """
    from keras_ser.models.whole_model import embedder
    from keras_ser.training.inference import forward, gathered

    infer, train = forward(embedder(whole, layer)), run.split.train
    # of many clips, at least half of those shown are test clips, but not all of them
    # and of every speaker, since the ids of one stand together
    test = sorted(run.split.test)
    test = test[:: max(1, -(-len(test) // max(MOST // 2, MOST - len(train))))]
    train = train[:: -(-len(train) // (MOST - len(test)))] if train else ()
    held, parts = replace(run.split, train=train, validation=(), test=tuple(test), chosen_on_test=False), []
    for side in ("train", "test") if train else ("test",):
        source = own_source(run, data, side, held)
        given = waveforms(source, source.draw(run.seed))
        parts.append(gathered(({"x": infer(x)}, extra) for x, extra in given))
    x, index = (np.concatenate([part[k][key] for part in parts]) for k, key in enumerate(("x", "index")))
    clips = [data.corpus.utterances[i] for i in index]
    shown = [task for task in run.recipe.tasks if not (task.continuous or of_stream(task))]
    labels = {task.name: truths(task, clips, data.corpus.name) for task in shown}
    for column in ("gender", "speaker"):  # also attributes that the network was not trained on
        if all(u.column(column) for u in clips):
            labels.setdefault(column, [str(u.column(column)) for u in clips])
    return x, labels, np.array([u.id in held.test for u in clips])


def _pairs(run: Run, data: Data, whole: Any, network: Any, name: str, feature: str) -> dict[str, tuple]:
    """Return the first segment of some test clips and its reconstruction, both (frames, bins)."""
    from keras_ser.models.whole_model import network_inputs
    from keras_ser.training.targets import standardised_as

    source, standardised, found = own_source(run, data), standardised_as(network), {}
    wanted = set(source.indices[:: max(1, len(source.indices) // SHOWN)][:SHOWN])
    for given, extra in waveforms(source, source.draw(run.seed)):
        for place, index in enumerate(np.asarray(extra["index"])):
            if index not in wanted:
                continue
            length = int(given["length"][place])
            alone = {
                "waveform": given["waveform"][place : place + 1, :length],
                "length": given["length"][place : place + 1],
            }
            x, _ = network_inputs(whole, alone)
            seen = standardised(feature, x[feature], x[mask_of(feature)])[0]
            made = network.model(x, training=False)[name][0]
            frames = int(np.sum(np.asarray(x[mask_of(feature)])[0]))
            found[data.corpus.utterances[index].id] = np.array(seen)[:frames], np.array(made)[:frames]
    return found

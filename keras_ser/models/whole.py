"""From a network on features to the whole model: waveform and length in, probabilities out.

Everything between decoded audio and the probabilities is inside, so what was evaluated is what is served.
"""

from collections.abc import Sequence

from keras_ser.tasks import Task


def scorer(network, tasks: Sequence[Task], segment: int = 0):
    """Features in, one row of probabilities a clip: the network with a softmax, without its adversary, averaged over segments.

    The softmax is part of the inner network, so that `inner_network` gives probabilities.

    Args:
        network: (features, mask) -> {task: (batch, classes) logits}, as a model file's `build` returns it.
        tasks: the outputs to keep.
        segment: frames of the segments that a clip is cut into and averaged over; 0 = the clip as a whole.
    """
    import keras

    from keras_ser.features import AverageSegments, Segment

    names = [name for name in network.input if name != "mask"]
    # as many frames as the network was made for; of segments any number
    frames = None if segment else network.input["mask"].shape[1]
    given = {name: keras.Input((frames, network.input[name].shape[-1]), name=name) for name in names}
    given["mask"] = mask = keras.Input((frames,), dtype="bool", name="mask")
    x, parts = dict(given), mask
    if segment:
        for name in names:
            x[name], parts = Segment(segment, name=f"segments_{name}")(given[name], mask)
        x["mask"] = parts
    # without the adversary, and without the losses that the trained network would carry along; a mask stays inside,
    # for `keras_ser.models.denoiser`
    inside = {name: value for name, value in network.output.items() if name == "gain"}
    for task in tasks:
        value = network.output[task.name]
        softmax = keras.layers.Softmax(dtype="float32", name=f"softmax_{task.name}")
        inside[task.name] = value if task.continuous else softmax(value)
    inner = keras.Model(network.input, inside, name=network.name)
    found = inner(x)
    kept = {task.name: found[task.name] for task in tasks}
    if segment:
        average = {name: AverageSegments(name=f"mean_{name}") for name in kept}
        kept = {name: average[name](value, parts, mask) for name, value in kept.items()}
    return keras.Model(given, kept, name="scorer")


def whole_model(extract, score, name: str):
    """{"waveform": (batch, samples), "length": (batch,)} -> {task: (batch, classes)}: front end and scorer as one model.

    A cascade also puts out "emptied" (batch,): True where nothing survived and the least noisy segment was kept.
    """
    import keras

    given = waveform_inputs()
    features = extract(given)
    outputs = dict(score({name: features[name] for name in score.input}))
    if "emptied" in features:
        outputs["emptied"] = features["emptied"]
    return keras.Model(given, outputs, name=name)


def embedder(whole, embedding):
    """{"waveform", "length"} -> (batch, features): a whole model's features instead of its answers, averaged over segments.

    Args:
        whole: from `whole_model`, or loaded from its file.
        embedding: network -> the tensor to put out, (batch, features), as a model file's `embedding` finds it.
    """
    import keras

    from keras_ser.features import AverageSegments

    extract, score = whole.get_layer("extractor"), whole.get_layer("scorer")
    network = inner_network(whole)
    cutters = {layer.name: layer for layer in score.layers}
    given = waveform_inputs()
    features = extract(given)
    names = [name for name in network.input if name != "mask"]
    x, parts = {name: features[name] for name in names}, features["mask"]
    segmented = [name for name in names if f"segments_{name}" in cutters]
    for name in segmented:
        x[name], parts = cutters[f"segments_{name}"](features[name], features["mask"])
    found = keras.Model(network.input, embedding(network), name="embedding")({**x, "mask": parts})
    if segmented:
        found = AverageSegments(name="mean_embedding")(found, parts, features["mask"])
    return keras.Model(given, found, name="embedder")


def inner_network(whole):
    """The network on features inside a whole model; its outputs are probabilities."""
    import keras

    return next(layer for layer in whole.get_layer("scorer").layers if isinstance(layer, keras.Model))


def waveform_inputs():
    import keras

    return {
        "waveform": keras.Input((None,), dtype="float32", name="waveform"),
        "length": keras.Input((), dtype="int32", name="length"),
    }


def extractor(frontend):
    """The front end as a model: {"waveform", "length"} -> {feature: (batch, frames, bins), "mask": (batch, frames)}."""
    import keras

    given = waveform_inputs()
    return keras.Model(given, frontend(given["waveform"], given["length"]), name="extractor")

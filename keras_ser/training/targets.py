"""What a network is told in training: each output's target and weight, of an example or of its frames."""

import importlib

from keras_ser.errors import UserError
from keras_ser.models import MODELS
from keras_ser.recipe import Recipe
from keras_ser.training.data import NOISE_TASK


def frame_targets(recipe: Recipe):
    """What the network learns frame by frame: the ideal ratio mask and its weights ("irm") where it estimates one.

    Raises:
        ValueError: the frames of mask and features would not be the same.
    """
    from keras import ops

    from keras_ser.features import ideal_ratio_mask, loudness_weights

    bins = getattr(recipe.config, "mask_bins", 0)
    if not bins:
        return None
    settings = recipe.frontend
    if (
        settings.endpoint
        or settings.seconds
        or settings.normalize
        or not recipe.augment.off
        or bins != settings.fft // 2 + 1
    ):
        raise UserError(
            "a mask is learnt for the frames and bins of the front end as they are: it needs frontend.endpoint=false, no "
            f"augmentation, and config.mask_bins={settings.fft // 2 + 1}. Received: endpoint={settings.endpoint}, "
            f"{recipe.augment}, mask_bins={bins}."
        )

    def targets(given):
        sizes = (settings.window, settings.hop, settings.fft)
        mask = ideal_ratio_mask(given["clean"], given["waveform"], given["length"], *sizes)
        weights = loudness_weights(given["waveform"], given["length"], *sizes, exponent=recipe.config.mask_loudness)
        return {"irm": ops.concatenate([mask, weights], axis=-1)}

    return targets


def targets(recipe: Recipe, network):
    """(x, y, w) of the pipeline, and a seed -> of the network: each output's own target and weight.

    In a control of the noise every example has the mask of another one of its batch, of any stream. Which one is drawn from the
    seed, two integers that differ from batch to batch: one distance for all batches would tell the stream.
    """
    import tensorflow as tf

    target = importlib.import_module(MODELS[recipe.model]).targets(recipe.config, recipe.tasks)
    keys = {name: target.get(name, name) for name in network.output}

    def choose(x, y, w, seed):
        if "irm" in x:
            mask, valid = x["irm"], tf.cast(x["mask"], tf.float32)
            if NOISE_TASK in recipe.shuffle:
                mask, rolled = another(mask, seed), another(valid, seed)
                # alone in its batch an example has only its own mask, and learns none
                valid *= rolled * tf.cast(tf.shape(valid)[0] > 1, tf.float32)
            y, w = {**y, "irm": mask}, {**w, "irm": valid}
            x = {name: value for name, value in x.items() if name != "irm"}
        return x, {name: y[key] for name, key in keys.items()}, {name: w[key] for name, key in keys.items()}

    return choose


def another(values, seed):
    """(batch, ..) moved on along the batch by 1 to batch - 1 places, drawn from `seed`: no example keeps its own value."""
    import tensorflow as tf

    most = tf.maximum(tf.shape(values)[0], 2)
    return tf.roll(values, tf.random.stateless_uniform([], seed, 1, most, tf.int32), axis=0)


def spread_over(replicas: int):
    """Reorder a batch so that each replica's part of it mixes the streams as the whole batch does."""
    import tensorflow as tf

    def spread(x, y, w):
        if replicas == 1:
            return x, y, w
        order = tf.argsort(tf.range(tf.shape(x["mask"])[0]) % replicas, stable=True)
        # the network makes bool of it again; Keras takes the mean of its first batch over the replicas
        x = {**x, "mask": tf.cast(x["mask"], tf.float32)}
        return tf.nest.map_structure(lambda value: tf.gather(value, order), (x, y, w))

    return spread

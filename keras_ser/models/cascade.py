"""The cascade of the ASP-MTL paper: model 1 finds the noise, its segments are dropped, model 2 judges what is left.

`drop`, the letter of the paper: a segment goes when a noise wins its noise posterior. What is left is packed to the left, so
that masks stay right-padded. Where nothing would survive, the least noisy segment is kept.
"""

from typing import Any

import keras
from keras import ops

from keras_ser.features import Segment
from keras_ser.features.packing import pack


def surviving(noise: Any, segment_mask: Any, mask: Any, clean: int) -> tuple[Any, Any]:
    """Which segments stay.

    Args:
        noise: (batch * segments, classes) noise posteriors, a clip's segments in a row.
        segment_mask: (batch * segments, frames) bool.
        mask: (batch, length) bool, the clips' own.
        clean: the class "clean".

    Returns:
        (batch, segments) bool, at least one segment of a clip; and (batch,) bool: True where nothing survived and only the
        least noisy segment was kept.
    """
    batch = ops.shape(mask)[0]
    present = ops.any(segment_mask, axis=1)  # (batch * segments,)
    posterior = noise[:, clean]
    wins = ops.logical_and(ops.equal(ops.argmax(noise, axis=-1), clean), present)
    segments = ops.shape(noise)[0] // ops.maximum(batch, 1)
    wins, present, posterior = (ops.reshape(x, (batch, segments)) for x in (wins, present, posterior))
    nothing = ops.logical_not(ops.any(wins, axis=1))
    best = ops.argmax(ops.where(present, posterior, -1.0), axis=1)
    best = ops.equal(ops.arange(segments, dtype="int32")[None, :], ops.cast(best, "int32")[:, None])
    return ops.logical_or(wins, ops.logical_and(nothing[:, None], best)), nothing


@keras.saving.register_keras_serializable(package="keras_ser")
class DropNoise(keras.layers.Layer):
    """Removes the frames of noisy segments and moves the others to the left.

    Args:
        frames: length of a segment.
        clean: the class "clean" of the noise posterior.

    Input: features {name: (batch, length, bins)}, mask (batch, length), noise posteriors (batch * segments, classes) and the
        segments' mask (batch * segments, frames), as `Segment(frames)` cut them.
    Output: {name: (batch, length, bins), "mask": (batch, length), "emptied": (batch,)}; "emptied" is True where nothing
        survived and only the least noisy segment was kept.

    Reference: Liu & Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, section III.
    """

    def __init__(self, frames: int, clean: int = 0, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.frames = frames
        self.clean = clean

    def call(self, features, mask, noise, segment_mask):
        stay, emptied = surviving(noise, segment_mask, mask, self.clean)
        length = ops.shape(mask)[1]
        by_frame = ops.take(stay, ops.arange(length, dtype="int32") // self.frames, axis=1)  # (batch, length)
        packed, kept = pack(features, ops.logical_and(by_frame, mask))
        return {**packed, "mask": kept, "emptied": emptied}

    def compute_output_spec(self, features, mask, noise, segment_mask):
        spec = {name: keras.KerasTensor(x.shape, dtype="float32") for name, x in features.items()}
        return {
            **spec,
            "mask": keras.KerasTensor(mask.shape, dtype="bool"),
            "emptied": keras.KerasTensor((mask.shape[0],), dtype="bool"),
        }

    def get_config(self):
        return {**super().get_config(), "frames": self.frames, "clean": self.clean}


def drop_extractor(first: keras.Model, segment: int, clean: int = 0) -> keras.Model:
    """Model 1 as model 2's front end.

    Args:
        first: a whole model (`keras_ser.models.whole.whole_model`) with an output "noise".
        segment: frames of the segments that are judged and dropped.
        clean: the class "clean".

    Returns:
        {"waveform", "length"} -> {feature: (batch, length, bins), "mask", "emptied"}.
    """
    from keras_ser.models.whole import waveform_inputs

    first.trainable = False
    features = first.get_layer("extractor")
    network = first.get_layer("scorer").get_layer(first_network_name(first))
    given = waveform_inputs()
    x = features(given)
    names = [name for name in network.input if name != "mask"]
    cut: dict[str, Any] = {}
    for name in names:
        cut[name], cut["mask"] = Segment(segment, name=f"segments_{name}")(x[name], x["mask"])
    noise = network(cut)["noise"]
    drop = DropNoise(segment, clean, name="drop_noise")
    return keras.Model(given, drop({name: x[name] for name in names}, x["mask"], noise, cut["mask"]), name="extractor")


def first_network_name(first: keras.Model) -> str:
    """Name of the network inside a whole model's scorer."""
    inner = [layer.name for layer in first.get_layer("scorer").layers if isinstance(layer, keras.Model)]
    return inner[0]

"""The cascade of the ASP-MTL paper: model 1 locates the noise, which is discarded, and model 2 classifies the remainder.

`drop`, as in the paper: a segment is removed if a noise has the highest noise posterior. The remaining segments are packed to the
left, so that masks stay right-padded. If no segment would survive, the least noisy one is kept. `mask`: the input of model 2 is
the waveform after model 1's ratio mask.
"""

import keras
from keras import ops

from keras_ser.features import Frontend
from keras_ser.features.configured import FeatureLayer
from keras_ser.features.framing import pack
from keras_ser.models.aspmtl.denoiser import mask_denoiser, noise_segments, surviving
from keras_ser.models.whole_model import assembled, extractor, inner_network, parts, waveform_inputs


@keras.saving.register_keras_serializable(package="keras_ser")
class DropNoise(FeatureLayer):
    """Remove the frames of noisy segments and move the others to the left.

    Args:
        frames: frames per segment.
        clean: index of the class "clean". Default 0.

    Input: features {name: (batch, length, bins)}, mask (batch, length), noise posteriors (batch * segments, classes) and the
        segments' mask (batch * segments, frames), as `Segment(frames)` cut them.
    Output: {name: (batch, length, bins), "mask": (batch, length), "emptied": (batch,)}; "emptied" is True where no
        segment survived and only the least noisy one was kept.

    Reference: Liu & Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, section III.
    """

    def __init__(self, frames: int, clean: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())

    def call(self, features, mask, noise, segment_mask):
        stay, emptied = surviving(noise, segment_mask, mask, self.clean)
        length = ops.shape(mask)[1]
        by_frame = ops.take(stay, ops.arange(length, dtype="int32") // self.frames, axis=1)  # (batch, length)
        packed, kept = pack(features, ops.logical_and(by_frame, mask))
        return {**packed, "mask": kept, "emptied": emptied}


def drop_extractor(first: keras.Model, segment: int, clean: int = 0, task: str = "noise") -> keras.Model:
    """Build model 2's front end from model 1: {"waveform", "length"} -> {feature: (batch, length, bins), "mask", "emptied"}.

    Args:
        first: a whole model (`keras_ser.models.whole_model.assembled`).
        segment: frames per segment.
        clean: index of the class "clean". Default 0.
        task: the output that classifies the noise. Default "noise".
    """
    first.trainable = False
    features = first.get_layer("extractor")
    network = inner_network(first)
    given = waveform_inputs()
    x = features(given)
    names = [name for name in network.input if name != "mask"]
    cut, _ = parts(x, list(network.input), segment)
    noise = network(cut)[task]
    drop = DropNoise(segment, clean, name="drop_noise")
    return keras.Model(given, drop({name: x[name] for name in names}, x["mask"], noise, cut["mask"]), name="extractor")


def mask_extractor(first: keras.Model, frontend: Frontend) -> keras.Model:
    """Put model 1's ratio mask before a front end: {"waveform", "length"} -> {feature: (batch, length, bins), "mask"}."""
    given = waveform_inputs()
    cleaned = mask_denoiser(first)(given)["waveform"]
    return keras.Model(given, frontend(cleaned, given["length"]), name="extractor")


def second_extractor(run, recipe, frontend):
    """Build the front end of a cascade's model 2, after model 1, according to the recipe's `discard`."""
    if recipe.discard == "mask":
        return mask_extractor(run.model(), frontend)
    return drop_extractor(run.model(), *noise_segments(run.recipe))


def without_first(whole: keras.Model, frontend) -> keras.Model:
    """Build a cascade's model 2 without model 1, on all frames of a front end with the settings `frontend`."""
    extract = extractor(Frontend(**frontend.options()))
    return assembled(extract, whole.get_layer("scorer"), "without_model_1")

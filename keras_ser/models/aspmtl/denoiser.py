"""Model 1 of the ASP-MTL paper as a denoiser: waveform in, waveform of the same length out.

`drop`, as in the paper, silences the segments in which a noise has the highest posterior; `mask` multiplies each bin by the ratio
mask that the network estimates, and resynthesises the frames with the noisy phase. `ideal` multiplies by the mask that this network
learns to estimate, computed from the clean speech.

All of them need consecutive frames: a model 1 that was trained with `frontend.endpoint=False` and `frontend.seconds=0`.
"""

from typing import Any

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features import ApplyGain, Frontend, apply_gain, ideal_ratio_mask, mask_samples
from keras_ser.features.configured import FeatureLayer
from keras_ser.models.whole_model import inner_network, parts, waveform_inputs
from keras_ser.settings import CLEAN, STRETCH, of_stream


def surviving(noise: Any, segment_mask: Any, mask: Any, clean: int) -> tuple[Any, Any]:
    """Select the segments to keep: those whose most probable class is "clean", or else the least noisy one.

    Args:
        noise: (batch * segments, classes) noise posteriors, the segments of a clip in consecutive rows.
        segment_mask: (batch * segments, frames) bool.
        mask: (batch, length) bool, of the clips.
        clean: index of the class "clean".

    Returns:
        (batch, segments) bool, the segments to keep; (batch,) bool, True where no segment was clean.
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
class SilenceNoise(FeatureLayer):
    """Set the samples of noisy segments to 0.

    Args:
        frames: frames per segment.
        hop: samples between frames.
        clean: index of the class "clean". Default 0.

    Input: waveform (batch, samples), length (batch,), the features' mask (batch, length), noise posteriors
        (batch * segments, classes) and the segments' mask (batch * segments, frames), as `Segment(frames)` cut them.
    Output: {"waveform": (batch, samples), "emptied": (batch,)}; "emptied" is True where no segment survived and the least
        noisy one was kept. A segment ends where the next one's first frame begins; the last one goes to the clip's end.
    """

    def __init__(self, frames: int, hop: int, clean: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())

    def call(self, waveform, length, mask, noise, segment_mask):
        stay, emptied = surviving(noise, segment_mask, mask, self.clean)
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1  # (batch,), last frame of each clip
        frame = ops.arange(ops.shape(waveform)[1], dtype="int32") // self.hop
        index = ops.minimum(frame[None, :], last[:, None]) // self.frames  # (batch, samples)
        kept = ops.take_along_axis(ops.cast(stay, "float32"), index, axis=1)
        return {"waveform": mask_samples(waveform * kept, length), "emptied": emptied}


def mask_denoiser(first: keras.Model) -> keras.Model:
    """Build a denoiser by ratio mask: {"waveform": (batch, samples), "length": (batch,)} -> {"waveform": (batch, samples)}.

    Args:
        first: a whole model (`keras_ser.models.whole_model.assembled`) whose network has an output "gain".

    Raises:
        UserError: the model estimates no mask, or its front end cuts clips or drops silence.
    """
    frontend, network = _parts(first)
    if "gain" not in network.output:
        raise UserError("this model estimates no mask: train it with config.mask_bins, or use the method 'drop'.")
    given = waveform_inputs()
    features = first.get_layer("extractor")(given)
    masked = keras.Model(network.input, network.output["gain"], name="gain_network")
    gain = masked({name: features[name] for name in network.input})
    resynthesis = ApplyGain(frontend.window, frontend.hop, frontend.fft, frontend.window_shape, name="apply_gain")
    return keras.Model(given, {"waveform": resynthesis(given["waveform"], given["length"], gain)}, name="mask_denoiser")


def drop_denoiser(first: keras.Model, segment: int, clean: int = 0, task: str = "noise") -> keras.Model:
    """Build a denoiser that silences noisy segments: {"waveform", "length"} -> {"waveform": (batch, samples), "emptied": (batch,)}.

    The arguments are those of `keras_ser.models.aspmtl.cascade.drop_extractor`.
    """
    frontend, network = _parts(first)
    given = waveform_inputs()
    x = first.get_layer("extractor")(given)
    cut, _ = parts(x, list(network.input), segment)
    judge = keras.Model(network.input, network.output[task], name="noise_network")
    silence = SilenceNoise(segment, frontend.hop, clean, name="silence_noise")
    found = silence(given["waveform"], given["length"], x["mask"], judge(cut), cut["mask"])
    return keras.Model(given, found, name="drop_denoiser")


def noise_segments(recipe: Any) -> tuple[int, int, str]:
    """Return frames per segment, index of the class "clean" and name of the noise task of a model 1's `Recipe`."""
    noise = next(filter(of_stream, recipe.tasks))
    return recipe.sampling.frames, int(noise.encode(CLEAN)[0]), noise.name


def ideal(clean: Any, noisy: Any, length: Any, frontend: Frontend) -> Any:
    """Apply the ideal ratio mask, computed from the clean speech, to the noisy one: (batch, samples)."""
    sizes = (frontend.window, frontend.hop, frontend.fft, frontend.window_shape)
    return apply_gain(noisy, length, ideal_ratio_mask(clean, noisy, length, *sizes), *sizes)


def frontend_of(first: keras.Model) -> Frontend:
    """Return the front end inside a whole model.

    Raises:
        UserError: the model is a cascade, which has no front end of its own.
    """
    extract = first.get_layer("extractor")
    found = [layer for layer in extract.layers if isinstance(layer, Frontend)]
    if not found:
        raise UserError("expected a single model; this is a cascade: name its model_1.")
    return found[0]


def _parts(first: keras.Model):
    frontend = frontend_of(first)
    if STRETCH in first.get_layer("extractor").output:
        raise UserError(
            "a denoiser needs whole clips, but this model cuts stretches: train it without sampling.seconds."
        )
    if frontend.endpoint or frontend.samples:
        raise UserError(
            "a denoiser needs all frames of a clip in sequence, but this model drops silence or cuts clips: "
            "train it with --set frontend.endpoint=false --set frontend.seconds=0."
        )
    first.trainable = False
    return frontend, inner_network(first)

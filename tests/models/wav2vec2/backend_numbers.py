"""Outputs and gradients of the layer, on the backend of KERAS_BACKEND: into an .npz file."""

import sys

import numpy as np

from keras_ser.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config
from tests import checks
from tests.models.wav2vec2.reference import GROUP, LAYER, SIZES, padded, waveforms

FORMS = {"group": GROUP, "layer": LAYER}


def numbers() -> dict[str, np.ndarray]:
    found = {}
    x, mask = padded(waveforms())
    for name, settings in FORMS.items():
        config = Wav2Vec2Config(**SIZES, **settings, apply_spec_augment=False)
        for kind, given in (("masked", mask), ("unmasked", None)):
            # a layer of its own, since PyTorch adds gradients to those of before
            layer = Wav2Vec2(config, states="weighted", freeze_feature_encoder=True)
            layer.build((None, None))
            checks.randomize(layer, np.random.default_rng(6))
            outputs, slopes = checks.gradients(layer, x, given)
            found |= {f"{name}, {kind}: output": outputs[0], f"{name}, {kind}: by the waveform": slopes[0]}
            for weight, slope in zip(layer.trainable_variables, slopes[1:], strict=True):
                if "key/bias" not in weight.path:  # softmax takes no notice of that bias
                    found[f"{name}, {kind}: {weight.path.partition('/')[2]}"] = slope
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **numbers())

"""Hidden states against transformers in PyTorch: random weights, both forms of normalisation, masked and unmasked."""

import numpy as np
import pytest

from keras_ser.models.wav2vec2 import load
from tests.models.wav2vec2.reference import GROUP, LAYER, hidden_states, make, padded, standardized, waveforms

for name in ("torch", "transformers"):
    pytest.importorskip(name, reason="the extra `backends` is not installed: pip install '.[backends]'")

FORMS = [
    ("Wav2Vec2", GROUP),
    ("Wav2Vec2", LAYER),
    ("Hubert", GROUP),
    ("Hubert", LAYER),
    ("Wav2Vec2", {**LAYER, "do_stable_layer_norm": False}),
    ("Wav2Vec2", {**GROUP, "do_stable_layer_norm": True, "num_conv_pos_embeddings": 7, "conv_bias": True}),
    ("Hubert", {**GROUP, "feat_proj_layer_norm": False, "layer_norm_eps": 0.03}),
    ("Wav2Vec2", {**LAYER, "mask_time_prob": 0.0, "conv_dim": (5, 9), "conv_kernel": (7, 4), "conv_stride": (3, 5)}),
]


MASKED = [form for form in FORMS if form[1]["feat_extract_norm"] == "layer"]


def title(form) -> str:
    return ", ".join([form[0], *(f"{name}={value}" for name, value in form[1].items() if "conv_" not in name)])


@pytest.fixture(scope="module", params=FORMS, ids=title)
def pair(request, tmp_path_factory):
    """(model of transformers, our layer that has loaded what it saved)."""
    kind, settings = request.param
    folder = tmp_path_factory.mktemp("checkpoint")
    model = make(folder, kind, seed=7, **settings)
    return model, load(folder, states="all")


def agree(ours, theirs, i: int = 0) -> None:
    """Our example `i` has their frames first, and 0 behind them."""
    assert len(ours) == len(theirs) > 2
    for state, expected in zip(ours, theirs, strict=True):
        frames = expected.shape[1]
        np.testing.assert_allclose(np.array(state)[i : i + 1, :frames], expected, atol=1e-4)
        assert not np.array(state)[i, frames:].any()


def test_hidden_states_of_a_batch_of_one_length(pair, rng):
    model, layer = pair
    x = rng.normal(size=(3, 4321)).astype("float32") * np.array([[0.2], [1.0], [5.0]], "float32")
    theirs = hidden_states(model, np.stack([standardized(wave) for wave in x]))
    ours = layer(x)
    for i in range(3):
        agree(ours, [state[i : i + 1] for state in theirs], i)


def test_masked_batch_gives_what_transformers_gives_each_clip_alone(pair):
    model, layer = pair
    waves = waveforms()
    x, mask = padded(waves)
    ours = layer(x, mask=mask)
    for i, wave in enumerate(waves):
        agree(ours, hidden_states(model, standardized(wave)[None]), i)


# transformers takes a group norm's statistics over the padding, too
@pytest.mark.parametrize("pair", MASKED, indirect=True, ids=title)
def test_masked_batch_is_that_of_transformers_with_an_attention_mask(pair):
    model, layer = pair
    waves = waveforms()
    x, mask = padded([standardized(wave) for wave in waves])
    theirs = hidden_states(model, x, mask)
    ours = layer(padded(waves)[0], mask=mask)
    for i, wave in enumerate(waves):
        agree(ours, [state[i : i + 1, : layer.frames(len(wave))] for state in theirs], i)


def test_padded_batch_without_mask_is_that_of_transformers(pair):
    model, layer = pair
    x, _ = padded(waveforms())
    theirs = hidden_states(model, np.stack([standardized(wave) for wave in x]))
    ours = layer(x)
    for i in range(len(x)):
        agree(ours, [state[i : i + 1] for state in theirs], i)


def test_frames_are_those_of_transformers(pair):
    model, layer = pair
    field = layer.config.receptive_field
    for samples in (*range(field, field + 700, 13), 48000):
        assert layer.frames(samples) == int(model._get_feat_extract_output_lengths(samples))

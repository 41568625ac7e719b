"""Settings of a checkpoint: what is read, what is refused, and how many frames there are."""

import json

import pytest

from keras_ser.errors import UserError
from keras_ser.models.wav2vec2 import Wav2Vec2Config
from keras_ser.models.wav2vec2.config import preprocessor

BASE = {"model_type": "wav2vec2"}


def counted(config: Wav2Vec2Config, samples: int) -> int:
    """Frames, one convolution after the other, each position tried."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = sum(start + kernel <= samples for start in range(0, samples, stride))
    return samples


@pytest.mark.parametrize(
    "sizes", [{}, {"conv_dim": (3, 3, 3), "conv_kernel": (7, 4, 1), "conv_stride": (3, 5, 2)}], ids=["base", "odd"]
)
def test_frames_are_counted_convolution_by_convolution(sizes):
    config = Wav2Vec2Config(**sizes)
    assert [config.frames(n) for n in range(0, 2000, 7)] == [counted(config, n) for n in range(0, 2000, 7)]
    field = config.receptive_field
    assert [config.frames(n) for n in (field - 1, field, field + config.stride - 1, field + config.stride)] == [
        0,
        1,
        1,
        2,
    ]


def test_base_has_frames_of_20_ms_from_25_ms():
    config = Wav2Vec2Config()
    assert (config.receptive_field, config.stride, config.frames(48000)) == (400, 320, 149)


def test_settings_of_no_consequence_are_passed_over():
    config = Wav2Vec2Config.from_dict({**BASE, "vocab_size": 32, "hidden_size": 96, "add_adapter": False})
    assert config == Wav2Vec2Config(hidden_size=96)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"model_type": "wavlm"}, ["wav2vec2 or hubert", "'wavlm'"]),
        ({"model_type": "whisper"}, ["wav2vec2 or hubert", "'whisper'"]),
        ({"model_type": ["x"] * 50}, ["wav2vec2 or hubert"]),
        ({}, ["wav2vec2 or hubert", "None"]),
        ({"model_type": "hubert", "conv_pos_batch_norm": True}, ["conv_pos_batch_norm", "not supported"]),
        ({**BASE, "add_adapter": True}, ["add_adapter"]),
        ({**BASE, "adapter_attn_dim": 16}, ["adapter_attn_dim", "16"]),
        ({**BASE, "hidden_act": "relu"}, ["hidden_act", "gelu", "relu"]),
        ({**BASE, "feat_extract_norm": "batch"}, ["feat_extract_norm", "group, layer"]),
        ({**BASE, "hidden_size": "big"}, ["hidden_size", "'big'"]),
        ({**BASE, "hidden_size": 0}, ["hidden_size", "at least 1"]),
        ({**BASE, "hidden_size": 770}, ["num_attention_heads", "770"]),
        ({**BASE, "hidden_size": 24}, ["num_conv_pos_embedding_groups", "24"]),
        ({**BASE, "conv_dim": [8, 8]}, ["one entry per convolution", "2, 7, 7"]),
        ({**BASE, "conv_dim": [], "conv_stride": [], "conv_kernel": []}, ["one entry per convolution"]),
        ({**BASE, "layerdrop": 1.0}, ["layerdrop", "[0, 1)"]),
        ({**BASE, "layer_norm_eps": 0}, ["layer_norm_eps"]),
    ],
)
def test_other_architectures_and_settings_are_refused_in_one_line(data, words, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(data))
    with pytest.raises(UserError) as caught:
        Wav2Vec2Config.from_folder(tmp_path)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in [*words, "config.json"])


def test_preprocessor_settings_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(BASE))
    assert Wav2Vec2Config.from_folder(tmp_path) == Wav2Vec2Config()
    (tmp_path / "preprocessor_config.json").write_text(
        '{"do_normalize": false, "sampling_rate": 8000, "feature_size": 1}'
    )
    assert Wav2Vec2Config.from_folder(tmp_path) == Wav2Vec2Config(do_normalize=False, sampling_rate=8000)


def test_settings_of_a_processor_go_before_those_of_a_preprocessor(tmp_path):
    """As transformers 5.24 reads such a folder; version 5 writes them into processor_config.json, version 4 does not."""
    (tmp_path / "config.json").write_text(json.dumps(BASE))
    theirs, old = tmp_path / "processor_config.json", tmp_path / "preprocessor_config.json"
    theirs.write_text(
        '{"feature_extractor": {"do_normalize": false, "sampling_rate": 8000}, "processor_class": "Wav2Vec2Processor"}'
    )
    assert preprocessor(tmp_path) == (theirs, {"do_normalize": False, "sampling_rate": 8000})
    assert Wav2Vec2Config.from_folder(tmp_path) == Wav2Vec2Config(do_normalize=False, sampling_rate=8000)
    old.write_text('{"do_normalize": true, "sampling_rate": 16000}')
    assert Wav2Vec2Config.from_folder(tmp_path) == Wav2Vec2Config(do_normalize=False, sampling_rate=8000)
    theirs.write_text('{"processor_class": "Wav2Vec2Processor"}')
    assert preprocessor(tmp_path)[0] == old and Wav2Vec2Config.from_folder(tmp_path) == Wav2Vec2Config()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["no config.json"]),
        ({"config.json": "{"}, ["config.json", "expected JSON"]),
        ({"config.json": "[1]"}, ["config.json", "JSON object"]),
        (
            {"config.json": '{"model_type": "hubert"}', "preprocessor_config.json": "nothing"},
            ["preprocessor_config.json"],
        ),
        (
            {"config.json": '{"model_type": "hubert"}', "processor_config.json": "{"},
            ["processor_config.json"],
        ),
    ],
)
def test_damaged_settings_are_refused_in_one_line(files, words, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        Wav2Vec2Config.from_folder(tmp_path)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="which is no folder"):
        Wav2Vec2Config.from_folder(tmp_path / "absent")


def test_a_waveform_below_the_receptive_field_is_refused():
    config = Wav2Vec2Config()
    config.check_samples(400)
    with pytest.raises(UserError, match=r"a waveform must have at least 400 samples.*Received: 399"):
        config.check_samples(399)

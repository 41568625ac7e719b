"""AlexNet's features against PyTorch in torchvision's layout, and its weights from a file."""

import json
import struct

import keras
import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.models.multilevel import alexnet
from keras_ser.models.multilevel.config import Config, after_pools
from keras_ser.models.multilevel.weights import alexnet_weights

FILTERS = (8, 12, 10, 9, 7)


def tensors(rng, filters=FILTERS) -> dict[str, np.ndarray]:
    """Random weights by torchvision's names, (out, in, height, width)."""
    found, before = {}, 3
    for number, kernel, after in zip((0, 3, 6, 8, 10), (11, 5, 3, 3, 3), filters, strict=True):
        scale = 1.5 / np.sqrt(before * kernel**2)
        found[f"features.{number}.weight"] = rng.normal(scale=scale, size=(after, before, kernel, kernel))
        found[f"features.{number}.bias"] = rng.normal(scale=0.1, size=(after,))
        before = after
    found["classifier.1.weight"] = rng.normal(size=(4, 3))
    return {name: value.astype("float32") for name, value in found.items()}


def write(path, arrays, kind="F32"):
    """The safetensors format, written out: length of the header, header, data."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        raw = array.astype({"F32": "<f4", "F16": "<f2", "I32": "<i4"}[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)


def network(size, filters=FILTERS, file=""):
    image = keras.Input((*size, 3))
    found, load = alexnet.features(image, filters, file)
    return keras.Model(image, found), load


def test_features_equal_those_of_torchvisions_layout(rng, tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    theirs = nn.ModuleDict()
    theirs["features"] = nn.Sequential(
        nn.Conv2d(3, FILTERS[0], kernel_size=11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(FILTERS[0], FILTERS[1], kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(FILTERS[1], FILTERS[2], kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(FILTERS[2], FILTERS[3], kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(FILTERS[3], FILTERS[4], kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )
    arrays = tensors(rng)
    state = {name: torch.tensor(value) for name, value in arrays.items() if name.startswith("features")}
    theirs.load_state_dict(state)
    for size in ((256, 384), (97, 130), (64, 63)):
        x = rng.normal(size=(2, *size, 3)).astype("float32")
        with torch.no_grad():
            expected = nn.AdaptiveAvgPool2d((6, 6))(theirs["features"](torch.tensor(x.transpose(0, 3, 1, 2))))
        model, load = network(size, file=write(tmp_path / "alexnet.safetensors", arrays))
        load()
        found = keras.ops.convert_to_numpy(model(x)).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
        assert np.abs(found).max() > 0.1


def test_image_is_bilinear_as_in_torch(rng):
    """Height is frequency, the lowest at the bottom; width is time."""
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(2, 30, 20)).astype("float32")
    found = keras.ops.convert_to_numpy(alexnet.SpectrogramImage((26, 38))(x))
    upward = torch.tensor(x[:, :, ::-1].transpose(0, 2, 1)[:, None].copy())
    expected = torch.nn.functional.interpolate(upward, (26, 38), mode="bilinear", align_corners=False)
    for channel in range(3):
        np.testing.assert_allclose(found[..., channel], expected[:, 0].numpy(), atol=1e-5)


def test_low_frequencies_are_at_the_bottom_and_time_runs_to_the_right():
    x = np.zeros((1, 12, 10), "float32")
    x[:, 9:, :3] = 1.0  # late and low
    found = keras.ops.convert_to_numpy(alexnet.SpectrogramImage((20, 24))(x))[0, ..., 0]
    assert found[15:, 20:].min() == 1 and not found[:12].any() and not found[:, :16].any()


def test_padding_of_the_image_is_0():
    x = np.full((1, 12, 10), np.nan, "float32")
    x[:, :6] = 1.0
    found = keras.ops.convert_to_numpy(alexnet.SpectrogramImage((10, 12))(x, mask=np.arange(12)[None] < 6))
    assert found[0, :, :6].min() == 1 and not found[0, :, 6:].any()


@pytest.mark.parametrize(("length", "size"), [(7, 6), (11, 6), (6, 6), (3, 6), (1, 6), (13, 4)])
def test_cells_are_those_of_adaptive_pooling(rng, length, size):
    x = rng.normal(size=length)
    expected = [x[int(np.floor(i * length / size)) : int(np.ceil((i + 1) * length / size))].mean() for i in range(size)]
    np.testing.assert_allclose(alexnet.cells(length, size) @ x, expected, atol=1e-6)


def test_the_papers_image_gives_9216_features():
    assert network((256, 384), Config().filters)[0].output.shape[1:] == (6, 6, 256)
    assert after_pools(63) == 1 and after_pools(62) == 0


@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_weights_are_transposed_to_keras(rng, tmp_path, kind):
    arrays = tensors(rng)
    model, load = network((64, 64), file=write(tmp_path / "a.safetensors", arrays, kind))
    load()
    for number in (0, 3, 6, 8, 10):
        kernel, bias = model.get_layer(f"alexnet_{number}").get_weights()
        theirs = arrays[f"features.{number}.weight"]
        for out, into, row, column in ((0, 1, 2, 1), (3, 2, 0, 2)):
            assert kernel[row, column, into, out] == pytest.approx(theirs[out, into, row, column], rel=1e-3)
        np.testing.assert_allclose(bias, arrays[f"features.{number}.bias"], rtol=1e-3)


def test_files_of_something_else_are_refused(rng, tmp_path):
    arrays = tensors(rng)
    lacking = {name: value for name, value in arrays.items() if name != "features.8.bias"}
    whole = write(tmp_path / "whole", arrays)
    short = tmp_path / "short"
    short.write_bytes((tmp_path / "whole").read_bytes()[:-4000])
    text = tmp_path / "text"
    text.write_text("no weights at all, only a text")
    cases = {
        write(tmp_path / "lacking", lacking): "it lacks features.8.bias and 0 more",
        write(tmp_path / "strange", {**arrays, "fc.weight": arrays["features.0.bias"]}): "it has fc.weight",
        write(tmp_path / "integers", arrays, "I32"): "Received: .* of I32",
        str(short): "expected a whole safetensors file",
        str(text): "expected a whole safetensors file",
        str(tmp_path / "nothing"): "no such file",
    }
    for file, words in cases.items():
        with pytest.raises(UserError, match=words) as error:
            alexnet_weights(file, FILTERS)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"features.3.weight must be \(13, 8, 5, 5\). Received: \(12, 8, 5, 5\)"):
        alexnet_weights(whole, (8, 13, 10, 9, 7))

"""VGGVox: every shape of the paper's table, the network against PyTorch, and what it refuses."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from keras_ser.models import vggvox
from keras_ser.models.vggvox import Config
from keras_ser.tasks import Task
from tests.models.rows import randomized

EMOTION = Task("emotion", ("anger", "disgust", "fear", "happiness", "neutral", "sadness"), weight=0.7)
SPEAKER = Task("speaker", tuple(map(str, range(1001, 1092))), identity=True)
AROUSAL = Task("arousal", low=-1.0, high=1.0, weight=3.0)
SMALL = {"filters": (3, 4, 5, 6, 7), "fc6": 9, "fc7": 8}
# bins x frames x channels after each layer, as the paper's table has them
TABLE = {
    "conv1": (254, 198, 96),
    "mpool1": (126, 99, 96),
    "conv2": (62, 49, 256),
    "mpool2": (30, 24, 256),
    "conv3": (30, 24, 256),
    "conv4": (30, 24, 256),
    "conv5": (30, 24, 256),
    "mpool5": (9, 11, 256),
    "fc6": (1, 11, 4096),
    "apool6": (4096,),
    "fc7": (1024,),
    "emotion": (6,),
    "speaker": (91,),
}
KERNELS = {"conv1": (7, 7), "conv2": (5, 5), "conv3": (3, 3), "conv4": (3, 3), "conv5": (3, 3), "fc6": (9, 1)}


@pytest.fixture(scope="module")
def network():
    return vggvox.build(Config(), {"magnitude": (400, 512)}, (EMOTION, SPEAKER)).model


def test_shapes_and_supports_are_those_of_the_table(network):
    assert {layer: network.get_layer(layer).output.shape[1:] for layer in TABLE} == TABLE
    assert {layer: network.get_layer(layer).kernel_size for layer in KERNELS} == KERNELS


def test_nothing_stands_beside_the_table(network):
    """Weights by arithmetic: kernels, four numbers a normalised channel, and the outputs' biases."""
    kernels = 49 * 96 + 25 * 96 * 256 + 3 * 9 * 256 * 256 + 9 * 256 * 4096 + 4096 * 1024
    norms = 4 * (96 + 4 * 256 + 4096 + 1024)
    statistics = 2 * 512
    assert network.count_params() == kernels + norms + 1025 * 6 + 1025 * 91 + statistics


def small(tasks=(EMOTION, SPEAKER), frames=131, seed=0):
    """Random weights, and the statistics that normalise what they make of noise."""
    made = vggvox.build(Config(**SMALL, momentum=0.0), {"magnitude": (frames, 128)}, tasks)
    x = np.random.default_rng(seed).normal(size=(5, frames, 128)).astype("float32")
    randomized(made.model, seed)
    made.model({"magnitude": x, "mask": np.ones((5, frames), bool)}, training=True)
    return made


def test_the_network_is_pytorchs(rng):
    torch = pytest.importorskip("torch", reason="the extra `backends` is not installed: pip install '.[backends]'")
    nn = torch.nn.functional
    made = small()
    network = made.model
    x = rng.normal(size=(3, 131, 128)).astype("float32")
    found = network({"magnitude": x, "mask": np.ones((3, 131), bool)}, training=False)

    def weights(name):
        return [torch.tensor(np.asarray(w)) for w in network.get_layer(name).weights]

    def block(h, name, stride, padding):
        (kernel,) = weights(name)
        h = nn.conv2d(h, kernel.permute(3, 2, 0, 1), stride=stride, padding=padding)
        gamma, beta, mean, variance = weights(f"{name}_norm")
        return nn.relu(nn.batch_norm(h, mean, variance, gamma, beta, eps=1e-5))

    mean, variance = (np.asarray(w) for w in network.get_layer("normalization").weights)
    h = torch.tensor(((x - mean) / np.sqrt(variance + 1e-6)).transpose(0, 2, 1)[:, None])
    h = block(h, "conv1", 2, 1)
    h = nn.max_pool2d(nn.pad(h, (0, 1, 0, 0), value=float("-inf")), 3, 2)
    h = nn.max_pool2d(block(h, "conv2", 2, 1), 3, 2)
    for name in ("conv3", "conv4", "conv5"):
        h = block(h, name, 1, 1)
    h = nn.max_pool2d(h, (5, 3), (3, 2))
    h = block(h, "fc6", 1, 0).mean(dim=(2, 3))
    (kernel,) = weights("fc7")
    gamma, beta, mean, variance = weights("fc7_norm")
    fc7 = nn.batch_norm(h @ kernel, mean, variance, gamma, beta, eps=1e-5)
    for task in ("emotion", "speaker"):
        kernel, bias = weights(task)
        theirs = (torch.relu(fc7) @ kernel + bias).numpy()
        np.testing.assert_allclose(np.asarray(found[task]), theirs, atol=1e-5 * np.abs(theirs).max())
    embedded = keras.Model(network.input, made.embedding)
    ours = embedded({"magnitude": x, "mask": np.ones((3, 131), bool)}, training=False)
    np.testing.assert_allclose(np.asarray(ours), fc7.numpy(), atol=1e-4 * float(fc7.abs().max()))


@pytest.mark.parametrize(("bins", "frames"), [(512, 400), (128, 131), (90, 64), (77, 61), (76, 59), (200, 57)])
def test_what_the_pools_leave_is_what_is_said(bins, frames):
    left = vggvox.after_pools(bins, 0), vggvox.after_pools(frames, 1)
    if min(left) < 1:
        with pytest.raises(ValueError, match="too small for five poolings"):
            vggvox.build(Config(**SMALL), {"magnitude": (frames, bins)}, (EMOTION,))
    else:
        made = vggvox.build(Config(**SMALL), {"magnitude": (frames, bins)}, (EMOTION,)).model
        assert made.get_layer("mpool5").output.shape[1:3] == left


def test_loss_is_the_weighted_sum(rng):
    """eq. 2, with the weights of the tasks."""
    tasks = (EMOTION, SPEAKER, AROUSAL)
    made = small(tasks)
    network, outputs = made.model, made.outputs.items()
    network.compile(loss={n: o.loss for n, o in outputs}, loss_weights={n: o.weight for n, o in outputs})
    x = {"magnitude": rng.normal(size=(4, 131, 128)).astype("float32"), "mask": np.ones((4, 131), bool)}
    y = {"emotion": np.array([0, 5, 2, 1]), "speaker": np.array([90, 3, 7, 7]), "arousal": rng.uniform(-1, 1, 4)}
    z = {name: np.asarray(value, "float64") for name, value in network(x, training=False).items()}
    expected = -0.7 * log_softmax(z["emotion"], axis=-1)[range(4), y["emotion"]].mean()
    expected -= log_softmax(z["speaker"], axis=-1)[range(4), y["speaker"]].mean()
    expected += 3.0 * np.square(z["arousal"][:, 0] - y["arousal"]).mean()
    assert network.evaluate(x, y, verbose=0, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"magnitude": (None, 512)}, "takes clips of one length: set frontend.seconds"),
        (
            {"magnitude": (400, 512), "energy": (400, 1)},
            "takes one feature, a spectrogram. Received: magnitude, energy",
        ),
    ],
)
def test_what_it_does_not_take(inputs, words):
    with pytest.raises(ValueError, match=words):
        vggvox.build(Config(**SMALL), inputs, (EMOTION,))


@pytest.mark.parametrize("changes", [{"filters": (1, 2, 3)}, {"fc6": 0}, {"momentum": 1.0}, {"dropout": -0.1}])
def test_bad_settings(changes):
    with pytest.raises(ValueError, match=f"`{next(iter(changes))}`"):
        Config(**changes)

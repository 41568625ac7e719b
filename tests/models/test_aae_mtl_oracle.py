"""One step of AAE-MTL against PyTorch: the three phases written again from the paper's equations."""

import keras
import numpy as np
import pytest

from keras_ser.models.aae_mtl import Config
from keras_ser.recipe import OptimizerConfig, Sampling
from keras_ser.tasks import Task
from keras_ser.training.network import build
from tests.models.papers import NETWORKS
from tests.models.rows import randomized

torch = pytest.importorskip("torch", reason="the extra `backends` is not installed: pip install '.[backends]'")
F = torch.nn.functional

EPSILON, MOMENTUM = 1e-3, 0.99  # of batch normalisation


def _sides(kernel, inputs, strides):
    """(before, after) an axis: what "same" pads, the odd one after."""
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for k, n, s in zip(kernel, inputs, strides, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


class Paper:
    """The network and its training step, in float64; `weights` are {name: array} in Keras's layouts.

    Images are (batch, channels, frames, bins).
    """

    def __init__(self, weights, pools, head_pool, code):
        self.weights = {name: torch.tensor(w, dtype=torch.float64, requires_grad=True) for name, w in weights.items()}
        self.pools, self.head_pool, self.code = pools, head_pool, code

    def names(self, *parts):
        """The trainable weights of parts, e.g. "encoder"."""
        ours = tuple(part + mark for part in parts for mark in "_/")
        return [name for name in self.weights if name.startswith(ours) and "moving" not in name]

    def conv(self, x, name):
        kernel = self.weights[f"{name}/kernel"].permute(3, 2, 0, 1)
        (top, bottom), (left, right) = _sides(kernel.shape[2:], x.shape[2:], (1, 1))
        return F.conv2d(F.pad(x, (left, right, top, bottom)), kernel, self.weights.get(f"{name}/bias"))

    def transposed(self, x, name, stride):
        """The gradient of a strided "same" convolution, so cropped where that pads."""
        kernel = self.weights[f"{name}/kernel"].permute(3, 2, 0, 1)
        made = [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
        (top, _), (left, _) = _sides(kernel.shape[2:], made, stride)
        full = F.conv_transpose2d(x, kernel, self.weights.get(f"{name}/bias"), stride)
        return full[:, :, top : top + made[0], left : left + made[1]]

    def norm(self, x, name):
        mean = x.mean((0, 2, 3))
        variance = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
        with torch.no_grad():
            for statistic, value in (("moving_mean", mean), ("moving_variance", variance)):
                self.weights[f"{name}/{statistic}"].mul_(MOMENTUM).add_((1 - MOMENTUM) * value)
        x = (x - mean[:, None, None]) / torch.sqrt(variance[:, None, None] + EPSILON)
        return x * self.weights[f"{name}/gamma"][:, None, None] + self.weights[f"{name}/beta"][:, None, None]

    def encode(self, x):
        x = self.norm(self.conv(x, "encoder_1"), "encoder_1_norm")
        x = F.max_pool2d(F.relu(x), self.pools[0])
        x = self.conv(x, "encoder_2")
        if self.code == "relu":  # the paper's letter
            return F.max_pool2d(F.relu(self.norm(x, "encoder_2_norm")), self.pools[1])
        return self.norm(F.max_pool2d(x, self.pools[1]), "encoder_2_norm")

    def decode(self, z):
        z = self.transposed(z, "decoder_2", self.pools[1])
        return self.transposed(F.relu(self.norm(z, "decoder_2_norm")), "decoder_1", self.pools[0])

    def dense(self, x, name):
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def judge(self, z, name):
        """log softmax of a classifier, or of the discriminator."""
        pool = [min(self.head_pool, size) for size in z.shape[2:]]
        x = F.max_pool2d(F.relu(self.conv(z, f"{name}_conv")), pool)
        x = x.permute(0, 2, 3, 1).flatten(1)  # channels last
        x = F.relu(self.dense(F.relu(self.dense(x, f"{name}_dense_1")), f"{name}_dense_2"))
        return F.log_softmax(self.dense(x, name), -1)

    def update(self, loss, names, rate):
        gradients = torch.autograd.grad(loss, [self.weights[name] for name in names])
        with torch.no_grad():
            for name, gradient in zip(names, gradients, strict=True):
                self.weights[name] -= rate * gradient

    def step(self, x, valid, labels, labelled, prior, alpha, beta, rate, saturating=False, adversary=1.0, error="mean"):
        """One batch: the paper's phases in its order.

        Args:
            x: (batch, frames, bins), standardised; valid: (batch, frames).
            labels, labelled: {task: (batch,)}, the main task first.
            prior: the draw of N(0, I), (batch, channels, frames', bins').

        Returns:
            {name of the logged loss: value}; "loss" is eq. 1.
        """
        image = x[:, None]
        # 1: reconstruction, eq. 3, weighed by alpha as in eq. 1
        squares = (self.decode(self.encode(image))[:, 0] - x) ** 2
        reconstruction = squares[valid].mean()
        used = reconstruction if error == "mean" else squares[valid].sum() / len(x)
        self.update(alpha * used, self.names("encoder", "decoder"), rate)
        # 2: eq. 4 with the prior real (1) and the code fake (0); then the encoder, with the discriminator held
        z = self.encode(image)
        real, fake = self.judge(prior, "discriminator"), self.judge(z.detach(), "discriminator")
        discriminator = -real[:, 1].mean() - fake[:, 0].mean()
        self.update(discriminator, self.names("discriminator"), rate)
        fake = self.judge(z, "discriminator")
        generator = fake[:, 0].mean() if saturating else -fake[:, 1].mean()
        self.update(adversary * generator, self.names("encoder"), rate)
        # 3: eq. 2; a label that is missing has no part in its task's mean
        z = self.encode(image)
        losses = {}
        for name, label in labels.items():
            rows = torch.where(labelled[name])[0]
            losses[name] = -self.judge(z, name)[rows, label[rows]].mean()
        main, *others = losses.values()
        classified = beta * main + (1 - beta) * sum(others)
        self.update(classified, self.names("encoder", *labels), rate)
        losses |= {"reconstruction": reconstruction, "discriminator": discriminator, "generator": generator}
        logs = {f"{name}_loss": loss.item() for name, loss in losses.items()}
        return {**logs, "loss": (alpha * reconstruction + classified).item()}


FRAMES, BINS, BATCH, RATE = 24, 30, 7, 0.05
TASKS = (Task("emotion", ("a", "b", "c")), Task("gender", ("f", "m")), Task("speaker", tuple("pqrst"), identity=True))
SETTINGS = {"filters": (3, 4), "kernels": (3, 3), "pools": ((2, 3), (4, 2)), "alpha": 0.8, "beta": 0.7}
SETTINGS |= {"head_filters": 5, "head_pool": 2, "dense": (6, 7), "dropout": 0.0}


def batch(rng):
    """Features, labels and weights as training hands them on; three clips are padded, and each task misses labels."""
    mask = np.arange(FRAMES) < np.array([24, 15, 24, 10, 24, 21, 24])[:, None]
    x = rng.normal(size=(BATCH, FRAMES, BINS)).astype("float32") * mask[..., None]
    labels = {task.name: rng.integers(0, task.size, BATCH).astype("int32") for task in TASKS}
    labelled = {"emotion": [1, 0, 1, 0, 0, 1, 1], "gender": [1, 1, 1, 0, 1, 1, 1], "speaker": [0, 1, 1, 1, 1, 1, 0]}
    return x, mask, labels, {name: np.array(w, "float32") for name, w in labelled.items()}


def name_of(variable):
    """decoder_1/kernel: the variables of submodels are under their names only."""
    return "/".join(variable.path.split("/")[-2:])


@pytest.mark.parametrize("code", ["linear", "relu"])
@pytest.mark.parametrize(
    "changes", [{}, {"saturating": True, "adversary": 0.3}, {"error": "sum"}], ids=["paper", "saturating", "sum"]
)
def test_a_step_is_the_papers(changes, code, rng, monkeypatch):
    """Every weight moves as in PyTorch, to 1e-4 of the largest move of its variable, and the same losses are logged."""
    recipe = NETWORKS["aae"].replace(
        tasks=TASKS,
        config=Config(**SETTINGS, code=code, momentum=MOMENTUM, **changes),
        sampling=Sampling("segments", frames=FRAMES, hop=FRAMES, balance=False),
        optimizer=OptimizerConfig("sgd", RATE, momentum=0.0),
    )
    network, _ = build(recipe, {"linear_bands": (FRAMES, BINS)})
    model = randomized(network.model)
    before = {name_of(v): np.asarray(v.value) for v in model.weights if "seed" not in v.path}
    x, mask, labels, labelled = batch(rng)
    z = model.encoder.output.shape[1:]
    prior = rng.normal(size=(BATCH, *z)).astype("float32")
    monkeypatch.setattr(keras.random, "normal", lambda shape, **options: keras.ops.convert_to_tensor(prior))
    standard = (x - before["normalization/mean"]) / np.sqrt(before["normalization/variance"] + 1e-6) * mask[..., None]
    targets = {**labels, "reconstruction": standard}
    weights = {**labelled, "reconstruction": mask.astype("float32")}
    logs = model.train_on_batch({"linear_bands": x, "mask": mask}, targets, weights, return_dict=True)
    after = {name_of(v): np.asarray(v.value) for v in model.weights if "seed" not in v.path}

    theirs = Paper(before, SETTINGS["pools"], SETTINGS["head_pool"], code)
    losses = theirs.step(
        torch.tensor(standard, dtype=torch.float64),
        torch.tensor(mask),
        {name: torch.tensor(label.astype("int64")) for name, label in labels.items()},
        {name: torch.tensor(w > 0) for name, w in labelled.items()},
        torch.tensor(prior.transpose(0, 3, 1, 2), dtype=torch.float64),
        SETTINGS["alpha"],
        SETTINGS["beta"],
        RATE,
        **changes,
    )
    for name, expected in theirs.weights.items():
        move = expected.detach().numpy() - before[name]
        np.testing.assert_allclose(
            after[name] - before[name], move, rtol=0, atol=1e-4 * np.abs(move).max(), err_msg=name
        )
    logged = {name: value for name, value in logs.items() if name.endswith("loss")}
    assert logged == pytest.approx(losses, rel=1e-4)

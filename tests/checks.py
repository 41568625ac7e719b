"""Properties that every layer of the table must have; each check takes a row."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.errors import UserError
from tests.tables import LayerRow

BATCH, FRAMES = 3, 13


def rng_of(row: LayerRow) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, row.name)))


def flat(x) -> list[np.ndarray]:
    return [ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(x)]


def example(row: LayerRow, batch: int = BATCH, frames: int = FRAMES):
    """Random inputs and, for a layer with a mask, lengths that differ: (inputs, mask or None)."""
    rng = rng_of(row)
    x = row.inputs(rng, batch, frames)
    if not row.masked:
        return x, None
    lengths = np.concatenate([[frames, 1], rng.integers(2, frames, batch - 2)])
    return x, np.arange(frames) < lengths[:, None]


def randomize(layer, rng: np.random.Generator, scale: float = 0.6) -> None:
    """Random asymmetric weights; what is a scale or a variance stays positive."""
    for weight in layer.weights:
        if "seed" in weight.path or "generator" in weight.path:
            continue
        value = rng.normal(scale=scale, size=weight.shape)
        if any(word in weight.path for word in ("gamma", "variance")):
            value = np.abs(value) + 0.5
        weight.assign(value.astype("float32"))


def built(row: LayerRow, **kwargs):
    """The row's layer, built, with random weights."""
    layer = row.make(**kwargs)
    call(layer, *example(row))
    randomize(layer, rng_of(row))
    return layer


def call(layer, x, mask=None, training=None):
    kwargs = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    if training is not None and "training" in layer.call.__code__.co_varnames:
        kwargs["training"] = training
    return layer(keras.tree.map_structure(ops.convert_to_tensor, x), **kwargs)


def functional(row: LayerRow, layer=None) -> keras.Model:
    """A model of this layer alone: inputs {"x0", .., "mask"}, with batch and frames unknown."""
    layer = layer or built(row)
    x, mask = example(row)
    inputs = {}
    for i, leaf in enumerate(keras.tree.flatten(x)):
        shape = (None, *leaf.shape[2:]) if row.frames and leaf.ndim > 2 else leaf.shape[1:]
        inputs[f"x{i}"] = keras.Input(shape, name=f"x{i}")
    first = list(inputs.values()) if isinstance(x, list) else inputs["x0"]
    if mask is None:
        return keras.Model(inputs, layer(first))
    inputs["mask"] = keras.Input((None,), dtype="bool", name="mask")
    return keras.Model(inputs, layer(first, mask=inputs["mask"]))


def feed(row: LayerRow, x=None, mask=None) -> dict[str, np.ndarray]:
    if x is None:
        x, mask = example(row)
    data = {f"x{i}": leaf for i, leaf in enumerate(keras.tree.flatten(x))}
    return data if mask is None else {**data, "mask": mask}


def config_round_trip(row: LayerRow):
    layer = row.make(name="some_name")
    config = layer.get_config()
    again = row.layer.from_config(config)
    assert again.get_config() == config
    assert set(row.args) <= set(config), "an argument is not in the config"
    for name in row.args:
        assert getattr(again, name) == getattr(layer, name)
    keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    for policy in ("mixed_bfloat16", "float64"):
        mixed = row.make(dtype=policy)
        assert row.layer.from_config(mixed.get_config()).dtype_policy == mixed.dtype_policy


def subclass_round_trip(row: LayerRow):
    """Classes with an `__init__` that fixes arguments, adds one, or passes on everything make the same layer from its config."""

    class Fixed(row.layer):
        def __init__(self, **kwargs):
            super().__init__(**row.args, **kwargs)

    class More(row.layer):
        def __init__(self, more, **kwargs):
            super().__init__(**kwargs)
            self._more = more

        def get_config(self):
            return {**super().get_config(), "more": self._more}

    class All(row.layer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    first, rest = list(row.args.values())[:1], dict(list(row.args.items())[1:])
    fixed, more, everything = Fixed(), More(5, **row.args), All(*first, name="some_name", **rest)
    assert not set(row.args) & set(fixed.get_config())
    assert {"more", *row.args} <= set(more.get_config())
    assert everything.get_config() == row.make(name="some_name").get_config()
    for layer in (fixed, more, everything):
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        assert {name: getattr(again, name) for name in row.args} == {name: getattr(layer, name) for name in row.args}
        call(again, *example(row))


def numpy_integers_are_integers(row: LayerRow):
    """NumPy's integers are accepted as arguments, and are Python's in the config; booleans are refused."""
    integers = [name for name, value in row.args.items() if type(value) is int]
    layer = row.make(**{name: np.int64(row.args[name]) for name in integers})
    call(layer, *example(row))
    config = layer.get_config()
    assert {type(config[name]) for name in integers} <= {int}
    for name in set(integers) - {"seed"}:
        with pytest.raises((UserError, ValueError), match=name):
            row.make(**{name: True})


def keras_round_trip(row: LayerRow, folder):
    model = functional(row)
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    for a, b in zip(flat(model(feed(row))), flat(again(feed(row))), strict=True):
        np.testing.assert_array_equal(a, b)


def shapes_agree(row: LayerRow):
    """Symbolic == eager == compiled, in shape and dtype, and eager == compiled in value."""
    layer = built(row)
    model = functional(row, layer)
    x, mask = example(row)
    eager = flat(call(layer, x, mask))
    known = {"x": keras.tree.map_structure(lambda a: keras.KerasTensor(a.shape, "float32"), x)}
    if mask is not None:
        known["mask"] = keras.KerasTensor(mask.shape, "bool")
    fixed = keras.tree.flatten(layer.symbolic_call(known.pop("x"), **known))
    open_ended = keras.tree.flatten(model.output)
    compiled = flat(model.predict_on_batch(feed(row)))
    for e, c, f, o in zip(eager, compiled, fixed, open_ended, strict=True):
        assert e.shape == c.shape == tuple(f.shape)
        assert all(size in (None, real) for size, real in zip(o.shape, e.shape, strict=True))
        assert o.shape[-1] == e.shape[-1] or (o.dtype == "bool" and o.shape[-1] is None)
        assert str(e.dtype) == f.dtype == o.dtype
        np.testing.assert_allclose(e, c, atol=1e-5)


def mixed_precision_trains(row: LayerRow, policy: str):
    """One step of `fit` under a dtype policy leaves every weight finite, and the policy is obeyed."""
    layer = row.make(dtype=policy)
    core = functional(row, layer)
    outputs = [o for o in keras.tree.flatten(core.output) if o.dtype != "bool"]
    heads = [keras.layers.Dense(1, dtype="float32")(keras.layers.Flatten()(_pooled(o))) for o in outputs]
    model = keras.Model(core.input, keras.layers.Add()(heads) if len(heads) > 1 else heads[0])
    model.compile("adam", "mse", run_eagerly=True)
    y = rng_of(row).normal(size=(BATCH, 1)).astype("float32")
    history = model.fit(feed(row), y, batch_size=BATCH, epochs=1, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    for weight in model.weights:
        assert np.isfinite(ops.convert_to_numpy(ops.cast(weight, "float32"))).all(), weight.path
    for weight in layer.weights:
        assert weight.dtype in ("float32", "uint32"), weight.path
    from_policy = keras.dtype_policies.get(policy).compute_dtype
    assert {o.dtype for o in outputs} <= {from_policy, "float32"}


def policy_is_obeyed(row: LayerRow, policy: str):
    """A layer whose policy has no float32 gives outputs of the dtypes that its spec says."""
    layer = row.make(dtype=policy)
    model = functional(row, layer)
    assert [str(o.dtype) for o in flat(call(layer, *example(row)))] == [
        o.dtype for o in keras.tree.flatten(model.output)
    ]


def _pooled(x):
    while len(x.shape) > 2:
        x = ops.mean(x, axis=1)
    return x


def gradients(layer, x, mask=None, training=None):
    """Outputs, the gradient of a random projection of them (plus the losses) by each input and each trainable weight.

    Works on each backend: numbers of one can be compared with those of another.
    """
    x = keras.tree.map_structure(ops.convert_to_tensor, x)
    kwargs = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    if training is not None and "training" in layer.call.__code__.co_varnames:
        kwargs["training"] = training

    def total(outputs, losses):
        floats = [o for o in keras.tree.flatten(outputs) if keras.backend.standardize_dtype(o.dtype) != "bool"]
        terms = [ops.sum(ops.cast(o, "float32") * ops.convert_to_tensor(_direction(o.shape))) for o in floats]
        return sum(terms) + sum(losses)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, **kwargs)
            loss = total(outputs, layer.losses)
        found = tape.gradient(loss, [x, [v.value for v in layer.trainable_variables]])
    elif keras.backend.backend() == "jax":
        import jax

        fixed = [v.value for v in layer.non_trainable_variables]

        def loss(x, weights):
            outputs, _, losses = layer.stateless_call(weights, fixed, x, return_losses=True, **kwargs)
            return total(outputs, losses), outputs

        grad = jax.grad(loss, argnums=(0, 1), has_aux=True)
        found, outputs = grad(x, [v.value for v in layer.trainable_variables])
    else:
        x = keras.tree.map_structure(lambda a: a.detach().requires_grad_(), x)
        outputs = layer(x, **kwargs)
        total(outputs, layer.losses).backward()
        found = [
            keras.tree.map_structure(lambda a: a.grad, x),
            [v.value.grad for v in layer.trainable_variables],
        ]
        outputs = keras.tree.map_structure(lambda a: a.detach(), outputs)
    return flat(outputs), flat(found)


def _direction(shape):
    """Random numbers of a shape, those of the first frames being the same for any number of frames."""
    other = (shape[1], shape[0], *shape[2:]) if len(shape) > 2 else shape
    values = np.random.default_rng(5).normal(size=other).astype("float32")
    return values.swapaxes(0, 1) if len(shape) > 2 else values


def gradients_flow(row: LayerRow):
    """Finite everywhere, and not zero for any input and any trainable weight."""
    layer = built(row)
    _, found = gradients(layer, *example(row), training=True)
    assert len(found) == len(keras.tree.flatten(example(row)[0])) + len(layer.trainable_variables)
    for gradient in found:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-6


def batch_is_alone(row: LayerRow):
    """An example gives the same alone, cut to its own length, as in a batch."""
    model, (x, mask) = functional(row), example(row)
    together = flat(model(feed(row, x, mask)))
    for i in range(BATCH):
        end = None if mask is None else int(mask[i].sum())
        own = [leaf[i : i + 1, : end if leaf.ndim > 2 else None] for leaf in keras.tree.flatten(x)]
        alone = flat(model(feed(row, own, None if mask is None else mask[i : i + 1, :end])))
        for a, b in zip(alone, together, strict=True):
            same_and_then_nothing(a, b[i : i + 1], anything=row.identity)


def padding_is_ignored(row: LayerRow):
    """Garbage under the mask, and more of it, changes no output, loss or gradient, in inference and in training."""
    layer, (x, mask) = built(row), example(row)
    longer = np.pad(mask, ((0, 0), (0, 5)))

    def fill(leaf, garbage):
        if leaf.ndim < 3:
            return leaf
        leaf = np.pad(leaf, ((0, 0), (0, longer.shape[1] - leaf.shape[1])) + ((0, 0),) * (leaf.ndim - 2))
        leaf[~longer] = garbage
        return leaf

    clean = keras.tree.map_structure(lambda leaf: fill(leaf, 0.0)[:, : mask.shape[1] if leaf.ndim > 2 else None], x)
    for training in (False,) if row.random else (False, True):
        expected = flat(call(layer, clean, mask, training=training))
        losses = flat(layer.losses)
        dirty = keras.tree.map_structure(lambda leaf: fill(leaf, np.nan if training else 1e3), x)  # noqa: B023
        got = flat(call(layer, dirty, longer, training=training))
        np.testing.assert_allclose(flat(layer.losses), losses, rtol=1e-5)
        for a, b in zip(expected, got, strict=True):
            same_and_then_nothing(a, b, anything=row.identity)
        if training and not row.identity:
            slopes = gradients(layer, clean, mask, training=True)[1]
            again = gradients(layer, dirty, longer, training=True)[1]
            weights = len(layer.trainable_variables)
            for a, b in zip(slopes[len(slopes) - weights :], again[len(again) - weights :], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def same_and_then_nothing(short, long, anything: bool = False):
    """Equal where the shorter array has frames, and 0 (or False) beyond, unless `anything` may stand there."""
    if short.ndim > 1 and short.shape[1] < long.shape[1]:
        assert anything or not long[:, short.shape[1] :].any()
        long = long[:, : short.shape[1]]
    if not anything:
        np.testing.assert_allclose(short, long, atol=1e-5)

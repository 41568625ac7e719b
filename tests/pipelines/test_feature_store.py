"""Features kept in memory: every clip comes back as it was, and what does not fit is refused."""

import numpy as np

from keras_ser.pipelines.feature_store import FeatureStore


def clip(rng, number: int) -> tuple[dict, dict]:
    frames = int(rng.integers(0, 9))
    x = {"mfcc": rng.normal(size=(frames, 5)).astype("float32"), "slow": rng.normal(size=(frames // 2, 2, 3))}
    return x | {"real": rng.random(frames) < 0.5}, {"index": np.int64(number), "mixed": np.int32(number % 3)}


def test_clips_come_back_in_any_order_and_type(rng):
    clips = {int(number): clip(rng, int(number)) for number in rng.permutation(40)[:30]}
    size = sum(value.nbytes for x, _ in clips.values() for value in x.values())
    store = FeatureStore(size)
    assert all(store.add(number, *given) for number, given in clips.items())
    assert store.close() == size
    order = rng.permutation(list(clips))
    for number, (x, extra) in zip(order, store.dataset(order), strict=True):
        wanted, more = clips[number]
        for found, expected in ((x, wanted), (extra, more)):
            assert set(found) == set(expected)
            for name, value in expected.items():
                assert found[name].numpy().dtype == value.dtype
                np.testing.assert_array_equal(found[name], value)


def test_what_exceeds_the_room_is_refused(rng):
    x, extra = {"energy": np.ones((4, 1), "float32")}, {"index": 0}
    store = FeatureStore(2 * 16)
    assert [store.add(number, x, extra) for number in range(3)] == [True, True, False]

import numpy as np
import pytest
import soundfile

from keras_ser.audio import content_hash, pad, problems, read
from keras_ser.audio.waveforms import Levels


def test_problems(rng):
    good = rng.normal(scale=0.1, size=16000).astype("float32")
    assert problems(good, 16000) == []
    assert problems(good[:0], 16000) == ["empty"]
    assert problems(0 * good, 16000) == ["silent"]
    assert problems(0 * good + 0.3, 16000) == ["silent"]
    assert problems(np.clip(15 * good, -1, 1), 16000) == ["clipped"]
    assert problems(good[:399], 16000) == ["shorter than one window"]
    assert problems(good[:400], 16000) == []
    assert problems(np.array([0.5]), 16000) == ["silent", "shorter than one window"]
    assert problems(np.append(good, np.nan), 16000) == ["non-finite"]
    assert problems(5 * good, 16000) == [] and problems(2**15 * good, 16000) == ["far beyond full scale"]
    # Loud, quantised, and peaking at full scale once is not clipped.
    assert problems(good / np.abs(good).max(), 16000) == []


@pytest.mark.parametrize("sizes", [(1,), (2, 3), (700, 1, 1, 2)])
def test_levels_of_pieces_are_those_of_the_whole(rng, sizes):
    """Runs at a rail lie across pieces, and a rail may be exceeded by a later piece."""
    noise = rng.normal(size=4001).astype("float32")
    early = np.concatenate([np.clip(noise, -0.995, 0.995), np.clip(0.3 * noise, -1, 1), [1.0, -1.0]]).astype("float32")
    wholes = [np.clip(noise, -1, 1), np.clip(noise, -1.2, 1), np.append(np.clip(noise, -1, 1), [3.0]), 0 * noise, early]
    for whole, expected in zip(wholes, (["clipped"], ["clipped"], ["clipped"], ["silent"], []), strict=True):
        borders = np.cumsum(np.resize(sizes, len(whole)))
        levels = Levels()
        for piece in np.split(whole, borders[borders < len(whole)]):
            levels.add(piece)
        high, low = whole.max(), whole.min()
        runs = [sum((whole[i - 1 : i + 2] == r).all() for i in range(1, len(whole) - 1)) for r in (high, low)]
        clipped = [r for r, n in zip((high, low), runs, strict=True) if abs(r) >= 0.99 for _ in range(n)]
        right = ["silent"] if high == low else ["clipped"] * (len(clipped) > 4)
        assert levels.problems(16000) == problems(whole, 16000) == right == expected


def test_content_hash_sees_the_samples_alone(tmp_path, speechlike):
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / name, np.rint(32767 * speechlike).astype("int16"), 16000, subtype="PCM_16")
    first, second = read(tmp_path / "a.wav"), read(tmp_path / "b.flac")
    assert content_hash(first) == content_hash(second) == content_hash(first[::-1][::-1])
    assert content_hash(first) != content_hash(first[1:])
    changed = first.copy()
    changed[77] += 2.0**-15
    assert content_hash(first) != content_hash(changed)


def test_pad(rng):
    waveforms = [rng.normal(size=n).astype("float32") for n in (5, 9, 1)]
    padded, lengths = pad(waveforms)
    assert padded.shape == (3, 9) and padded.dtype == np.float32
    np.testing.assert_array_equal(lengths, [5, 9, 1])
    for row, x in zip(padded, waveforms, strict=True):
        np.testing.assert_array_equal(row, np.append(x, np.zeros(9 - len(x))))


@pytest.mark.parametrize("sizes", [(1,), (2, 3)])
def test_a_run_at_the_rail_counts_once_wherever_it_is_cut(sizes):
    whole = np.concatenate([np.tile([1.0, 1.0, 1.0, 0.0, -0.5], 20), [0.25]]).astype("float32")
    borders, levels = np.cumsum(np.resize(sizes, len(whole))), Levels()
    for piece in np.split(whole, borders[borders < len(whole)]):
        levels.add(piece)
    assert levels._flat == [20, 0] and levels.problems(16000) == ["clipped", "shorter than one window"]


def test_the_sign_of_zero_is_not_content():
    assert content_hash(np.float32([0.0, 0.5])) == content_hash(np.float32([-0.0, 0.5]))

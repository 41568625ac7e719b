import threading

import numpy as np
import pytest

from keras_ser.features import FEATURES, Frontend
from keras_ser.pipelines.extract import CALL, ROW, FeatureExtractor, _groups
from tests.features.clips import speech, speech_like

STREAMED = tuple(name for name in FEATURES if name not in ("short_term", "waveform"))


def clips_of(rng, shortest=1):
    """Of all lengths: of less than a window, around a row's end, of more than a row."""
    lengths = [20011, shortest, 399, 400, 401, 16000, ROW * 160, ROW * 160 + 241, 50021, 2 * ROW * 160 - 7]
    clips = [speech_like(rng, n, rng.uniform(90, 300)) if n > 800 else rng.normal(0, 0.1, n) for n in lengths]
    return [np.asarray(clip, np.float32) for clip in clips]


def by_itself(frontend, clip):
    """What the front end says of a clip alone."""
    found = {name: np.asarray(value) for name, value in frontend(clip[None]).items()}
    valid = found.pop("mask")[0]
    return {name: value[0, valid] for name, value in found.items()}


def alike(frontend, clips, found, tolerance=1e-6):
    assert len(found) == len(clips)
    expected = [by_itself(frontend, clip) for clip in clips]
    for values, wanted in zip(found, expected, strict=True):
        assert list(values) == list(frontend.features)
        assert {name: x.shape for name, x in values.items()} == {name: x.shape for name, x in wanted.items()}
    for name in frontend.features:
        a, b = (np.concatenate([values[name] for values in side]) for side in (found, expected))
        assert a.dtype == np.float32 and np.abs(a - b).max() <= tolerance * max(1.0, np.abs(b).max()), name


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"features": STREAMED, "endpoint": False}, marks=pytest.mark.slow),
        pytest.param(
            {"features": ("pitch",), "endpoint": False, "window": 320, "pitch_fmin": 80.0}, marks=pytest.mark.slow
        ),
        {"features": ("spectrogram",), "endpoint": False, "seconds": 1.5, "normalize": True, "fft": 1024},
        pytest.param({"features": ("mfcc", "pitch"), "statistics": True, "hop": 200}, marks=pytest.mark.slow),
        {"features": ("log_mel",), "endpoint": False, "window": 1600, "hop": 1600, "fft": 2048, "unit": True},
        pytest.param({"features": ("mfcc", "short_term"), "compatible": True}, marks=pytest.mark.slow),
        {"features": ("short_term",), "seconds": 0.5},
    ],
    ids=lambda options: "-".join(options.get("features", ["default"])),
)
def test_equals_the_front_end_of_each_clip_alone(rng, options):
    """Normalised numbers have lost digits on the way."""
    frontend = Frontend(**options)
    clips = clips_of(rng, shortest=80 if "pitch" in frontend.features else 1)  # of one sample any pitch is as good
    found = list(FeatureExtractor(frontend, threads=2)(clips))
    alike(frontend, clips, found, tolerance=5e-6 if frontend.normalize else 1e-6)


def test_clips_of_more_than_a_call_and_more_clips_than_a_call_has_room_for(rng):
    frontend = Frontend(("energy", "zero_crossing_rate"), endpoint=False)
    lengths = [16000] * 60 + [CALL * 160 + 2000, 777] + [20000] * 40
    clips = [rng.normal(0, 0.1, n).astype(np.float32) for n in lengths]
    alike(frontend, clips, list(FeatureExtractor(frontend)(iter(clips))))


@pytest.mark.slow
def test_real_speech(shared_data):
    frontend, clips = Frontend(), speech(shared_data, "ravdess", 4) + speech(shared_data, "emodb", 4)
    alike(frontend, clips, list(FeatureExtractor(frontend)(clips)))


def test_reads_no_further_than_it_must():
    read = 0

    def clips():
        nonlocal read
        while True:
            read += 1
            yield np.full(16000, 0.1, np.float32)

    answers = FeatureExtractor(Frontend(("energy",), endpoint=False), threads=1)(clips())
    first = next(answers)
    assert first["energy"].shape == (98, 1) and read < 4 * CALL / 98
    np.testing.assert_allclose(first["energy"], -20, atol=1e-4)
    answers.close()


@pytest.mark.parametrize("end", ["all", "error", "closed"])
def test_no_thread_is_left(rng, end):
    """When every clip is done, when one is refused, and when the caller has seen enough."""
    before = set(threading.enumerate())
    extract = FeatureExtractor(Frontend(("energy",), endpoint=False), threads=2)
    clips = [rng.normal(0, 0.1, 20000).astype(np.float32) for _ in range(6 * CALL // 125)]
    answers = extract([*clips, np.zeros((2, 2))] if end == "error" else clips)
    next(answers)
    assert set(threading.enumerate()) > before
    if end == "error":
        with pytest.raises(ValueError, match="must be an array"):
            list(answers)
    elif end == "closed":
        answers.close()
    else:
        list(answers)
    assert set(threading.enumerate()) <= before
    assert len(list(extract(clips[:3]))) == 3, "and it can be called again"


@pytest.mark.parametrize(("seconds", "threads", "expected"), [(1, 1, [40]), (1, 3, [14, 13, 13]), (0.05, 3, [24, 16])])
def test_threads_share_what_is_left_at_the_end(seconds, threads, expected):
    clips = [np.full(int(seconds * 16000), k, np.float32) for k in range(40)]
    groups = list(_groups(Frontend(("mfcc",)), clips, CALL, 0, threads))
    assert [len(group) for group in groups] == expected
    assert [clip.waveform[0] for group in groups for clip in group] == list(range(40))
    assert {group[0].first for group in groups} == {0}


def test_nan_stays_in_its_clip(rng):
    frontend = Frontend(("mfcc",), endpoint=False, fft=4096)
    clips = [rng.normal(0, 0.1, 8000).astype(np.float32) for _ in range(3)]
    clips[1][:] = np.nan
    found = [np.isnan(values["mfcc"]).any() for values in FeatureExtractor(frontend)(clips)]
    assert found == [False, True, False]


@pytest.mark.parametrize("endpoint", [False, True])
def test_results_share_no_memory(rng, endpoint):
    """Each clip's arrays can be changed, and hold nothing of its neighbours'."""
    frontend, clips = Frontend(("mfcc", "energy"), endpoint=endpoint), clips_of(rng)[:4]
    found = list(FeatureExtractor(frontend)(clips))
    for name, value in found[0].items():
        value -= value.mean(axis=0)
        assert value.base is None, name
    alike(frontend, clips[1:], found[1:])


def test_nothing_is_left_of_earlier_clips(rng):
    """The threads' memory is used again."""
    frontend = Frontend(("mfcc", "energy"), endpoint=False)
    extract, clips = FeatureExtractor(frontend, threads=1), clips_of(rng)
    for _ in extract([np.full(CALL * 160 - 2000, np.nan, np.float32)]):
        pass
    alike(frontend, clips[::-1], list(extract(clips[::-1])))
    alike(frontend, clips[:3], list(extract(clips[:3])))


@pytest.mark.parametrize("clip", [np.zeros((2, 500)), np.zeros(0), 0.5])
def test_what_is_not_a_clip_is_refused(clip):
    with pytest.raises(ValueError, match="clip 1 must be .* at least one sample"):
        list(FeatureExtractor(Frontend(("energy",), endpoint=False))([np.zeros(800), clip]))

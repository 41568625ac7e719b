"""Throughput of `Frontend` against librosa on the same clips, in one run.

    python benchmarks/frontend.py [--data DIR] [--clips 192] [--batch 48] [--repeats 5] [--cores 2]

Clips are read from DIR (any .wav or .flac below it, resampled to 16 kHz by `keras_ser.audio`), or synthesised: noise
with syllable-like loudness, 1.5 to 5 s long. All get decoded float32 audio. "batches": the layer, in one graph with unknown
batch and samples, on clips of similar length, padded (the padding is in its time). "extractor": `FeatureExtractor` on the
clips in their order, the copies into its stream in its time. librosa gets one clip at a time, as its users call it, with
the same sizes. All compute the same numbers (see tests/features); the last column says how far apart they are here. All
are warmed up, then take turns; the figures are medians.

The process may use `--cores`, no more (which only Linux knows to arrange). An operation of TensorFlow has one thread here:
those of the extractor, which calculates on all cores by itself, are too short to be shared, and batches gain nothing by it.
librosa computes on one core whatever it is allowed.
"""

import argparse
import os
from pathlib import Path

SAMPLE_RATE, WINDOW, HOP, FFT, BINS, COEFFICIENTS = 16000, 400, 160, 512, 40, 13
PITCH = (65.0, 500.0)


def arguments() -> argparse.Namespace:
    from keras_ser.cli.arguments import positive

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .wav or .flac files (default: synthesised clips)")
    parser.add_argument("--clips", type=int, default=192, help="how many clips (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=48, help="clips a batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="timings, of which the median counts")
    parser.add_argument("--cores", type=positive, help="cores that the process may use (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def clips(options: argparse.Namespace) -> list:
    """The clips, float32 mono at `SAMPLE_RATE`, from a folder or from a seed."""
    import numpy as np

    rng = np.random.default_rng(options.seed)
    if options.data is None:
        found = []
        for seconds in rng.uniform(1.5, 5.0, options.clips):
            samples = int(seconds * SAMPLE_RATE)
            knots = np.arange(samples // 1600 + 2) * 1600
            loudness = np.interp(np.arange(samples), knots, rng.uniform(0, 0.2, len(knots)))
            found.append((rng.standard_normal(samples) * loudness).astype(np.float32))
        return found
    from keras_ser.audio import read

    paths = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in (".wav", ".flac"))
    if not paths:
        raise SystemExit(f"expected .wav or .flac files under {options.data}, found none. Name another --data.")
    chosen = rng.permutation(len(paths))[: options.clips]
    return [read(paths[i], sample_rate=SAMPLE_RATE) for i in sorted(chosen)]


def ours(name: str, audio: list, batch: int):
    """A function of no arguments that computes feature `name` of all clips, and returns them clip by clip."""

    layer = frontend(name)
    return in_batches(lambda waveform, length: layer(waveform, length)[name], audio, batch)


def frontend(name: str):
    """The front end that computes feature `name` alone."""
    from keras_ser.features import Frontend

    sizes = {"sample_rate": SAMPLE_RATE, "window": WINDOW, "hop": HOP, "fft": FFT, "bins": BINS}
    pitch = dict(zip(("pitch_fmin", "pitch_fmax"), PITCH, strict=True))
    return Frontend((name,), **sizes, **pitch, coefficients=COEFFICIENTS, preemphasis=0.0, endpoint=False)


def extracted(name: str, audio: list):
    """The same by a `FeatureExtractor`."""
    from keras_ser.pipelines.extract import FeatureExtractor

    extract = FeatureExtractor(frontend(name))
    return lambda: [found[name] for found in extract(audio)]


def in_batches(features, audio: list, batch: int):
    """A function that runs a graph over clips of like length, padded, and gives each clip's valid frames back."""
    import numpy as np
    import tensorflow as tf

    from keras_ser.audio import pad

    signature = [tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None,), tf.int32)]
    graph = tf.function(features, input_signature=signature)
    order = np.argsort([len(x) for x in audio], kind="stable")

    def run():
        found = [None] * len(audio)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            values = graph(*pad([audio[i] for i in rows])).numpy()
            for row, i in enumerate(rows):
                found[i] = values[row, : max(1, 1 + (len(audio[i]) - WINDOW) // HOP)]
        return found

    return run


def theirs(name: str, audio: list):
    """The same by librosa."""
    import librosa
    import numpy as np

    margin = FFT - WINDOW
    span = 4 * int(np.ceil(SAMPLE_RATE / PITCH[0]))

    def spectral(x):
        x = np.pad(x, (margin // 2, margin - margin // 2 + max(0, WINDOW - len(x))))
        mel = librosa.feature.melspectrogram(
            y=x,
            sr=SAMPLE_RATE,
            n_fft=FFT,
            hop_length=HOP,
            win_length=WINDOW,
            window="hamming",
            center=False,
            n_mels=BINS,
            fmin=20.0,
            htk=True,
            norm=None,
        )
        log_mel = librosa.power_to_db(mel, top_db=None)
        if name == "log_mel":
            return log_mel.T
        mfcc = librosa.feature.mfcc(S=log_mel, n_mfcc=COEFFICIENTS)
        deltas = [librosa.feature.delta(mfcc, order=order, mode="nearest") for order in (1, 2)]
        return np.concatenate([mfcc, *deltas]).T

    def pitch(x):
        left = span // 2 - WINDOW // 2
        frames = max(1, 1 + (len(x) - WINDOW) // HOP)
        f0 = librosa.yin(
            np.pad(x, (left, span)),
            fmin=PITCH[0],
            fmax=PITCH[1],
            sr=SAMPLE_RATE,
            frame_length=span,
            hop_length=HOP,
            center=False,
        )
        return f0[:frames, None]

    return lambda: [(pitch if name == "pitch" else spectral)(x) for x in audio]


def apart(name: str, a: list, b: list) -> str:
    """How far two lists of features are apart."""
    import numpy as np

    a, b = np.concatenate(a), np.concatenate(b)
    if name == "pitch":
        # ours are octaves over the lowest pitch where voiced, and how periodic the frame is
        voiced = a[:, 1] > 0.7
        if not voiced.any():
            return "no voiced frames"
        a = PITCH[0] * 2 ** a[:, 0]
        return f"{np.mean(np.abs(a[voiced] / b[voiced, 0] - 1) < 0.01):.1%} of voiced frames within 1 %"
    return f"{np.abs(a - b).max() / np.abs(b).max():.1e} of peak"


def main() -> None:
    options = arguments()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import librosa
    import numpy as np
    import tensorflow as tf
    from machine import in_turns

    from keras_ser.machine import cores

    tf.config.threading.set_intra_op_parallelism_threads(1)
    audio = clips(options)
    seconds = sum(len(x) for x in audio) / SAMPLE_RATE
    print(
        f"{len(audio)} clips, {seconds:.0f} s, {options.data.name if options.data else 'synthesised'}; batch "
        f"{options.batch}, {cores()} core(s), times real time, median of {options.repeats}; TensorFlow {tf.__version__}, "
        f"librosa {librosa.__version__}, NumPy {np.__version__}"
    )
    print(f"{'feature':<10}{'batches':>12}{'extractor':>12}{'librosa':>12}{'ratios':>14}  apart")
    for name in ("mfcc", "log_mel", "pitch"):
        sides = {
            "batches": ours(name, audio, options.batch),
            "extractor": extracted(name, audio),
            "librosa": theirs(name, audio),
        }
        found = {side: run() for side, run in sides.items()}
        speed = {side: seconds / taken for side, taken in in_turns(sides, options.repeats).items()}
        ratios = [speed[side] / speed["librosa"] for side in ("batches", "extractor")]
        print(
            f"{name:<10}"
            + "".join(f"{x:>12.0f}" for x in speed.values())
            + f"{ratios[0]:>8.1f}{ratios[1]:>6.1f}  {apart(name, found['extractor'], found['librosa'])}"
        )


if __name__ == "__main__":
    main()

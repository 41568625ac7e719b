"""Throughput of the short-term features against pyAudioAnalysis 0.3.14 on the same clips, in one run.

    python benchmarks/short_term.py [--data DIR] [--clips 96] [--batch 8] [--repeats 5] [--threads 1]

Clips are read from DIR (any .wav or .flac below it, resampled to 16 kHz by `keras_ser.audio`), or synthesised: noise
with syllable-like loudness, 1.5 to 5 s long. Both sides get decoded audio. `Frontend` gets batches of clips of similar
length, padded, in one graph with unknown batch and samples (the padding is in its time); on one core few clips a batch
are faster, since their frames stay in the cache. pyAudioAnalysis gets one clip at a time, without its deltas. With
`compatible` both compute the same numbers; the last column says how far apart they are here, as the largest difference
of any feature over the range of that feature. The clean form is timed besides.
Both sides are warmed up, then take turns; the figures are medians.

`--threads` holds for TensorFlow and for the libraries under NumPy alike. pyAudioAnalysis is wanted without its own
requirements: `pip install --no-deps pyAudioAnalysis==0.3.14 tqdm`.
"""

import argparse
import os
import warnings
from pathlib import Path

SAMPLE_RATE, WINDOW, HOP = 16000, 400, 160


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .wav or .flac files (default: synthesised clips)")
    parser.add_argument("--clips", type=int, default=96, help="how many clips (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="clips a batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="timings, of which the median counts")
    parser.add_argument("--threads", type=int, default=1, help="threads of either side (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def ours(audio: list, batch: int, compatible: bool):
    """A function of no arguments that computes the features of all clips, and returns them clip by clip."""
    from frontend import in_batches

    from keras_ser.features import Frontend

    layer = Frontend(("short_term",), SAMPLE_RATE, WINDOW, HOP, endpoint=False, compatible=compatible)
    return in_batches(lambda waveform, length: layer(waveform, length)["short_term"], audio, batch)


def theirs(audio: list):
    """The same by pyAudioAnalysis, of the samples in 16 bits that it expects."""
    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from pyAudioAnalysis.ShortTermFeatures import feature_extraction
        except ImportError as error:
            raise SystemExit(
                f"pyAudioAnalysis is wanted ({error}): pip install --no-deps pyAudioAnalysis==0.3.14 tqdm"
            ) from None
    scaled = [x.astype(np.float64) * 2**15 for x in audio]
    return lambda: [feature_extraction(x, SAMPLE_RATE, WINDOW, HOP, deltas=False)[0].T for x in scaled]


def apart(a: list, b: list) -> str:
    """How far two lists of features are apart, and where by more than 1e-4 of a feature's range."""
    import numpy as np

    from keras_ser.features.short_term_features import SHORT_TERM_FEATURES

    a, b = np.concatenate(a), np.concatenate(b)
    far = np.abs(a - b) / np.ptp(b, axis=0)
    text = f"{far.max():.1e} of range"
    if (far > 1e-4).any():
        where = [
            f"{SHORT_TERM_FEATURES[i]} in {n} of {len(b)} frames" for i, n in enumerate((far > 1e-4).sum(axis=0)) if n
        ]
        text += f" ({', '.join(where)}; all else {far[far <= 1e-4].max():.1e})"
    return text


def main() -> None:
    options = arguments()
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{name}_NUM_THREADS"] = str(options.threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np
    import tensorflow as tf
    from frontend import clips
    from machine import busy_cores, in_turns

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # pyAudioAnalysis has no frame for a clip shorter than a window.
    audio = [x for x in clips(options) if len(x) >= WINDOW]
    seconds = sum(len(x) for x in audio) / SAMPLE_RATE
    print(
        f"{len(audio)} clips, {seconds:.0f} s, {options.data.name if options.data else 'synthesised'}; batch "
        f"{options.batch}, {options.threads} thread(s), median of {options.repeats}; TensorFlow {tf.__version__}, "
        f"pyAudioAnalysis 0.3.14, NumPy {np.__version__}; {busy_cores():.1f} cores busy with other things"
    )
    sides = {
        "compatible": ours(audio, options.batch, True),
        "clean": ours(audio, options.batch, False),
        "pyAudioAnalysis": theirs(audio),
    }
    found = {side: run() for side, run in sides.items()}
    speed = {side: seconds / taken for side, taken in in_turns(sides, options.repeats).items()}
    print(f"{'form':<12}{'ours x real time':>18}{'pyAudioAnalysis':>18}{'ratio':>8}  apart")
    for form in ("compatible", "clean"):
        a, b = speed[form], speed["pyAudioAnalysis"]
        difference = apart(found[form], found["pyAudioAnalysis"]) if form == "compatible" else "other numbers"
        print(f"{form:<12}{a:>18.0f}{b:>18.1f}{a / b:>8.1f}  {difference}")


if __name__ == "__main__":
    main()

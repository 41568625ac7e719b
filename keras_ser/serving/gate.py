"""What an export must pass before it gets its number: only ops of a stock server, and the answers of the offline path.

The golden clips are the demo corpus's synthesised speech, cut to lengths from a few samples to many seconds, and silence.
They go one by one and as one batch through Keras, the reloaded SavedModel and every one of its endpoints, at the model's own
rate (as floats and as 16, 24 and 32-bit integers) and at others, where soxr's resampling is the reference.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import tensorflow as tf

from keras_ser.audio import pad
from keras_ser.audio.io import read_bytes
from keras_ser.corpora import demo
from keras_ser.serving.facts import ExportError

TOLERANCE = 1e-5  # float32 at the model's own rate
LOOSE = 1e-2  # after mixed precision, and at other rates
OTHER_RATES = (8000, 11025, 22050, 44100, 48000)  # Hz
FORMATS = ("FLOAT", "PCM_U8", "PCM_16", "PCM_24", "PCM_32")
SECONDS = (0.01, 0.03, 0.5, 1.3, 2.7, 6.0)


@dataclass(frozen=True)
class Clip:
    """A clip as the client has it.

    Args:
        contents: a WAV file.
        waveform: (samples,) float32, the same at the model's rate by the offline path (libsndfile, soxr).
    """

    contents: bytes
    waveform: np.ndarray


def golden(
    sample_rate: int, rate: int | None = None, subtype: str = "FLOAT", max_seconds: float = max(SECONDS)
) -> list[Clip]:
    """Clips of different lengths, then one between stretches of digital silence, and one silent.

    Args:
        sample_rate: Hz of the model.
        rate: Hz of the WAV files. Default: the model's own.
        subtype: libsndfile's name of their encoding.
        max_seconds: longer clips are cut to this.
    """
    rate = rate or sample_rate
    speech, at = read_bytes(io.BytesIO(demo.clip(0, "female", 0, "anger", 0)))
    more, _ = read_bytes(io.BytesIO(demo.clip(1, "male", 1, "sadness", 0)))
    speech = np.concatenate([speech, more, speech[::-1]])
    found = []
    for number, seconds in enumerate(SECONDS):
        piece = np.roll(speech, -2000 * number)[: int(seconds * at)]
        found.append(piece if rate == at else soxr.resample(piece, at, rate, quality="VHQ"))
    longest, silence = int(max_seconds * rate), np.zeros(rate, np.float32)
    found += [np.concatenate([silence, found[2], silence[: rate // 2]]), silence]
    return [_clip(x[:longest], rate, subtype, sample_rate) for x in found]


def _clip(waveform: np.ndarray, rate: int, subtype: str, sample_rate: int) -> Clip:
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform, -0.999, 0.999), rate, format="WAV", subtype=subtype)
    offline, _ = read_bytes(io.BytesIO(file.getvalue()))
    if rate != sample_rate:
        offline = soxr.resample(offline, rate, sample_rate, quality="VHQ")
    return Clip(file.getvalue(), np.asarray(offline, np.float32))


def batch(clips: Sequence[Clip]) -> tuple[np.ndarray, np.ndarray]:
    """(waveform (batch, samples), lengths (batch,)) of clips, zero-padded."""
    return pad([clip.waveform for clip in clips])


def check_parity(
    folder: Path, keras_predict, keras_embed, sample_rate: int, tolerance: float, max_seconds: float = max(SECONDS)
) -> dict[str, float]:
    """Compare a SavedModel on disk with Keras.

    Args:
        folder: the SavedModel.
        keras_predict, keras_embed: {"waveform", "length"} -> {name: (batch, ..)}, what `predict` and `embed` must equal.
        sample_rate: Hz of the model.
        tolerance: largest difference at the model's rate.
        max_seconds: that the export takes.

    Returns:
        what was compared -> the largest difference.

    Raises:
        ExportError: a difference over the tolerance; it names endpoint and clip.
    """
    loaded = tf.saved_model.load(str(folder))
    signatures = loaded.signatures
    clips = golden(sample_rate, max_seconds=max_seconds)
    found: dict[str, float] = {}

    def compare(what: str, reference: Mapping, got: Mapping, limit: float) -> None:
        if set(reference) != set(got):
            raise ExportError(f"{what}: expected the outputs {sorted(reference)}, the export has {sorted(got)}.")
        for name, value in reference.items():
            if name.endswith("/label"):
                continue
            a, b = np.asarray(value, np.float64), np.asarray(got[name], np.float64)
            each = np.abs(a - b).reshape(len(a), -1).max(axis=1) if a.shape == b.shape else np.full(len(a), np.inf)
            # a comparison with NaN is False
            if not (each <= limit).all():
                worst = int(np.argmax(np.nan_to_num(each, nan=np.inf)))
                raise ExportError(
                    f"{what}: {name} of clip {worst} differs by {each[worst]:.2g} from Keras, more than {limit:g}. "
                    "Nothing was exported."
                )
            found[what] = max(found.get(what, 0.0), float(each.max()))
        _compare_labels(what, reference, got, limit)

    def by_one(function, some: Sequence[Clip]) -> dict[str, np.ndarray]:
        rows = [{k: np.asarray(v) for k, v in function([clip]).items()} for clip in some]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def offline(model):
        return lambda some: model(dict(zip(("waveform", "length"), map(tf.constant, batch(some)), strict=True)))

    def waveforms(name: str):
        def run(some):
            waveform, lengths = batch(some)
            return signatures[name](waveform=tf.constant(waveform), lengths=tf.constant(lengths))

        return run

    def contents(name: str):
        return lambda some: signatures[name](audio=tf.constant([clip.contents for clip in some]))

    single = by_one(offline(keras_predict), clips)
    compare("Keras, in a batch", single, offline(keras_predict)(clips), tolerance)
    for name, run in (
        ("predict", waveforms("predict")),
        ("predict_bytes", contents("predict_bytes")),
        ("serving_default", contents("serving_default")),
    ):
        compare(f"{name}, one by one", single, by_one(run, clips), tolerance)
        compare(f"{name}, in a batch", single, run(clips), tolerance)
    embedded = by_one(offline(keras_embed), clips)
    # features have no bound such as probabilities have
    scale = max(1.0, float(np.abs(embedded["embedding"]).max()))
    compare("embed, one by one", embedded, by_one(waveforms("embed"), clips), tolerance * scale)
    compare("embed, in a batch", embedded, waveforms("embed")(clips), tolerance * scale)
    for subtype in FORMATS[1:]:
        encoded = golden(sample_rate, subtype=subtype, max_seconds=max_seconds)
        compare(
            f"predict_bytes, {subtype}",
            by_one(offline(keras_predict), encoded),
            contents("predict_bytes")(encoded),
            tolerance,
        )
    for rate in OTHER_RATES:
        if rate != sample_rate:
            resampled = golden(sample_rate, rate, "PCM_24", max_seconds)
            compare(
                f"predict_bytes, {rate} Hz",
                by_one(offline(keras_predict), resampled),
                contents("predict_bytes")(resampled),
                LOOSE,
            )
    return found


def _compare_labels(what: str, reference: Mapping, got: Mapping, limit: float) -> None:
    for name in (name for name in reference if name.endswith("/label")):
        top = np.sort(np.asarray(reference[name.replace("/label", "/probabilities")]), axis=1)[:, -2:]
        sure = top[:, 1] - top[:, 0] > 2 * limit
        if (np.asarray(reference[name])[sure] != np.asarray(got[name])[sure]).any():
            raise ExportError(f"{what}: {name} differs from Keras. Nothing was exported.")


def check_ops(folder: Path) -> set[str]:
    """The ops of a SavedModel.

    Raises:
        ExportError: an op that a stock server on CPU does not have or does not run.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    ops, compiled = set(), []
    for meta in saved.meta_graphs:
        graph = meta.graph_def
        for function in graph.library.function:
            if "_XlaMustCompile" in function.attr and function.attr["_XlaMustCompile"].b:
                compiled.append(function.signature.name)
        for node in [*graph.node, *(node for function in graph.library.function for node in function.node_def)]:
            ops.add(node.op)
            if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
                compiled.append(node.name)
    # ">" is in the name of every op from outside TensorFlow
    foreign = sorted(op for op in ops if ">" in op or op.startswith(("Xla", "CudnnRNN")) or "PyFunc" in op)
    if foreign or compiled:
        culprits = ", ".join([*foreign, *(f"XLA in {name}" for name in sorted(set(compiled))[:10])])
        raise ExportError(f"the graph holds what a stock server lacks: {culprits}. Nothing was exported.")
    return ops

"""Check an export before it gets its version number: only ops of a stock server, and the predictions of the offline path.

The golden clips are the demo corpus's synthesised speech, cut to lengths from a few samples to many seconds, and silence. They
pass one by one and as one batch through Keras and every signature of the reloaded SavedModel, at the model's own rate (as
floats and as 8, 16, 24 and 32-bit integers) and at others. There, the waveforms are compared with those of soxr, and the
predictions with Keras's for the waveforms as the graph resamples them: a network may amplify any difference of waveforms, most of
all in clips of a few frames. How far its predictions are from those for soxr's waveforms is measured, too.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
import tensorflow as tf

from keras_ser.audio import pad
from keras_ser.audio.io import read_bytes
from keras_ser.corpora import demo
from keras_ser.serving.facts import ExportError
from keras_ser.serving.resampling import resample

TOLERANCE = 1e-5  # float32 at the model's own rate
CLOSE = 1e-4  # float32 on a waveform that was resampled twice, in another graph: its last bits may differ
LOOSE = 1e-2  # after mixed precision; at other rates, the difference by resampling that is worth a remark
RESAMPLED = 5e-3  # root mean square error of resampling, relative to that of the waveform (-46 dB)
OTHER_RATES = (8000, 11025, 22050, 44100, 48000)  # Hz
FORMATS = ("FLOAT", "PCM_U8", "PCM_16", "PCM_24", "PCM_32")
SECONDS = (0.01, 0.03, 0.5, 1.3, 2.7, 6.0)


@dataclass(frozen=True)
class Clip:
    """A clip as a client sends it."""

    contents: bytes  # A WAV file
    # (samples,) float32, decoded and resampled to the model's rate by the offline path (libsndfile, soxr)
    waveform: np.ndarray


def golden(
    sample_rate: int, rate: int | None = None, subtype: str = "FLOAT", max_seconds: float = max(SECONDS)
) -> list[Clip]:
    """Make clips of different lengths, then one with digital silence around it, and a silent one.

    They are WAV files at `rate` Hz (default: the model's `sample_rate`) in libsndfile's encoding `subtype`, cut to `max_seconds`.
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
    """Zero-pad clips: (waveform (batch, samples), lengths (batch,))."""
    return pad([clip.waveform for clip in clips])


def check_parity(
    folder: Path, keras_predict, keras_embed, sample_rate: int, tolerance: float, max_seconds: float = max(SECONDS)
) -> dict[str, float]:
    """Compare every signature of a SavedModel on disk with Keras: name of each comparison -> the largest difference.

    `keras_predict` and `keras_embed`, {"waveform", "length"} -> {name: (batch, ..)}, are what `predict` and `embed` must equal to
    `tolerance` on the same waveforms. Raises ExportError, which names the signature and the clip, for a larger difference. The
    comparisons whose names end in " Hz" are with Keras on the waveforms of soxr, and are only measured.
    """
    loaded = tf.saved_model.load(str(folder))  # its signatures do not keep its variables alive
    found: dict[str, float] = {}

    def inputs(some: Sequence[Clip], *names: str) -> dict[str, tf.Tensor]:
        return dict(zip(names, map(tf.constant, batch(some)), strict=True))

    def keras_side(model):
        return lambda some: model(inputs(some, "waveform", "length"))

    def exported(name: str):
        function = loaded.signatures[name]
        if name in ("predict", "embed"):
            return lambda some: function(**inputs(some, "waveform", "lengths"))
        return lambda some: function(audio=tf.constant([clip.contents for clip in some]))

    def compare(what: str, reference: Mapping, got: Mapping, limit: float) -> None:
        found[what] = _largest_difference(what, reference, got, limit)

    clips = golden(sample_rate, max_seconds=max_seconds)
    alone, embedded = (_one_by_one(keras_side(model), clips) for model in (keras_predict, keras_embed))
    compare("Keras, in a batch", alone, keras_side(keras_predict)(clips), tolerance)
    # unlike probabilities, features have no bound
    scaled = tolerance * max(1.0, float(np.abs(embedded["embedding"]).max()))
    for name in ("predict", "predict_bytes", "serving_default", "embed"):
        reference, limit = (embedded, scaled) if name == "embed" else (alone, tolerance)
        compare(f"{name}, one by one", reference, _one_by_one(exported(name), clips), limit)
        compare(f"{name}, in a batch", reference, exported(name)(clips), limit)
    files = [(subtype, sample_rate, subtype) for subtype in FORMATS[1:]]
    files += [(f"{rate} Hz", rate, "PCM_24") for rate in OTHER_RATES if rate != sample_rate]
    for what, rate, subtype in files:
        clips = golden(sample_rate, rate, subtype, max_seconds)
        reference, got = _one_by_one(keras_side(keras_predict), clips), exported("predict_bytes")(clips)
        if rate == sample_rate:
            compare(f"predict_bytes, {what}", reference, got, tolerance)
        else:
            inside = _resampled(clips, rate, sample_rate)
            as_is = f"predict_bytes, {what}, as resampled"
            compare(as_is, _one_by_one(keras_side(keras_predict), inside), got, max(tolerance, CLOSE))
            compare(f"predict_bytes, {what}", reference, got, np.inf)
    return found


def own_and_other(parity: Mapping[str, float]) -> tuple[float, float]:
    """Return the largest difference from Keras on the same waveforms, and that by resampling, of what `check_parity` found."""
    other = {what: value for what, value in parity.items() if what.endswith(" Hz")}
    return max(value for what, value in parity.items() if what not in other), max(other.values())


def _resampled(clips: Sequence[Clip], rate: int, sample_rate: int) -> list[Clip]:
    """Return clips with their waveforms as the graph resamples them; raises ExportError if it does so unlike soxr."""
    found = []
    for number, clip in enumerate(clips):
        decoded, _ = read_bytes(io.BytesIO(clip.contents))
        waveform = resample(tf.constant(decoded), tf.constant(rate), sample_rate).numpy()
        error = np.inf
        if waveform.shape == clip.waveform.shape:
            error = _size(waveform - clip.waveform) / (_size(clip.waveform) or 1.0)
        if not error <= RESAMPLED:
            raise ExportError(
                f"clip {number} at {rate} Hz is resampled unlike soxr: relative error {error:.2g}, more than "
                f"{RESAMPLED:g}. Nothing was exported."
            )
        found.append(replace(clip, waveform=waveform))
    return found


def _size(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _one_by_one(function, clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    rows = [function([clip]) for clip in clips]
    return {name: np.concatenate([np.asarray(row[name]) for row in rows]) for name in rows[0]}


def _largest_difference(what: str, reference: Mapping, got: Mapping, limit: float) -> float:
    if set(reference) != set(got):
        raise ExportError(f"{what}: expected the outputs {sorted(reference)}, the export has {sorted(got)}.")
    largest = 0.0
    for name in (name for name in reference if not name.endswith("/label")):
        a, b = np.asarray(reference[name], np.float64), np.asarray(got[name], np.float64)
        each = np.abs(a - b).reshape(len(a), -1).max(axis=1) if a.shape == b.shape else np.full(len(a), np.inf)
        # a comparison with NaN is False
        if not (each <= limit).all():
            worst = int(np.argmax(np.nan_to_num(each, nan=np.inf)))
            raise ExportError(
                f"{what}: {name} of clip {worst} differs by {each[worst]:.2g} from Keras, more than {limit:g}. "
                "Nothing was exported."
            )
        largest = max(largest, float(each.max()))
    for name in (name for name in reference if name.endswith("/label")):
        top = np.sort(np.asarray(reference[name.replace("/label", "/probabilities")]), axis=1)[:, -2:]
        sure = top[:, 1] - top[:, 0] > 2 * limit
        if (np.asarray(reference[name])[sure] != np.asarray(got[name])[sure]).any():
            raise ExportError(f"{what}: {name} differs from Keras. Nothing was exported.")
    return largest


def check_ops(folder: Path) -> set[str]:
    """List the ops of a SavedModel; raises ExportError where a stock server on CPU lacks an op or cannot run it."""
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
        raise ExportError(f"the graph has ops that a stock server lacks: {culprits}. Nothing was exported.")
    return ops

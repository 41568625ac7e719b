import numpy as np
import pytest
from scipy import signal

from keras_ser.audio import AudioError, info, read
from keras_ser.audio.io import blocks


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "aac"), (".avi", "pcm_s16le"), (".mkv", "pcm_s16le"), (".webm", "opus")]
)
def test_video_containers(tmp_path, speechlike, suffix, codec):
    av = pytest.importorskip("av")
    path, rate = tmp_path / f"a{suffix}", 48000
    stereo = np.stack([speechlike, 0.5 * speechlike]).astype("float32")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    waveform = read(path, rate)
    assert abs(len(waveform) - len(speechlike)) < 3000  # codecs pad to their frames
    # A codec delays by its own look-ahead; the best lag says so.
    lags = signal.correlation_lags(len(waveform), len(speechlike))
    correlation = signal.correlate(waveform, 0.75 * speechlike)
    lag = lags[np.argmax(correlation)]
    n = min(len(waveform) - max(lag, 0), len(speechlike)) - 1000
    a, b = waveform[max(lag, 0) :][:n], 0.75 * speechlike[max(-lag, 0) :][:n]
    assert np.corrcoef(a, b)[0, 1] > 0.9
    assert np.std(a) / np.std(b) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(read(path, rate, start=0.1, end=0.3), waveform[4800:14400], atol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(blocks(path, rate, 0.2))), waveform)
    assert info(path).sample_rate == rate and info(path).channels == 2
    with pytest.raises(AudioError, match="expected times within"):
        read(path, rate, start=5.0)


def test_video_without_sound_is_refused(tmp_path, rng):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (32, 32, 3)).astype("uint8"))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(AudioError, match="a.mp4: the file holds no audio track"):
        read(path)

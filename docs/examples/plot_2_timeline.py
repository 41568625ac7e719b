"""
Timeline of a recording
=======================

Join five clips of an unseen speaker into one recording, and predict its emotion over time. From a shell,
``keras-ser predict RUN recording.wav --timeline --plot timeline.png`` does the same.
"""

from pathlib import Path

import demo_run
import numpy as np
import soundfile

from keras_ser.audio import read
from keras_ser.serving import Predictor
from keras_ser.serving.timelines import timeline

run = demo_run.run()
clips = [u for u in demo_run.corpus if u.id.startswith("f07") and u.id.endswith("s1")][:5]
waveforms = [read(demo_run.corpus.file(u), sample_rate=16000) for u in clips]
path = Path("saved_models") / "recording.wav"
soundfile.write(path, np.concatenate(waveforms), 16000)
ends = np.cumsum([len(x) for x in waveforms]) / 16000
print(", ".join(f"{u.labels['emotion']} to {end:.1f} s" for u, end in zip(clips, ends, strict=True)))

# %%
# Windows of 1 s every 0.25 s. The upper part shows the probabilities, the band below it the most probable class.
found = timeline(Predictor.load(run.folder), path, window_seconds=1.0, hop_seconds=0.25)
print("\n".join(found.write("rttm")))
figure = found.figure()

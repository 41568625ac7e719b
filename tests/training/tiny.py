"""The smallest corpus, streams and networks that still have everything: missing labels, noise, several tasks."""

import dataclasses

import numpy as np

from keras_ser.corpora import Corpus, demo
from keras_ser.models import vggvox
from keras_ser.models.aspmtl import Config
from keras_ser.pipelines.augmentation import Augment
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "neutral", "sadness"))
GENDER = Task("gender", ("female", "male"))
NOISE = Task("noise", ("clean", "white", "pink"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)
SPEAKERS = Protocol("speakers", "k-fold", by="speaker", folds=4, validation=1)

CONV = Config(
    encoder="conv",
    layers=0,
    filters=(3, 4),
    kernels=(3, 3),
    pools=((2, 2), (2, 2)),
    stem=1,
    dense=4,
    dropout=0.3,
    adversary="source",
)
LSTM = Config(units=3, layers=2, dense=4, dropout=0.3, adversary="source")

CLEAN, NOISY = Stream("clean"), Stream("noisy", noises=("white", "pink"), snr=(0.0, 10.0), redraw=True)
EVERYTHING = Recipe(
    name="everything",
    corpus="demo",
    tasks=(EMOTION, GENDER, NOISE),
    protocols=(SPEAKERS,),
    config=CONV,
    frontend=FrontendConfig(features=("log_mel", "energy"), bins=8),
    streams=(CLEAN, NOISY),
    sampling=Sampling("segments", frames=30, hop=30, rare_hop=15),
    augment=Augment(tempo=0.3, mel_warp_shift=1.0, time_masks=1, time_mask_frames=5, gain=1.0),
    optimizer=OptimizerConfig("adamw", 1e-2, weight_decay=0.01, clip_norm=5.0, schedule="cosine", warmup_epochs=1.0),
    batch_size=16,
    epochs=3,
    patience=0,
    patience_steps=0,
    smoothing=1,
    monitor="val_emotion_uar",
)
SINGLE = EVERYTHING.replace(
    name="single",
    tasks=(EMOTION,),
    streams=(CLEAN,),
    config=dataclasses.replace(CONV, filters=(3,), kernels=(3,), pools=((4, 4),), stem=0, adversary=None),
    epochs=2,
)
TRAINED = EVERYTHING.replace(
    name="trained",
    tasks=(EMOTION, GENDER),
    streams=(CLEAN, dataclasses.replace(NOISY, redraw=False)),
    config=dataclasses.replace(SINGLE.config, adversary="source"),
)
FIRST = SINGLE.replace(name="first", tasks=(EMOTION, NOISE), streams=(CLEAN, NOISY), monitor="val_noise_uar")
MASKED = EVERYTHING.replace(
    name="masked",
    tasks=(EMOTION, NOISE),
    frontend=FrontendConfig(features=("log_mel",), bins=8, endpoint=False),
    config=Config(units=3, layers=1, dense=4, dropout=0.1, frame_level=True, mask_bins=257, adversary="source"),
    sampling=Sampling("segments", frames=30, hop=30, balance=False),
    augment=Augment(),
    epochs=1,
    seeds=(0,),
)
CASCADE = SINGLE.replace(name="cascade", first=FIRST)
SPEAKER = Task("speaker", identity=True)
STRETCHED = Recipe(
    name="stretched",
    corpus="demo",
    tasks=(EMOTION, SPEAKER),
    protocols=(SPEAKERS,),
    model="vggvox",
    config=vggvox.Config(filters=(3, 4, 4, 5, 6), fc6=9, fc7=8),
    frontend=FrontendConfig(
        features=("magnitude",), fft=512, preemphasis=0.0, endpoint=False, seconds=0.8, normalize=True
    ),
    sampling=Sampling("whole"),
    optimizer=OptimizerConfig("sgd", 0.01, weight_decay=5e-4, schedule="step", steps=(1,)),
    batch_size=4,
    epochs=2,
    patience=0,
    seeds=(0,),
)


def corpus(root) -> Corpus:
    """Four speakers, three emotions, one sentence; two clips lack an emotion, two a gender; arousal in [-1, 1]."""
    made = demo.read(root, speakers=4, sentences=1, emotions=EMOTION.labels)
    rng = np.random.default_rng(3)
    utterances = []
    for i, u in enumerate(made):
        labels = {**u.labels, "arousal": float(rng.uniform(-1, 1))}
        if i in (1, 10):
            del labels["emotion"]
        utterances.append(dataclasses.replace(u, labels=labels, gender=None if i in (2, 9) else u.gender))
    return dataclasses.replace(made, utterances=tuple(utterances), expected={})

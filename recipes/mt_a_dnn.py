"""MT-A-DNN: emotion with valence and activation as minor tasks, on the acoustic statistics of a clip.

    python recipes/mt_a_dnn.py                                               the demo corpus
    python recipes/mt_a_dnn.py --corpus-root EMODB                           leave one speaker out
    python recipes/mt_a_dnn.py --variant ravdess --corpus-root RAVDESS       six folds of four actors
    python recipes/mt_a_dnn.py --variant emodb-leaking --corpus-root EMODB   the paper's random split of overlapping windows
    python recipes/mt_a_dnn.py --variant ravdess-leaking --corpus-root RAVDESS

Four emotions: anger, happiness, neutral, sadness; the corpora's others are left out. Activation and valence follow from them. Clips
are cut again into windows of 85 % of their length every 0.03 s, as many of each emotion; the paper has 3591 of each, of a corpus of
its own. In the paper's random split windows of one clip stand on both sides, so that a network that knows a clip again is
right: the variants `..-leaking` run it and say so, the others keep speakers apart. The 34 short-term features are pyAudioAnalysis's
own form, the paper's. Cost: about ten seconds a fold on two cores, and a minute or two for the windows, once.
"""

from keras_ser.cli.systems import flat, systems_main
from keras_ser.corpora import emodb, ravdess
from keras_ser.models.attention_dnn import DNN, DNN_MTL, Config
from keras_ser.pipelines.augmentation import Windows
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

HIGH, LOW = ("anger", "happiness"), ("neutral", "sadness")
POSITIVE, NEGATIVE = ("happiness", "neutral"), ("anger", "sadness")
FOUR = (*HIGH, *LOW)
FRONTEND = FrontendConfig(features=("short_term",), preemphasis=0.0, endpoint=False, statistics=True, compatible=True)
ABOUT = {
    "mt-a-dnn": "the paper's: attention for each task, valence and activation as minor tasks",
    "mt-a-dnn-scalar": "the same with one number for all features, as printed",
    "a-dnn": "attention, the emotion alone",
    "dnn": "no attention, the emotion alone: the paper's DNN",
    "dnn-mtl": "two shared layers of 256 ReLU with three tasks, no attention: the DNN that the ASP-MTL paper compares with",
}
PAIRS = (
    ("mt-a-dnn", "dnn"),
    ("mt-a-dnn", "a-dnn"),
    ("a-dnn", "dnn"),
    ("mt-a-dnn", "mt-a-dnn-scalar"),
    ("mt-a-dnn", "dnn-mtl"),
)
# table 2, accuracy, on 14,364 windows of a corpus of its own
PAPER = {"mt-a-dnn": {"accuracy": 0.6002}, "dnn": {"accuracy": 0.5779}}


def tasks(every) -> tuple[Task, Task, Task]:
    """Emotion, and what is derived from it: a label map on the task."""
    ignore = tuple(sorted(set(every) - set(FOUR)))

    def derived(name: str, **sides: tuple[str, ...]) -> Task:
        merge = tuple((emotion, side) for side, emotions in sides.items() for emotion in emotions)
        return Task(name, tuple(sides), merge=merge, column="emotion", weight=0.5, ignore=ignore)

    return (
        Task("emotion", FOUR, ignore=ignore),
        derived("activation", high=HIGH, low=LOW),
        derived("valence", positive=POSITIVE, negative=NEGATIVE),
    )


def systems(name: str, corpus: str, every, protocol: Protocol, windows: Windows, **changes) -> dict[str, Recipe]:
    """system -> recipe."""
    three = tasks(every)
    common = {
        "corpus": corpus,
        "protocols": (protocol,),
        "model": "attention_dnn",
        "frontend": FRONTEND,
        "sampling": Sampling("whole"),
        "optimizer": OptimizerConfig("adam", 1e-3),
        "batch_size": 128,
        "epochs": 60,
        "patience": 10,
        "windows": windows,
        **changes,
    }
    made = {
        "mt-a-dnn": (three, Config()),
        "mt-a-dnn-scalar": (three, Config(attention="scalar")),
        "a-dnn": (three[:1], Config()),
        "dnn": (three[:1], DNN),
        "dnn-mtl": (three, DNN_MTL),
    }
    return {system: Recipe(name=f"{name}-{system}", tasks=own, config=c, **common) for system, (own, c) in made.items()}


SPEAKERS = Protocol("leave-one-speaker-out", "leave-one-out", by="speaker", validation=1)
SIX = tuple(tuple(f"{4 * k + i:02d}" for i in range(1, 5)) for k in range(6))
ACTORS = Protocol("folds-of-four-actors", "stated", by="speaker", stated=SIX, validation=4)
LEAKING = Protocol("paper-random-windows", test=0.2, validation=0.1, together=False)
DEMO_SPEAKERS = Protocol("unseen-speakers", "k-fold", by="speaker", folds=3, validation=2)
EMODB, RAVDESS = emodb.EMOTIONS.values(), ravdess.EMOTIONS.values()
DEMO = (*FOUR, "disgust", "fear", "surprise")

VARIANTS = {
    "emodb": systems("mt_a_dnn_emodb", "emodb", EMODB, SPEAKERS, Windows(each=600)),
    "emodb-leaking": systems("mt_a_dnn_emodb_leaking", "emodb", EMODB, LEAKING, Windows(each=600)),
    "ravdess": systems("mt_a_dnn_ravdess", "ravdess", RAVDESS, ACTORS, Windows(each=1200)),
    "ravdess-leaking": systems("mt_a_dnn_ravdess_leaking", "ravdess", RAVDESS, LEAKING, Windows(each=1200)),
    "demo": systems("mt_a_dnn_demo", "demo", DEMO, DEMO_SPEAKERS, Windows(hop_seconds=0.1), epochs=10, seeds=(0,)),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(
        systems_main(
            VARIANTS, __doc__, about=ABOUT, pairs=PAIRS, papers={"emodb-leaking": PAPER, "ravdess-leaking": PAPER}
        )
    )

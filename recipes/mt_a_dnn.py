"""MT-A-DNN: emotion with valence and activation as minor tasks, on acoustic statistics of a clip, and classical baselines.

    python recipes/mt_a_dnn.py                                               the demo corpus
    python recipes/mt_a_dnn.py --corpus-root EMODB
    python recipes/mt_a_dnn.py --variant ravdess --corpus-root RAVDESS
    python recipes/mt_a_dnn.py --corpus manifest --corpus-root MY.csv        any corpus with the four emotions
    .. --protocol disjoint                                                   unseen speakers only (paper = the leaking split)

The four emotions are anger, happiness, neutral and sadness; other emotions of a corpus are left out. Your own corpus needs emotions
with these names. Activation and valence are derived from the emotion. Clips are cut into windows of 85 % of their length every
0.03 s, with equally many windows of each emotion; the paper has 3591 of each, from its own corpus.

Protocols:

- the paper's random split: windows of the same clip are on both sides, so that a model only needs to recognise the clip; the report
  marks this split as leaking
- the same split with all windows of a clip on one side; speakers are still on both sides
- a speaker-disjoint split (EmoDB: leave one speaker out; RAVDESS: folds of four actors; other corpora: leave one speaker out for up
  to twelve speakers, else five folds)

The 34 short-term features are in pyAudioAnalysis's form, as in the paper. The last two systems need openSMILE (`pip install
"keras-ser[opensmile]"`, not for commercial use) and are left out without it. Cost on EmoDB: about twenty seconds per fold and
network on two cores, and a few minutes once for the windows and openSMILE's functionals.
"""

from aspmtl_ravdess import FOLDS

from keras_ser.checks import listed
from keras_ser.cli.other_corpus import LEAVE_ONE_OUT, unseen_speakers
from keras_ser.cli.recipe_script import flat, recipe_main
from keras_ser.cli.tables import Paper, systems_table
from keras_ser.corpora import check_task, emodb, ravdess
from keras_ser.models import random_forest, svm
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
    "mt-a-dnn": "the paper's system: attention for each task, valence and activation as minor tasks",
    "mt-a-dnn-scalar": "the same with one attention weight for all features, as in the paper",
    "a-dnn": "attention, emotion only",
    "dnn": "no attention, emotion only: the paper's DNN",
    "dnn-mtl": "two shared layers of 256 ReLU with three tasks, no attention: the DNN that the ASP-MTL paper compares with",
    "svm": "support vector machine, RBF kernel; C selected on the validation set",
    "random-forest": "300 trees; the minimum of clips per leaf selected on the validation set",
    "egemaps-svm": "openSMILE's 88 functionals eGeMAPSv02, support vector machine, RBF kernel",
    "compare-svm": "openSMILE's 6373 functionals ComParE 2016, linear support vector machine",
}
NEEDS = {"egemaps-svm": "opensmile", "compare-svm": "opensmile"}
PAIRS = (
    ("mt-a-dnn", "dnn"),
    ("mt-a-dnn", "a-dnn"),
    ("a-dnn", "dnn"),
    ("mt-a-dnn", "mt-a-dnn-scalar"),
    ("mt-a-dnn", "dnn-mtl"),
    ("mt-a-dnn", "svm"),
    ("mt-a-dnn", "random-forest"),
    ("mt-a-dnn", "egemaps-svm"),
    ("mt-a-dnn", "compare-svm"),
)
PAPER = Paper(
    by_protocol={
        "paper-random-windows": {
            "mt-a-dnn": {"accuracy": 0.6002},
            "dnn": {"accuracy": 0.5779},
            "svm": {"accuracy": 0.5546},
            "random-forest": {"accuracy": 0.5261},
        }
    },
    confused="mt-a-dnn",
    confusion=(
        (0.5203, 0.3147, 0.0714, 0.0936),
        (0.0874, 0.6773, 0.1665, 0.0688),
        (0.0724, 0.1790, 0.6018, 0.1468),
        (0.0818, 0.1625, 0.1532, 0.6025),
    ),
    source="Ma et al. 2018, tables 1 and 2: 14,364 windows of films and television, a random split of the windows",
    labels=FOUR,
)


def tasks(every) -> tuple[Task, Task, Task]:
    """Return the emotion task, and those derived from it by label maps. Excitement counts as happiness, as usual for IEMOCAP."""
    excited = (("excited", "happiness"),) if "excited" in every else ()
    ignore = tuple(sorted(set(every) - {*FOUR, *dict(excited)}))

    def derived(name: str, **sides: tuple[str, ...]) -> Task:
        merge = tuple((emotion, side) for side, emotions in sides.items() for emotion in emotions)
        merge += tuple((emotion, dict(merge)[counted]) for emotion, counted in excited)
        return Task(name, tuple(sides), merge=merge, column="emotion", weight=0.5, ignore=ignore)

    return (
        Task("emotion", FOUR, merge=excited, ignore=ignore),
        derived("activation", high=HIGH, low=LOW),
        derived("valence", positive=POSITIVE, negative=NEGATIVE),
    )


def systems(
    name: str, corpus: str, every, clean: tuple[Protocol, ...], windows: Windows, **changes
) -> dict[str, Recipe]:
    """Return system -> recipe."""
    three = tasks(every)
    common = {
        "corpus": corpus,
        "protocols": (LEAKING, CLIPS, *clean),
        "frontend": FRONTEND,
        "sampling": Sampling("whole"),
        "optimizer": OptimizerConfig("adam", 1e-3, schedule="cosine"),
        "batch_size": 128,
        "epochs": 60,
        "patience": 0,
        "windows": windows,
        **changes,
    }
    compare = svm.Config(C=(1e-4, 1e-3, 1e-2, 1e-1), kernel="linear", functionals="ComParE_2016")
    made = {
        "mt-a-dnn": ("attention_dnn", three, Config()),
        "mt-a-dnn-scalar": ("attention_dnn", three, Config(attention="scalar")),
        "a-dnn": ("attention_dnn", three[:1], Config()),
        "dnn": ("attention_dnn", three[:1], DNN),
        "dnn-mtl": ("attention_dnn", three, DNN_MTL),
        "svm": ("svm", three[:1], svm.Config()),
        "random-forest": ("random_forest", three[:1], random_forest.Config()),
        "egemaps-svm": ("svm", three[:1], svm.Config(functionals="eGeMAPSv02")),
        "compare-svm": ("svm", three[:1], compare),
    }
    return {
        system: Recipe(name=f"{name}-{system}", model=model, tasks=own, config=config, **common)
        for system, (model, own, config) in made.items()
    }


def own(corpus) -> tuple[dict[str, dict[str, Recipe]], list[str]]:
    """Return variant -> system -> recipe for any corpus, and notes for the report.

    Each emotion gets as many windows as the rarest one, at most 600.
    """
    every = corpus.counts("emotion")
    emotion = tasks(every)[0]
    check_task(
        emotion,
        corpus,
        way="these recipes need these four emotions; give them these names in the table's column 'emotion' (--set comes too late)",
    )
    heard = [u for u in corpus if emotion.encode(u.labels.get("emotion"))[1]]
    nameless = [u.id for u in heard if u.speaker is None]
    speakers = {u.speaker for u in heard}
    clean, told = (unseen_speakers(len(speakers)),), []
    if nameless or len(speakers) < 3:
        lack = f"{len(nameless)} name none: {listed(nameless)}" if nameless else f"there are {len(speakers)} speakers"
        clean, told = (), [f"Unseen speakers need a speaker for each clip, and at least three speakers; {lack}."]
    windows = Windows(each=600, fewer=True)
    return {corpus.name: systems(f"mt_a_dnn_{corpus.name}", corpus.name, every, clean, windows)}, told


ACTORS = Protocol("folds-of-four-actors", "stated", by="speaker", stated=FOLDS, validation=4)
LEAKING = Protocol("paper-random-windows", test=0.2, validation=0.1, together=False)
CLIPS = Protocol("random-clips", test=0.2, validation=0.1)
DEMO_SPEAKERS = Protocol("unseen-speakers", "k-fold", by="speaker", folds=3, validation=2)
EMODB, RAVDESS = emodb.EMOTIONS.values(), ravdess.EMOTIONS.values()
DEMO_LABELS = (*FOUR, "disgust", "fear", "surprise")

VARIANTS = {
    "emodb": systems("mt_a_dnn_emodb", "emodb", EMODB, (LEAVE_ONE_OUT,), Windows(each=600)),
    "ravdess": systems("mt_a_dnn_ravdess", "ravdess", RAVDESS, (ACTORS,), Windows(each=1200)),
    "demo": systems(
        "mt_a_dnn_demo", "demo", DEMO_LABELS, (DEMO_SPEAKERS,), Windows(hop_seconds=0.1), epochs=10, seeds=(0,)
    ),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    table = systems_table(ABOUT, PAIRS, PAPER)
    raise SystemExit(recipe_main(VARIANTS, __doc__, "demo", own=own, needs=NEEDS, reports=table))

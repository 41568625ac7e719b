import copy
import dataclasses
import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import keras_ser
from keras_ser.errors import UserError
from keras_ser.models import svm
from keras_ser.models.aspmtl import Config
from keras_ser.pipelines.augmentation import Augment, Windows
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "joy", "calm"), merge={"excited": "joy"}, ignore=("other",))
AROUSAL = Task("arousal", low=-1.0, high=1.0, weight=0.5)
NOISE = Task("noise", ("clean", "white"))
FIRST = Recipe(
    "model-1",
    "emodb",
    (EMOTION, NOISE),
    (Protocol("random"),),
    frontend=FrontendConfig(features=("log_mel",), bins=64),
    streams=(Stream("clean", share=0.5), Stream("noisy", noises=("white",), snr=(0.0, 5.0), share=0.5)),
    monitor="val_noise_uar",
)
RECIPE = Recipe(
    "cascade",
    "emodb",
    (EMOTION, AROUSAL),
    (Protocol("random"), Protocol("loso", "leave-one-out", validation=1)),
    config=Config(encoder="conv", adversary="label", layers=0, pools=((2, 2), (2, 2), (2, 2), (1, 2)), beta=0.3),
    frontend=FrontendConfig(features=("log_mel",), bins=64),
    streams=(Stream("clean"), Stream("noisy", noises=("pink", "babble"), redraw=True, share=0.25)),
    sampling=Sampling("crop", frames=200),
    augment=Augment(tempo=0.2),
    optimizer=OptimizerConfig("adamw", 2e-3, schedule="cosine"),
    first=FIRST,
    corpus_options=(("emotions", ("anger", "joy")), ("strict", True)),
    paper=(("emotion", "accuracy", 0.9, "table 2"),),
    paper_protocol="random",
)
SIMPLE = Recipe("simple", "demo", (EMOTION,), (Protocol("random"),))


def test_defaults_are_those_of_the_rooms():
    """Recipes repeat the packages' arguments so that they can be read without TensorFlow: they must not drift apart."""
    from keras_ser.features import Frontend

    theirs = inspect.signature(Frontend).parameters
    for field in dataclasses.fields(FrontendConfig):
        if field.name != "name":
            assert theirs[field.name].default == field.default
    assert Frontend(**RECIPE.frontend.options()).sizes == {"log_mel": 64}


def test_identities_are_those_of_the_corpus(tmp_path):
    """In both models of a cascade; what has classes keeps them."""
    from tests.training import tiny

    corpus = tiny.corpus(tmp_path)
    speaker, known = Task("speaker", identity=True), Task("who", ("m02", "f01"), column="speaker", identity=True)
    first = SIMPLE.replace(tasks=(EMOTION, speaker, NOISE))
    found = SIMPLE.replace(tasks=(EMOTION, speaker, known), first=first).for_corpus(corpus)
    expected = ("demo/f01", "demo/f03", "demo/m02", "demo/m04")
    assert [task.labels for task in found.tasks] == [EMOTION.labels, expected, known.labels]
    assert found.first.tasks[1] == found.tasks[1] and found.hash != SIMPLE.replace(tasks=(EMOTION, speaker)).hash
    assert found.for_corpus(corpus) == found and SIMPLE.for_corpus(corpus) == SIMPLE


def of_speakers(name, *speakers):
    from keras_ser.corpora import Corpus, Utterance

    utterances = (Utterance(f"{i}", f"{i}.wav", speaker=speaker) for i, speaker in enumerate(speakers))
    return Corpus(name, ".", tuple(utterances), {})


def test_identities_are_those_of_all_corpora_that_are_read():
    """The same name in two corpora is two identities, unless it says so itself."""
    speaker, noise = Task("speaker", identity=True), Task("noise", ("clean", "white"))
    read = {"streams": (Stream("own"), *(Stream(name, corpus=name) for name in ("ravdess", "manifest")))}
    first = SIMPLE.replace(tasks=(EMOTION, speaker, noise), **read)
    recipe = SIMPLE.replace(tasks=(EMOTION, speaker), first=first, **read)
    corpora = (
        of_speakers("emodb", "08", "03", None),
        of_speakers("ravdess", "03"),
        of_speakers("manifest", "emodb/08", "z"),
        of_speakers("slr45", "f0001"),
    )
    found = recipe.for_corpus(*corpora)
    # several streams of one corpus, of which the last is the smallest
    several = tuple(Stream(f"z{n}", corpus="manifest", speakers=n) for n in (2, 1))
    assert recipe.replace(streams=(*read["streams"][:2], *several)).for_corpus(*corpora).tasks[1] == found.tasks[1]
    assert found.tasks[1].labels == ("emodb/03", "emodb/08", "manifest/z", "ravdess/03")
    assert found.first.tasks[1] == found.tasks[1]
    left_out = recipe.override("tasks.speaker.ignore", ["03", "ravdess/03"]).for_corpus(*corpora)
    assert left_out.tasks[1].labels == ("emodb/08", "manifest/z")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "step"}, "needs `steps`"),
        ({"steps": (3, 2)}, "rising order"),
        ({"steps": (0, 2)}, "the first at least 1"),
    ],
)
def test_bad_steps(changes, words):
    with pytest.raises(ValueError, match=words):
        OptimizerConfig(**changes)


@pytest.mark.parametrize("recipe", [SIMPLE, FIRST, RECIPE], ids=lambda r: r.name)
def test_equal_after_json(recipe):
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe and again.hash == recipe.hash and hash(again) == hash(recipe)
    assert Recipe.from_json(again.to_json()).to_json() == again.to_json()
    assert type(again.config) is type(recipe.config)


def test_lists_and_whole_numbers_are_no_other_recipe():
    a = SIMPLE.replace(
        tasks=[dataclasses.replace(EMOTION, weight=1)],
        streams=[Stream("s", noises=["white"], snr=[5, 10], share=1)],
        seeds=[0, 1],
        frontend=FrontendConfig(features=["log_mel"]),
        corpus_options=[["emotions", ["a"]]],
    )
    b = SIMPLE.replace(
        tasks=(EMOTION,),
        streams=(Stream("s", noises=("white",), snr=(5.0, 10.0), share=1.0),),
        seeds=(0, 1),
        frontend=FrontendConfig(features=("log_mel",)),
        corpus_options=(("emotions", ("a",)),),
    )
    assert a == b and a.hash == b.hash and hash(a) == hash(b)
    assert Recipe.from_json(a.to_json()) == b
    assert Stream("s", noises="white", snr=5.0) == Stream("s", noises=("white",), snr=(5.0,))


OTHER = {
    "initial": "0123456789ab",
    "corpus": "ravdess",
    "tasks": (EMOTION,),
    "config": Config(beta=0.31),
    "frontend": FrontendConfig(hop=161),
    "streams": (Stream("clean"),),
    "sampling": Sampling("whole"),
    "augment": Augment(gain=0.1),
    "optimizer": OptimizerConfig(),
    "batch_size": 17,
    "epochs": 3,
    "patience": 0,
    "patience_steps": 7,
    "smoothing": 2,
    "labelled": 0.5,
    "unlabelled": False,
    "monitor": "val_emotion_accuracy",
    "precision": "mixed_bfloat16",
    "first": None,
    "discard": "mask",
    "shuffle": ("emotion",),
    "windows": Windows(each=9),
    "corpus_options": (),
    "frontends": (FrontendConfig(name="other"),),
}
SAME = {
    "name": "other",
    "protocols": (Protocol("other"),),
    "seeds": (4, 5),
    "paper": (),
    "paper_protocol": "",
    "first": FIRST.replace(name="other", seeds=(9,), protocols=(Protocol("x"),), paper=(("a", "b", 1.0, "c"),)),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": (EMOTION,), "monitor": ""}, "needs a task 'noise' with the class 'clean'.* Received: emotion"),
        ({"tasks": (EMOTION, Task("noise", ("pink", "white")))}, "with the class 'clean'.*noise: .'pink', 'white'"),
        ({"frontend": dataclasses.replace(FIRST.frontend, hop=80)}, "first.frontend.hop=80, frontend.hop=160"),
        ({"model": "svm", "config": None}, "must be a network. Received: first.model=svm"),
        ({"sampling": Sampling("whole")}, "first.sampling.kind=segments, or discard=mask. Received: whole"),
        (
            {"augment": Augment(), "sampling": Sampling(seconds=1.0, balance=False)},
            "one front end each, and no first.sampling.seconds",
        ),
    ],
)
def test_a_cascade_whose_models_do_not_fit_together(change, words):
    with pytest.raises(UserError, match=words):
        RECIPE.replace(first=FIRST.replace(**change))


FURTHER = FrontendConfig(name="further")
STRETCHES = Sampling(seconds=0.5, balance=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frontend": FURTHER}, "the main front end has no name"),
        ({"frontends": (FrontendConfig(),)}, "each of `frontends` needs one"),
        ({"frontends": (FURTHER, FURTHER)}, "distinct names"),
        ({"frontends": (dataclasses.replace(FURTHER, sample_rate=8000),)}, "one sample rate. Received: 8000, 16000 Hz"),
        ({"frontends": (FURTHER,), "sampling": Sampling()}, "sampling.seconds or sampling.kind=whole"),
        ({"frontends": (FURTHER,), "augment": Augment(gain=1.0)}, "take no augmentation"),
        ({"sampling": STRETCHES, "augment": Augment(tempo=0.1)}, "take no augmentation"),
        ({"frontends": (dataclasses.replace(FURTHER, seconds=1.0),)}, "same in all front ends"),
        ({"frontend": FrontendConfig(seconds=2.0), "sampling": STRETCHES}, "and 0 with sampling.seconds"),
        ({"sampling": Sampling(seconds=0.01, balance=False)}, "at least one window. Received: 0.01"),
        ({"sampling": Sampling("whole", balance=False)}, None),
        ({"frontends": (FURTHER,), "sampling": STRETCHES}, None),
    ],
)
def test_front_ends_and_stretches_that_do_not_go_together(change, words):
    plain = Recipe("x", "demo", (EMOTION,), (Protocol("p"),), sampling=Sampling("whole"))
    if words is None:
        assert plain.replace(**change)
        return
    with pytest.raises(UserError, match=words):
        plain.replace(**change)


@pytest.mark.parametrize("monitor", ["val_emotion_f1", "val_emotion_loss", "C", "emotion_uar", "val_arousal_uar"])
def test_monitor_must_be_a_score_that_is_logged(monitor):
    with pytest.raises(UserError, match="`monitor` must be .*val_emotion_uar, val_emotion_accuracy, val_arousal_ccc"):
        RECIPE.replace(monitor=monitor)


def test_a_stream_must_read_the_recipes_own_corpus():
    with pytest.raises(UserError, match="a stream must read the recipe's own corpus. Received: s of 'other'"):
        SIMPLE.replace(streams=(Stream("s", corpus="other"),))


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ("mfc",)}, {"features": ()}, {"features": ("mfcc", "mfcc")}, {"window": 0}, {"window": -400}, {"hop": 0},
        {"fft": 399}, {"bins": 0}, {"coefficients": 41}, {"coefficients": 0}, {"sample_rate": 0}, {"preemphasis": 1.0},
        {"preemphasis": -0.1}, {"preemphasis": float("nan")}, {"deltas": 3}, {"seconds": 0.001}, {"seconds": -1.0},
        {"seconds": float("inf")}, {"normalize": True, "statistics": True},
    ],
)  # fmt: skip
def test_the_settings_of_the_front_end_refuse_what_the_front_end_refuses(changes):
    from keras_ser.features import Frontend

    with pytest.raises(UserError):
        FrontendConfig(**changes)
    with pytest.raises(UserError):
        Frontend(**{**dataclasses.asdict(FrontendConfig()), **changes})


def test_values_from_python_are_typed_as_those_from_json():
    for make in (
        lambda: Stream(5),
        lambda: Config(units="32"),
        lambda: Config(dropout=None),
        lambda: Sampling(frames=1.5),
        lambda: OptimizerConfig(steps=(1.5,)),
        lambda: Protocol("p", folds="5"),
        lambda: Windows(share="all"),
        lambda: Augment(tempo=True),
        lambda: SIMPLE.replace(epochs=10**30),
        lambda: SIMPLE.replace(corpus_options=(("a", {"b": 1}),)),
    ):
        with pytest.raises(UserError, match="expected "):
            make()
    import numpy as np

    assert type(Config(units=np.int64(3)).units) is int and type(Config(beta=np.float32(0.5)).beta) is float


def test_a_mask_cascade_needs_a_mask_and_one_rate():
    first = FIRST.replace(config=Config(adversary=None, mask_bins=257))
    with pytest.raises(ValueError, match="needs a first model that estimates a mask"):
        SIMPLE.replace(first=FIRST, discard="mask")
    with pytest.raises(ValueError, match="need one sample rate. Received: 16000 and 8000 Hz"):
        SIMPLE.replace(first=first, discard="mask", frontend=FrontendConfig(sample_rate=8000))
    assert SIMPLE.replace(first=first, discard="mask").discard == "mask"


def test_the_hash_changes_with_what_a_run_is_and_nothing_else():
    assert {*OTHER, *SAME, "model"} == {f.name for f in dataclasses.fields(Recipe)}
    assert SIMPLE.replace(model="attention_dnn", config=None).hash != SIMPLE.replace(config=None).hash
    masked = RECIPE.replace(first=FIRST.replace(config=Config(adversary=None, mask_bins=257)))
    alone = RECIPE.replace(first=None, augment=Augment(), sampling=Sampling("whole"))
    bases = {"discard": masked, "frontend": alone, "frontends": alone}
    for field, value in OTHER.items():
        base = bases.get(field, RECIPE)
        assert base.replace(**{field: value}).hash != base.hash, field
    for field, value in SAME.items():
        assert RECIPE.replace(**{field: value}).hash == RECIPE.hash, field
    assert RECIPE.replace(first=FIRST.replace(epochs=3)).hash != RECIPE.hash
    assert len(RECIPE.hash) == 8 and int(RECIPE.hash, 16) >= 0


def test_hash_of_a_recipe_of_defaults_stays():
    """A finished experiment is found by its hash: whoever changes this orphans those of all users."""
    assert SIMPLE.hash == "e517070b"
    assert RECIPE.hash == "63aef773"


def test_a_recipe_of_an_earlier_version_behaves_as_it_did_and_keeps_its_hash():
    for recipe, known in ((SIMPLE, "c2d66068"), (RECIPE.replace(first=None), None)):
        data = recipe.to_dict()
        del data["smoothing"], data["patience_steps"]
        earlier = Recipe.from_dict(data)
        assert earlier == recipe.replace(smoothing=1, patience_steps=0)
        assert earlier.hash != recipe.hash and earlier.hash == (known or earlier.hash)


def with_a_new_field(value, name: str = "later", default: object = 7):
    """The same value in a later version, whose class has one more field with a default."""
    cls = type(value)
    later = dataclasses.make_dataclass(cls.__name__, [(name, type(default), default)], bases=(cls,), frozen=True)
    return later(**{f.name: getattr(value, f.name) for f in dataclasses.fields(value)})


def test_hash_ignores_a_new_field_at_its_default():
    assert with_a_new_field(RECIPE).hash == RECIPE.hash
    for field in ("config", "frontend", "sampling", "augment", "optimizer"):
        later = with_a_new_field(getattr(RECIPE, field))
        changed = copy.copy(RECIPE)
        object.__setattr__(changed, field, later)
        assert changed.hash == RECIPE.hash, field
        object.__setattr__(changed, field, dataclasses.replace(later, later=8))
        assert changed.hash != RECIPE.hash, field
    streams = copy.copy(RECIPE)
    object.__setattr__(streams, "streams", tuple(with_a_new_field(stream) for stream in RECIPE.streams))
    assert streams.hash == RECIPE.hash


def test_a_plateau_that_would_never_come_is_refused():
    settings = {"optimizer": OptimizerConfig(schedule="plateau")}
    assert SIMPLE.replace(**settings, protocols=(Protocol("p"),)).patience
    for changes in ({"patience": 0}, {"protocols": (Protocol("p"), Protocol("all", validation=0))}):
        with pytest.raises(ValueError, match="'plateau' needs patience, and a validation set in every protocol"):
            SIMPLE.replace(**settings, **changes)
    with pytest.raises(ValueError, match="needs optimizer.factor under 1. Received: factor=1"):
        OptimizerConfig(schedule="plateau", factor=1.0)
    assert OptimizerConfig(schedule="plateau", learning_rate=1e-5, floor=1e-5).floor
    with pytest.raises(
        ValueError, match="set it to at most optimizer.learning_rate. Received: floor=1e-05, learning_rate=5e-06"
    ):
        OptimizerConfig(schedule="plateau", learning_rate=5e-6)


def test_class_weights_need_classes():
    weighted = Sampling(class_weights=True)
    assert SIMPLE.replace(tasks=(EMOTION, AROUSAL), sampling=weighted).sampling.class_weights
    for main in (AROUSAL, NOISE):  # the classes of a stream's noise are not the corpus's
        with pytest.raises(ValueError, match=f"classes of the first task, and '{main.name}' has none"):
            SIMPLE.replace(tasks=(main, EMOTION), sampling=weighted)


@pytest.mark.parametrize("changes", [{"labelled": 0.5}, {"windows": Windows(each=9)}])
def test_changes_to_a_corpus_that_only_tests_are_refused(changes):
    streams = (Stream("tested"), Stream("other", corpus="ravdess", teaches=True))
    crossing = SIMPLE.replace(streams=streams, protocols=(Protocol("cross", "cross-corpus", validation=0.3),))
    with pytest.raises(ValueError, match="`labelled` and `windows` change the recipe's own corpus, .* 'cross'"):
        crossing.replace(**changes)


def test_what_would_learn_nothing_across_corpora_is_refused():
    """Model 1 of a cascade, too; estimators and clusters, which are fitted on the recipe's own corpus."""
    own, other = Stream("tested"), Stream("other", corpus="ravdess", teaches=True)
    across = {"protocols": (Protocol("cross", "cross-corpus", validation=0.3),)}
    first = FIRST.replace(frontend=SIMPLE.frontend)
    for recipe, words in (
        (SIMPLE.replace(streams=(own,)), "add a stream .* to 'simple'"),
        (SIMPLE.replace(streams=(own, other), first=first), "add a stream .* to 'model-1'"),
        (SIMPLE.replace(streams=(own, other), model="svm", config=svm.Config()), "estimators and clusters .* 'cross'"),
        (
            SIMPLE.replace(streams=(own, other), tasks=(Task("mood", ("low", "high"), columns=("v", "a")),)),
            "estimators and clusters .* 'cross'",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            recipe.replace(**across)
    taught = first.replace(streams=(*first.streams, other))
    assert SIMPLE.replace(streams=(own, other), first=taught, **across)


def test_a_recipe_needs_something_of_each():
    for field in ("tasks", "streams", "protocols", "seeds"):
        with pytest.raises(ValueError, match="at least one task, stream, protocol and seed"):
            RECIPE.replace(**{field: ()})
    with pytest.raises(
        ValueError,
        match="`model` must be one of aae_mtl, aspmtl, attention_dnn, multilevel, random_forest, svm, vggvox, "
        "or the import path of an installed module. Received: 'transformer'",
    ):
        Recipe("x", "demo", (EMOTION,), (Protocol("p"),), model="transformer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"epoch": 3}, "Recipe has no epoch. It has: name, corpus"),
        (lambda d: d | {"config": d["config"] | {"betta": 1}}, "Config has no betta. It has: encoder"),
        (
            lambda d: {k: v for k, v in d.items() if k not in ("tasks", "corpus")},
            "Recipe needs corpus, tasks. Received: name",
        ),
        (lambda d: d | {"epochs": "ten"}, "Recipe.epochs: expected int. Received: 'ten'"),
        (lambda d: d | {"streams": [{"name": "s", "snr": ["loud"]}]}, r"Stream.snr: expected tuple\[float, ...\]"),
        (lambda d: d | {"tasks": [{"labels": ["a"]}]}, "Task needs name. Received: labels"),
        (lambda d: d | {"tasks": ["emotion"]}, "expected the fields of Task. Received: 'emotion'"),
        (lambda d: [d], "expected the fields of Recipe"),
    ],
)
def test_a_file_that_is_no_recipe(change, message):
    with pytest.raises(ValueError, match=message):
        Recipe.from_json(json.dumps(change(RECIPE.to_dict())))


def test_another_process_gives_the_same_hash():
    script = "import sys\nfrom keras_ser.recipe import Recipe\nr = Recipe.from_json(sys.stdin.read())\nprint(r.hash, r.to_json())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=RECIPE.to_json(),
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(keras_ser.__file__).parents[1],
            env={"PYTHONHASHSEED": seed},
        )
        assert done.stdout == f"{RECIPE.hash} {Recipe.from_json(RECIPE.to_json()).to_json()}\n"


def test_annotations_are_ones_that_overrides_understand():
    """A field of another kind would be found out here, and not by a user's --set."""

    def kinds(hint):
        inner = typing.get_args(hint)
        return set().union(*map(kinds, inner)) if inner else {hint}

    known = {str, int, float, bool, tuple, type(None), typing.Any, Ellipsis}
    pending, seen = [Recipe, Config], set()
    while pending:
        cls = pending.pop()
        seen.add(cls)
        for hint in typing.get_type_hints(cls).values():
            for kind in kinds(hint) - known:
                assert dataclasses.is_dataclass(kind), f"{cls.__name__}: {kind}"
                pending += [kind] if kind not in seen else []
    assert {Stream, Task, Protocol, Sampling, Augment, OptimizerConfig, FrontendConfig} < seen

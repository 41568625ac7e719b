"""What is wrong with a recipe, a corpus or a split is said in one line before a single clip is decoded."""

import json

import pytest

from keras_ser.cli import main
from keras_ser.errors import UserError
from tests.test_cli import mistake, write_rows

RECIPES = """
from keras_ser.models import svm, vggvox
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import FrontendConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION, GENDER = Task("emotion", ("anger", "sadness")), Task("gender", ("female", "male"))
NOISE = Task("noise", ("clean", "white"))
COMMON = dict(
    corpus="manifest",
    protocols=(Protocol("clips", test=0.25), Protocol("folds", "k-fold", folds=2, validation=1)),
    seeds=(0,),
)
STREAMS = (Stream("clips"), Stream("noisy", noises=("white",)))
label = Recipe("label", tasks=(EMOTION, GENDER), config=Config(adversary="label"), **COMMON)
first = Recipe("first", tasks=(EMOTION, NOISE), streams=STREAMS, **COMMON)
masking = first.replace(
    config=Config(mask_bins=257, frame_level=True), frontend=FrontendConfig(("log_mel",), endpoint=False)
)
RECIPES = {
    "label": label,
    "noise": first,
    "cascade": label.replace(first=first),
    "mask": label.replace(first=masking, discard="mask"),
    "speaker": label.replace(tasks=(Task("speaker", identity=True), EMOTION)),
    "vggvox": label.replace(
        model="vggvox",
        config=vggvox.Config(),
        sampling=Sampling("whole"),
        frontend=FrontendConfig(("magnitude",), endpoint=False, seconds=1.0),
    ),
    "svm": label.replace(model="svm", tasks=(EMOTION,), config=svm.Config(), sampling=Sampling("whole")),
}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """(recipe file, manifest) whose audio files hold nothing."""
    folder = tmp_path_factory.mktemp("undecoded")
    rows = []
    for i, speaker in enumerate("abcd"):
        for emotion in ("anger", "sadness"):
            for take in range(3):
                name = f"{speaker}{emotion}{take}.wav"
                (folder / name).write_bytes(b"")
                rows.append({"file": name, "speaker": speaker, "gender": ("male", "female")[i % 2], "emotion": emotion})
    write_rows(folder / "clips.csv", rows)
    (folder / "several.py").write_text(RECIPES)
    return folder / "several.py", folder / "clips.csv"


@pytest.fixture
def train(corpus, tmp_path, monkeypatch):
    """(variant, *options) -> exit code of `train`; decoding fails the test."""
    import keras_ser.training.data as room

    def decode(*args, **kwargs):
        pytest.fail("the corpus was decoded")

    monkeypatch.setattr(room, "cache", decode)
    recipe, manifest = corpus
    start = ["train", str(recipe), "--corpus-root", str(manifest), "--out", str(tmp_path / "out"), "--quiet"]
    return lambda variant, *options: main([*start, f"--variant={variant}", *options])


TABLE = [
    ("label", "name=my model", ["name of a recipe", "'my model'"]),
    ("label", "name=ser:v1", ["name of a recipe", "'ser:v1'"]),
    ("label", "name=../../x", ["name of a recipe", "'../../x'"]),
    ("label", "name=sub/dir", ["name of a recipe"]),
    ("label", "name=", ["name of a recipe", "''"]),
    ("label", "name=" + "x" * 101, ["name of a recipe", "1 to 100"]),
    ("label", "tasks.emotion.name=my emotion", ["name of a task", "'my emotion'"]),
    ("label", "tasks.emotion.name=a/b", ["name of a task"]),
    ("label", "tasks.emotion.name=mask", ['"mask"', "another name"]),
    ("label", "tasks.emotion.name=emptied", ["'emptied'", "predictions table"]),
    ("label", "tasks.emotion.name=adversary", ["'adversary'", "network", "column='emotion'"]),
    ("label", 'tasks.emotion.labels=["anger", "prediction"]', ["'prediction'", "emotion/prediction"]),
    ("label", "protocols.clips.name=a/b", ["name of a protocol"]),
    ("label", "streams.clips.name=a b", ["name of a stream"]),
    ("label", "optimizer.name=lion", ["`optimizer.name`", "adam, adamw, sgd", "'lion'"]),
    ("label", "optimizer.schedule=linear", ["`optimizer.schedule`", "constant, cosine, step", "'linear'"]),
    ("label", "optimizer.learning_rate=0", ["`learning_rate` must be over 0"]),
    ("label", "optimizer.learning_rate=NaN", ["`learning_rate` must be over 0", "nan"]),
    ("label", "optimizer.weight_decay=-1", ["`weight_decay` must be at least 0"]),
    ("label", "optimizer.clip_norm=Infinity", ["`clip_norm` must be at least 0 and finite"]),
    ("label", "optimizer.momentum=1", ["`momentum` must be in [0, 1)"]),
    ("label", "optimizer.warmup_epochs=-1", ["`warmup_epochs`"]),
    ("label", "frontend.features=mfcc,mfc", ["`features`", "'mfc'", "log_mel"]),
    ("label", "frontend.window=0", ["`window` must be at least 1"]),
    ("label", "frontend.hop=-160", ["`hop` must be at least 1"]),
    ("label", "frontend.fft=256", ["`fft` must be at least `window`", "fft=256, window=400"]),
    ("label", "frontend.bins=0", ["`bins` must be at least 1"]),
    ("label", "frontend.bins=200", ["mel filter", "bins=200"]),
    ("label", "frontend.coefficients=41", ["`coefficients` must be at most `bins`"]),
    ("label", "frontend.sample_rate=0", ["`sample_rate` must be at least 1"]),
    ("label", "frontend.sample_rate=1000", ["pitch range"]),
    ("label", "frontend.preemphasis=1", ["`preemphasis` must be in [0, 1)"]),
    ("label", "frontend.deltas=3", ["`deltas` must be one of 0, 1, 2"]),
    ("label", "frontend.seconds=0.001", ["`seconds` must hold at least one window"]),
    ("label", "config.dropout=1", ["`dropout` must be in [0, 1)"]),
    ("label", "config.dropout=NaN", ["`dropout` must be in [0, 1)"]),
    ("label", "config.units=0", ["`units` must be at least 1"]),
    ("label", "config.layers=-1", ["`layers` must be at least 0"]),
    ("label", "config.beta=-0.1", ["`beta` must be at least 0"]),
    ("label", "config.beta=NaN", ["`beta` must be at least 0 and finite"]),
    ("label", "config.pools.0=[0, 1]", ["`pools`"]),
    ("label", "config.filters=24,0,64,96", ["`filters` must be at least 1"]),
    ("label", "config.adversary=source", ["tells streams apart"]),
    ("label", "tasks.gender.weight=-1", ["`weight` must be at least 0"]),
    ("label", "augment.probability=2", ["`probability` must be in [0, 1]"]),
    ("label", "sampling.frames=0", ["`frames` must be at least 1"]),
    ("label", "precision=float16", ["`precision` must be one of float32"]),
    ("label", "seeds=4294967296", ["`seeds`", "4294967295"]),
    ("label", "batch_size=0", ["`batch_size` must be at least 1"]),
    ("label", "streams.clips.corpus=foo", ["must read the recipe's own corpus", "foo"]),
    ("noise", "streams.noisy.corpus=foo", ["'noisy' reads the corpus 'foo'", "--aux-root"]),
    ("noise", "streams.noisy.noises=wind", ["'wind'", "neither generated nor a file", "--noise-root"]),
    ("noise", "streams.noisy.noises=pink", ["noise must be one of clean, white", "'pink'"]),
    ("noise", "streams.noisy.snr=NaN", ["`snr` of stream 'noisy'"]),
    ("noise", "streams.noisy.share=0", ["`share` must be over 0"]),
    ("label", "monitor=val_emotion_f1", ["`monitor`", "val_emotion_uar", "'val_emotion_f1'"]),
    ("label", "monitor=emotion_accuracy", ["`monitor`"]),
    ("cascade", "first.frontend.bins=32", ["first.frontend.bins=32, frontend.bins=40"]),
    ("cascade", "first.tasks.noise.column=disturbance", ["needs a task 'noise'"]),
    ("cascade", "first.tasks.noise.labels=white,pink", ["with the class 'clean'"]),
    ("cascade", "first.model=svm", ["Config of the model 'svm'"]),
    ("cascade", "first.optimizer.name=lion", ["'lion'"]),
    ("cascade", "first.streams.noisy.noises=wind", ["'wind'"]),
    ("mask", "first.config.mask_bins=129", ["config.mask_bins=257"]),
    ("mask", "first.frontend.sample_rate=8000", ["one sample rate"]),
    ("mask", "first.frontend.endpoint=true", ["frontend.endpoint=false"]),
    ("speaker", "protocols.folds.by=speaker", ["can't be chosen by 'speaker'"]),
    ("vggvox", "frontend.endpoint=true", ["clips of one length"]),
    ("vggvox", "frontend.seconds=0.2", ["too small for five poolings"]),
    ("vggvox", "config.filters=1,2,3,4", ["five numbers of channels"]),
    ("vggvox", "frontend.features=magnitude,log_mel", ["one feature"]),
    ("svm", "config.C=0", ["`C` must be over 0"]),
    ("svm", "config.kernel=cubic", ["`kernel` must be one of rbf, linear"]),
    ("svm", "sampling.kind=crop", ["sampling.kind=whole"]),
    ("svm", "protocols.clips.validation=0", ["4 settings of 'C'"]),
    ("label", "protocols.folds.folds=9", ["9 folds by speaker need as many values"]),
    ("label", "protocols.folds.by=session", ["needs a session for each utterance"]),
    ("label", "protocols.clips.validation=NaN", ["`validation` must be at least 0 and finite"]),
    ("label", 'paper=[["emotion", "uarr", 0.5, "table 1"]]', ["uarr"]),
]


@pytest.mark.parametrize(("variant", "pair", "words"), TABLE, ids=[pair[:60] for _, pair, _ in TABLE])
def test_set_is_refused_before_decoding(train, capsys, tmp_path, variant, pair, words):
    message = mistake(capsys, train(variant, "--set", pair))
    assert all(word in message for word in words), message
    assert not (tmp_path / "out").exists()


def test_a_fold_that_no_protocol_has_is_refused_before_decoding(train, capsys):
    assert "no fold 7" in mistake(capsys, train("label", "--folds=7"))
    assert "--folds" in mistake(capsys, train("label", "--folds=²"))


@pytest.mark.parametrize("variant", ["label", "noise", "cascade", "mask", "vggvox", "svm"])
def test_the_table_refuses_nothing_that_is_right(corpus, tmp_path, monkeypatch, variant):
    """Each recipe of the table, unchanged, gets as far as decoding."""
    import keras_ser.training.data as room

    class Decoded(BaseException):
        pass

    def decode(*args, **kwargs):
        raise Decoded

    monkeypatch.setattr(room, "cache", decode)
    recipe, manifest = corpus
    with pytest.raises(Decoded):
        main(["train", str(recipe), "--corpus-root", str(manifest), "--out", str(tmp_path), f"--variant={variant}"])


def test_keys_that_depend_on_each_other_are_set_together(corpus, tmp_path):
    """In any order: a window of 800 needs another FFT; other noises need other classes."""
    from keras_ser.cli.recipes import load_recipes

    recipes, _ = load_recipes(str(corpus[0]))
    for changes in (
        {"frontend.window": "800", "frontend.fft": "1024"},
        {"frontend.fft": "256", "frontend.window": "200"},
    ):
        for ordered in (changes, dict(reversed(changes.items()))):
            changed = recipes["cascade"].change(ordered)
            assert changed.frontend == changed.first.frontend
            assert changed.frontend.window == int(changes["frontend.window"])
    noises = {"first.streams.noisy.noises": "pink", "first.tasks.noise.labels": "clean,pink"}
    for ordered in (noises, dict(reversed(noises.items()))):
        assert recipes["cascade"].change(ordered).first.tasks[1].labels == ("clean", "pink")


def test_a_name_never_leads_out_of_the_output_folder(train, corpus, tmp_path, capsys):
    from keras_ser.cli.recipes import load_recipes

    recipe = load_recipes(str(corpus[0]))[0]["label"]
    stored = tmp_path / "recipe.json"
    stored.write_text(json.dumps(recipe.to_dict() | {"name": "../../x"}))
    command = ["train", str(stored), "--corpus-root", str(corpus[1]), "--out", str(tmp_path / "a" / "b" / "c")]
    assert "name of a recipe" in mistake(capsys, main(command))
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize("snr", ["loud", "NaN", "0,inf", "5,,5", "101"])
def test_evaluate_refuses_ratios_that_are_no_decibels(snr):
    from keras_ser.cli.evaluation import decibels

    with pytest.raises(UserError, match="--snr takes numbers from -100 to 100 dB"):
        decibels(snr)
    assert decibels("-5, 10") == [-5.0, 10.0]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"a,b\n1\n1,2,3\n", b"fold,seed\nx,0\n", b"t/prediction,t\nx,1\n"]
)
def test_compare_refuses_files_that_are_no_predictions(content, tmp_path, capsys):
    (tmp_path / "predictions.csv").write_bytes(content)
    command = ["compare", str(tmp_path / "predictions.csv"), str(tmp_path / "predictions.csv"), "--task", "t"]
    assert str(tmp_path / "predictions.csv") in mistake(capsys, main(command))

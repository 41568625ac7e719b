"""What is wrong with a recipe, a corpus or a split is said in one line before a single clip is decoded."""

import dataclasses
import subprocess
import sys

import pytest

from keras_ser.cli import main
from keras_ser.corpora import read_corpus
from keras_ser.corpora.spelling import SpellingWarning
from keras_ser.errors import UserError
from keras_ser.experiment.preparing import check_experiment
from keras_ser.models import svm
from keras_ser.recipe import Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from tests.recipes.common import script
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
    "spectral": label.replace(frontend=FrontendConfig(("log_mel",), normalize=True)),
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
    ("label", "name=../../x", ["name of a recipe", "'../../x'"]),
    ("label", "tasks.emotion.name=my emotion", ["name of a task", "'my emotion'"]),
    ("label", "tasks.emotion.name=mask", ['"mask"', "another name"]),
    ("label", "tasks.emotion.name=emptied", ["'emptied'", "predictions table"]),
    ("label", "tasks.emotion.name=adversary", ["'adversary'", "network", "column='emotion'"]),
    ("label", 'tasks.emotion.labels=["anger", "prediction"]', ["'prediction'", "emotion/prediction"]),
    ("label", "streams.clips.name=a b", ["name of a stream"]),
    ("label", "optimizer.name=lion", ["`optimizer.name`", "adam, adamw, sgd", "'lion'"]),
    ("label", "optimizer.learning_rate=0", ["`learning_rate` must be over 0"]),
    ("label", "frontend.features=mfcc,mfc", ["`features`", "'mfc'", "log_mel"]),
    ("label", "frontend.bins=200", ["mel filter", "bins=200"]),
    ("label", "frontend.preemphasis=1", ["`preemphasis` must be in [0, 1)"]),
    ("label", "config.beta=NaN", ["`beta` must be at least 0 and finite"]),
    ("label", "augment.probability=2", ["`probability` must be in [0, 1]"]),
    ("spectral", "augment.gain=15", ["augment.gain", "frontend.normalize", "leave augment.gain at 0"]),
    ("label", "streams.clips.corpus=foo", ["must read the recipe's own corpus", "foo"]),
    ("noise", "streams.noisy.corpus=foo", ["'noisy' reads the corpus 'foo'", "--corpus-root foo=DIR"]),
    ("noise", "streams.noisy.noises=wind", ["'wind'", "neither generated nor a file", "--noise-root"]),
    ("noise", "streams.noisy.noises=pink", ["noise must be one of clean, white", "'pink'"]),
    ("noise", "streams.noisy.snr=NaN", ["`snr` of stream 'noisy'"]),
    ("label", "monitor=val_emotion_f1", ["`monitor`", "val_emotion_uar", "'val_emotion_f1'"]),
    ("cascade", "first.frontend.bins=32", ["first.frontend.bins=32, frontend.bins=40"]),
    ("cascade", "first.tasks.noise.column=disturbance", ["needs a task 'noise'"]),
    ("cascade", "first.tasks.noise.labels=white,pink", ["with the class 'clean'"]),
    ("mask", "first.config.mask_bins=129", ["config.mask_bins=257"]),
    ("speaker", "protocols.folds.by=speaker", ["cannot select the epoch by 'speaker'"]),
    ("vggvox", "frontend.endpoint=true", ["clips of one length"]),
    ("svm", "config.C=0", ["`C` must be over 0"]),
    ("svm", "sampling.kind=crop", ["sampling.kind=whole"]),
    ("svm", "protocols.clips.validation=0", ["4 settings of 'C'"]),
    ("label", "protocols.folds.folds=9", ["9 folds by speaker need as many values"]),
    ("label", "protocols.folds.by=session", ["needs a session for each utterance"]),
    ("label", 'paper=[["emotion", "uarr", 0.5, "table 1"]]', ["uarr"]),
]


@pytest.mark.parametrize(("variant", "pair", "words"), TABLE, ids=[pair[:60] for _, pair, _ in TABLE])
def test_set_is_refused_before_decoding(train, capsys, tmp_path, variant, pair, words):
    message = mistake(capsys, train(variant, "--set", pair))
    assert all(word in message for word in words), message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "epochs=3", "--set", "epochs=4"], ["--set epochs is given twice: 3 and 4"]),
        (["--seeds", "9999999999"], ["at most 10000 seeds", "--seed N"]),
    ],
)
def test_options_that_contradict_or_overflow_are_refused(train, capsys, options, words):
    try:
        code = train("label", *options)
    except SystemExit as ended:  # of the parser
        code = ended.code
    message = mistake(capsys, code)
    assert all(word in message for word in words), message


def test_a_corpus_root_that_no_stream_reads_is_refused(train, capsys, tmp_path):
    message = mistake(capsys, train("label", "--corpus-root", f"emodb={tmp_path}"))
    assert "no stream reads the corpus 'emodb'" in message


def test_a_fold_that_no_protocol_has_is_refused_before_decoding(train, capsys):
    assert "no fold 7" in mistake(capsys, train("label", "--folds=7"))
    assert "--folds" in mistake(capsys, train("label", "--folds=²"))


@pytest.mark.parametrize("variant", ["cascade", "mask", "vggvox", "svm"])
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


@pytest.mark.parametrize("snr", ["NaN", "5,,5", "101"])
def test_evaluate_refuses_ratios_that_are_no_decibels(snr):
    from keras_ser.cli.evaluation import decibels

    with pytest.raises(UserError, match="--snr takes numbers from -100 to 100 dB"):
        decibels(snr)
    assert decibels("-5, 10, -5.0") == [-5.0, 10.0]


def test_a_folder_of_experiments_is_no_recipe(tmp_path, capsys):
    (tmp_path / "a-1").mkdir()
    assert f"Received: {tmp_path}, which has none." in mistake(capsys, main(["train", str(tmp_path)]))
    (tmp_path / "a-1" / "recipe.json").touch()
    assert f"Give one of those in it: {tmp_path / 'a-1'}." in mistake(capsys, main(["train", str(tmp_path)]))


def test_jobs_speaks_of_the_runs_of_a_recipe_and_tune_of_trials(capsys):
    for command, trials in (("jobs", False), ("train", False), ("tune", True)):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert ("of each trial" in " ".join(capsys.readouterr().out.split())) == trials, command


@pytest.mark.parametrize(
    "words", [["export", "nowhere"], ["check", "."], ["verify", ".", "--corpus-root", "clips.csv"]], ids=lambda w: w[0]
)
def test_a_wrong_folder_is_refused_before_tensorflow_is_imported(words, tmp_path):
    program = (
        "import sys; from keras_ser.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code if 'tensorflow' not in sys.modules else 'imported')"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1\n1,2,3\n", b"t/prediction,t\nx,1\n"])
def test_compare_refuses_files_that_are_no_predictions(content, tmp_path, capsys):
    (tmp_path / "predictions.csv").write_bytes(content)
    command = ["compare", str(tmp_path / "predictions.csv"), str(tmp_path / "predictions.csv"), "--task", "t"]
    assert str(tmp_path / "predictions.csv") in mistake(capsys, main(command))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--corpus-root=x", "--systems=aae-10"), "Received: 'aae-10'. It is a system of --variant shares."),
        (("--corpus-root=x", "--variant=shares", "--systems=ae"), "'ae'. It is a system of --variant emodb or paper."),
        (("--corpus-root=x", "--aux-speakers=-3"), "--aux-speakers: expected an integer of at least 0. Received: -3."),
        (
            ("--corpus-root=x", "--aux-speakers=slr45=x"),
            "--aux-speakers: expected an integer of at least 0. Received: x.",
        ),
        (
            ("--corpus-root=x", "--corpus-root=slr45=y", "--aux-speakers=slr54=3"),
            "--aux-speakers NAME=N is for a corpus that adds speakers (slr45). Received: slr54.",
        ),
        (
            ("--corpus-root=x", "--corpus-root=slr45=y", "--aux-speakers=3", "--aux-speakers=4"),
            "--aux-speakers is given twice for all corpora: 3, 4.",
        ),
        (("--corpus-root=x", "--corpus-root=slr45="), "DIR is empty. Received: 'slr45='."),
        (("--corpus-root=",), "DIR is empty. Received: ''."),
    ],
)
def test_options_of_a_recipe_with_several_systems_name_the_way_out(words, said, tmp_path):
    done = script("aae_emodb", *words, f"--out={tmp_path}")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_speakers_that_differ_by_leading_zeros_are_warned_of(corpus):
    """Before anything is decoded; a split that keeps no speakers apart tests known ones anyway."""
    found = read_corpus("manifest", corpus[1])
    names = {"a": "3", "b": "03", "c": "c", "d": "d"}
    people = dataclasses.replace(
        found, utterances=tuple(dataclasses.replace(u, speaker=names[u.speaker]) for u in found)
    )
    task, apart = Task("emotion", ("anger", "sadness")), Protocol("folds", "k-fold", folds=2, validation=1)
    recipe = Recipe("x", "manifest", (task,), (apart,), model="svm", config=svm.Config(), sampling=Sampling("whole"))
    with pytest.warns(SpellingWarning, match="taken for different people: '03' and '3'"):
        check_experiment(recipe, people)
    check_experiment(recipe.replace(protocols=(Protocol("clips", test=0.25, validation=0.25),)), people)

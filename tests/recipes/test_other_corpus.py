"""Scripts that compare systems, with --corpus: their variants on any other corpus."""

from functools import partial

import pytest

from keras_ser.cli.other_corpus import on_corpus, unseen_speakers
from keras_ser.corpora import read_corpus
from tests.recipes.common import four_emotions, imported, script

GIVEN = {"wav2vec2": "w2v", "alexnet": ""}
LEVELS = ("w2e", "ser", "mf", "mtl", "cr", "mf-mtl", "mf-cr", "mtl-cr", "mf-mtl-cr")
OF_GENDER = {"mf", "mf-mtl", "mf-cr", "mf-mtl-cr", "aae", "ae", "cnn", "aae-gender", "aae-no-adversary", "aae-no-image"}


def without_gender(table):
    table.write_text(table.read_text().replace(",female,", ",,"))
    return table


@pytest.mark.parametrize(
    ("recipe", "function", "given", "variants"),
    [
        *((f"multilevel_{name}", "variants", [GIVEN], {"levels", "leaky"}) for name in ("emodb", "ravdess", "iemocap")),
        ("aae_emodb", "variants", [], {"shares", "speakers", "alpha", "beta", "paper"}),
        ("aae_ravdess", "longer", [], {"shares", "speakers", "alpha", "beta", "paper"}),
    ],
)
def test_systems_have_the_classes_names_and_splits_of_the_corpus(recipe, function, given, variants, tmp_path):
    make = partial(getattr(imported(recipe), function), *given)
    table = four_emotions(tmp_path, speakers=7)
    corpus = read_corpus("manifest", table)
    made, notes = on_corpus(corpus, make)
    assert next(iter(made)) == "manifest" and variants <= set(made) and not notes
    family = recipe.partition("_")[0]
    for variant, systems in made.items():
        for name, system in systems.items():
            assert system.corpus == "manifest" and system.protocols[-1].name == "leave-one-speaker-out", (variant, name)
            assert system.name == f"{family}_manifest{'' if variant == 'manifest' else f'_{variant}'}-{name}"
            further = {stream.corpus for stream in system.streams} - {None}
            assert not further or (variant.startswith("speakers") and further == {"librispeech"}), name
    filled = next(iter(made["manifest"].values())).for_corpus(corpus)
    assert filled.tasks[0].labels == ("anger", "happiness", "neutral", "sadness")
    every = set(made["manifest"])
    assert every >= (set(LEVELS) if family == "multilevel" else {"aae", "cnn-single"})
    fewer, (note,) = on_corpus(read_corpus("manifest", without_gender(table)), make)
    assert set(fewer["manifest"]) == every - OF_GENDER and all(fewer.values())
    assert note.startswith("The corpus does not name both genders: no ") and "shares" not in fewer


@pytest.mark.parametrize(
    ("speakers", "protocol", "validation"),
    [(12, "leave-one-speaker-out", 1), (13, "five-folds-of-speakers", 1), (65, "five-folds-of-speakers", 6)],
)
def test_speakers_are_left_out_one_by_one_up_to_twelve(speakers, protocol, validation):
    made = unseen_speakers(speakers)
    assert (made.name, made.validation) == (protocol, validation)


@pytest.mark.parametrize(
    ("recipe", "words", "said"),
    [
        ("aae_emodb", ["--variant=shares"], "--variant must be one of manifest, speakers-identity, paper. Received: 'shares'"),
        ("aae_emodb", ["--systems=aae"], "--systems must be among aae-speaker, aae-single, ae-single, cnn-single."),
        ("multilevel_emodb", ["--systems=mf"], "--systems must be among ser, mtl, cr, mtl-cr."),
        ("multilevel_emodb", ["--variant=emodb"], "--variant must be one of manifest, levels, leaky, paper."),
        ("aae_iemocap", [], "`keras-ser train RECIPE.py --variant aae --corpus manifest"),
    ],
)  # fmt: skip
def test_what_a_corpus_does_not_allow_is_said(recipe, words, said, tmp_path):
    table = without_gender(four_emotions(tmp_path))
    done = script(recipe, "--corpus=manifest", f"--corpus-root={table}", f"--out={tmp_path / 'out'}", *words)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and said in line
    assert ("The corpus does not name both genders" in line) == bool(words)


@pytest.mark.slow
def test_a_split_by_speakers_is_possible_without_genders(tmp_path):
    """What the corpus lacks for some systems is no reason to refuse --protocol disjoint."""
    table, small = without_gender(four_emotions(tmp_path)), ["--epochs=1", "--seed=0", "--folds=0", "--quiet"]
    small += [
        "--set=config.units=2",
        "--set=config.image=64,64",
        "--set=config.filters=2,2,3,3,4",
        "--set=config.dense=6",
    ]
    command = ["multilevel_emodb", "--corpus=manifest", f"--corpus-root={table}", f"--out={tmp_path}", *small]
    done = script(*command, "--protocol=disjoint", "--variant=levels", "--systems=bilstm")
    assert done.returncode == 0, done.stderr
    (text,) = (path.read_text() for path in tmp_path.glob("multilevel_manifest_levels-systems-*/systems.md"))
    assert text.startswith("# multilevel_manifest_levels on manifest, without wav2vec 2.0")


@pytest.mark.slow
def test_shares_of_labels_on_a_corpus_of_ones_own(tmp_path):
    table = four_emotions(tmp_path, speakers=7)
    small = ["filters=2,2", "kernels=3,3", "pools=[[2, 2], [2, 2]]", "head_filters=2", "dense=4,3"]
    command = ["aae_emodb", "--corpus=manifest", f"--corpus-root={table}", f"--out={tmp_path}", "--variant=shares"]
    command += ["--epochs=1", "--seed=0", "--folds=0", "--quiet", *(f"--set=config.{pair}" for pair in small)]
    command += ["--set=sampling.frames=16", "--set=sampling.hop=16", "--set=frontend.bins=16"]
    done = script(*command, "--systems=aae-50,aae-50-alone")
    assert done.returncode == 0, done.stderr
    (text,) = (path.read_text() for path in tmp_path.glob("aae_manifest_shares-systems-*/systems.md"))
    assert text.startswith("# aae_manifest_shares on manifest") and "aae-50 - aae-50-alone: " in text

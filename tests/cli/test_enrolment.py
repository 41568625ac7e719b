"""--verify of a recipe: what cannot be verified is refused before the training, and the table of systems comes first."""

from types import SimpleNamespace

import pytest

from keras_ser.cli import enrolment, main, tables
from keras_ser.cli.enrolment import check_before, verified
from keras_ser.cli.papers import Paper
from keras_ser.corpora import Corpus, Utterance, read_corpus
from keras_ser.errors import UserError
from keras_ser.evaluation.verification_trials import TrialsError
from keras_ser.experiment.planning import jobs
from keras_ser.experiment.verification import run_verification
from keras_ser.models import svm
from keras_ser.settings import Stream
from tests.recipes.common import script, twin
from tests.test_cli import mistake, write_rows
from tests.training import tiny


@pytest.fixture
def people(tmp_path):
    """(speaker -> clips) -> a manifest of that many files that hold nothing."""

    def write(column: str = "speaker", **clips: int) -> str:
        rows = [{"file": f"{name}{i}.wav", column: name} for name, count in clips.items() for i in range(count)]
        for row in rows:
            (tmp_path / row["file"]).write_bytes(b"")
        path = tmp_path / f"people{len(list(tmp_path.glob('*.csv')))}.csv"
        write_rows(path, rows)
        return f"--verify=manifest={path}"

    return write


@pytest.fixture
def refused(tmp_path):
    """(*words) -> what a recipe says that must not train."""
    root = twin("iemocap", tmp_path)

    def run(*words: str) -> str:
        done = script("aae_iemocap", f"--corpus-root={root}", f"--out={tmp_path / 'out'}", "--quiet", *words)
        assert done.returncode == 2 and not (tmp_path / "out").exists() and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    return run


def test_speakers_who_cannot_be_enrolled_are_refused_before_decoding(people, refused, monkeypatch):
    import keras_ser.training.data as room

    monkeypatch.setattr(room, "cache", lambda *given, **more: pytest.fail("the corpus was decoded"))
    said = refused(people(ann=30, bob=6))
    assert "by 20 utterances needs two speakers or more, each with 21 clips at least" in said
    assert (
        "2 speakers not seen in training, 1 of them with fewer: manifest/bob. Enrol by 5 or fewer (--enrol 5)." in said
    )
    said = refused(people(ann=30))
    assert "Received: 1 speaker not seen" in said and "add one: a second --corpus-root NAME=DIR" in said
    assert "Enrol by 5 or fewer" in refused(people("who", ann=30, bob=6), "--columns=speaker=who")
    assert "needs the speaker of every clip. Received: 36 of 36 without" in refused(people("who", ann=30, bob=6))
    assert "--enrol is for the speakers of --verify" in refused("--enrol=5")


def test_speakers_of_several_corpora_are_verified_together(people, refused, tmp_path):
    """As many of each as there are; one adapter twice would make one person of two."""
    options = SimpleNamespace(enrol=20, corpus_roots={}, columns=[], audio_root=None, aux_root=None, aux_corpus=None)
    options.verify = [people(ann=30).removeprefix("--verify="), f"demo={tmp_path / 'demo'}"]
    assert [corpus.name for corpus in verified(tiny.SINGLE.replace(corpus="emodb"), options)] == ["manifest", "demo"]
    with pytest.raises(TrialsError, match="1 speaker not seen"):
        verified(
            tiny.SINGLE.replace(corpus="emodb"), SimpleNamespace(**{**vars(options), "verify": options.verify[:1]})
        )
    assert "--verify manifest= is given twice" in refused(people(ann=30), people(bob=30))


def test_speakers_whom_any_system_will_hear_do_not_count(monkeypatch):
    """Also those of a system that is trained already; they are left out of the trials of all."""
    clips = (Utterance(f"{who}{i}", f"{who}{i}.wav", speaker=who) for who in "abc" for i in range(3))
    readers, cache = Corpus("librispeech", "/", tuple(clips), {}), SimpleNamespace(dropped={}, hashes={})
    monkeypatch.setattr(enrolment, "verified", lambda *given: [readers])
    monkeypatch.setattr(enrolment, "_decoded", lambda *given: [(readers, cache)])
    data = SimpleNamespace(corpus=read_corpus("demo"), cache=cache, auxiliary={"librispeech": (readers, cache)})
    alone = tiny.SINGLE.replace(corpus="demo", protocols=(tiny.SPEAKERS,))
    more = Stream("readers", corpus="librispeech", speakers=2)
    systems = {"alone": alone, "together": alone.replace(name="together", streams=(*alone.streams, more))}
    todo = [("alone", job) for job in jobs(alone, data)]
    options = SimpleNamespace(enrol=2, init_from=None)
    check_before({"alone": alone}, data, todo, options)
    check_before(systems, data, [], options)
    with pytest.raises(TrialsError, match="1 speaker not seen in training"):
        check_before(systems, data, todo, options)


def test_a_baseline_has_no_embeddings(people, tmp_path, monkeypatch, capsys):
    """Said before the corpus is decoded."""
    recipe = tiny.SINGLE.replace(name="own-svm", model="svm", config=svm.Config())
    monkeypatch.setattr("keras_ser.experiment.rescoring.runs_of", lambda folder: [SimpleNamespace(recipe=recipe)])
    monkeypatch.setattr("keras_ser.pipelines.records.cache", lambda *given, **more: pytest.fail("decoded"))
    root = people(ann=3, bob=3).replace("--verify", "--corpus-root")
    said = mistake(capsys, main(["verify", str(tmp_path), root]))
    assert "embeddings of a network. Received: own-svm, a baseline (svm), which has none." in said
    corpus = SimpleNamespace(corpus=[])
    with pytest.raises(UserError, match="own-svm, a baseline"):
        run_verification({"svm": SimpleNamespace(recipe=recipe, missing=())}, corpus, tmp_path)


def test_unreadable_files_are_refused_before_training(people, refused, monkeypatch):
    monkeypatch.setattr("keras_ser.experiment.systems.run_systems", lambda *given, **more: pytest.fail("trained"))
    said = refused(people(ann=3, bob=3), "--enrol=2", "--systems=cnn-single", "--folds=0")
    assert "6 of 6 files can't be used" in said and "ann0.wav" in said


def test_the_table_of_systems_remains_when_the_verification_fails(tmp_path, monkeypatch):
    saved = []

    def fails(trained):
        raise UserError("no speakers")

    made = SimpleNamespace(save=lambda folder: saved.append(folder) or folder / "systems.md")
    monkeypatch.setattr(tables, "enrolled_report", fails)
    monkeypatch.setattr(tables, "_notes", lambda *given: [])
    monkeypatch.setattr("keras_ser.reports.systems_report", lambda *given, **more: made)
    monkeypatch.setattr("keras_ser.experiment.reporting.report_title", lambda *given: "")
    first = SimpleNamespace(name="a-b", windows=None, protocols=())
    trained = SimpleNamespace(data=None, first=first, name="a", recipes={}, systems={}, missing=(), folder=tmp_path)
    trained.options = SimpleNamespace(verify=["demo=x"])
    reports = tables.systems_table({}, (), Paper(), verify=True)(trained)
    assert next(reports) == (made, tmp_path / "systems.md") and saved == [tmp_path]
    with pytest.raises(UserError, match="no speakers"):
        next(reports)

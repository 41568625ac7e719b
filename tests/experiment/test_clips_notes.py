"""What a training says of its clips before it begins."""

from types import SimpleNamespace

from keras_ser.corpora import Corpus, Utterance
from keras_ser.experiment.clips_notes import notes_on_clips, unlabelled_note
from keras_ser.tasks import Task

EMOTION, SPEAKER = Task("emotion", ("joy", "rage")), Task("speaker", identity=True)


def test_clips_that_are_left_out_doubtful_or_doubled_are_named():
    people = (Utterance("a", "a.wav", labels={"emotion": "joy"}), Utterance("b", "b.wav", speaker="x"))
    problems = {"a": ("silent",), "b": ("clipped",)}
    cache = SimpleNamespace(dropped=["c.wav"], problems=problems, hashes={"a": "1", "b": "1", "d": "2"})
    data = SimpleNamespace(readable=Corpus("manifest", "/", people, {}), cache=cache)
    assert notes_on_clips(data) == [
        "1 file could not be read, and left out: c.wav.",
        "1 clip is unusual but kept: a (see `keras-ser corpus check`).",
        "2 clips have the same audio as another, and more weight: a, b.",
    ]
    assert unlabelled_note(EMOTION, data) == ["1 of 2 clips have no emotion: b."]
    assert unlabelled_note(SPEAKER, data) == []

from keras_ser.corpora import slr45


def test_the_corpus_itself(shared_data):
    corpus = slr45.read(shared_data / "SLR45")
    assert len(corpus) == 360
    assert set(corpus.counts("speaker").values()) == {36}
    # The pack's own table of speakers is the oracle.
    rows = [line.split("\t") for line in (shared_data / "SLR45" / "speakers.tsv").read_text().splitlines()[1:]]
    assert {u.speaker: u.gender[0].upper() for u in corpus} == dict(rows)
    assert not any(u.labels for u in corpus)

import pytest

from keras_ser.corpora import CorpusError
from keras_ser.corpora.table import read_table


@pytest.fixture
def read(tmp_path):
    def reader(text, required=("file",)):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, "x", required)

    return reader


PLAIN = [(2, {"file": "a.wav", "speaker": "ann"}), (3, {"file": "b.wav", "speaker": "ben"})]


@pytest.mark.parametrize(
    "text",
    [
        "file,speaker\ra.wav,ann\rb.wav,ben\r",
        "file,speaker,,\na.wav,ann,,\nb.wav,ben,,\n",
        "file,speaker,,\na.wav,ann\nb.wav,ben,\n",
        "file,speaker\na.wav,ann,,,\nb.wav,ben,\n",
        "file,,speaker\na.wav,,ann\nb.wav, ,ben\n",
        ",file,speaker\n0,a.wav,ann\n1,b.wav,ben\n",
        ",file,speaker\n17,a.wav,ann\n-3,b.wav,ben\n",
        "Unnamed: 0,file,speaker\n0,a.wav,ann\n1,b.wav,ben\n",
        '"","file","speaker"\n"1","a.wav","ann"\n"2","b.wav","ben"\n',
        "\ufeff\ufefffile,speaker\n\ufeffa.wav,ann\nb.wav,ben\ufeff\n",
        "\u200bFile,Spea\u00adker\u00a0\na.wav,ann\nb.wav,ben\n",
        'file,speaker\n"a.wav" , "ann" \nb.wav,ben\n',
    ],
)
def test_the_same_table_in_several_forms(text, read):
    assert read(text) == PLAIN


def test_rows_are_numbered_by_the_line_they_begin_in(read):
    text = 'file,text\n\na.wav,"one\ntwo, with a comma\n\nfour"\nb.wav,x\n'
    assert read(text) == [
        (3, {"file": "a.wav", "text": "one\ntwo, with a comma\n\nfour"}),
        (7, {"file": "b.wav", "text": "x"}),
    ]


def test_quotes_within_a_field_are_kept(read):
    text = 'file,text\na.wav,6" pipe\nb.wav,"he said ""no"", and left"\n'
    assert [row["text"] for _, row in read(text)] == ['6" pipe', 'he said "no", and left']


@pytest.mark.parametrize(("mark", "newline"), [("\t", "\n"), (",", "\r\n"), (";", "\r")])
@pytest.mark.parametrize(
    "fields, opens, how",
    [
        # closed by the quote that opens another row's field
        (["fine", '"Oh', "well", '"Really', "no"], 3, "closes only in line 5"),
        # closed at the end of another row's field: a valid CSV, which swallows rows
        (["fine", '"Oh', "well", 'no"', "yes"], 3, "closes only in line 5"),
        (["fine", "x", "well", '"no', "yes"], 5, "never closes"),
        (["fine", "x", "well", "no", '"yes'], 6, "never closes"),
    ],
)
def test_an_open_quote_is_named_by_the_line_it_opens_in(fields, opens, how, mark, newline, read):
    rows = [mark.join(("file", "text", "speaker"))]
    rows += [mark.join((f"c{k}.wav", field, f"s{k}")) for k, field in enumerate(fields)]
    with pytest.raises(CorpusError, match=rf"t.csv, line {opens}: .* opens here and {how}.*take it out") as caught:
        read(newline.join(rows) + newline)
    assert "\n" not in str(caught.value)
    # in the last column, and without the line end at the end of the file
    rows = [mark.join(("file", "text"))] + [mark.join((f"c{k}.wav", field)) for k, field in enumerate(fields)]
    with pytest.raises(CorpusError, match=f"t.csv, line {opens}: .* opens here"):
        read(newline.join(rows))


def test_an_open_quote_that_closes_in_a_text_with_commas(read):
    with pytest.raises(CorpusError, match="t.csv, line 2: .* opens here and closes only in line 3"):
        read('file,text\na.wav,"Oh\nb.wav,"Really, no"\nc.wav,x\n')


def test_a_quote_that_swallows_a_long_table(read):
    with pytest.raises(CorpusError, match="at most 131072 characters.*the row that begins in line 3.*double quote"):
        read("file,speaker\na.wav,ann\n" + 'b.wav,"ben\n' + "c.wav,cat\n" * 20000)


@pytest.mark.parametrize(
    "text, message",
    [
        (b"file,speaker\na.wav,a\0nn\n", r"control characters. Received: 'a\\x00nn' \(line 2, column speaker\)"),
        ("file,emotion\na.wav,\x1b[31mred\n", r"Received: '\\x1b\[31mred' \(line 2, column emotion\)"),
        ("file,emo\0tion\na.wav,fear\n", r"control characters. Received: 'emo\\x00tion' \(header\). Take them out"),
        ("\x1b[31mfile,speaker\na.wav,ann\n", "is missing the column 'file'"),
        ("file,speaker\n0,a.wav,ann\n1,b.wav,ben\n", "3 in line 2, .* Name the column that the header lacks"),
        ("file,speaker\na.wav,ann\nb.wav,ben,x\n", "3 in line 3, .* Put fields that hold commas in double quotes"),
        (",file\nx,a.wav\n", r"have a name in the header. Received: column 1 with 'x' \(line 2\). Name it"),
        (",file\n1,a.wav\n1,b.wav\n", r"column 1 with '1' \(line 2\), '1' \(line 3\)"),
        ("file,,speaker\na.wav,2.5,ann\n", "column 2 with '2.5'"),
        ("file,Speaker,speaker \na.wav,x,y\n", "more than once: 'speaker'. Rename or remove one"),
        ("file,speaker\na.wav\n", "must have 2 fields, separated by commas. Received: 1 in line 2, 'a.wav'"),
        ("file,speaker\na.wav\tann\n", r"Received: 1 in line 2, 'a.wav\\tann'"),
        ("file,speaker\na.wav,ann\nFILE,speaker\nb.wav,ben\n", "header must stand .* Received: it again in line 3"),
        ("file|speaker\na.wav|ann\n", "is missing the column 'file'. Received: file|speaker. .* separated by commas"),
        ("a.wav,ann\n", "is missing the column 'file'. Received: a.wav, ann. Name the columns in the first line"),
        (" \n\n", "which is empty"),
    ],
)
def test_wrong_tables_name_line_column_and_value(text, message, read):
    with pytest.raises(CorpusError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_all_wrong_rows_are_counted_and_ten_shown(read):
    with pytest.raises(CorpusError, match="3 in line 2, .* 3 in line 11, 'a.wav,x,y' and 20 more"):
        read("file,speaker\n" + "a.wav,x,y\n" * 30)


def test_a_row_of_many_fields_ends_in_a_short_message(read):
    with pytest.raises(CorpusError) as caught:
        read("file,speaker\n" + ",".join(f"c{k}" for k in range(99_999)) + "\n")
    assert len(str(caught.value)) < 400

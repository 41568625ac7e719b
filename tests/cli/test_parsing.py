"""Mistyped options and commands: one line, with the nearest one, and exit code 2."""

import pytest

from keras_ser.cli import main
from keras_ser.cli.arguments import expanded, table_options
from keras_ser.cli.parsing import Parser
from keras_ser.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "unknown command 'trian'. Did you mean train?"),
        (["xyz"], "unknown command 'xyz'. There are: corpus, list, "),
        (["corpus", "chek"], "unknown command 'chek'. Did you mean check?"),
        (["train", "x.py", "--epohcs=3"], "unknown option --epohcs. Did you mean --epochs? (keras-ser train --help"),
        (["--versoin"], "unknown option --versoin. Did you mean --version?"),
        (["train", "--epohcs=3"], "unknown option --epohcs. Did you mean --epochs?"),
        (["train", "x.py", "--epoch=3"], "unknown option --epoch. Did you mean --epochs?"),
        (["list", "a", "b"], "unexpected argument 'b'."),
        (["export"], "the following arguments are required: RUN"),
    ],
)
def test_mistakes_name_the_nearest(words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-ser: error: ") and said in line


def test_columns_of_a_table():
    from keras_ser.cli.arguments import add_table_arguments

    parser = Parser()
    add_table_arguments(parser)
    read = lambda *words: table_options(parser.parse_args(words))  # noqa: E731
    assert read() == {}
    assert read("--columns", "file=path,speaker=spk") == {"columns": {"file": "path", "speaker": "spk"}}
    assert read("--columns", '{"file": "a,b"}', "--columns=emotion=x") == {"columns": {"file": "a,b", "emotion": "x"}}
    for wrong in ("path", "{file"):
        with pytest.raises(UserError, match="--columns takes OURS=THEIRS|--columns takes KEY=VALUE"):
            read("--columns", wrong)


def test_quoted_patterns(tmp_path):
    for name in ("b1", "a1", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "[z]").mkdir()
    asked = [f"{tmp_path}/?1", str(tmp_path / "a1"), str(tmp_path / "[z]"), str(tmp_path / "c")]
    assert expanded(asked) == [tmp_path / name for name in ("a1", "b1", "[z]", "c")]
    for name, said in (("z*", "matches none"), ("new", "does not exist")):
        with pytest.raises(UserError, match=said):
            expanded([asked[0], f"{tmp_path}/{name}"])

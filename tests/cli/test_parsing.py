"""Mistyped options and commands: one line, with the nearest one, and exit code 2."""

import pytest

from keras_ser import cli
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
        (["corpus", "show", "demo", "-n", "-400"], "argument -n: expected an integer of at least 0. Received: -400."),
        (["export"], "the following arguments are required: RUN"),
    ],
)
def test_mistakes_name_the_nearest(words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-ser: error: ") and said in line


def test_a_list_may_begin_with_a_negative_number():
    parser = Parser()
    parser.add_argument("--snr")
    parser.add_argument("-n", type=int)
    parser.add_argument("--all", action="store_true")
    sub = parser.add_subparsers(dest="command").add_parser("evaluate")
    sub.add_argument("--snr")
    for value in ("-5,0,5", "-.5,1", "-5", "5"):
        assert parser.parse_args(["--snr", value, "-n", "-3"]).snr == value
        assert parser.parse_args(["evaluate", "--snr", value]).snr == value
    with pytest.raises(SystemExit):
        parser.parse_args(["--snr", "--all"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--all", "-5,0"])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "x.py", "--out=~/x"], "out"),
        (["evaluate", "RUN", "--out=~/x"], "out"),
        (["verify", "RUN", "--corpus-root=a=b", "--out=~/x"], "out"),
        (["predict", "MODEL", "a.wav", "--out=~/x"], "out"),
        (["predict", "MODEL", "a.wav", "--plot=~/x"], "plot"),
        (["export", "RUN", "--out=~/x"], "out"),
        (["explain", "RUN", "a.wav", "--plot=~/x"], "plot"),
        (["denoise", "a.wav", "~/x"], "output"),
    ],
)
def test_outputs_may_begin_with_the_home_folder(words, name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = []
    monkeypatch.setattr(cli, "guarded", lambda *_: None)
    parse = Parser.parse_args
    monkeypatch.setattr(Parser, "parse_args", lambda self, words: found.append(parse(self, words)) or found[0])
    main(words)
    assert getattr(found[0], name) == f"{tmp_path}/x"


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

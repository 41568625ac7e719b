"""What a run was made by, as its report shows it."""

import re
import subprocess
from importlib import metadata

import pytest

from keras_ser.training import provenance


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/home/me/recipes/aspmtl_emodb.py", "--epochs", "3"], "aspmtl_emodb.py --epochs 3"),
        (["keras-ser", "train", "--corpus-root", "/data/my emodb"], "keras-ser train --corpus-root '../my emodb'"),
        (["x", "--out=/tmp/out", "--set=config.beta=0.2"], "x --out=../out --set=config.beta=0.2"),
        (["x", "emodb=/data/emodb", "relative/path.csv"], "x emodb=../emodb relative/path.csv"),
    ],
)
def test_command_is_shown_without_the_paths_of_a_machine(arguments, expected):
    assert provenance.command(arguments) == expected


def test_versions_commit_and_date():
    made = provenance.made_by()
    assert made["versions"]["tensorflow"] == metadata.version("tensorflow")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", made["date"])
    root = provenance.__file__.rpartition("/keras_ser/")[0]
    done = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
    assert done.returncode or done.stdout.startswith(made["commit"].split()[0])

"""An argument parser with one-line errors that suggest the nearest option or command."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` that suggests the nearest match for an unknown option or command.

    Every mistake is reported in one line on standard error, without the usage, with exit code 2. Options are not abbreviated: what
    a script says would change with each option that is added.
    """

    given: Sequence[str] = ()

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, allow_abbrev=False, **options)

    def parse_known_args(self, args=None, namespace=None):
        self.given = sys.argv[1:] if args is None else list(args)
        namespace, extras = super().parse_known_args(self._joined(self.given), namespace)
        if extras:
            option = next((extra for extra in extras if extra.startswith("-")), None)
            self.error(f"unexpected argument {extras[0]!r}." if option is None else self._unknown(option))
        return namespace, extras

    def _joined(self, words: Sequence[str]) -> list[str]:
        """Join an option and a value that begins with a negative number, -5,0,5, which argparse takes for an option."""
        taking = {
            name for action in self._actions if action.nargs is None for name in action.option_strings if name[1] == "-"
        }
        found: list[str] = []
        for word in words:
            if found and found[-1] in taking and "--" not in found and re.match(r"-\.?\d", word):
                found[-1] += f"={word}"
            else:
                found.append(word)
        return found

    def _unknown(self, option: str) -> str:
        name = option.split("=")[0]
        return f"unknown option {name}.{nearest(name, self._options())}"

    def _options(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def _check_value(self, action: argparse.Action, value) -> None:
        """Suggest the nearest command for an unknown one; keep argparse's message for other choices."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            known = list(action.choices)
            self.error(f"unknown command {value!r}." + (nearest(value, known) or f" There are: {', '.join(known)}."))
        super()._check_value(action, value)

    def error(self, message: str):
        if message.startswith("the following arguments are required"):
            known = self._options()  # an unknown option is more informative than a missing argument
            strays = [
                w for w in self.given if w.startswith("--") and not any(k.startswith(w.split("=")[0]) for k in known)
            ]
            message = self._unknown(strays[0]) if strays else message
        more = f" ({self.prog} --help lists all options)" if message.startswith("unknown option") else ""
        print(f"keras-ser: error: {' '.join(message.split())}{more}", file=sys.stderr)
        raise SystemExit(2)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean A or B?", or "" if no word is similar.

    Example:
        >>> nearest("--epoch", ["--epochs", "--seed"])
        ' Did you mean --epochs?'
    """
    close = difflib.get_close_matches(word, list(known), 2)
    return f" Did you mean {' or '.join(close)}?" if close else ""

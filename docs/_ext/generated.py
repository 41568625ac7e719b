"""Write the pages that follow from the code: commands, recipes, API, corpora. Docstrings are prepared for reStructuredText."""

import argparse
import ast
import importlib
import inspect
import os
import pkgutil
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HEADINGS = (
    "Args",
    "Arguments",
    "Attributes",
    "Example",
    "Examples",
    "Input shape",
    "Output shape",
    "Raises",
    "Reference",
)
HEADINGS += ("References", "Returns", "Yields", "Note", "Notes", "Warns")


class _Parsed(Exception):
    """Carries the parser out of `main`."""


def parser() -> argparse.ArgumentParser:
    """The parser that `keras-ser` makes."""
    from keras_ser.cli import main

    found = parser_of(lambda: main([]))
    assert found is not None
    return found


def parser_of(program: Callable[[], Any]) -> argparse.ArgumentParser | None:
    """The parser that a program makes; None for one that parses no arguments."""

    def caught(self, *_: Any) -> None:
        raise _Parsed(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", caught):
        try:
            program()
        except _Parsed as found:
            return found.args[0]
    return None


def own_options(path: Path, shared: set[str]) -> str:
    """The help of the options of a recipe that are not among the `shared` ones; "" if there are none."""
    with mock.patch.object(sys, "path", [str(path.parent), *sys.path]):
        made = parser_of(lambda: runpy.run_path(str(path), run_name="__main__"))
    own = [action for action in (made._actions if made else ()) if not shared.issuperset(action.option_strings)]
    formatter = argparse.HelpFormatter(path.name, width=110)
    formatter.start_section("options of this recipe")
    formatter.add_arguments(own)
    formatter.end_section()
    return formatter.format_help() if own else ""


def commands(of: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, then those of its commands, depth first."""
    yield of
    for action in of._subparsers._group_actions if of._subparsers else ():
        for each in action.choices.values():
            yield from commands(each)


def fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def cli_page() -> str:
    """The help of every command."""
    codes = (
        "0 success, 1 some runs or files failed, 2 a mistake in the arguments or the data, 75 another process is training the "
        "run of `train --job`, 130 interrupted"
    )
    parts = ["# Command line\n", f"The output of `--help` for each command. Exit codes: {codes}.\n"]
    # help is as wide as the terminal
    with mock.patch.dict(os.environ, COLUMNS="110"):
        parts += [line for each in commands(parser()) for line in (f"## {each.prog}\n", fenced(each.format_help()))]
    return "\n".join(parts)


def recipes_page() -> str:
    """The page (module docstring) of every recipe."""
    parts = [
        "# Recipe pages\n",
        "The text that `--help` prints for each recipe, and the options that only this recipe has.\n",
    ]
    every = [each for each in commands(parser()) if each.prog.split()[-1] in ("train", "tune")]
    shared = {name for each in every for name in each._option_string_actions}
    for path in sorted((ROOT / "recipes").glob("*.py")):
        page = ast.get_docstring(ast.parse(path.read_text())) or ""
        parts += [f"## recipes/{path.name}\n", fenced("\n\n".join(filter(None, (page, own_options(path, shared)))))]
    return "\n".join(parts)


def corpora_page() -> str:
    """Name, licence and citation of every adapter, then its page."""
    from keras_ser.corpora import CORPORA

    others = {"demo": "synthesised by this package", "manifest": "that of your own recordings"}
    rows, pages = [], []
    for name in CORPORA:
        module = importlib.import_module(f"keras_ser.corpora.{name}")
        page = inspect.getdoc(module)
        first = " ".join(page.split("\n\n")[0].split())
        licence = " ".join(page.partition("Licence:")[2].split("\n\n")[0].split()) or others[name]
        anchor = name.replace("_", "-")
        rows.append(f"| [`{name}`](#{anchor}) | {first} | {licence} |")
        citation = getattr(module, "CITATION", "")
        pages += [f"({anchor})=\n## {name}\n", fenced(page), f"Cite: {citation}\n" if citation else ""]
    return "\n".join(
        [
            "# Corpora and their licences\n",
            "This package contains no recordings: get each corpus from its authors, under its licence.\n",
            "    keras-ser corpus check NAME DIR\n",
            "This command compares your copy with the published corpus.\n",
            "| adapter | corpus | licence |",
            "| --- | --- | --- |",
            *rows,
            "",
            *pages,
        ]
    )


def below(name: str) -> list[str]:
    """The public submodules of a module, in order of name."""
    module = importlib.import_module(name)
    found = sorted(m.name for m in pkgutil.iter_modules(getattr(module, "__path__", []), f"{name}."))
    return [each for each in found if not each.rpartition(".")[2].startswith("_")]


def defined(name: str) -> list[str]:
    """Public classes and functions that a module defines itself."""
    module = importlib.import_module(name)
    return [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    ]


def within(name: str) -> list[str]:
    """A module and everything below it."""
    return [name, *(deeper for each in below(name) for deeper in within(each))]


def api_page(package: str) -> str:
    """What the modules of a package define, each where it is defined."""
    lines = [package, "=" * len(package), ""]
    for module in within(package):
        if module != package:
            lines += [module, "-" * len(module), ""]
        if importlib.import_module(module).__doc__:
            lines += [f".. automodule:: {module}", "   :no-members:", "   :no-index:", ""]
        names = defined(module)
        if names:
            lines += [f".. currentmodule:: {module}", "", ".. autosummary::", "   :nosignatures:", ""]
            lines += [*(f"   {name}" for name in names), ""]
        for name in names:
            found = getattr(importlib.import_module(module), name)
            lines += [f".. auto{'class' if inspect.isclass(found) else 'function'}:: {module}.{name}", ""]
    return "\n".join(lines)


def api_pages() -> dict[str, str]:
    """File -> text: a page for each package."""
    import keras_ser

    packages = [name for name in below("keras_ser") if name != "keras_ser.cli"]
    pages = {f"api/{name.removeprefix('keras_ser.')}.rst": api_page(name) for name in packages}
    offered = ", ".join(f"`{name}`" for name in keras_ser.__all__ if not name.startswith("_"))
    toctree = ["```{toctree}", ":maxdepth: 1", "", *(name.removesuffix(".rst") for name in pages), "```\n"]
    intro = ["# API reference\n", f"`import keras_ser` offers {offered}. Import everything else from its package:\n"]
    return {**pages, "api.md": "\n".join([*intro, *toctree])}


def write(app: Any) -> None:
    """Write the pages, each only if it has changed."""
    pages = {"cli.md": cli_page(), "recipes.md": recipes_page(), "corpora.md": corpora_page(), **api_pages()}
    for name, text in pages.items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def prepare(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make literal blocks of what is indented, and keep characters that reStructuredText would read as markup."""
    found, literal, section, shape = [], False, "", False
    for i, line in enumerate(lines):
        bare = line.strip()
        # "Input shape: .." or "Output: .." is a paragraph of its own, whose further lines are indented
        if re.match(r"(Input|Output)( shape)?: ", line):
            head, _, rest = line.partition(": ")
            found += ["", f"**{head}:** {escaped(rest)}"]
            shape = True
            continue
        if shape and line.startswith("    "):
            found.append(escaped(bare))
            continue
        if shape:
            found.append("")
        shape = False
        indent = len(line) - len(line.lstrip())
        if bare and not indent:
            heading = bare.removesuffix(":")
            section = heading if bare.endswith(":") and heading in HEADINGS else ""
            literal = False
        if bare and indent >= 4 and not section and not literal and (i == 0 or not lines[i - 1].strip()):
            found += ["::", ""]
            literal = True
        if bare.startswith(">>>") and not literal:
            literal = True
        found.append(line if literal else escaped(line))
        if section and not bare:
            literal = False
    lines[:] = found
    if what in PLAIN:
        _plain[name] = list(lines)


PLAIN = ("property", "attribute", "data")
_plain: dict[str, list[str]] = {}


def restore(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Undo what napoleon makes of "The number of classes: 1 for ..", which it takes for a type."""
    if name in _plain:
        lines[:] = _plain.pop(name)


def signed(app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None):
    """The arguments of a layer, whose constructor Keras wraps as (*args, **kwargs)."""
    if what == "class" and signature == "(*args, **kwargs)":
        found = inspect.signature(obj.__init__)
        return str(found.replace(parameters=list(found.parameters.values())[1:])), returned
    return None


# emphasis that is never closed (*args), substitutions (|x|), links (x_)
MARKUP = re.compile(r"(?<![\\*])\*{1,2}(?=[a-z])(?![^*]*\*)|[|]|(?<=\w)_(?=\W|$)")
CODE = re.compile(r"(``?[^`]+``?)")


def escaped(line: str) -> str:
    """A line of prose without accidental markup; single backticks are code, as in Markdown."""
    parts = CODE.split(line)
    parts[1::2] = [f"``{part.strip('`')}``" for part in parts[1::2]]
    parts[::2] = [MARKUP.sub(lambda found: "".join(f"\\{c}" for c in found[0]), part) for part in parts[::2]]
    return "".join(parts)


def setup(app: Any) -> dict[str, Any]:
    """Register."""
    app.connect("builder-inited", write, priority=100)
    # before and after napoleon
    app.connect("autodoc-process-docstring", prepare, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)
    app.connect("autodoc-process-signature", signed)
    return {"parallel_read_safe": True, "version": "1"}

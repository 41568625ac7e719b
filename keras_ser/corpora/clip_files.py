"""The files of a manifest's clips: their paths relative to its folder, their names in ids, and the recording of each clip."""

import dataclasses
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Utterance
from keras_ser.corpora.spelling import comparable, quoted, shown


def relative_paths(files: Iterable[str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return (name of a file -> its path relative to `folder`, that path -> its name in ids); `files` may be absolute.

    Files outside the folder are called by their path below the folder that they share, or as many above it as tell their names from
    those of the files inside.
    """
    real, paths, short = os.path.realpath(folder), {}, {}
    outside = []
    for file in files:
        inside = next((Path(file).relative_to(at) for at in (folder, real) if Path(file).is_relative_to(at)), None)
        if not os.path.isabs(file) or inside is not None:
            paths[file] = file if inside is None else inside.as_posix()
            short[paths[file]] = paths[file]
            continue
        paths[file] = Path(os.path.relpath(file, real)).as_posix()
        outside.append(file)
    shared = os.path.commonpath([os.path.dirname(file) for file in outside]) if outside else ""
    inner, at = set(short), Path(shared)
    for place in (at, *at.parents):
        names = {paths[file]: Path(file).relative_to(place).as_posix() for file in outside}
        if inner.isdisjoint(names.values()):
            return paths, short | names
    return paths, short | {path: path for path in names}


def with_origins(utterances: Sequence[Utterance], folder: Path, names: Mapping[str, str]) -> list[Utterance]:
    """Add the group `origin`, the recording, to segments and to all clips of a file that has several; keep given origins.

    It is the origin that a clip of the same file gives, or else the file; `names` maps a path to the name of the file in ids.
    """
    files = _without_links(utterances, folder)
    clips, first = Counter(files[u.path] for u in utterances), {}
    for u in utterances:
        if "origin" in u.groups:
            first.setdefault(files[u.path], u.groups["origin"])
    for path in sorted(files, key=lambda path: names[path]):
        first.setdefault(files[path], names[path])
    return [
        u
        if "origin" in u.groups or (u.start is None and u.end is None and clips[files[u.path]] == 1)
        else dataclasses.replace(u, groups={"origin": first[files[u.path]], **u.groups})
        for u in utterances
    ]


def disputed_origins(
    utterances: Iterable[Utterance], folder: Path, lines: Mapping[str, Sequence[int | str]]
) -> list[str]:
    """Describe the files with several given origins, of which clips that give none or overlap may have either.

    `lines` maps an id to the lines of the table that have it.
    """
    utterances = list(utterances)
    files, clips, found = _without_links(utterances, folder), defaultdict(list), []
    for u in utterances:
        clips[files[u.path]].append(u)
    for cuts in clips.values():
        given: dict[str | None, Utterance] = {}
        for u in cuts:
            given.setdefault(comparable(u.groups["origin"]) if "origin" in u.groups else None, u)
        if len(given.keys() - {None}) > 1 and (None in given or _overlap(cuts)):
            names = [
                f"{quoted(u.groups['origin']) if key is not None else 'none'} (line {lines[u.id][0]})"
                for key, u in given.items()
            ]
            found.append(f"{shown(cuts[0].path)} has {listed(names)}")
    return found


def _overlap(cuts: Iterable[Utterance]) -> bool:
    """Return whether clips of one file that give different origins overlap."""
    ends: dict[str, float] = {}
    for u in sorted(cuts, key=lambda u: u.start or 0.0):
        own = comparable(u.groups["origin"])
        if any(end > (u.start or 0.0) for origin, end in ends.items() if origin != own):
            return True
        ends[own] = max(ends.get(own, 0.0), math.inf if u.end is None else u.end)
    return False


def _without_links(utterances: Iterable[Utterance], folder: Path) -> dict[str, str]:
    return {path: os.path.realpath(folder / path) for path in {u.path for u in utterances}}

"""Any corpus as a CSV table with one row per utterance; the root is that file, and paths are relative to its folder.

    file,speaker,gender,emotion,start,end,session,sentence,arousal
    audio/a.wav,anna,female,anger,,,1,s07,0.7
    audio/b.flac,ben,male,neutral,1.25,3.5,1,s02,-0.1

Only `file` is required: `id`, `speaker`, `gender` (female, male, f, w, m), `start` and `end` in seconds,
the groups `session`, `sentence`, `film`, `subset`, `origin`, `dialog`, and any other column as labels. An empty field
means that there is no value, and so does what pandas reads as missing (NA, n/a, NaN, null, None, ..) and a hyphen.
`emotion` is text; another label column is read as numbers where all its values are numbers. Comma, semicolon or tab; UTF-8.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance, listed
from keras_ser.corpora.label_columns import number, numeric_columns, without_value
from keras_ser.corpora.layout import entries, existing_folder
from keras_ser.corpora.named_files import NamedFiles
from keras_ser.corpora.spelling import comparable, quoted, shown
from keras_ser.corpora.table import gender, read_table
from keras_ser.errors import UserError

EXPECTED_FILE = "a CSV file with the columns file, speaker, gender, emotion, ..."
FIELDS = ("id", "file", "speaker", "gender", "start", "end")
GROUPS = ("session", "sentence", "film", "subset", "origin", "dialog")


def _table(root: str | Path) -> Path:
    """Return the CSV file, also if its folder was named and holds no other."""
    path = Path(root).expanduser()
    if not path.is_dir():
        return path
    inside = entries(existing_folder(path, "manifest", EXPECTED_FILE))
    tables = [entry for entry in inside if entry.suffix.lower() in (".csv", ".tsv") and entry.is_file()]
    if len(tables) != 1:
        raise CorpusError(
            f"manifest: the root must be {EXPECTED_FILE}. Received: the folder {path}, which holds "
            f"{listed(table.name for table in tables) or 'no .csv or .tsv file'}. Give the path of the file itself."
        )
    return tables[0]


def _with_origins(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """Segments, and every clip of a file that has several: what was cut from one recording has it as its origin."""
    files = {u.path: os.path.realpath(folder / u.path) for u in utterances}
    clips, first = Counter(files[u.path] for u in utterances), {}
    for path in sorted(files):
        first.setdefault(files[path], path)
    return [
        u
        if "origin" in u.groups or (u.start is None and u.end is None and clips[files[u.path]] == 1)
        else dataclasses.replace(u, groups={"origin": first[files[u.path]], **u.groups})
        for u in utterances
    ]


def _seconds(row: Mapping[str, str]) -> tuple[float | None, float | None]:
    """(start, end) of a row; raises UserError for no numbers, numbers under 0, or an end not after the start."""
    start, end = (number(row[key]) if row.get(key) else None for key in ("start", "end"))
    wrong = [key for key, value in (("start", start), ("end", end)) if row.get(key) and (value is None or value < 0)]
    if wrong or (end is not None and end <= (start or 0.0)):
        raise UserError(f"start={quoted(row.get('start', ''))}, end={quoted(row.get('end', ''))}")
    return start, end


def read(
    root: str | Path,
    labels: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    groups: Sequence[str] = (),
) -> Corpus:
    """A corpus from a CSV file.

    The id is the column `id`, or else the path, with `#start-end` where a row is a segment. Segments, and rows of one file
    (however its path is spelt), have that file as the group `origin`, unless a column says otherwise.

    Args:
        root: the CSV file (or a folder with exactly one).
        labels: column -> the labels it may hold, in the order of the output's axis (a sequence alone is for `emotion`).
            These columns stay text. Other columns may hold anything, in alphabetical order.
        groups: further columns that are groups, not labels.

    Raises:
        CorpusError: as `table.read_table`; missing files; labels that are not in `labels`; absolute paths; segments
            that end before they start; genders that are none, or two for one speaker; ids that occur twice.
    """
    path = _table(root)
    rows = read_table(path, "manifest", required=("file",))
    folder = path.parent
    if not rows:
        raise CorpusError(f"manifest: expected a row for every utterance. Received: {path}, which has none.")
    if isinstance(groups, str) or not isinstance(groups, Sequence):
        raise CorpusError(f'manifest: `groups` must be a list of columns, e.g. ["film"]. Received: {groups!r}.')
    named = {} if labels is None else labels if isinstance(labels, Mapping) else {"emotion": labels}
    if not all(isinstance(values, Sequence) for values in named.values()):
        raise CorpusError(f'manifest: `labels` must be {{"column": ["a", "b", ..]}}, or a list. Received: {labels!r}.')
    labels = {
        column.lower(): (values,) if isinstance(values, str) else tuple(map(str, values))
        for column, values in named.items()
    }
    groups = tuple(dict.fromkeys((*GROUPS, *(group.lower() for group in groups))))
    columns = list(rows[0][1])
    absent = [column for column in (*labels, *groups[len(GROUPS) :]) if column not in columns]
    if absent:
        raise CorpusError(f"manifest: {path.name} has no column {listed(absent)}. Received: {listed(columns)}.")
    label_columns = [column for column in columns if column not in (*FIELDS, *groups)]
    numeric = numeric_columns(rows, (column for column in label_columns if column not in (*labels, "emotion")))
    notes = _empty_fields_without_value(rows, ("speaker", "gender", *groups, *label_columns), numeric, labels)

    problems: dict[str, list[str]] = {key: [] for key in _RULES}
    utterances, respelled, genders, lines, names = [], [], {}, {}, NamedFiles(folder)
    for line, row in rows:
        name = row["file"]
        outside = [text for text in (name, row.get("id", "")) if _is_absolute(text)]
        problems["absolute"] += [f"{shown(text)} (line {line})" for text in outside]
        file = None if outside else names.find(name)
        if file is None:
            reason = names.reason(name) if name and not outside else ""
            where = f"(line {line}{': ' if reason else ''}{reason})"
            problems["missing"] += [] if outside else [f"{shown(name) or 'an empty field'} {where}"]
            continue
        if name in names.respelled:
            respelled.append(f"{quoted(name)} in line {line} is {quoted(file)}")
        try:
            start, end = _seconds(row)
        except UserError as error:
            problems["seconds"].append(f"{error} (line {line})")
            continue
        try:
            sex = gender(row.get("gender"))
        except CorpusError:
            problems["gender"].append(f"{quoted(row['gender'])} (line {line})")
            continue
        problems["label"] += [
            f"{column} {quoted(row[column])} (line {line})"
            for column, allowed in labels.items()
            if row[column] and row[column] not in allowed
        ]
        if row.get("speaker") and sex:
            genders.setdefault(comparable(row["speaker"]), {}).setdefault(sex, (row["speaker"], line))
        segment = start is not None or end is not None
        utterances.append(
            Utterance(
                id=row.get("id") or file + (f"#{row.get('start', '')}-{row.get('end', '')}" if segment else ""),
                path=file,
                start=start,
                end=end,
                speaker=row.get("speaker") or None,
                gender=sex,
                labels={
                    column: float(row[column]) if column in numeric else row[column]
                    for column in label_columns
                    if row[column]
                },
                groups={key: row[key] for key in groups if row.get(key)},
            )
        )
        lines.setdefault(utterances[-1].id, []).append(line)
    problems["twice"] = [f"{shown(i)} (lines {listed(at)})" for i, at in lines.items() if len(at) > 1]
    problems["genders"] = [
        " and ".join(f"{shown(speaker)} {sex} (line {line})" for sex, (speaker, line) in found.items())
        for found in genders.values()
        if len(found) > 1
    ]
    _refuse(path, problems, labels)
    utterances = _with_origins(utterances, folder)
    if respelled:
        notes.append(f"files were found under other spellings: {listed(respelled)}.")
    vocabulary = {
        column: labels.get(column) or tuple(sorted({u.labels[column] for u in utterances if column in u.labels}))
        for column in label_columns
        if column not in numeric
    }
    return Corpus(name="manifest", root=folder, utterances=tuple(utterances), vocabulary=vocabulary, notes=tuple(notes))


def _is_absolute(text: str) -> bool:
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _empty_fields_without_value(
    rows: Sequence[tuple[int, dict[str, str]]],
    columns: Sequence[str],
    numeric: Collection[str],
    labels: Mapping[str, Sequence[str]],
) -> list[str]:
    """Empty the fields that say that there is no value, but for those that `labels` names; a note that says where."""
    cases = []
    for line, row in rows:
        for column in columns:
            text = row.get(column)
            if text and without_value(text, column in numeric) and text not in labels.get(column, ()):
                cases.append(f"{quoted(text)} in {shown(column)} (line {line})")
                row[column] = ""
    return [f"read as no value: {listed(cases)}."] if cases else []


_RULES = {
    "absolute": "paths and ids must be relative to the folder of {name}",
    "missing": "every file must be there, relative to {folder}",
    "seconds": "start and end must be seconds with a decimal point, 0 <= start < end",
    "gender": "gender must be female, male or empty (f, w, m are understood)",
    "label": "labels must be among those of the option `labels` ({labels})",
    "twice": "a clip must have one row, or rows of different `id`",
    "genders": "a speaker must have one gender",
}


def _refuse(path: Path, problems: Mapping[str, list[str]], labels: Mapping[str, Sequence[str]]) -> None:
    """Raise for the first kind of problem that there is, with its first ten cases."""
    for kind, rule in _RULES.items():
        if problems[kind]:
            known = "; ".join(f"{column}: {listed(allowed, 30)}" for column, allowed in labels.items())
            rule = rule.format(name=path.name, folder=path.parent.resolve(), labels=known)
            joint = ". Not found:" if kind == "missing" else ". Received:"
            raise CorpusError(f"manifest: {rule}{joint} {listed(problems[kind])}. Correct {path.name}.")

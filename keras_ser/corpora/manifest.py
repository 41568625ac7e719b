"""Any corpus as a table with one row per utterance. The root is that file, and paths are relative to its folder.

    file,speaker,gender,emotion,start,end,session,sentence,arousal
    audio/a.wav,anna,female,anger,,,1,s07,0.7
    audio/b.flac,ben,male,neutral,1.25,3.5,1,s02,-0.1

Only `file` is required. The other columns are `id`, `speaker`, `gender` (female, male, f, w, m), `start` and `end` in seconds,
the groups `session`, `sentence`, `film`, `subset`, `origin`, `dialog`; any other column is a label. An empty field, a hyphen
and pandas' words for missing values (NA, n/a, NaN, null, None, ..) mean that there is no value. `emotion` is text; another label
column is read as numbers if all its values are numbers. Separators are comma, semicolon or tab; the encoding is UTF-8.

`columns` maps other column names to these. `keras_ser.corpora.manifest_formats` lists the formats that are read besides CSV: JSON
lines, Parquet, Hugging Face's `audiofolder`, audformat databases.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.clip_files import with_origins
from keras_ser.corpora.corpus import Corpus, CorpusError, RowsError
from keras_ser.corpora.label_columns import numeric_columns, without_value
from keras_ser.corpora.manifest_formats import found_table
from keras_ser.corpora.manifest_rows import Clips
from keras_ser.corpora.rows import Table
from keras_ser.corpora.spelling import quoted, shown
from keras_ser.files import user_path

FIELDS = ("id", "file", "speaker", "gender", "start", "end")
PEOPLE = ("speaker", "gender", "session")  # columns whose absence changes how clips are split
GROUPS = ("session", "sentence", "film", "subset", "origin", "dialog")


def read(
    root: str | Path,
    labels: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    groups: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    audio_root: str | Path | None = None,
) -> Corpus:
    """Read a corpus from a CSV file, or another table that `keras_ser.corpora.manifest_formats` reads.

    The id is the column `id`, or else the path, with `#start-end` for segments. Segments, and rows that share a file
    (however its path is spelt), have that file as the group `origin`, or the one that the column `origin` gives for any of them.
    Absolute paths are stored relative to the folder of the corpus; their ids omit the folder that all absolute paths share.

    Args:
        root: the CSV file (or a folder with exactly one, or in another layout).
        labels: column -> the labels that it may hold, in the order of the output's axis (a plain sequence is for `emotion`).
            These columns stay text. Other columns may hold any labels, which are sorted alphabetically.
        groups: further columns that are groups, not labels.
        columns: column name as above -> name in the table, e.g. {"file": "path", "emotion": "label"}.
        audio_root: the folder that paths are relative to (default: that of the table).

    Raises:
        CorpusError: the errors of `table.read_table`; missing files; labels that are not in `labels`; absolute ids; segments that
            end before they start; unknown genders, or two for one speaker; duplicate ids; a file of which clips have several
            origins; `columns` that the table lacks.
    """
    columns = _asked_columns(columns)
    table = found_table(root, columns.get("file"))
    if not table.rows:
        raise CorpusError(f"manifest: expected a row for every utterance. Received: {table.path}, which has none.")
    table, notes = _renamed(table, columns)
    path, rows = table.path, table.rows
    folder = table.folder if audio_root is None else user_path(audio_root)
    if not folder.is_dir():
        raise CorpusError(f"manifest: the audio root must be a folder. Received: {folder}, which is not one.")
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
    held = list(rows[0][1])
    absent = [column for column in (*labels, *groups[len(GROUPS) :]) if column not in held]
    if absent:
        raise CorpusError(f"manifest: {path.name} has no column {listed(absent)}. Received: {listed(held)}.")
    label_columns = [column for column in held if column not in (*FIELDS, *groups)]
    numeric = numeric_columns(rows, (column for column in label_columns if column not in (*labels, "emotion")))
    times = ("start", "end")
    columns = ("id", *times, "speaker", "gender", *groups, *label_columns)
    notes += _empty_fields_without_value(rows, columns, {*numeric, *times}, labels)

    clips = Clips(table, folder, labels, label_columns, numeric, groups)
    utterances, faults = clips.utterances, clips.faults()
    if faults:  # what is left can still be inspected
        utterances = list({u.id: u for u in reversed(utterances)}.values())
        labels = {}
    utterances = with_origins(utterances, folder, clips.short)
    if clips.respelled:
        notes.append(f"files were found under other spellings: {listed(clips.respelled)}.")
    vocabulary = {
        column: labels.get(column) or tuple(sorted({u.labels[column] for u in utterances if column in u.labels}))
        for column in label_columns
        if column not in numeric
    }
    made = {"vocabulary": vocabulary, "notes": tuple(notes)}
    corpus = Corpus("manifest", folder, tuple(utterances), **made) if utterances or not faults else None
    if faults:
        raise RowsError(f"manifest: {' Also, '.join(faults)} Correct {path.name}.", faults, corpus)
    return corpus


def _asked_columns(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return the option `columns` in lower case; raise CorpusError if it is not a mapping of names."""
    columns = columns or {}
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) and name.strip() for name in columns.values()):
        raise CorpusError(f'manifest: `columns` must be {{"file": "path", ..}}. Received: {columns!r}.')
    return {name.strip().lower(): " ".join(theirs.lower().split()) for name, theirs in columns.items()}


def _renamed(table: Table, columns: Mapping[str, str]) -> tuple[Table, list[str]]:
    """Return the table with columns renamed as requested, and notes on columns that are replaced.

    Raises:
        CorpusError: a column that the table lacks.
    """
    there, notes = list(table.rows[0][1]), list(table.notes)
    if "file" not in there and "file_name" in there:
        columns = {"file": "file_name", **columns}
    for ours in columns:
        near = difflib.get_close_matches(ours, PEOPLE, 1, 0.8)
        if near and ours not in PEOPLE and near[0] not in (*there, *columns):
            raise CorpusError(
                f"manifest: --columns {ours}={columns[ours]} is not {near[0]}={columns[ours]}: is the name misspelt?"
            )
    absent = [f"{ours}={theirs}" for ours, theirs in columns.items() if theirs not in there]
    if absent or ("file" not in there and "file" not in columns):
        what = f"the columns of --columns {','.join(absent)}" if absent else "a column 'file'"
        raise CorpusError(
            f"manifest: expected {what}. Received: {table.path.name}, which has {listed(map(shown, there), 40)}. Name the columns "
            "in the first line, or say which they are: --columns file=COLUMN,speaker=COLUMN,emotion=COLUMN."
        )
    taken = set(columns.values())
    aside = [name for name in there if name in columns and name not in taken]
    notes += [f"the column {name!r} is left out: {columns[name]!r} is read in its place." for name in aside]
    rows = [
        (
            line,
            {ours: row[theirs] for ours, theirs in columns.items()}
            | {name: text for name, text in row.items() if name not in taken and name not in aside},
        )
        for line, row in table.rows
    ]
    return Table(table.path, table.folder, rows), notes


def _empty_fields_without_value(
    rows: Sequence[tuple[int | str, dict[str, str]]],
    columns: Sequence[str],
    numeric: Collection[str],
    labels: Mapping[str, Sequence[str]],
) -> list[str]:
    """Empty the fields that stand for a missing value, except labels in `labels`; return a note that lists them."""
    cases = []
    for line, row in rows:
        for column in columns:
            text = row.get(column)
            if text and without_value(text, column in numeric) and text not in labels.get(column, ()):
                cases.append(f"{quoted(text)} in {shown(column)} (line {line})")
                row[column] = ""
    return [f"read as no value: {listed(cases)}."] if cases else []

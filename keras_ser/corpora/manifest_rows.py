"""The utterances of a table's rows, and what is wrong with the rows that are none."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from keras_ser.checks import listed
from keras_ser.corpora.clip_files import disputed_origins, relative_paths
from keras_ser.corpora.corpus import CorpusError, Utterance
from keras_ser.corpora.label_columns import number
from keras_ser.corpora.named_files import NamedFiles
from keras_ser.corpora.rows import Table
from keras_ser.corpora.spelling import comparable, quoted, shown
from keras_ser.corpora.table import gender
from keras_ser.errors import UserError

RULES = {
    "absolute": "ids must not be absolute paths",
    "missing": "every file must exist, relative to {folder} (or to --audio-root DIR)",
    "seconds": "start and end must be seconds with a decimal point, 0 <= start < end",
    "gender": "gender must be female, male or empty (f, w, m are understood)",
    "label": "labels must be among those of the option `labels` ({labels})",
    "twice": "a clip must have one row, or rows with different `id`",
    "origins": "clips of one file must name one `origin`, or each its own where they do not overlap",
    "genders": "a speaker must have one gender",
}


class Clips:
    """The utterances of a table.

    Args:
        table: the rows.
        folder: the folder that their paths are relative to.
        labels: column -> the labels that it may hold; other columns may hold any.
        label_columns: all columns of labels; `numeric`: those that are read as numbers.
        groups: the columns of groups.
    """

    def __init__(
        self,
        table: Table,
        folder: Path,
        labels: Mapping[str, Sequence[str]],
        label_columns: Sequence[str],
        numeric: Collection[str],
        groups: Sequence[str],
    ):
        self.table, self.folder, self.labels = table, folder, labels
        self.label_columns, self.numeric, self.groups = label_columns, numeric, groups
        self.utterances: list[Utterance] = []
        self.problems: dict[str, list[str]] = {key: [] for key in RULES}
        self.respelled: list[str] = []  # sentences on files that were found under another spelling
        self._names = NamedFiles(folder)
        self._found = {name: self._names.find(name) for name in dict.fromkeys(row["file"] for _, row in table.rows)}
        there = [file for file in self._found.values() if file is not None]
        self._paths, self.short = relative_paths(there, folder)
        self._lines, self._spans, self._genders = {}, {}, {}
        for line, row in table.rows:
            self._add(line, row)
        self._compare()

    def faults(self) -> list[str]:
        """Return a sentence on each kind of problem that occurs, with its first cases."""
        known = "; ".join(f"{column}: {listed(allowed, 30)}" for column, allowed in self.labels.items())
        most, said = 10 if sum(map(bool, self.problems.values())) == 1 else 3, []
        for kind, rule in RULES.items():
            if self.problems[kind]:
                rule = rule.format(name=self.table.path.name, folder=self.folder.resolve(), labels=known)
                joint = ". Not found:" if kind == "missing" else ". Received:"
                said.append(f"{rule}{joint} {listed(self.problems[kind], most)}.")
        return said

    def _add(self, line: int | str, row: Mapping[str, str]) -> None:
        """Add the utterance of a row, or the problem for which it has none."""
        name, file = row["file"], self._found[row["file"]]
        if _is_absolute(row.get("id", "")):
            self.problems["absolute"].append(f"{shown(row['id'])} (line {line})")
            return
        if file is None:
            reason = self._names.reason(name) if name else ""
            said = shown(name) if any(map(str.isalnum, name)) else quoted(name) if name else "an empty field"
            self.problems["missing"].append(f"{said} (line {line}{': ' if reason else ''}{reason})")
            return
        if name in self._names.respelled:
            self.respelled.append(f"{quoted(name)} in line {line} is {quoted(file)}")
        try:
            start, end = _seconds(row)
        except UserError as error:
            self.problems["seconds"].append(f"{error} (line {line})")
            return
        try:
            sex = gender(row.get("gender"))
        except CorpusError:
            self.problems["gender"].append(f"{quoted(row['gender'])} (line {line})")
            return
        self.problems["label"] += [
            f"{column} {quoted(row[column])} (line {line})"
            for column, allowed in self.labels.items()
            if row[column] and row[column] not in allowed
        ]
        if row.get("speaker") and sex:
            self._genders.setdefault(comparable(row["speaker"]), {}).setdefault(sex, (row["speaker"], line))
        path, cut = self._paths[file], ""
        if start is not None or end is not None:
            cut = f"#{row.get('start', '')}-{row.get('end', '')}"
        utterance = Utterance(
            id=row.get("id") or self.short[path] + cut,
            path=path,
            start=start,
            end=end,
            speaker=row.get("speaker") or None,
            gender=sex,
            labels={
                column: float(row[column]) if column in self.numeric else row[column]
                for column in self.label_columns
                if row[column]
            },
            groups={key: row[key] for key in self.groups if row.get(key)},
        )
        self.utterances.append(utterance)
        self._lines.setdefault(utterance.id, []).append(line)
        if not row.get("id"):  # however its times are spelt: "0" and "0.0" make different ids
            self._spans.setdefault((path, start or 0.0, end), {}).setdefault(utterance.id, line)

    def _compare(self) -> None:
        """Find the problems that rows have with each other."""
        self.problems["twice"] = [f"{shown(i)} (lines {listed(at)})" for i, at in self._lines.items() if len(at) > 1]
        self.problems["twice"] += [
            f"{listed(map(shown, ids))} (lines {listed(ids.values())})" for ids in self._spans.values() if len(ids) > 1
        ]
        self.problems["origins"] = disputed_origins(self.utterances, self.folder, self._lines)
        self.problems["genders"] = [
            " and ".join(f"{shown(speaker)} {sex} (line {line})" for sex, (speaker, line) in both.items())
            for both in self._genders.values()
            if len(both) > 1
        ]


def _seconds(row: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Return (start, end) of a row; raise UserError unless they are numbers with 0 <= start < end."""
    start, end = (number(row[key]) if row.get(key) else None for key in ("start", "end"))
    wrong = [key for key, value in (("start", start), ("end", end)) if row.get(key) and (value is None or value < 0)]
    if wrong or (end is not None and end <= (start or 0.0)):
        raise UserError(f"start={quoted(row.get('start', ''))}, end={quoted(row.get('end', ''))}")
    return start, end


def _is_absolute(text: str) -> bool:
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()

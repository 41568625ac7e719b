"""Serve a page to try a model on this machine: upload or record a clip, see each task's prediction, also over time.

Nothing leaves the machine and nothing is kept: the server listens on 127.0.0.1 only, the page may not contact any other host,
and uploads are deleted within minutes, at the latest when the server stops.
"""

from __future__ import annotations

import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser.errors import UserError
from keras_ser.models import model_flags
from keras_ser.serving.inputs import read_short
from keras_ser.serving.predictor import Predictor
from keras_ser.serving.timelines import HOP_SECONDS, WINDOW_SECONDS, Timeline, timeline
from keras_ser.tasks import Task

if TYPE_CHECKING:
    import gradio as gr
    from matplotlib.figure import Figure

HOST, PORT = "127.0.0.1", 7860
SWEEP_SECONDS, KEPT_SECONDS = 60, 600  # how often uploads are swept, and the age at which they are deleted
MANY = 12  # most classes that are listed or drawn as bars
DPI = 150  # of the timeline, for high-resolution screens
# scripts, fonts and images that Gradio links to load from this server or not at all
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
CAUTION = "The labels are acted emotions of the training corpus, not a measurement of what a person feels."


def about(predictor: Predictor) -> str:
    """Describe the model in Markdown: its tasks and, for an export, its corpus, protocol and measured UAR."""
    lines = [
        f"# {predictor.name}",
        f"Answers {', '.join(map(_described, predictor.tasks))}, in clips of up to {predictor.max_seconds:g} s.",
    ]
    facts = predictor.facts
    if facts:
        trained = f"Trained on {facts['recipe']['corpus']}, protocol {facts['run']['protocol']}"
        lines.append(f"{trained}. {_measured(predictor)}")
    return "\n\n".join([*lines, f"*{CAUTION}*"])


def _described(task: Task) -> str:
    if task.continuous:
        values = f"{task.low:g} to {task.high:g}"
    else:
        values = ", ".join(task.labels) if task.size <= MANY else f"{task.size} classes"
    return f"**{task.name}** ({values})"


def _measured(predictor: Predictor) -> str:
    metrics = predictor.facts.get("metrics", {})
    tasks = [task for task in predictor.tasks if task.name in metrics]
    if not tasks:
        return "Not measured."
    scores = [f"{task.name} {100 * metrics[task.name]['uar']:.1f} % (chance {100 / task.size:.1f} %)" for task in tasks]
    clips = max(metrics[task.name]["clips"] for task in tasks)
    if metrics["speaker_dependent"]:
        speakers = "speaker-dependent split: the training data holds these speakers, so expect less on others"
    else:
        count = metrics["speakers"]
        speakers = f"{count} speaker{'' if count == 1 else 's'} not in the training data"
    return f"Measured UAR: {', '.join(scores)}, on {clips} clips ({speakers})."


def build(predictor: Predictor) -> gr.Blocks:
    """Build the page as Gradio Blocks, without serving it; raises UserError where Gradio (extra `demo`) is not installed."""
    gr = _gradio()
    tasks = predictor.tasks
    names = [task.name for task in tasks]

    def ask(path: str | None, task: str):
        note, answer, figure, error = "", {}, None, None
        try:
            if path is not None:
                waveform, seconds, problems = read_short(path, predictor.sample_rate, predictor.max_seconds)
                answer = {} if waveform is None else predictor([waveform])[0]
                line = _line(predictor, path, seconds, task)
                figure = line and _figure(line)
                note = _note(predictor, seconds, answer, problems or (line.problems if line else []))
        except UserError as refused:
            note = str(refused).replace(path, Path(path).name)  # the user's name of the file, not the upload's path
            answer, error = {}, gr.Error(note, print_exception=False)
        # a Number without a value would show 0
        fields = [
            gr.update(value=_value(answer.get(t.name)), visible=t.name in answer or not t.continuous) for t in tasks
        ]
        drawn = figure is not None
        yield [note, *fields, gr.update(visible=drawn and len(tasks) > 1), gr.update(value=figure, visible=drawn)]
        if error:
            raise error  # shown for some seconds; the note stays

    with gr.Blocks(title=predictor.name, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(about(predictor))
        with gr.Row():
            with gr.Column():
                audio = gr.Audio(
                    sources=["upload", "microphone"], type="filepath", label="clip", buttons=[], elem_id="clip"
                )
                note = gr.Markdown(elem_id="note")
            with gr.Column():
                answers = [_field(gr, task) for task in tasks]
        shown = gr.Radio(names, value=names[0], label="over time", visible=False, elem_id="shown")
        plot = gr.Plot(visible=False, show_label=False, format="png", elem_id="timeline")
        # one request at a time: a model is not called from two threads
        quiet: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
        for change in (audio.change, shown.input):
            # no progress on the note, which would be hidden under it
            change(ask, [audio, shown], [note, *answers, shown, plot], show_progress_on=[*answers, plot], **quiet)
    return page


def _field(gr, task: Task):
    where = f"task-{task.name}"
    if task.continuous:
        label = f"{task.name} ({task.low:g} to {task.high:g})"
        return gr.Number(label=label, precision=3, interactive=False, visible=False, elem_id=where)
    return gr.Label(label=task.name, num_top_classes=MANY, elem_id=where)


def serve(predictor: Predictor, port: int = PORT, open_browser: bool = False) -> None:
    """Serve the page on 127.0.0.1 until interrupted (Ctrl+C), then delete all uploads.

    Raises UserError where Gradio (extra `demo`) is not installed, or the port is taken.
    """
    # Gradio checks that its own server responds, and must not go through a proxy
    os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST]))
    with tempfile.TemporaryDirectory(prefix="keras-ser-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # read when Gradio is imported, too
        gr = _gradio()
        from starlette.middleware import Middleware

        page = build(predictor)
        try:
            page.launch(
                server_name=HOST,
                server_port=port,
                inbrowser=open_browser,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                mcp_server=False,
                ssr_mode=False,
                pwa=False,
                app_kwargs={"middleware": [Middleware(_SameOrigin)]},
            )
        except OSError as error:
            raise UserError(f"port {port} of {HOST} is taken or not allowed. Choose another one.") from error
        print(f"{predictor.name}: http://{HOST}:{port} (Ctrl+C ends it)", flush=True)
        _wait(page)


def _wait(page: gr.Blocks) -> None:
    """Wait for Ctrl+C. SIGTERM counts as Ctrl+C, since it would leave the uploads behind."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        while page.is_running:
            time.sleep(0.1)
    except KeyboardInterrupt:
        pass
    finally:
        page.close(verbose=False)
        if main:
            signal.signal(signal.SIGTERM, before)


class _SameOrigin:
    """ASGI middleware that adds `POLICY` to every response."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def sent(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, sent)


def _gradio():
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise UserError('the page needs Gradio. Install it by: pip install "keras-ser[demo]"') from error
    return gradio


def _line(predictor: Predictor, path: str, seconds: float, task: str) -> Timeline | None:
    """Return the predictions over time, or None for a clip of one window."""
    window = min(WINDOW_SECONDS, predictor.max_seconds, predictor.centre_seconds or math.inf)
    return timeline(predictor, path, window, min(HOP_SECONDS, window), task) if seconds > window else None


def _figure(line: Timeline) -> Figure:
    import matplotlib

    with matplotlib.rc_context({"figure.dpi": DPI}):
        return line.figure()


def _value(answer: dict[str, Any] | None):
    if answer is None:
        return None
    return answer["value"] if "value" in answer else answer["probabilities"]


def _note(predictor: Predictor, seconds: float, answer: dict[str, Any], problems: Sequence[str]) -> str:
    found = [*problems, *(flag.warning for name, flag in model_flags().items() if answer.get(name))]
    note = f"{seconds:.1f} s" + (f" ({', '.join(found)}): the result is unreliable." if found else "")
    if answer:
        return note
    longer = f"longer than a clip of {predictor.max_seconds:g} s: only time-resolved predictions are shown."
    return f"{note} It is {longer}" if found else f"{note}, {longer}"

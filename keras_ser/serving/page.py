"""A page to try a model on this machine: upload or record a clip, see each task's answer and how it goes over time.

Nothing leaves the machine and nothing is kept: the server listens on 127.0.0.1 only, the page may not ask any other
host for anything, and what was uploaded is deleted with the server, if not before.
"""

from __future__ import annotations

import inspect
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ser.audio import info, read_with_problems
from keras_ser.errors import UserError
from keras_ser.serving.predictor import Predictor
from keras_ser.serving.timeline import HOP_SECONDS, WINDOW_SECONDS, timeline
from keras_ser.tasks import Task

if TYPE_CHECKING:
    import gradio as gr
    from matplotlib.figure import Figure

HOST, PORT = "127.0.0.1", 7860
SWEEP_SECONDS, KEPT_SECONDS = 60, 600  # how often uploads are swept, and how old one must be for it
MANY = 12  # classes, of which no more are listed or have bars
DPI = 150  # of the timeline, for screens of more than one dot a pixel
# whatever a version of Gradio links to (scripts, fonts, images), the browser loads it from this server or not at all
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
CAUTION = "The labels are acted emotions of its corpus, and not a measurement of what a person feels."


def about(predictor: Predictor) -> str:
    """What the page says of the model, in Markdown: its tasks, and of an export its corpus, protocol and measured UAR."""
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
    found = [
        f"{task.name} {100 * metrics[task.name]['uar']:.1f} % (chance {100 / task.size:.1f} %)"
        for task in predictor.tasks
        if task.name in metrics
    ]
    if not found:
        return "Not measured."
    clips = max(metrics[task.name]["clips"] for task in predictor.tasks if task.name in metrics)
    if metrics["speaker_dependent"]:
        whom = "speaker-dependent split: it had heard these speakers, so expect less of it on others"
    else:
        count = metrics["speakers"]
        whom = f"{count} speaker{'' if count == 1 else 's'} it had not heard"
    return f"Measured UAR: {', '.join(found)}, on {clips} clips ({whom})."


def build(predictor: Predictor) -> gr.Blocks:
    """The page as Gradio's Blocks, not yet served.

    Raises:
        ValueError: Gradio (extra `demo`) is not installed.
    """
    gr = _gradio()
    tasks = predictor.tasks
    names = [task.name for task in tasks]

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

        def ask(path: str | None, task: str):
            emptied = [gr.update(value=None, visible=not task.continuous) for task in tasks]
            if path is None:
                yield ["", *emptied, *hidden()]
                return
            try:
                waveform, seconds, odd = _heard(predictor, path)
                answer = predictor([waveform])[0] if waveform is not None else {}
                figure = _figure(predictor, path, seconds, task)
            except ValueError as error:
                text = _told(error, path)
                # the message goes away after seconds, what stands below the clip stays
                yield [text, *emptied, *hidden()]
                raise gr.Error(text, print_exception=False) from error
            values = [gr.update(value=_value(answer.get(name)), visible=bool(answer)) for name in names]
            drawn = [gr.update(visible=len(names) > 1), gr.update(value=figure, visible=True)] if figure else hidden()
            yield [_note(predictor, waveform, seconds, answer, odd), *values, *drawn]

        def draw(path: str | None, task: str):
            if path is None:
                return hidden()[1]
            try:
                return gr.update(value=_figure(predictor, path, _heard(predictor, path)[1], task))
            except ValueError as error:
                raise gr.Error(_told(error, path), print_exception=False) from error

        def hidden() -> list:
            return [gr.update(visible=False), gr.update(value=None, visible=False)]

        # one question at a time: a model is not asked from two threads
        quiet: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
        # not on the note, which would lie under it
        audio.change(ask, [audio, shown], [note, *answers, shown, plot], show_progress_on=[*answers, plot], **quiet)
        shown.input(draw, [audio, shown], plot, **quiet)
    return page


def _field(gr, task: Task):
    where = f"task-{task.name}"
    if task.continuous:
        label = f"{task.name} ({task.low:g} to {task.high:g})"
        # without a value it would show 0
        return gr.Number(label=label, precision=3, interactive=False, visible=False, elem_id=where)
    return gr.Label(label=task.name, num_top_classes=MANY, elem_id=where)


def serve(predictor: Predictor, port: int = PORT, open_browser: bool = False) -> None:
    """Serves the page on this machine until it is interrupted (Ctrl+C), then deletes what was uploaded.

    Args:
        predictor: the model.
        port: of 127.0.0.1.
        open_browser: open the page in the browser of this machine.

    Raises:
        ValueError: Gradio (extra `demo`) is not installed, or the port is taken.
    """
    # Gradio asks its own server whether it is there, and must not ask a proxy
    os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST]))
    with tempfile.TemporaryDirectory(prefix="keras-ser-") as uploads:
        # read when Gradio is imported, too
        os.environ["GRADIO_TEMP_DIR"] = uploads
        gr = _gradio()
        from starlette.middleware import Middleware

        page = build(predictor)
        options = {
            "server_name": HOST,
            "server_port": port,
            "inbrowser": open_browser,
            "share": False,
            "prevent_thread_lock": True,
            "quiet": True,
            "theme": gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            "footer_links": [],
            "run_history": False,
            "enable_monitoring": False,
            "mcp_server": False,
            "ssr_mode": False,
            "pwa": False,
            "app_kwargs": {"middleware": [Middleware(_OnlyHere)]},
        }
        known = inspect.signature(page.launch).parameters
        try:
            page.launch(**{name: value for name, value in options.items() if name in known})
        except OSError as error:
            raise UserError(f"port {port} of {HOST} is taken or not allowed. Choose another one.") from error
        print(f"{predictor.name}: http://{HOST}:{port} (Ctrl+C ends it)", flush=True)
        _until_ended(page)


def _until_ended(page: gr.Blocks) -> None:
    """Waits for Ctrl+C; an order to end (SIGTERM) counts as that, since it would leave the uploads behind."""
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


class _OnlyHere:
    """Adds the header that keeps the page from other hosts to every answer of an ASGI application."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def sent(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, sent)


def _told(error: ValueError, path: str) -> str:
    """A file's error, with the file's own name for the place where its upload lies."""
    return str(error).replace(path, Path(path).name)


def _gradio():
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise UserError('the page needs Gradio. Install it by: pip install "keras-ser[demo]"') from error
    return gradio


def _heard(predictor: Predictor, path: str) -> tuple[np.ndarray | None, float, list[str]]:
    """(samples,), seconds, and what is odd; None for the samples of a recording that is too long to be one clip."""
    seconds = info(path).seconds
    if seconds > predictor.max_seconds:
        return None, seconds, []
    waveform, odd = read_with_problems(path, predictor.sample_rate)
    # not every header tells
    seconds = len(waveform) / predictor.sample_rate
    return (waveform if seconds <= predictor.max_seconds else None), seconds, odd


def _figure(predictor: Predictor, path: str, seconds: float, task: str) -> Figure | None:
    window = min(WINDOW_SECONDS, predictor.max_seconds)
    if seconds <= window:
        return None
    import matplotlib

    found = timeline(predictor, path, window, min(HOP_SECONDS, window), task)
    with matplotlib.rc_context({"figure.dpi": DPI}):
        return found.figure()


def _value(answer: dict[str, Any] | None):
    if answer is None:
        return None
    return answer["value"] if "value" in answer else answer["probabilities"]


def _note(
    predictor: Predictor, waveform: np.ndarray | None, seconds: float, answer: dict[str, Any], odd: list[str]
) -> str:
    if waveform is None:
        return (
            f"{seconds:.1f} s, longer than a clip of {predictor.max_seconds:g} s: only how it goes over time is shown."
        )
    odd = [*odd, "noise throughout to its own ears"] if answer.get("emptied") else odd
    return f"{seconds:.1f} s" + (f", and {', '.join(odd)}: do not lean on the answer." if odd else "")

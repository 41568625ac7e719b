"""The demo page, read in Chromium (Debian: chromium, chromium-driver) while another process serves it."""

import base64
import importlib.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from keras_ser.audio import read
from keras_ser.serving import demo_page as page
from keras_ser.serving.timelines import timeline
from keras_ser.tasks import Task
from tests.serving import standin

ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS = 6.0
LOUD = Task("loud", ("no", "yes"))
METRICS = {
    "speaker_dependent": False,
    "speakers": 7,
    "emotion": {"uar": 0.4567, "accuracy": 0.5, "clips": 321},
}
FACTS = {
    "recipe": {"corpus": "emodb"},
    "run": {"protocol": "leave-one-speaker-out", "fold": 2, "seed": 0},
    "metrics": METRICS,
}
SERVE = """
from keras_ser.serving.demo_page import serve
from tests.serving.test_demo_page import stand_in
serve(stand_in(), {port})
"""
BROWSER = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1400",
    # a microphone that beeps, with permission to use it
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def stand_in():
    """The stand-in with a second task of classes, and with the facts of an export."""
    first = standin.predictor(MAX_SECONDS)

    def score(waveform, lengths):
        found = dict(first.score(waveform, lengths))
        yes = np.clip(5 * found["arousal/value"], 0, 1)
        return found | {"loud/probabilities": np.stack([1 - yes, yes], axis=-1)}

    return replace(first, tasks=(standin.EMOTION, LOUD, standin.AROUSAL), score=score, facts=FACTS)


def write(path, rng, seconds, rate=standin.RATE, fastest=1.5):
    """A glide of random steps in two channels that differ."""
    x = np.sin(np.cumsum(rng.uniform(0, fastest, int(seconds * rate))))
    soundfile.write(path, np.stack([0.3 * x, 0.1 * x], axis=-1), rate)
    return path


def test_about_describes_tasks_and_scores():
    text = page.about(stand_in())
    assert "# stand-in" in text and "up to 6 s" in text and page.CAUTION in text
    assert "**emotion** (low, middle, high), **loud** (no, yes), **arousal** (-1 to 1)" in text
    assert "Trained on emodb, protocol leave-one-speaker-out." in text
    assert "emotion 45.7 % (chance 33.3 %), on 321 clips (7 speakers not in the training data)" in text
    mixed = page.about(replace(stand_in(), facts=FACTS | {"metrics": METRICS | {"speaker_dependent": True}}))
    assert "speaker-dependent split" in mixed and "not in the training data" not in mixed
    run = page.about(standin.predictor())
    assert "Trained" not in run and "UAR" not in run
    speakers = Task("speaker", tuple(f"s{i}" for i in range(40)))
    assert "**speaker** (40 classes)" in page.about(replace(standin.predictor(), tasks=(speakers,)))


def test_timeline_of_a_model_that_crops_has_windows_of_the_crop(tmp_path, rng):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.clip(rng.standard_normal(8 * standin.RATE), -1, 1), standin.RATE)
    line = page._line(replace(standin.predictor(), centre_seconds=2.0), str(path), 8.0, "emotion")
    assert line.starts.tolist() == list(range(7)) and line.ends[0] == 2.0
    assert page._line(standin.predictor(), str(path), 3.0, "emotion") is None
    note = page._note(standin.predictor(max_seconds=6), 8.0, {}, line.problems)
    assert note == (
        "8.0 s (clipped): the result is unreliable. It is longer than a clip of 6 s: only time-resolved predictions are shown."
    )


@pytest.mark.parametrize("use", [page.build, page.serve])
def test_missing_gradio_is_named(monkeypatch, use):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ValueError, match=r'^the page needs Gradio.*pip install "keras-ser\[demo\]"$'):
        use(standin.predictor())


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a page that another process serves; Ctrl+C must end it and delete the uploads."""
    needs("gradio", "selenium")
    uploads = tmp_path_factory.mktemp("uploads")
    with socket.socket() as free:
        free.bind((page.HOST, 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(port=port)],
        cwd=ROOT,
        # an unreachable proxy, which must not be used
        env=os.environ | {"TMPDIR": str(uploads), "http_proxy": "http://127.0.0.1:9", "no_proxy": ""},
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl+C reaches this process alone
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == f"stand-in: http://127.0.0.1:{port} (Ctrl+C ends it)\n"
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()
    assert not [p for p in uploads.rglob("*") if p.is_file()], "uploads are deleted when the page ends"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    needs("gradio", "selenium")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium with its chromedriver (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in [*BROWSER, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver))
    yield driver
    driver.quit()


class Visit:
    """A fresh load of the page."""

    def __init__(self, browser, address: str):
        self.browser = browser
        browser.get(address)
        self.wait(lambda: self.all("#clip input[type=file]"))

    def all(self, selector: str) -> list:
        return self.browser.find_elements("css selector", selector)

    def wait(self, condition):
        """The first true value of `condition`; elements may go while they are looked at."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = [StaleElementReferenceException]
        return WebDriverWait(self.browser, 30, 0.1, ignored).until(lambda _: condition())

    def note(self) -> str:
        return self.all("#note")[0].text if self.all("#note") else ""

    def upload(self, path) -> None:
        for button in self.all("#clip [aria-label=Clear]"):
            button.click()
            self.wait(lambda: not self.note())
        self.wait(lambda: self.all("#clip input[type=file]"))[0].send_keys(str(path))

    def answer(self, seconds: float, tasks) -> dict:
        """{task: {label: probability} or what the field shows}, once the clip of `seconds` is answered."""
        self.wait(lambda: self.note().startswith(f"{seconds:.1f} s"))
        return {task.name: self.field(task) for task in tasks}

    def field(self, task: Task):
        where = f"#task-{task.name}"
        if task.continuous:
            return float(self.wait(lambda: self.all(f"{where} input"))[0].get_attribute("value"))
        bars = self.wait(lambda: self.all(f"{where} meter"))
        found = {bar.get_attribute("aria-label"): float(bar.get_attribute("value")) for bar in bars}
        assert [e.text for e in self.all(f"{where} dd")] == [f"{100 * p:.0f}%" for p in found.values()]
        assert self.all(f"{where} [data-testid=label-output-value]")[0].text == max(found, key=found.get)
        return found

    def picture(self) -> bytes:
        """The timeline's PNG; empty where there is none."""
        shown = [e.get_attribute("src") for e in self.all("#timeline img")]
        return base64.b64decode(shown[0].partition(",")[2]) if shown else b""


def assert_answered(found: dict, model, path) -> None:
    """What the page shows is what the model says of the file."""
    expected = model([read(path, model.sample_rate)])[0]
    for task in model.tasks:
        if task.continuous:
            assert found[task.name] == pytest.approx(expected[task.name]["value"], abs=5.1e-4)
        else:
            assert found[task.name] == pytest.approx(expected[task.name]["probabilities"], abs=1e-5)


def assert_pictured(visit: Visit, path, task: str) -> None:
    figure = timeline(stand_in(), path, task=task).figure()
    wanted = io.BytesIO()
    figure.savefig(wanted, dpi=page.DPI)
    wanted.seek(0)
    expected = imread(wanted)

    def alike() -> bool:
        shown = visit.picture()
        found = imread(io.BytesIO(shown)) if shown else None
        return found is not None and found.shape == expected.shape and np.allclose(found, expected, atol=0.02)

    visit.wait(alike)


@pytest.mark.slow
def test_page_goes_on_after_a_broken_file(browser, site, tmp_path, rng):
    visit, model = Visit(browser, site), stand_in()
    assert browser.title == "stand-in"
    assert page.CAUTION in visit.all("body")[0].text
    clip = write(tmp_path / "a.wav", rng, 2.0, 44100)
    visit.upload(clip)
    first = visit.answer(2.0, model.tasks)
    assert_answered(first, model, clip)
    assert not visit.picture(), "a clip of one window has no timeline"

    broken = tmp_path / "broken.wav"
    broken.write_bytes(clip.read_bytes()[:30])
    visit.upload(broken)
    visit.wait(lambda: visit.note().startswith("broken.wav: "))
    assert "\n" not in visit.note()
    visit.wait(lambda: any(visit.note() in e.text for e in visit.all("[data-testid=toast-body]")))
    assert not visit.all("meter"), "the answer of another clip is gone"

    other = write(tmp_path / "b.flac", rng, 2.7, 8000, fastest=6)
    visit.upload(other)
    second = visit.answer(2.7, model.tasks)
    assert_answered(second, model, other)
    assert max(abs(second["emotion"][k] - first["emotion"][k]) for k in first["emotion"]) > 0.05


@pytest.mark.slow
def test_page_shows_answers_over_time(browser, site, tmp_path, rng):
    """Of any task; of a recording longer than a clip, nothing else."""
    visit, model = Visit(browser, site), stand_in()
    clip = write(tmp_path / "five.wav", rng, 5.0)
    visit.upload(clip)
    assert_answered(visit.answer(5.0, model.tasks), model, clip)
    assert_pictured(visit, clip, "emotion")
    buttons = visit.all("#shown input")
    assert [e.get_attribute("value") for e in buttons] == ["emotion", "loud", "arousal"]
    buttons[2].click()
    assert_pictured(visit, clip, "arousal")
    long = write(tmp_path / "seven.wav", rng, 7.0)
    visit.upload(long)
    visit.wait(lambda: visit.note() == "7.0 s, longer than a clip of 6 s: only time-resolved predictions are shown.")
    assert_pictured(visit, long, "arousal")
    assert not visit.all("meter")


@pytest.mark.slow
def test_page_contacts_no_other_host(browser, site, tmp_path, rng):
    browser.get_log("performance")
    visit = Visit(browser, site)
    visit.upload(write(tmp_path / "five.wav", rng, 5.0))
    visit.answer(5.0, stand_in().tasks)
    visit.wait(visit.picture)
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            asked.append(message["params"]["url"])
    # built into the browser, or into the page
    asked = [url for url in asked if not url.startswith(("chrome:", "data:", f"blob:{site}"))]
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(f"{site}/")] == []


@pytest.mark.slow
def test_page_listens_on_the_loopback_address_only(site):
    port = int(site.rpartition(":")[2])
    socket.create_connection((page.HOST, port), timeout=10).close()
    # another address of this machine, where a server for all addresses would answer
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=10)
    done = subprocess.run([sys.executable, "-c", SERVE.format(port=port)], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.rstrip().endswith(
        f"UserError: port {port} of 127.0.0.1 is taken or not allowed. Choose another one."
    )

"""The page, read in Chromium (Debian: chromium, chromium-driver) while it is served by another process."""

import base64
import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from keras_ser.audio import read
from keras_ser.serving import Predictor, page
from keras_ser.serving.timeline import timeline
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
STAND_IN = "from tests.serving.test_page import stand_in; serve(stand_in(), {port})"
LOADED = "from keras_ser.serving import Predictor; serve(Predictor.load({path!r}), {port})"
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
    # a microphone that beeps, and a hand that allows it
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


def test_what_is_said_of_an_export():
    text = page.about(stand_in())
    assert "# stand-in" in text
    assert "**emotion** (low, middle, high), **loud** (no, yes), **arousal** (-1 to 1)" in text
    assert "up to 6 s" in text
    assert "Trained on emodb, protocol leave-one-speaker-out." in text
    assert "emotion 45.7 % (chance 33.3 %), on 321 clips (7 speakers it had not heard)" in text
    assert "speaker-dependent" not in text
    assert "acted emotions of its corpus, and not a measurement of what a person feels" in text


def test_a_split_that_mixes_speakers_is_called_so():
    mixed = replace(stand_in(), facts=FACTS | {"metrics": METRICS | {"speaker_dependent": True}})
    assert "speaker-dependent split" in page.about(mixed)
    assert "not heard" not in page.about(mixed)


def test_what_is_said_of_a_run():
    text = page.about(standin.predictor())
    assert "Trained" not in text
    assert "UAR" not in text
    assert page.CAUTION in text


def test_many_classes_are_counted():
    speakers = Task("speaker", tuple(f"s{i}" for i in range(40)))
    assert "**speaker** (40 classes)" in page.about(replace(standin.predictor(), tasks=(speakers,)))


@pytest.mark.parametrize("use", [page.build, page.serve])
def test_without_gradio(monkeypatch, use):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ValueError, match=r'^the page needs Gradio.*pip install "keras-ser\[demo\]"$'):
        use(standin.predictor())


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@contextlib.contextmanager
def serving(code: str, name: str, aside: Path, **values):
    """The address of a page that another process serves; Ctrl+C must end it, and leave nothing of it in `aside`."""
    with socket.socket() as free:
        free.bind((page.HOST, 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", "from keras_ser.serving.page import serve; " + code.format(port=port, **values)],
        cwd=ROOT,
        # a proxy that is not there: the page is not to need one
        env=os.environ | {"TMPDIR": str(aside), "http_proxy": "http://127.0.0.1:9", "no_proxy": ""},
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl+C is sent to it alone
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == f"{name}: http://127.0.0.1:{port} (Ctrl+C ends it)\n"
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()
    assert not [p for p in aside.rglob("*") if p.is_file()], "uploads are deleted when the page ends"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    needs("gradio", "selenium")
    with serving(STAND_IN, "stand-in", tmp_path_factory.mktemp("aside")) as address:
        yield address


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


@pytest.mark.slow
def test_an_answer_an_error_and_an_answer(browser, site, tmp_path, rng):
    """The page goes on after a broken file."""
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
def test_over_time(browser, site, tmp_path, rng):
    """Longer than a window: the answers and the timeline, of whichever task."""
    visit, model = Visit(browser, site), stand_in()
    clip = write(tmp_path / "five.wav", rng, 5.0)
    visit.upload(clip)
    assert_answered(visit.answer(5.0, model.tasks), model, clip)
    assert_pictured(visit, clip, "emotion")
    buttons = visit.all("#shown input")
    assert [e.get_attribute("value") for e in buttons] == ["emotion", "loud", "arousal"]
    buttons[2].click()
    assert_pictured(visit, clip, "arousal")


@pytest.mark.slow
def test_longer_than_a_clip(browser, site, tmp_path, rng):
    """Only the timeline is shown, and that is said."""
    visit = Visit(browser, site)
    clip = write(tmp_path / "seven.wav", rng, 7.0)
    visit.upload(clip)
    visit.wait(lambda: visit.note() == "7.0 s, longer than a clip of 6 s: only how it goes over time is shown.")
    assert_pictured(visit, clip, "emotion")
    assert not visit.all("[id^=task-]")


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
def test_a_recording(browser, site):
    """Chromium's make-believe microphone beeps."""
    visit = Visit(browser, site)
    visit.all("#clip [aria-label='Record audio']")[0].click()
    visit.wait(lambda: visit.all("#clip .record-button"))[0].click()
    time.sleep(2)
    visit.wait(lambda: visit.all("#clip .stop-button"))[0].click()
    visit.wait(lambda: re.match(r"\d\.\d s$", visit.note()))
    assert 1 < float(visit.note().split()[0]) < 10
    assert sum(visit.field(standin.EMOTION).values()) == pytest.approx(1)


@pytest.mark.slow
def test_no_other_host_is_asked(browser, site, tmp_path, rng):
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
    # what the browser has in itself, and what the page has in itself
    asked = [url for url in asked if not url.startswith(("chrome:", "data:", f"blob:{site}"))]
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(f"{site}/")] == []


@pytest.mark.slow
def test_other_machines_find_nobody_there(site):
    port = int(site.rpartition(":")[2])
    socket.create_connection((page.HOST, port), timeout=10).close()
    # this machine too, but another of its addresses: a server for all of them would answer
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=10)


@pytest.mark.slow
def test_a_taken_port_is_told(site):
    port = int(site.rpartition(":")[2])
    code = "from keras_ser.serving.page import serve; " + STAND_IN.format(port=port)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.rstrip().endswith(
        f"UserError: port {port} of 127.0.0.1 is taken or not allowed. Choose another one."
    )


@pytest.mark.slow
def test_an_export(browser, served, tmp_path, rng):
    """A trained run's SavedModel, asked by the page and asked directly."""
    model = Predictor.load(served.export)
    clip = write(tmp_path / "clip.wav", rng, 4.0, 22050)
    aside = tmp_path / "aside"
    aside.mkdir()
    with serving(LOADED, "emotions", aside, path=str(served.export)) as address:
        visit = Visit(browser, address)
        assert f"protocol {model.facts['run']['protocol']}. Measured UAR: emotion " in visit.all("body")[0].text
        visit.upload(clip)
        assert_answered(visit.answer(4.0, model.tasks), model, clip)

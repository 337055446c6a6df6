import subprocess
import sys
import time

import pytest
from PIL import Image

from resight.cli.failures import exit_code
from resight.errors import CollectionLocked


def failing(error):
    def command():
        raise error

    return command


def test_codes_of_commands_are_passed_on(capsys):
    assert exit_code(lambda: None, debug=False) == 0
    assert exit_code(lambda: 3, debug=False) == 3
    assert capsys.readouterr() == ("", "")


def test_our_errors_are_one_sentence(capsys):
    assert exit_code(failing(CollectionLocked("another process writes to x")), debug=False) == 1
    assert capsys.readouterr() == ("", "resight: another process writes to x\n")


def test_errors_of_the_system_name_the_file(capsys):
    assert exit_code(failing(PermissionError(13, "Permission denied", "a.html")), debug=False) == 1
    assert capsys.readouterr().err == "resight: a.html: Permission denied\n"


def told_of_by_native_code():
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise ValueError("a serializer could not be built")  # noqa: B904 (as a library that hides it)


@pytest.mark.parametrize(
    "command",
    [
        failing(KeyboardInterrupt()),
        lambda: 130,
        failing(ValueError("error building a serializer:\n KeyboardInterrupt: ")),
        told_of_by_native_code,
    ],
)
def test_an_interrupt_says_what_stays(command, capsys):
    assert exit_code(command, debug=False) == 130
    assert "what was committed stays" in capsys.readouterr().err


def test_debug_shows_where():
    with pytest.raises(CollectionLocked):
        exit_code(failing(CollectionLocked("locked")), debug=True)


def test_what_nobody_foresaw_is_a_sentence_too(capsys):
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0, debug=False)
    try:
        1 // 0  # noqa: B018 (raises what the interpreter would hand to its hook)
    except ZeroDivisionError as error:
        sys.excepthook(ZeroDivisionError, error, error.__traceback__)
    sentence = capsys.readouterr().err
    assert sentence.startswith("resight: this should not have happened (ZeroDivisionError: ")
    assert "Traceback" not in sentence


def test_an_interrupt_ends_the_process_at_once():
    program = """
import signal, threading, time
from resight.cli.failures import exit_code, leave
from resight.files import in_threads
# A shell that runs the tests in the background has its jobs ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
main = threading.main_thread().ident
threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
leave(exit_code(lambda: list(in_threads(time.sleep, [20.0] * 8, workers=2)), debug=False))
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.startswith("resight: stopped: what was committed stays")
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - start < 15


def test_a_photo_that_shows_nothing_is_reported_and_no_failure(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, shade in (("white.png", 255), ("grey.png", 127), ("black.png", 0)):
        Image.new("RGB", (80, 60), (shade, shade, shade)).save(folder / name)
    code, out, _ = run("index", "photos")
    assert code == 0
    assert out.count("nothing in it can be recognised") == 3
    (folder / "damaged.jpg").write_bytes(b"no photo")
    assert run("index", "photos")[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        ("info", "{}"),
        ("search", ".", "{}"),
        ("{}",),
        ("info", "--{}"),
        ("groups", ".", "--of", "{}"),
        ("describe", "a", "--model", "{}"),
    ],
    ids=lambda words: " ".join(words),
)
def test_no_error_repeats_thousands_of_characters(run, words):
    code, _, err = run(*(word.format("a" * 9000) for word in words))
    assert code in (1, 2)
    assert err.count("a") < 400

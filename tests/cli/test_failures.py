import sys

import pytest

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


@pytest.mark.parametrize("command", [failing(KeyboardInterrupt()), lambda: 130])
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

"""No secret reaches a log, whatever it hides in."""

import json

import pytest

from steward.service.logs import REDACTED, logger, redact
from steward.service.settings import LogSettings

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\n-----END EC PRIVATE KEY-----"


def test_a_line_is_json_with_the_service_and_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logger("upgrader", LogSettings()).info("step done", step="crds", attempt=1)

    entry = json.loads(capsys.readouterr().err)
    assert entry["event"] == "step done"
    assert (entry["service"], entry["step"], entry["attempt"], entry["level"]) == ("upgrader", "crds", 1, "info")


def test_a_level_below_the_chosen_one_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logger("upgrader", LogSettings(level="warning")).info("step done")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("MHcCAQEEIB", f"helm said {KEY} and failed"),
        ("hunter2", "connecting to nats://steward:hunter2@nats:4222"),
        ("eyJhbGciOi", "Authorization: Bearer eyJhbGciOi"),
        ("MHcCAQEEIB", "cut off: -----BEGIN PRIVATE KEY-----\nMHcCAQEEIB"),
    ],
)
def test_secrets_inside_text_are_redacted(secret: str, text: str) -> None:
    assert secret in text
    assert secret not in redact(text)


def test_fields_named_after_secrets_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logger("upgrader", LogSettings()).info(
        "connected", password="hunter2", nested={"api_token": "hunter2"}, fencing_token=3
    )

    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert json.loads(written)["password"] == REDACTED
    assert json.loads(written)["fencing_token"] == 3


def test_a_secret_in_an_exception_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(KEY)  # noqa: TRY301 - the traceback is what is tested
    except ValueError:
        logger("upgrader", LogSettings()).exception("failed")

    assert "MHcCAQEEIB" not in capsys.readouterr().err

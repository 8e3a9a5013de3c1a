"""Settings are read from the environment, and each wrong one is named."""

from datetime import timedelta

import pytest

from services.version_watcher.core.reading import Source
from services.version_watcher.settings import VersionWatcherGroup, VersionWatcherSettings
from steward.errors import ConfigurationError


def test_every_source_is_on_and_points_upstream_by_default() -> None:
    group = VersionWatcherGroup()
    assert group.sources == (Source.VERSION_CHECK, Source.RELEASE_NOTES, Source.HELM_INDEX)
    assert group.version_check.url == "https://versioncheck.linkerd.io/version.json"
    assert group.channels == ("edge",)


def test_a_variable_changes_one_field_of_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEWARD_VERSION_WATCHER__VERSION_CHECK__URL", "https://mirror.example.org/version.json")
    monkeypatch.setenv("STEWARD_VERSION_WATCHER__HELM_INDEX__ENABLED", "false")
    monkeypatch.setenv("STEWARD_VERSION_WATCHER__DRIFT_QUIET", "PT5M")
    group = VersionWatcherSettings.load().version_watcher
    assert group.version_check.url == "https://mirror.example.org/version.json"
    assert group.version_check.interval == timedelta(minutes=10)
    assert group.sources == (Source.VERSION_CHECK, Source.RELEASE_NOTES)
    assert group.drift_quiet == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VERSION_CHECK__URL", "ftp://example.org"),
        ("VERSION_CHECK__INTERVAL", "PT0S"),
        ("CHANNELS", '["Edge!"]'),
        ("FETCH__ATTEMPTS", "0"),
        ("CATALOG", ""),
        ("UNHEARD_OF", "1"),
    ],
)
def test_a_setting_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"STEWARD_VERSION_WATCHER__{variable}", value)
    with pytest.raises(ConfigurationError, match=f"STEWARD_VERSION_WATCHER__{variable}"):
        VersionWatcherSettings.load()

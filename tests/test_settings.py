"""Every setting is checked, and every wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import SETTINGS, Settings, SettingsInvalid


def test_the_defaults_are_valid() -> None:
    """The server would not start without an environment."""
    settings = Settings.from_env({})
    assert (settings.base_url, settings.port, settings.state_dir, settings.debug) == (
        "models_serve",
        80,
        None,
        False,
    )
    assert settings.models_dir.is_absolute()


@pytest.mark.parametrize(
    ("text", "base_url"), [("", ""), ("/", ""), ("a", "a"), ("/a/b/", "a/b"), ("team/models", "team/models")]
)
def test_the_base_url_is_taken_with_and_without_slashes(text: str, base_url: str) -> None:
    """One spelling would work and another not."""
    assert Settings.from_env({"baseUrl": text}).base_url == base_url


@pytest.mark.parametrize(
    "setting", [setting for setting in SETTINGS if setting.name not in {"MODELS_DIR", "STATE_DIR"}]
)
def test_nonsense_is_refused_by_name(setting: object) -> None:
    """A typo would be taken for the default."""
    name = setting.name  # type: ignore[attr-defined]
    with pytest.raises(SettingsInvalid) as refused:
        Settings.from_env({name: "non sense/../?"})
    assert [problem.split("=")[0] for problem in refused.value.problems] == [name]


def test_an_empty_variable_is_the_default() -> None:
    """A container platform that passes every variable would break the start."""
    assert Settings.from_env({"PORT": "", "STATE_DIR": ""}) == Settings.from_env({})


def test_a_drain_that_outlasts_the_shutdown_is_refused() -> None:
    """Calls in flight would be cut off."""
    with pytest.raises(SettingsInvalid, match="DRAIN_DELAY_SECONDS=30"):
        Settings.from_env({"DRAIN_DELAY_SECONDS": "30"})


def test_a_relative_models_folder_is_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder named on the command line would be looked for elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert Settings.from_env({"MODELS_DIR": "mine"}).models_dir == tmp_path / "mine"

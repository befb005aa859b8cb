"""Settings: who wins, what is refused, and that every value keeps its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.config import load
from swarm.errors import NotFoundError, UsageError
from swarm.known_settings import BUDGET_LEAST, PROFILES, SETTINGS
from swarm.peer.memory_budget import PROCESS_BYTES


def _home(tmp_path: Path, text: str = "") -> dict[str, str]:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    return {"AETHERFS_HOME": str(tmp_path)}


def test_defaults_when_nobody_says(tmp_path: Path) -> None:
    settings = load({}, {"AETHERFS_HOME": str(tmp_path / "none")})
    assert settings.port_base == 7070
    assert settings.listen == "127.0.0.1"
    assert settings.store == (tmp_path / "none" / "store").as_uri()
    assert {origin for _, _, origin in settings.items()} == {"environment AETHERFS_HOME", "default"}


def test_each_source_wins_over_the_one_below(tmp_path: Path) -> None:
    environment = _home(
        tmp_path, 'port_base = 1001\nlisten = "10.0.0.1"\nstore = "file:///a"\njoin_file = "/home-file"\n'
    )
    given = tmp_path / "given.toml"
    given.write_text('port_base = 1002\nlisten = "10.0.0.2"\nstore = "file:///b"\n', encoding="utf-8")
    environment |= {"AETHERFS_PORT_BASE": "1003", "AETHERFS_LISTEN": "10.0.0.3"}
    settings = load({"port_base": "1004"}, environment, str(given))
    origins = {name: (value, origin) for name, value, origin in settings.items()}
    assert origins["port_base"] == (1004, "flag --port-base")
    assert origins["listen"] == ("10.0.0.3", "environment AETHERFS_LISTEN")
    assert origins["store"] == ("file:///b", str(given))
    assert origins["join_file"] == ("/home-file", str(tmp_path / "config.toml"))
    assert origins["disk_bytes"][1] == "default"


def test_the_home_flag_wins_over_the_environment(tmp_path: Path) -> None:
    settings = load({"home": str(tmp_path / "flag")}, {"AETHERFS_HOME": str(tmp_path / "variable")})
    assert settings.home == tmp_path / "flag"
    assert settings.home_origin == "flag --home"


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}, {"AETHERFS_HOME": "here"}).home == tmp_path / "here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port_base = ", "not valid TOML"),
        ("ports = 3", "unknown setting 'ports'"),
        ('port_base = "7070"', "expected a whole number"),
        ("port_base = true", "expected a whole number"),
        ("listen = 3", "expected a text"),
        ("port_base = 70000", "out of bounds"),
        ("port_base = -1", "not a whole number"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1") + "= 1", "not valid TOML"),
    ],
)
def test_a_malformed_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        load({}, _home(tmp_path, text))
    assert str(tmp_path / "config.toml") in str(refused.value)


@pytest.mark.parametrize("value", ["x", "", " ", "1.5", "-1", "65534", "9" * 30, "٣"])
def test_a_malformed_flag_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="flag --port-base"):
        load({"port_base": value}, _home(tmp_path))


def test_a_given_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.toml"):
        load({}, _home(tmp_path), str(tmp_path / "nowhere.toml"))


def test_an_oversized_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longer than"):
        load({}, _home(tmp_path, "#" * 70_000))


def test_every_setting_has_a_default_of_its_kind_within_bounds() -> None:
    for setting in SETTINGS:
        assert isinstance(setting.default, int if setting.kind == "count" else str)
        assert setting.kind != "switch" or setting.default in ("on", "off")
        assert not setting.choices or setting.default in setting.choices
        is_none = setting.zero_means_none and setting.default == 0
        assert setting.kind != "count" or is_none or setting.least <= int(setting.default) <= setting.most


def test_a_profile_gives_way_to_every_setting_that_is_made(tmp_path: Path) -> None:
    settings = load({"profile": "edge"}, _home(tmp_path, "disk_bytes = 5\n") | {"AETHERFS_LAN_DISCOVERY": "off"})
    origins = {name: (value, origin) for name, value, origin in settings.items()}
    assert origins["memory_budget"] == (112 * 1024**2, "profile edge")
    assert origins["disk_bytes"] == (5, str(tmp_path / "config.toml"))
    assert origins["lan_discovery"] == ("off", "environment AETHERFS_LAN_DISCOVERY")
    assert not settings.lan_discovery
    assert origins["port_base"] == (7070, "default")
    assert [settings.is_said(name) for name in ("memory_budget", "disk_bytes", "memory_bytes")] == [False, True, False]


def test_profiles_name_settings_and_values_of_their_kind() -> None:
    known = {setting.name: setting for setting in SETTINGS}
    for profile, values in PROFILES.items():
        assert profile in known["profile"].choices
        assert all(type(value) is type(known[name].default) for name, value in values.items())


def test_an_unknown_profile_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="known are edge"):
        load({"profile": "tiny"}, _home(tmp_path))


def test_switches_are_true_or_false_in_files_and_on_or_off_elsewhere(tmp_path: Path) -> None:
    assert load({}, _home(tmp_path, "metered = true\n")).metered
    assert not load({"metered": "off"}, _home(tmp_path, "metered = true\n")).metered
    with pytest.raises(UsageError, match="neither on nor off"):
        load({"metered": "maybe"}, _home(tmp_path))
    with pytest.raises(UsageError, match="expected true or false"):
        load({}, _home(tmp_path, 'metered = "on"\n'))


def test_a_memory_budget_is_none_or_one_that_can_be_kept() -> None:
    assert BUDGET_LEAST == PROCESS_BYTES
    assert load({"memory_budget": "0"}, {}).memory_budget == 0
    assert load({"memory_budget": str(BUDGET_LEAST)}, {}).memory_budget == BUDGET_LEAST
    with pytest.raises(UsageError, match="out of bounds"):
        load({"memory_budget": "5"}, {})

"""What the environment may say, and how faults in it are told."""

import importlib.util
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.settings import Settings
from server.settings import SettingsFault
from server.settings import default_state_dir
from server.settings import read_settings
from server.settings_values import duration_s
from server.settings_values import duration_text
from server.settings_values import size_bytes
from server.settings_values import size_text
from state.journal import Quota


def _fault_of(**environ: str) -> SettingsFault:
    with pytest.raises(SettingsFault) as caught:
        read_settings(environ)
    return caught.value


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = read_settings({})
    assert settings.paths == ()
    assert settings.store == "sqlite"
    assert (settings.session_ttl_s, settings.cache_ttl_s) == (7 * 86_400.0, 300.0)
    assert (settings.session_max_age_s, settings.retention_s) == (90 * 86_400.0, 30 * 86_400.0)
    assert (settings.redis_url, settings.redis_max_retries, settings.redis_pool_size) == (None, 3, 10)
    assert (settings.workers, settings.query_timeout_s) == (2, 30.0)
    assert (settings.memory_limit_bytes, settings.cache_max_bytes) == (10**9, 64 * 2**20)


@pytest.mark.parametrize("name", [row.name for row in read_settings({}).described()])
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    assert read_settings({name: "  "}) == read_settings({})


def test_all_faults_are_told_at_once_with_variable_value_and_what_is_allowed() -> None:
    fault = _fault_of(SESSION_TTL="soon", UDS_WORKERS="0", UDS_LOG_LEVEL="loud", CACHE_TTL="1m")
    told = {each.variable: each for each in fault.faults}
    assert set(told) == {"SESSION_TTL", "UDS_WORKERS", "UDS_LOG_LEVEL"}
    assert told["UDS_WORKERS"].value == "0"
    assert "1 to 8" in told["UDS_WORKERS"].allowed
    assert all(each.variable in str(fault) for each in fault.faults)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SESSION_TTL", "999ms"),
        ("SESSION_TTL", "31d"),
        ("SESSION_TTL", "0"),
        ("SESSION_TTL", "-5m"),
        ("SESSION_TTL", "nan"),
        ("SESSION_TTL", "5 minutes"),
        ("CACHE_TTL", "0.5s"),
        ("UDS_QUERY_TIMEOUT", "121s"),
        ("UDS_QUERY_TIMEOUT", "0"),
        ("UDS_MEMORY_LIMIT", "1"),
        ("UDS_MEMORY_LIMIT", "10MB"),
        ("UDS_MEMORY_LIMIT", "lots"),
        ("UDS_WORKERS", "9"),
        ("UDS_WORKERS", "2.0"),
        ("UDS_WORKERS", "\u0662"),
        ("UDS_CACHE_MAX_MB", "0"),
        ("REDIS_MAX_RETRIES", "21"),
        ("REDIS_MAX_RETRIES", "-1"),
        ("REDIS_POOL_SIZE", "0"),
        ("REDIS_POOL_SIZE", "1001"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port"),
        ("UDS_ALLOWED_HOSTS", "https://example.com"),
        ("UDS_ALLOWED_HOSTS", "*"),
        ("UDS_ALLOWED_ORIGINS", "example.com"),
        ("UDS_ALLOWED_ORIGINS", "*"),
        ("STATE_STORE_TYPE", "postgres"),
    ],
)
def test_a_value_outside_what_is_allowed_is_a_fault_of_its_own_variable(variable: str, value: str) -> None:
    assert [each.variable for each in _fault_of(**{variable: value}).faults] == [variable]


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90", 90), ("90s", 90), ("1.5h", 5400), ("2d", 172800), ("5M", 300)]
)
def test_durations_are_written_with_units_or_as_seconds(text: str, seconds: float) -> None:
    assert read_settings({"SESSION_TTL": text}).session_ttl_s == seconds


def test_a_cache_ttl_of_zero_is_allowed() -> None:
    assert read_settings({"CACHE_TTL": "0"}).cache_ttl_s == 0


@given(st.integers(min_value=1, max_value=30 * 86_400_000))
def test_a_duration_shown_is_a_duration_that_reads_back_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert duration_s(0.001, 30 * 86400)(duration_text(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_size_shown_is_a_size_that_reads_back_nearly_the_same(kilobytes: int) -> None:
    size = kilobytes * 1000
    assert size_bytes(0, 10**13)(size_text(size)) == size


def test_redis_as_a_store_needs_its_address() -> None:
    (fault,) = _fault_of(STATE_STORE_TYPE="redis").faults
    assert (fault.variable, fault.value) == ("REDIS_URL", "not set")
    assert "redis://localhost:6379/0" in fault.allowed
    assert read_settings({"STATE_STORE_TYPE": "redis", "REDIS_URL": "redis://localhost"}).store == "redis"


def test_state_is_kept_on_disk_unless_asked_otherwise() -> None:
    assert read_settings({}).store == "sqlite"
    assert read_settings({"STATE_STORE_TYPE": "memory"}).store == "memory"


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("", Quota(sessions=1_000, events=1_000_000, size_bytes=256 * 10**6)),
        ("5 sessions", Quota(sessions=5)),
        ("1MiB,20 Events", Quota(events=20, size_bytes=2**20)),
        ("2 sessions, 3 events, 4GB", Quota(sessions=2, events=3, size_bytes=4 * 10**9)),
    ],
)
def test_quotas_are_read_and_what_is_left_out_keeps_its_default(text: str, quota: Quota) -> None:
    assert read_settings({"UDS_QUOTA": text}).quota == quota


@pytest.mark.parametrize("text", ["0 sessions", "many", "5", "5 sessions, 6 sessions", "1KB", "5 sessions 6 events"])
def test_quotas_that_make_no_sense_are_a_fault(text: str) -> None:
    assert [each.variable for each in _fault_of(UDS_QUOTA=text).faults] == ["UDS_QUOTA"]


def test_the_environment_names_the_conversation_where_a_key_says_so() -> None:
    assert read_settings({}).own_conversation is None
    assert read_settings({"CLAUDE_CODE_SESSION_ID": "x"}).own_conversation == "CLAUDE_CODE_SESSION_ID:x"
    assert read_settings({"MINE": "y", "UDS_CONVERSATION_KEYS": "a, env:MINE"}).own_conversation == "MINE:y"
    assert read_settings({"CLAUDE_CODE_SESSION_ID": "x", "UDS_CONVERSATION_KEYS": "none"}).own_conversation is None
    assert "secret" not in repr(read_settings({"CLAUDE_CODE_SESSION_ID": "secret"}))


def test_a_conversation_key_with_odd_characters_is_a_fault() -> None:
    assert [each.variable for each in _fault_of(UDS_CONVERSATION_KEYS="a b").faults] == ["UDS_CONVERSATION_KEYS"]


def test_several_paths_are_separated_as_in_path_or_by_line_ends(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a", "b, c", "d")]
    for place in places:
        place.mkdir()
    text = f"{places[0]}{os.pathsep}{places[1]}\n {places[2]} \n{places[0]}"
    assert read_settings({"UDS_DATA": text}).paths == tuple(places)


def test_a_path_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    (fault,) = _fault_of(UDS_DATA=f"{tmp_path}{os.pathsep}{tmp_path / 'gone'}").faults
    assert fault.variable == "UDS_DATA"
    assert "gone" in fault.value


def test_commas_separate_paths_too_unless_something_of_that_name_exists(tmp_path: Path) -> None:
    places = [tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c,d.csv"]
    for place in places:
        place.touch()
    assert read_settings({"UDS_DATA": f"{places[0]}, {places[1]}"}).paths == tuple(places[:2])
    assert read_settings({"UDS_DATA": str(places[2])}).paths == (places[2],)


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    assert read_settings({"UDS_DATA": "rows.csv"}).paths == (tmp_path / "rows.csv",)


def test_a_state_directory_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    assert [each.variable for each in _fault_of(UDS_STATE_DIR=str(taken)).faults] == ["UDS_STATE_DIR"]


def test_passwords_are_never_shown() -> None:
    settings = read_settings(
        {"REDIS_URL": "redis+sentinel://someone:hunter2@cache.example:6380/x/1?sentinel_password=hunter2"}
    )
    shown = {row.name: row.value for row in settings.described()}["REDIS_URL"]
    assert "cache.example:6380" in shown
    assert "hunter2" not in shown + repr(settings)
    assert "hunter2" not in str(_fault_of(REDIS_URL="hunter2"))
    assert "hunter2" not in str(_fault_of(REDIS_URL="redis://x:hunter2@host:no"))


def test_redis_without_its_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(_name: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", not_found)
    (fault,) = _fault_of(STATE_STORE_TYPE="redis", REDIS_URL="redis://localhost").faults
    assert "uds-mcp[redis]" in fault.allowed


def test_an_address_of_redis_that_is_wrong_is_told_why() -> None:
    assert "a cluster has only the database 0" in str(_fault_of(REDIS_URL="redis+cluster://:hunter2@host:7000/3"))


def test_hosts_and_origins_are_lists() -> None:
    settings = read_settings(
        {
            "UDS_ALLOWED_HOSTS": "uds.example.com, [::1]:8000 ,other:*",
            "UDS_ALLOWED_ORIGINS": "https://example.com,http://localhost:3000",
        }
    )
    assert settings.allowed_hosts == ("uds.example.com", "[::1]:8000", "other:*")
    assert settings.allowed_origins == ("https://example.com", "http://localhost:3000")


def test_misspelt_variables_of_ours_are_told_and_those_of_others_are_not() -> None:
    settings = read_settings({"UDS_DTA": "/somewhere", "PATH": "/bin", "UDS_WORKERS": "1"})
    assert settings.unknown == ("UDS_DTA",)


_NOT_SET = 3
"""Fields that are found and not set: `unknown`, `own_conversation` and `apm`."""


def test_new_relic_is_told_by_key_accounts_region_and_window() -> None:
    told = {"NEW_RELIC_API_KEY": "NRAK-1234567890", "NEW_RELIC_ACCOUNT_ID": "12, 34,12", "NEW_RELIC_REGION": "eu"}
    settings = read_settings(told | {"NEW_RELIC_WINDOW": "7d", "NEW_RELIC_QUERY_HISTORY": "ON"})
    assert (settings.newrelic_key, settings.newrelic_accounts) == ("NRAK-1234567890", (12, 34))
    assert (settings.newrelic_region, settings.newrelic_window_s, settings.newrelic_history) == ("EU", 604800, True)
    assert "NRAK-1234" not in f"{settings!r}{settings.described()}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NEW_RELIC_API_KEY", "two words"),
        ("NEW_RELIC_API_KEY", "tiny1"),
        ("NEW_RELIC_ACCOUNT_ID", "12,x"),
        ("NEW_RELIC_ACCOUNT_ID", ",".join(str(each) for each in range(1, 22))),
        ("NEW_RELIC_REGION", "MARS"),
        ("NEW_RELIC_REGION", "http://example.com/graphql"),
        ("NEW_RELIC_WINDOW", "10s"),
    ],
)
def test_what_new_relic_cannot_be_told_is_refused_without_showing_a_key(name: str, text: str) -> None:
    with pytest.raises(SettingsFault) as caught:
        read_settings({name: text})
    assert caught.value.faults[0].variable == name
    assert name != "NEW_RELIC_API_KEY" or text not in str(caught.value)


@pytest.mark.parametrize("text", ["http://127.0.0.1:8123/graphql", "http://localhost/graphql", "https://x.example/g"])
def test_a_region_may_be_an_address_over_https_or_on_this_machine(text: str) -> None:
    assert read_settings({"NEW_RELIC_REGION": text}).newrelic_region == text


def test_every_field_is_described_and_every_setting_is_explained() -> None:
    rows = read_settings({}).described()
    assert len(rows) == len({row.name for row in rows}) == len(fields(Settings)) - _NOT_SET
    assert len(rows) <= 25  # five of them belong to one optional source
    assert all(row.meaning and row.default and row.value for row in rows)


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/ann"}, "/home/ann/.local/state/uds-mcp"),
        ("linux", {"HOME": "/home/ann", "XDG_STATE_HOME": "/state"}, "/state/uds-mcp"),
        ("darwin", {"HOME": "/Users/ann"}, "/Users/ann/Library/Application Support/uds-mcp"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/uds-mcp"),
        ("win32", {"USERPROFILE": "/users/ann"}, "/users/ann/AppData/Local/uds-mcp"),
    ],
)
def test_the_state_directory_is_where_the_platform_keeps_state(
    platform: str, environ: dict[str, str], expected: str
) -> None:
    assert default_state_dir(environ, platform) == Path(expected)


def test_the_environment_is_read_in_one_file_only() -> None:
    root = Path(__file__).parents[2]
    readers = [
        path.relative_to(root).as_posix()
        for package in ("server", "tools", "state", "sources")
        for path in (root / package).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["server/settings.py"]

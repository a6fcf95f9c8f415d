"""How a URL of Redis is read, what is wrong with one that is not, and that secrets stay out of sight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.redis.address import Address
from state.redis.address import Tls
from state.redis.address import parse
from state.redis.slots import pointed_to
from state.redis.slots import slot_map
from state.redis.slots import slot_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (
            "redis://localhost",
            Address(kind="single", places=(("localhost", 6379),), shown="redis://localhost"),
        ),
        (
            "redis://:p%40ss@10.0.0.1:7000/3?prefix=team-a&socket_timeout=1.5",
            Address(
                kind="single",
                places=(("10.0.0.1", 7000),),
                password="p@ss",  # noqa: S106 - of nobody
                database=3,
                prefix="team-a",
                deadline_s=1.5,
                shown="redis://***@10.0.0.1:7000/3",
            ),
        ),
        (
            "rediss://u:p@[::1]:6380/?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Address(
                kind="single",
                places=(("::1", 6380),),
                username="u",
                password="p",  # noqa: S106 - of nobody
                tls=Tls(ca_certs="/ca.pem", check_hostname=False),
                shown="rediss://***@[::1]:6380/",
            ),
        ),
        (
            "unix:///run/redis/redis.sock?db=2",
            Address(kind="single", path="/run/redis/redis.sock", database=2, shown="unix:///run/redis/redis.sock"),
        ),
        (
            "redis+sentinel://u:p@a:26380,b/main/1?sentinel_username=su&sentinel_password=sp",
            Address(
                kind="sentinel",
                places=(("a", 26380), ("b", 26379)),
                service="main",
                database=1,
                username="u",
                password="p",  # noqa: S106 - of nobody
                sentinel_username="su",
                sentinel_password="sp",  # noqa: S106 - of nobody
                shown="redis+sentinel://***@a:26380,b/main/1",
            ),
        ),
        (
            "rediss+cluster://h1:7000,h2:7001?ssl_cert_reqs=none",
            Address(
                kind="cluster",
                places=(("h1", 7000), ("h2", 7001)),
                tls=Tls(cert_reqs="none", check_hostname=False),
                shown="rediss+cluster://h1:7000,h2:7001",
            ),
        ),
    ],
)
def test_an_address_is_read(url: str, address: Address) -> None:
    assert parse(url) == address


_SECRET = "hunter2"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must begin with"),
        ("localhost:6379", "must begin with"),
        (f"http://u:{_SECRET}@h", "must begin with"),
        (f"redis://:{_SECRET}@", "names no host"),
        (f"redis://:{_SECRET}@h1,h2", "redis\\+sentinel:// or redis\\+cluster://"),
        (f"redis://:{_SECRET}@h:99999", "optional port"),
        (f"redis://:{_SECRET}@h:x", "optional port"),
        (f"redis://:{_SECRET}@h/x", "database"),
        (f"redis://:{_SECRET}@h/-1", "database"),
        (f"redis+sentinel://:{_SECRET}@h", "service"),
        (f"redis+cluster://:{_SECRET}@h/1", "only the database 0"),
        (f"redis://:{_SECRET}@h?password={_SECRET}", "no option 'password'"),
        (f"redis://:{_SECRET}@h?ssl_ca_certs=x", "no option 'ssl_ca_certs'"),
        (f"redis://:{_SECRET}@h?prefix=a:b", "prefix"),
        (f"redis://:{_SECRET}@h?prefix=", "prefix"),
        (f"redis://:{_SECRET}@h?socket_timeout=0", "socket_timeout"),
        (f"redis://:{_SECRET}@h?socket_timeout=soon", "socket_timeout"),
        (f"redis://:{_SECRET}@h?socket_timeout=nan", "socket_timeout"),
        (f"rediss://:{_SECRET}@h?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        (f"redis://:x?{_SECRET}@h", "%3F"),
        (f"unix://{_SECRET}.sock", "whole path"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as wrong:
        parse(url)
    assert _SECRET not in str(wrong.value)


@given(
    st.text(max_size=60), st.sampled_from(["redis://", "rediss+sentinel://u:p@", "redis+cluster://", "unix:///", ""])
)
def test_nothing_else_is_ever_raised(rest: str, start: str) -> None:
    try:
        parse(start + rest)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either way is right, and nothing else is


_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789%/:@?#,", min_size=12, max_size=20).map(lambda text: f"Z{text}Z")


@given(_TOKEN)
def test_a_secret_is_never_shown(secret: str) -> None:
    for url in (f"redis://u:{secret}@h:1/0", f"redis+sentinel://h/main?sentinel_password={secret}"):
        try:
            address = parse(url)
        except ValueError as error:
            assert secret not in str(error)  # noqa: PT017 - either way is right
            continue
        assert secret not in address.shown
        assert secret not in repr(address)


@pytest.mark.parametrize(
    ("key", "slot"),
    [("123456789", 0x31C3), ("foo", 12182), ("{user1000}.following", 3443), ("{user1000}.followers", 3443)],
)
def test_a_key_falls_into_its_slot(key: str, slot: int) -> None:
    """Source: the cluster specification of Redis gives the first; the others were asked of a server of 7.0."""
    assert slot_of(key) == slot


def test_braces_that_hold_nothing_or_do_not_close_count_as_text() -> None:
    assert slot_of("foo{}{bar}") != slot_of("bar")
    assert slot_of("foo{bar") != slot_of("bar")
    assert slot_of("foo{{bar}}") == slot_of("{bar")
    assert slot_of("uds:{s}:log") == slot_of("s")


def test_nodes_that_leave_their_own_name_out_are_found_where_they_were_asked() -> None:
    answer = [[0, 1, [b"", 7000, b"id"], [b"replica", 7005, b"id"]], [2, 2, [None, 7001, b"id"]], [3, 3, [b"h", 7002]]]
    assert slot_map(answer, ("asked", 1)) == {
        0: ("asked", 7000),
        1: ("asked", 7000),
        2: ("asked", 7001),
        3: ("h", 7002),
    }
    assert pointed_to("MOVED 3999 127.0.0.1:6381", ("asked", 1)) == ("127.0.0.1", 6381)
    assert pointed_to("ASK 3999 :6381", ("asked", 1)) == ("asked", 6381)
    assert pointed_to("MOVED 1 ::1:6381", ("asked", 1)) == ("::1", 6381)

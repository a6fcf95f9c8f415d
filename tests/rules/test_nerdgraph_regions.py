"""Where a region is, and which addresses a key is never sent to."""

import pytest

from sources.newrelic.regions import endpoint


@pytest.mark.parametrize(
    ("text", "url", "region"),
    [
        ("US", "https://api.newrelic.com/graphql", "US"),
        (" eu ", "https://api.eu.newrelic.com/graphql", "EU"),
        ("jp", "https://api.jp.newrelic.com/graphql", "JP"),
        ("gov", "https://gov-api.newrelic.com/graphql", "GOV"),
        ("https://api.eu.newrelic.com/graphql", "https://api.eu.newrelic.com/graphql", "EU"),
        ("https://proxy.example:8443/nr/graphql", "https://proxy.example:8443/nr/graphql", None),
        ("https://proxy.example", "https://proxy.example/graphql", None),
        ("http://127.0.0.1:8123/graphql", "http://127.0.0.1:8123/graphql", None),
        ("http://[::1]:8123/", "http://[::1]:8123/graphql", None),
        ("http://localhost:8123", "http://localhost:8123/graphql", None),
    ],
)
def test_a_region_or_an_address_names_a_nerdgraph(text: str, url: str, region: str | None) -> None:
    found = endpoint(text)
    assert (found.url, found.region) == (url, region)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "XX",
            "US EU",
            "api.newrelic.com",
            "ftp://api.newrelic.com",
            "https://",
            "https://[::1",
            "https://x:port/",
        ),
        *("http://api.newrelic.com/graphql", "http://10.0.0.1/graphql", "http://127.0.0.1.example/"),
        *("https://user:secret-word@proxy.example/", "https://x.example/?key=secret-word", "https://x/#secret-word"),
        f"https://{'x' * 600}/",
    ],
)
def test_an_address_that_no_key_should_go_to_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as told:  # noqa: PT011 - each refusal has words of its own
        endpoint(text)
    assert "secret-word" not in str(told.value)
    assert "10.0.0.1" not in str(told.value)


def test_who_has_a_key_of_another_region_is_told_the_other_settings() -> None:
    assert "NEW_RELIC_REGION=EU (api.eu.newrelic.com)" in endpoint("US").others
    assert "NEW_RELIC_REGION=US" not in endpoint("US").others
    assert "NEW_RELIC_REGION=US" in endpoint("EU").others

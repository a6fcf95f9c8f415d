"""Where New Relic is: the address of each region, and which others to try when a key belongs elsewhere."""

import ipaddress
from dataclasses import dataclass
from typing import Final
from typing import Literal
from urllib.parse import urlsplit

Region = Literal["US", "EU", "JP", "GOV"]

URLS: Final[dict[Region, str]] = {
    "US": "https://api.newrelic.com/graphql",
    "EU": "https://api.eu.newrelic.com/graphql",
    "JP": "https://api.jp.newrelic.com/graphql",
    "GOV": "https://gov-api.newrelic.com/graphql",
}
"""Source: newrelic/newrelic-client-go@dc87be36 pkg/region/region_constants.go."""

ALLOWED: Final = "US, EU, JP, GOV, or the https address of a NerdGraph"
_URL_CHARS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One NerdGraph."""

    url: str
    region: Region | None
    """None: an address of the operator's own."""

    @property
    def shown(self) -> str:
        """For a person, in one word."""
        return self.region or self.host

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def others(self) -> str:
        """The settings that would ask elsewhere, for a key that is not of this place."""
        elsewhere = [f"NEW_RELIC_REGION={region} ({urlsplit(url).netloc})" for region, url in URLS.items()]
        return " or ".join(each for each, url in zip(elsewhere, URLS.values(), strict=True) if url != self.url)


def endpoint(text: str) -> Endpoint:
    """The endpoint of a region's name (any case) or of an address. Raises `ValueError`, which repeats no address.

    A key is a secret, so plain http is for this machine only, and an address may hold no user and no password.
    """
    named = text.strip().upper()
    if named in URLS:
        return Endpoint(url=URLS[named], region=named)
    url = _checked(text.strip())
    return Endpoint(url=url, region=next((region for region, known in URLS.items() if known == url), None))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"no address; use {ALLOWED}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(url) > _URL_CHARS:
        raise ValueError(f"neither a region nor an address; use {ALLOWED}")
    if "@" in parts.netloc:
        raise ValueError("the address holds a user or a password; put the key into NEW_RELIC_API_KEY instead")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ValueError("plain http would send the key unprotected; use https (http is for this machine only)")
    if parts.query or parts.fragment or port == 0:
        raise ValueError(f"the address holds more than a host and a path; use {ALLOWED}")
    return parts._replace(path=parts.path if parts.path.strip("/") else "/graphql").geturl()


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

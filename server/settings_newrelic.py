"""What can be set about New Relic as a source. Nothing is read here."""

from server import settings_values as values
from server.settings_knobs import Knob

_DAY_S = 86400.0

API_KEY = Knob(
    variable="NEW_RELIC_API_KEY",
    default="",
    default_shown="not set",
    parse=values.secret,
    shown=values.secret_text,
    allowed="a user key, which begins with NRAK-",
    meaning="User key for New Relic; with it, its event types and metrics are served instead of the bundled sample",
    unit="key",
    secret=True,
)
ACCOUNT_ID = Knob(
    variable="NEW_RELIC_ACCOUNT_ID",
    default="",
    default_shown="not set",
    parse=values.account_ids,
    shown=values.account_ids_text,
    allowed="account numbers separated by commas, 20 at most; `uds-mcp doctor --source newrelic` lists yours",
    meaning="New Relic accounts to discover; each is a source of its own",
    unit="account ids",
)
REGION = Knob(
    variable="NEW_RELIC_REGION",
    default="US",
    parse=values.region,
    shown=values.one_line,
    allowed="US, EU, JP, GOV, or an https:// address of NerdGraph (http:// on this machine only)",
    meaning="Where the accounts live, or the address of NerdGraph",
)
WINDOW = Knob(
    variable="NEW_RELIC_WINDOW",
    default="1d",
    parse=values.duration_s(60, 396 * _DAY_S),
    shown=values.duration_text,
    allowed="a duration from 1m to 396d, such as 1h, 1d or 7d",
    meaning="How far back New Relic is looked at where a query does not say",
    unit="duration",
)
QUERY_HISTORY = Knob(
    variable="NEW_RELIC_QUERY_HISTORY",
    default="off",
    parse=values.switch,
    shown=lambda on: values.switch_text(on=on),
    allowed="on or off",
    meaning="Whether your own past NRQL queries may be read, to rank first what you ask about most",
)

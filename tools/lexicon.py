"""English words as questions and the names of tables everywhere use them: commerce, people, places, machines.

Nothing here is about one set of schemas.
"""

from collections.abc import Mapping
from typing import Final

_STOP_TEXT: Final = """
a an and are as at be been by can could did do does each every find for from get give had has have how i if in into is
it its me my no not of off on or our out per please should show so some tell than that the their them then there these
they this those to us want was we were what when where whether which while who whose why will with without would you
your
"""
STOP: Final = frozenset(_STOP_TEXT.split())
"""Words that never stand for anything in a schema."""

_ASKING_TEXT: Final = """
about above across after again all almost along also always analyse analysis analyze any around average before below
best between bottom both break change compare compared correlate correlated correlation count did differ
difference different distribution ever explain few fewest first frequent further good great half highest identify
impact know largest last least less list longest lot low lowest main many maximum mean median minimum more most much
near need new next normal number off often old oldest once only other over overall percentage rank rate ratio
relate relationship same see sharpest shortest since small smallest still sum summarise summarize than tend
top total trend twice typical typically under until usually vary very worst yet
appear bring chart come cause draw drive go happen look make plot ran rest run seem spread take use vary work
two three four five six seven eight nine ten twelve twenty hundred thousand million
"""
ASKING: Final = frozenset(_ASKING_TEXT.split())
"""Words of the question itself: what is done with the values, and not which values."""

_TIME_TEXT: Final = """
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday weekday weekend
today yesterday tomorrow now recent recently daily weekly monthly yearly hourly annually
morning afternoon evening night noon midnight spring summer autumn winter quarter
second minute hour day week month year decade century ago during
"""
TIMES: Final = frozenset(_TIME_TEXT.split())
"""Words that say when: a condition on some attribute rather than its name."""

_ABBREVIATIONS_TEXT: Final = """
acct account|addr address|alt altitude|amt amount|arr arrival|avg average|bal balance|cat category|cnt count
cpu processor|ctry country|cust customer|curr currency|db database|dep departure|dept department|desc description
dest destination|dir direction|dist distance|dob birth|doc document|dur duration|emp employee|env environment
err error|evt event|exp expiry|freq frequency|gen gender|geo location|grp group|hist history|hr hour|hum humidity
humid humidity|img image|inv invoice|lang language|lat latitude|lng longitude|loc location|lon longitude|lvl level
max maximum|mem memory|mfr manufacturer|mgr manager|min minimum|mo month|msg message|mth month|nbr number|no number
nr number|num number|obj object|ops operation|org organization|orig origin|pct percent|pmt payment|pos position
precip precipitation|pres pressure|prod product|ps postscript|pwd password|qtr quarter|qty quantity|rcpt receipt
ref reference|req request|resp response|rev revenue|sched schedule|seq sequence|spd speed|src source|sta station
std standard|subj subject|svc service|tel telephone|temp temperature|tot total|ts timestamp|txn transaction
tx transaction|tz timezone|usr user|util utilization|val value|veh vehicle|vel velocity|ver version|vis visibility
visib visibility|vol volume|wk week|wt weight|yr year
"""
EXPANSIONS: Final[Mapping[str, str]] = {
    short: long
    for line in _ABBREVIATIONS_TEXT.strip().splitlines()
    for short, long in (pair.split() for pair in line.split("|"))
}

LIKE: Final = """
customer client buyer shopper subscriber
employee staff worker personnel headcount colleague
manager boss supervisor lead
salary wage pay earn compensation remuneration
job position role occupation title
department division team
person people name
supplier vendor provider
product item article goods
price cost charge fee fare
revenue income sale earning turnover amount proceeds price payment
sale order purchase
discount rebate reduction
quantity amount count unit
stock inventory copy availability
store shop branch outlet
shipment delivery freight shipping
ship send deliver
category kind type class genre group
film movie
rent hire lease loan
invoice bill
payment transaction
country nation
city town municipality
region area territory zone district
address street location
location place site office
live reside residence address
phone telephone call
email mail
language tongue
birth born age
date time day when
begin start open
end finish close stop
leave depart departure
arrive arrival
late delay overdue lateness
early ahead
cancel cancellation abort
trip journey ride travel
route line path way
shape geometry polygon outline path
stop station halt
schedule timetable calendar
holiday exception vacation
airline carrier operator company
operator agency company
plane aircraft airplane jet
fly flight
takeoff departure
car vehicle automobile
driver chauffeur
bus coach
distance far length mileage
speed velocity pace
slow slowest latency duration delay
latency duration response elapsed
fast fastest speed
busy busiest load traffic
error failure fault exception crash
success successful ok
log message print output
request call operation
service application component
host server machine node
pod container instance
processor cpu compute
memory ram
disk storage
network traffic bandwidth
user account member login
password secret
document file
rating score grade stars
comment remark note review
weather climate temperature
rain precipitation
hot cold temperature
map latitude longitude geometry
seat capacity passenger
size length width height
picture photo image
history past previous change
"""
"""Words on one line often mean the same thing to people who ask and people who name; a word may be on several."""

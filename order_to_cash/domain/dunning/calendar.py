"""When a person may be reached: business hours on the wall clock of a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import Field, field_serializer, field_validator, model_validator

from order_to_cash.domain.records import Record

DAY = timedelta(days=1)


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEKDAYS = tuple(Weekday)


def known_zone(name: str | None) -> str | None:
    """`name` where it is a time zone of the IANA database, else None."""
    try:
        return ZoneInfo(name).key if name else None
    except (
        ValueError,
        OSError,
        LookupError,
    ):  # ZoneInfoNotFoundError is a KeyError; a path or a folder the others
        return None


class ContactHours(Record):
    """The hours in which a person may be reached: from `opens` until before `closes`, on `days`, not on `holidays`.

    `time_zone` is an IANA name. It is our own people's, and that of a customer whose zone is not known.
    """

    time_zone: str = "UTC"
    days: tuple[Weekday, ...] = _WEEKDAYS[:5]
    opens: time = time(9)
    closes: time = time(17)
    holidays: tuple[date, ...] = Field(default=(), max_length=200)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if known_zone(name) is None:
            raise ValueError(
                f"{name[:40]!r} is no time zone: write one such as Europe/Berlin or America/New_York"
            )
        return name

    @field_validator("days")
    @classmethod
    def _some_days(cls, days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if not days:
            raise ValueError("name at least one day, such as mon")
        return tuple(day for day in _WEEKDAYS if day in days)

    @field_validator("opens", "closes")
    @classmethod
    def _whole_minutes(cls, at: time) -> time:
        if at.tzinfo is not None or at.second or at.microsecond:
            raise ValueError("write a time of day such as 09:00")
        return at

    @field_validator("opens", "closes", mode="before")
    @classmethod
    def _as_text(cls, at: object) -> object:
        if not isinstance(at, str | time):  # pydantic takes a number as seconds
            raise ValueError('write a time of day such as "09:00"')
        return at

    @field_validator("holidays")
    @classmethod
    def _sorted(cls, days: tuple[date, ...]) -> tuple[date, ...]:
        return tuple(sorted(set(days)))

    @field_serializer("opens", "closes", when_used="json")
    def _as_written(self, at: time) -> str:
        return f"{at:%H:%M}"

    @model_validator(mode="after")
    def _opens_first(self) -> ContactHours:
        # An hour at least: where clocks go forward, shorter hours could fall into the gap altogether.
        opens, closes = (at.hour * 60 + at.minute for at in (self.opens, self.closes))
        if closes - opens < 60:
            raise ValueError("closes must be at least an hour later than opens, on the same day")
        return self

    def zone(self, time_zone: str | None = None) -> ZoneInfo:
        """The zone of that name; our own where it is None or unknown."""
        return ZoneInfo(known_zone(time_zone) or self.time_zone)

    def are_open(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether the wall clock of `zone` shows business hours at `at`."""
        local = at.astimezone(zone)
        return self._works(local.date()) and self.opens <= local.time() < self.closes

    def next_open(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The first opening from `at` on, or `at` itself where it is within the hours; in UTC.

        Where clocks go forward over the opening, that is the same distance after the gap.
        """
        if self.are_open(at, zone):
            return at.astimezone(UTC)
        return next(opening for opening in self._openings(at, zone, 1) if opening >= at)

    def last_open(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The last opening before `at`, or `at` itself where it is within the hours; in UTC."""
        if self.are_open(at, zone):
            return at.astimezone(UTC)
        return next(opening for opening in self._openings(at, zone, -1) if opening <= at)

    def _openings(self, at: datetime, zone: ZoneInfo, direction: int) -> Iterator[datetime]:
        """Openings from the day of `at` on: forward (1) or backward (-1), as many as reach beyond every holiday."""
        today = at.astimezone(zone).date()
        for distance in range(7 * (len(self.holidays) + 3)):
            day = today + direction * distance * DAY
            opening = datetime.combine(day, self.opens, zone).astimezone(UTC)
            if self._works(day) and self.are_open(opening, zone):
                yield opening

    def _works(self, day: date) -> bool:
        return _WEEKDAYS[day.weekday()] in self.days and day not in self.holidays


def next_day(at: datetime, zone: ZoneInfo) -> datetime:
    """When the day after that of `at` begins on the wall clock of `zone`, in UTC."""
    tomorrow = at.astimezone(zone).date() + DAY
    return datetime.combine(tomorrow, time(0), zone).astimezone(UTC)

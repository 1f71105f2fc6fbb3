//! Calendar arithmetic and date formatting behind `os.date` and `os.time`.
//!
//! The caller reads the clock, the time zone and the fields of Lua tables; everything here is a pure
//! function of its arguments.
//!
//! Invariants:
//! * the locale is C's, so the `E` and `O` modifiers change nothing.
//! * a [`Calendar`] is always normalised, and its year less 1900 fits a C `int`.
//!
//! Days are counted in eras of 400 years that begin on the first of March, so that the leap day
//! ends a year; the proleptic Gregorian calendar repeats exactly per era.

use crate::lstr::format::{Conversion, Flags, Spec, push_decimal, push_integer};
use crate::lstr::{NoRoom, Output};
use crate::timezone::Offset;

/// More bytes than any conversion gives.
const CONVERSION_MAX: usize = 256;

const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_ERA: i64 = 146_097;
/// Days from the first of March of year 0 to the first of January 1970.
const EPOCH_DAY: i64 = 719_468;

const DAY_NAMES: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTH_NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What went wrong; the texts are those of Lua 5.4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// A conversion that `os.date` does not know, with the rest of the format; about argument 1.
    #[error("invalid conversion specifier '%{0}'")]
    InvalidSpecifier(String),
    /// A time whose year has no representation.
    #[error("date result cannot be represented in this installation")]
    Date,
    /// Fields whose time has no representation.
    #[error("time result cannot be represented in this installation")]
    Time,
    /// A required field is absent.
    #[error("field '{0}' missing in date table")]
    MissingField(&'static str),
    /// A field that is not an integer.
    #[error("field '{0}' is not an integer")]
    NotAnInteger(&'static str),
    /// A field that does not fit a C `int`.
    #[error("field '{0}' is out-of-bound")]
    OutOfBound(&'static str),
}

/// Which time a format asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// A format that began with `!`.
    Utc,
    /// Any other format.
    Local,
}

/// A moment broken down as in the table that `os.date("*t")` returns, but for `isdst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// The year; year 0 precedes year 1.
    pub year: i64,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 59.
    pub second: u8,
    /// The day of the week, 1 for Sunday.
    pub weekday: u8,
    /// The day of the year, from 1.
    pub yearday: u16,
}

impl Calendar {
    /// The moment `time` seconds after the start of 1970.
    ///
    /// # Errors
    /// [`DateError::Date`] if the year is beyond what C can represent.
    pub fn from_time(time: i64) -> Result<Calendar, DateError> {
        let days = time.div_euclid(SECONDS_PER_DAY);
        let second_of_day = time.rem_euclid(SECONDS_PER_DAY);
        let day_count = days + EPOCH_DAY;
        let era = day_count.div_euclid(DAYS_PER_ERA);
        let day_of_era = day_count.rem_euclid(DAYS_PER_ERA);
        // Take out the leap days of the era: one in 1461 days, but none in 36524, but one in
        // 146096.
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year =
            day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March on have 31 30 31 30 31 days, repeating: 153 days in five months.
        let month_from_march = (5 * day_of_march_year + 2) / 153;
        let day = day_of_march_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = 400 * era + year_of_era + i64::from(month <= 2);
        if i32::try_from(year - 1900).is_err() {
            return Err(DateError::Date);
        }
        Ok(Calendar {
            year,
            month: month as u8,
            day: day as u8,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
            // The first day of 1970 was a Thursday.
            weekday: ((days + 4).rem_euclid(7) + 1) as u8,
            yearday: (days - days_before(year, 1) + 1) as u16,
        })
    }

    /// The year that `%G` shows and the week that `%V` shows: weeks begin on Monday and belong to
    /// the year of their Thursday.
    fn iso_week(&self) -> (i64, i64) {
        let monday_based = (i64::from(self.weekday) + 5) % 7;
        let thursday = i64::from(self.yearday) - 1 - monday_based + 3;
        let length = length_of_year(self.year);
        if thursday < 0 {
            (self.year - 1, (thursday + length_of_year(self.year - 1)) / 7 + 1)
        } else if thursday >= length {
            (self.year + 1, (thursday - length) / 7 + 1)
        } else {
            (self.year, thursday / 7 + 1)
        }
    }

    /// The week of the year if weeks begin on the weekday `first`, 0 for Sunday; days before the
    /// first such day are in week 0.
    fn week(&self, first: i64) -> i64 {
        let since_week_start = (i64::from(self.weekday) - 1 - first).rem_euclid(7);
        (i64::from(self.yearday) - 1 + 7 - since_week_start) / 7
    }

    fn twelve_hour(&self) -> i64 {
        (i64::from(self.hour) + 11) % 12 + 1
    }
}

fn length_of_year(year: i64) -> i64 {
    days_before(year + 1, 1) - days_before(year, 1)
}

/// Days from the start of 1970 to the first day of `month`, from 1, of `year`.
fn days_before(year: i64, month: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_era =
        365 * year_of_era + year_of_era / 4 - year_of_era / 100 + (153 * month_from_march + 2) / 5;
    era * DAYS_PER_ERA + day_of_era - EPOCH_DAY
}

/// What a table that was given to `os.time` has under some key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValue {
    /// Nothing.
    Absent,
    /// An integer, or a float or string that converts to one.
    Integer(i64),
    /// Anything else.
    Other,
}

/// What the field `isdst` says about the other fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaylightSaving {
    /// True: the clock was put forward.
    InEffect,
    /// False: it was not.
    NotInEffect,
    /// Absent: as the time zone has it.
    Unknown,
}

/// How much the clock is put forward if the fields say that it is, but the time zone never does
/// that.
const DAYLIGHT_SHIFT: i64 = 3600;

/// The moment at which local clocks show this many seconds after the start of 1970. If the clocks
/// were put back, there are two such moments: `daylight_saving` decides, else it is the second one.
/// If they were put forward, there is none: the result is as if they had not been. Fields that
/// contradict the time zone about daylight saving time are taken in the offset that the zone has at
/// another time of the year.
fn moment(shown: i64, daylight_saving: DaylightSaving, offset: &impl Fn(i64) -> Offset) -> i64 {
    // No zone changes its offset twice within two days.
    let before = offset(shown.saturating_sub(SECONDS_PER_DAY));
    let after = offset(shown.saturating_add(SECONDS_PER_DAY));
    let shows = |offset_then: &Offset| {
        let time = shown - offset_then.seconds;
        (offset(time).seconds == offset_then.seconds).then_some(time)
    };
    let candidates = [shows(&before), shows(&after)];
    let found = candidates.into_iter().flatten();
    let wanted = match daylight_saving {
        DaylightSaving::Unknown => return found.max().unwrap_or(shown - before.seconds),
        DaylightSaving::InEffect => true,
        DaylightSaving::NotInEffect => false,
    };
    let time = found.clone().find(|time| offset(*time).is_dst == wanted);
    time.unwrap_or_else(|| {
        let time = found.max().unwrap_or(shown - before.seconds);
        let here = offset(time);
        if here.is_dst == wanted {
            return time;
        }
        let weeks = (1..=80).flat_map(|weeks| [-weeks, weeks]);
        let other = weeks
            .map(|weeks| offset(time.saturating_add(weeks * 7 * SECONDS_PER_DAY)))
            .find(|other| other.is_dst == wanted);
        match other {
            Some(other) => shown - other.seconds,
            None if wanted => time - DAYLIGHT_SHIFT,
            None => time + DAYLIGHT_SHIFT,
        }
    })
}

/// The fields of a table given to `os.time`, not normalised, counted as C's `struct tm` does: years
/// from 1900, months from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: i32,
}

impl Fields {
    /// Reads the fields through `get`, in the order of the reference implementation.
    ///
    /// # Errors
    /// A [`DateError`] about a field, or an error of `get`.
    pub fn read<E: From<DateError>>(
        mut get: impl FnMut(&'static str) -> Result<FieldValue, E>,
    ) -> Result<Fields, E> {
        let mut field = |name, default: Option<i32>, base: i64| -> Result<i32, E> {
            match get(name)? {
                FieldValue::Absent => Ok(default.ok_or(DateError::MissingField(name))?),
                FieldValue::Other => Err(DateError::NotAnInteger(name).into()),
                FieldValue::Integer(value) => {
                    let based = value.checked_sub(base).and_then(|value| i32::try_from(value).ok());
                    Ok(based.ok_or(DateError::OutOfBound(name))?)
                }
            }
        };
        Ok(Fields {
            year: field("year", None, 1900)?,
            month: field("month", None, 1)?,
            day: field("day", None, 0)?,
            hour: field("hour", Some(12), 0)?,
            minute: field("min", Some(0), 0)?,
            second: field("sec", Some(0), 0)?,
        })
    }

    /// The time these fields name and its normalised form, which `os.time` stores back into the
    /// table. `offset` is that of local time at some moment.
    ///
    /// # Errors
    /// [`DateError::Time`] if the year of the result is beyond what C can represent, and for the
    /// last second of 1969, which C cannot tell from an error.
    pub fn to_time(
        self,
        daylight_saving: DaylightSaving,
        offset: impl Fn(i64) -> Offset,
    ) -> Result<(i64, Calendar), DateError> {
        let months = i64::from(self.month);
        let year = i64::from(self.year) + 1900 + months.div_euclid(12);
        let days = days_before(year, months.rem_euclid(12) + 1) + i64::from(self.day) - 1;
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let time = moment(days * SECONDS_PER_DAY + seconds, daylight_saving, &offset);
        if time == -1 {
            return Err(DateError::Time);
        }
        let calendar = Calendar::from_time(time + offset(time).seconds);
        calendar.map(|calendar| (time, calendar)).map_err(|_| DateError::Time)
    }
}

/// Splits the leading `!` off a format given to `os.date`.
pub fn split_zone(format: &[u8]) -> (Zone, &[u8]) {
    match format {
        [b'!', rest @ ..] => (Zone::Utc, rest),
        _ => (Zone::Local, format),
    }
}

/// Appends `calendar`, in local time with this offset, in the given `format`, which has no leading `!` and
/// is not `*t`.
///
/// # Errors
/// [`DateError::InvalidSpecifier`], or if `out` has no room.
pub fn format_date<E: From<DateError> + From<NoRoom>>(
    out: &mut impl Output,
    format: &[u8],
    calendar: &Calendar,
    zone: &Offset,
) -> Result<(), E> {
    let mut rest = format;
    while let Some((&byte, after)) = rest.split_first() {
        let out = out.room(CONVERSION_MAX)?;
        if byte != b'%' {
            out.push(byte);
            rest = after;
            continue;
        }
        let (letter, length) = conversion(after).ok_or_else(|| {
            let shown = after.split(|&byte| byte == 0).next().unwrap_or_default();
            DateError::InvalidSpecifier(String::from_utf8_lossy(shown).into_owned())
        })?;
        push_conversion(out, letter, calendar, zone);
        rest = &after[length..];
    }
    Ok(())
}

/// The conversion letter at the start of `text`, and how many bytes it takes with its modifier.
fn conversion(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'E', letter, ..] => b"cCxXyY".contains(&letter).then_some((letter, 2)),
        [b'O', letter, ..] => b"deHImMSuUVwWy".contains(&letter).then_some((letter, 2)),
        [letter, ..] => {
            b"aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%".contains(&letter).then_some((letter, 1))
        }
        [] => None,
    }
}

fn push_conversion(out: &mut Vec<u8>, letter: u8, calendar: &Calendar, zone: &Offset) {
    let day_name = DAY_NAMES[usize::from(calendar.weekday) - 1];
    let month_name = MONTH_NAMES[usize::from(calendar.month) - 1];
    let mut composite = |letters: &[u8]| {
        for &part in letters {
            if part.is_ascii_alphabetic() {
                push_conversion(out, part, calendar, zone);
            } else {
                out.push(part);
            }
        }
    };
    match letter {
        b'c' => composite(b"a b e T Y"),
        b'D' | b'x' => composite(b"m/d/y"),
        b'F' => composite(b"Y-m-d"),
        b'r' => composite(b"I:M:S p"),
        b'R' => composite(b"H:M"),
        b'T' | b'X' => composite(b"H:M:S"),
        b'a' => out.extend_from_slice(&day_name.as_bytes()[..3]),
        b'A' => out.extend_from_slice(day_name.as_bytes()),
        b'b' | b'h' => out.extend_from_slice(&month_name.as_bytes()[..3]),
        b'B' => out.extend_from_slice(month_name.as_bytes()),
        b'C' => push_decimal(out, calendar.year.div_euclid(100)),
        b'd' => push_zeros(out, 2, i64::from(calendar.day)),
        b'e' => push_padded(out, Flags::default(), 2, i64::from(calendar.day)),
        b'g' => push_zeros(out, 2, calendar.iso_week().0.rem_euclid(100)),
        b'G' => push_decimal(out, calendar.iso_week().0),
        b'H' => push_zeros(out, 2, i64::from(calendar.hour)),
        b'I' => push_zeros(out, 2, calendar.twelve_hour()),
        b'j' => push_zeros(out, 3, i64::from(calendar.yearday)),
        b'm' => push_zeros(out, 2, i64::from(calendar.month)),
        b'M' => push_zeros(out, 2, i64::from(calendar.minute)),
        b'n' => out.push(b'\n'),
        b'p' => out.extend_from_slice(if calendar.hour < 12 { b"AM" } else { b"PM" }),
        b'S' => push_zeros(out, 2, i64::from(calendar.second)),
        b't' => out.push(b'\t'),
        b'u' => push_decimal(out, (i64::from(calendar.weekday) + 5) % 7 + 1),
        b'U' => push_zeros(out, 2, calendar.week(0)),
        b'V' => push_zeros(out, 2, calendar.iso_week().1),
        b'w' => push_decimal(out, i64::from(calendar.weekday) - 1),
        b'W' => push_zeros(out, 2, calendar.week(1)),
        b'y' => push_zeros(out, 2, calendar.year.rem_euclid(100)),
        b'Y' => push_decimal(out, calendar.year),
        b'z' => {
            let minutes = zone.seconds.abs() / 60;
            out.push(if zone.seconds < 0 { b'-' } else { b'+' });
            push_zeros(out, 4, minutes / 60 * 100 + minutes % 60);
        }
        b'Z' => out.extend_from_slice(zone.name.as_bytes()),
        literal => out.push(literal),
    }
}

fn push_zeros(out: &mut Vec<u8>, width: usize, value: i64) {
    push_padded(out, Flags::ZERO, width, value);
}

fn push_padded(out: &mut Vec<u8>, flags: Flags, width: usize, value: i64) {
    push_integer(out, &Spec { flags, width, ..Spec::plain(Conversion::Signed) }, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    impl From<NoRoom> for DateError {
        fn from(_: NoRoom) -> Self {
            unreachable!("a vector has room")
        }
    }

    fn show(format: &str, time: i64) -> String {
        let (zone, rest) = split_zone(format.as_bytes());
        let mut out = Vec::new();
        let zone = match zone {
            Zone::Utc => Offset::utc(),
            Zone::Local => Offset { name: "UTC".to_owned(), ..Offset::utc() },
        };
        let result = Calendar::from_time(time)
            .and_then(|calendar| format_date::<DateError>(&mut out, rest, &calendar, &zone));
        match result {
            Ok(()) => String::from_utf8(out).expect("dates are text"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn conversions_match_the_reference() {
        for (format, time, expected) in [
            ("!%c", 0, "Thu Jan  1 00:00:00 1970"),
            ("%Y-%m-%d %H:%M:%S", 1_000_000_000, "2001-09-09 01:46:40"),
            (
                "%F %T|%D %R|%x %X|%r",
                1_718_454_896,
                "2024-06-15 12:34:56|06/15/24 12:34|06/15/24 12:34:56|12:34:56 PM",
            ),
            (
                "%a %A %b %B %h %C %y %g %G",
                1_718_454_896,
                "Sat Saturday Jun June Jun 20 24 24 2024",
            ),
            ("%e|%d|%I|%p|%j|%u|%w|%U|%V|%W", 1_718_454_896, "15|15|12|PM|167|6|6|23|24|24"),
            ("%I %p", 1800, "12 AM"),
            ("%z|!%Z|%Z", 0, "+0000|!UTC|UTC"),
            ("!%Z", 0, "GMT"),
            ("%Ec|%Ey|%EY|%Od|%OH", 0, "Thu Jan  1 00:00:00 1970|70|1970|01|00"),
            ("%%|%n|%t|", 0, "%|\n|\t|"),
            // The first days of a year may belong to the last week of the one before, and the last
            // days to the first week of the next.
            ("%G-%V %U %W", 1_609_459_200, "2020-53 00 00"),
            ("%G-%V %U %W", 1_735_603_200, "2025-01 52 53"),
            ("%C %y %Y %F %j", -62_193_096_000, "-1 99 -1 -1-03-07 066"),
            ("%C %y %Y", -62_003_707_200, "0 05 5"),
        ] {
            assert_eq!(show(format, time), expected, "{format} {time}");
        }
    }

    #[test]
    fn unknown_conversions_have_the_reference_messages() {
        for (format, shown) in [
            ("%Ez", "%Ez"),
            ("%Q rest", "%Q rest"),
            ("%", "%"),
            ("%E", "%E"),
            ("%O5", "%O5"),
            ("%s", "%s"),
            ("%\0", "%"),
        ] {
            assert_eq!(
                show(format, 0),
                format!("invalid conversion specifier '{shown}'"),
                "{format:?}"
            );
        }
    }

    #[test]
    fn times_beyond_c_have_no_date() {
        let (first, last) = (-67_768_040_609_740_800, 67_768_036_191_676_799);
        assert_eq!(
            Calendar::from_time(first).map(|calendar| calendar.year),
            Ok(i64::from(i32::MIN) + 1900)
        );
        assert_eq!(
            Calendar::from_time(last).map(|calendar| calendar.year),
            Ok(i64::from(i32::MAX) + 1900)
        );
        for time in [first - 1, last + 1, i64::MIN, i64::MAX] {
            assert_eq!(Calendar::from_time(time), Err(DateError::Date), "{time}");
        }
    }

    #[test]
    fn every_day_of_an_era_comes_back() {
        let mut previous = Calendar::from_time(-SECONDS_PER_DAY).expect("in range");
        for day in 0..DAYS_PER_ERA {
            let calendar = Calendar::from_time(day * SECONDS_PER_DAY).expect("in range");
            assert_eq!(
                days_before(calendar.year, i64::from(calendar.month)) + i64::from(calendar.day) - 1,
                day
            );
            let continues =
                calendar.yearday == previous.yearday + 1 && calendar.year == previous.year;
            let begins = calendar.yearday == 1
                && calendar.day == 1
                && calendar.month == 1
                && calendar.year == previous.year + 1;
            assert!(continues || begins, "{previous:?} {calendar:?}");
            assert_eq!(calendar.weekday, previous.weekday % 7 + 1);
            previous = calendar;
        }
    }

    fn time(
        fields: [i64; 6],
        daylight_saving: DaylightSaving,
    ) -> Result<(i64, Calendar), DateError> {
        let names = ["year", "month", "day", "hour", "min", "sec"];
        Fields::read(|name| {
            let index = names.iter().position(|&known| known == name).expect("a known field");
            Ok::<_, DateError>(FieldValue::Integer(fields[index]))
        })
        .and_then(|fields| fields.to_time(daylight_saving, |_| Offset::utc()))
    }

    #[test]
    fn fields_are_normalised() {
        let (seconds, calendar) =
            time([2024, 14, -3, 100, -5, 10_000], DaylightSaving::NotInEffect).expect("in range");
        assert_eq!(seconds, 1_738_392_100);
        let expected = Calendar {
            year: 2025,
            month: 2,
            day: 1,
            hour: 6,
            minute: 41,
            second: 40,
            weekday: 7,
            yearday: 32,
        };
        assert_eq!(calendar, expected);
        let noon = |daylight_saving| {
            time([2000, 1, 1, 12, 0, 0], daylight_saving).map(|(seconds, _)| seconds)
        };
        assert_eq!(noon(DaylightSaving::NotInEffect), Ok(946_728_000));
        assert_eq!(noon(DaylightSaving::InEffect), Ok(946_724_400));
        let extreme = i64::from(i32::MAX);
        let (seconds, _) =
            time([2000, 1, extreme, extreme, extreme, extreme], DaylightSaving::NotInEffect)
                .expect("in range");
        assert_eq!(seconds, 193_405_471_330_867);
    }

    #[test]
    fn times_that_c_cannot_tell() {
        assert_eq!(
            time([1969, 12, 31, 23, 59, 59], DaylightSaving::NotInEffect),
            Err(DateError::Time)
        );
        assert_eq!(
            time([2_147_485_547, 12, 31, 23, 59, 60], DaylightSaving::NotInEffect),
            Err(DateError::Time)
        );
        assert_eq!(
            time([2_147_485_548, 1, 1, 0, 0, 0], DaylightSaving::NotInEffect),
            Err(DateError::OutOfBound("year"))
        );
        assert_eq!(
            time([2000, i64::MIN, 1, 0, 0, 0], DaylightSaving::NotInEffect),
            Err(DateError::OutOfBound("month"))
        );
    }

    #[test]
    fn fields_are_read_in_order_with_defaults() {
        let read = |given: &[(&str, FieldValue)]| {
            Fields::read(|name| {
                let value = given
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map_or(FieldValue::Absent, |&(_, value)| value);
                Ok::<_, DateError>(value)
            })
        };
        let date = [
            ("year", FieldValue::Integer(1970)),
            ("month", FieldValue::Integer(1)),
            ("day", FieldValue::Integer(1)),
        ];
        let at_noon = read(&date)
            .and_then(|fields| fields.to_time(DaylightSaving::NotInEffect, |_| Offset::utc()))
            .map(|(seconds, _)| seconds);
        assert_eq!(at_noon, Ok(43_200));
        assert_eq!(read(&date[..1]), Err(DateError::MissingField("month")));
        assert_eq!(
            read(&[date[0], ("month", FieldValue::Other)]),
            Err(DateError::NotAnInteger("month"))
        );
    }
}

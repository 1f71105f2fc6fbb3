//! [`Offset`]: how far local time is from UTC at some moment.
//!
//! The system's time zone comes from the crate `jiff`: it reads `TZ`, the system's setting and its database of
//! time zones, on Unix and Windows alike, in safe code, without the C library, which must not be
//! asked for local time while another thread changes the environment.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Local time at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Seconds that it is ahead of UTC.
    pub seconds: i64,
    /// Whether it is daylight saving time.
    pub is_dst: bool,
    /// What the zone is called then.
    pub name: String,
}

impl Offset {
    /// UTC, under the name that C has for it.
    #[must_use]
    pub fn utc() -> Offset {
        Offset { seconds: 0, is_dst: false, name: "GMT".to_owned() }
    }

    /// The offset of the system's time zone, `time` seconds after the start of 1970. A time outside
    /// of the years that the database covers is replaced by the nearest one that it covers.
    #[must_use]
    pub fn local(time: i64) -> Offset {
        let range = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
        let time = time.clamp(*range.start(), *range.end());
        let moment = Timestamp::from_second(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let zone = TimeZone::system();
        let info = zone.to_offset_info(moment);
        Offset {
            seconds: info.offset().seconds().into(),
            is_dst: info.dst().is_dst(),
            name: info.abbreviation().to_owned(),
        }
    }
}

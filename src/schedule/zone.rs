//! The zone of a job. Its clock is in `wall`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::ScheduleError;
use crate::base::nearest::nearest;
use crate::base::tz::Tz;

/// The word for the machine's own zone.
const LOCAL: &str = "local";

/// The zone of a job: one of the IANA database, or the machine's present zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Zone {
    /// This zone, wherever the machine is.
    Named(Tz),
    /// The machine's zone, which may change when the machine travels.
    Local,
}

impl Zone {
    /// Its IANA name, or `local`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Named(zone) => zone.name(),
            Self::Local => LOCAL,
        }
    }

    /// The zone in effect on a machine whose own zone is `local_name` (an IANA name).
    ///
    /// # Errors
    /// [`ScheduleError::Zone`] for [`Zone::Local`] when `local_name` is not a zone.
    pub fn resolve(&self, local_name: &str) -> Result<Tz, ScheduleError> {
        match self {
            Self::Named(zone) => Ok(*zone),
            Self::Local => named(local_name),
        }
    }
}

impl FromStr for Zone {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if text.eq_ignore_ascii_case(LOCAL) { Ok(Self::Local) } else { named(text).map(Self::Named) }
    }
}

impl TryFrom<String> for Zone {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.as_str().to_owned()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn city(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The zone of this name, in any case.
fn named(text: &str) -> Result<Tz, ScheduleError> {
    if let Ok(zone) = text.parse::<Tz>() {
        return Ok(zone);
    }
    let names = Tz::names();
    let names = || names.iter().map(String::as_str);
    if let Some(zone) =
        names().find(|name| name.eq_ignore_ascii_case(text)).and_then(|name| name.parse().ok())
    {
        return Ok(zone);
    }
    let wanted = text.replace(' ', "_");
    // `Spain/Madrid` and `Madrid` mean the zone of that city. Otherwise the nearest name, then the nearest city.
    let wanted_city = city(&wanted);
    let near = names()
        .find(|name| city(name).eq_ignore_ascii_case(wanted_city))
        .or_else(|| nearest(&wanted, names()))
        .or_else(|| {
            let near = nearest(wanted_city, names().map(city))?;
            names().find(|name| city(name) == near)
        });
    let hint = match near {
        Some(near) => format!("; did you mean {near}?"),
        None if text.starts_with(['+', '-']) => {
            "; write a zone's name such as Europe/Madrid, or UTC: an offset does not follow summer time"
                .to_owned()
        }
        None => "; write an IANA name such as Europe/Madrid, or UTC, or local".to_owned(),
    };
    Err(ScheduleError::Zone { text: text.to_owned(), hint })
}

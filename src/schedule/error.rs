//! What can be wrong with a schedule.

/// Why a schedule, a zone or a policy is refused. Each says what is wrong and what is right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No such type of schedule.
    #[error("schedule type {text:?} is unknown{hint}; the types are {known}")]
    UnknownType {
        /// What stood there.
        text: String,
        /// The nearest right name, after a semicolon; or nothing.
        hint: String,
        /// All right names.
        known: &'static str,
    },
    /// The configuration does not fit its type.
    #[error("the schedule of type {kind} is malformed: {message}")]
    Config {
        /// The type.
        kind: &'static str,
        /// What is wrong and what is right.
        message: String,
    },
    /// A text of the command line or of a file that says when.
    #[error("{0}")]
    Text(String),
    /// A cron expression.
    #[error("cron expression {expression:?}: {message}")]
    Cron {
        /// The whole expression.
        expression: String,
        /// The field, its value and what is right.
        message: String,
    },
    /// No such zone.
    #[error("time zone {text:?} is unknown{hint}")]
    Zone {
        /// What stood there.
        text: String,
        /// The nearest right name, or what a name looks like, after a semicolon.
        hint: String,
    },
    /// The instant of a `once` has passed.
    #[error("{at} is past (it is {now}); a schedule of type once needs an instant to come")]
    Past {
        /// The instant.
        at: String,
        /// The present one.
        now: String,
    },
    /// A word that names none of several choices.
    #[error("{what} {text:?} is unknown{hint}; write {known}")]
    Word {
        /// What it was to name.
        what: &'static str,
        /// What stood there.
        text: String,
        /// The nearest right word, after a semicolon; or nothing.
        hint: String,
        /// All right words.
        known: String,
    },
}

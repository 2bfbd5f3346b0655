//! The errors of schedules.

/// Why a schedule, a zone or a policy is refused. Each message says what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No such type of schedule.
    #[error("schedule type {text:?} is unknown{hint}; the types are {known}")]
    UnknownType {
        /// The text as written.
        text: String,
        /// The nearest valid name, after a semicolon; or empty.
        hint: String,
        /// All valid names.
        known: &'static str,
    },
    /// The configuration does not fit its type.
    #[error("the schedule of type {kind} is malformed: {message}")]
    Config {
        /// The type.
        kind: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A schedule written as text, on the command line or in a file.
    #[error("{0}")]
    Text(String),
    /// A cron expression.
    #[error("cron expression {expression:?}: {message}")]
    Cron {
        /// The whole expression.
        expression: String,
        /// The field, its value and what would be right.
        message: String,
    },
    /// No such zone.
    #[error("time zone {text:?} is unknown{hint}")]
    Zone {
        /// The text as written.
        text: String,
        /// The nearest valid name, or what a name looks like, after a semicolon.
        hint: String,
    },
    /// The instant of a `once` has passed.
    #[error("{at} is in the past (it is {now}); a schedule of type once needs an instant in the future")]
    Past {
        /// The instant.
        at: String,
        /// The present instant.
        now: String,
    },
    /// A word that is none of the possible choices.
    #[error("{what} {text:?} is unknown{hint}; write {known}")]
    Word {
        /// What the word stands for.
        what: &'static str,
        /// The text as written.
        text: String,
        /// The nearest valid word, after a semicolon; or empty.
        hint: String,
        /// All valid words.
        known: String,
    },
}

//! Why a request was not done: a sentence, and the exit code of a verb.

use std::error::Error as StdError;
use std::fmt;

use super::exit_code::{FAILED, HasExitCode, USAGE};

/// A refusal or a failure: a sentence that says what was requested, on what, why it failed and what to do now.
#[derive(Debug)]
pub struct Error {
    exit_code: u8,
    cause: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// The request makes no sense; exit code 2.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self { exit_code: USAGE, cause: text.into().into() }
    }

    /// The request can't be done here; exit code 1.
    pub fn impossible(text: impl Into<String>) -> Self {
        Self { exit_code: FAILED, cause: text.into().into() }
    }

    /// The exit code of a verb's process, which a refusal over the control socket also carries.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The error of another module that this was made of, if it was of type `E`.
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        self.cause.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

impl<E: HasExitCode + StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self { exit_code: error.exit_code(), cause: error.into() }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::impossible(format!("the system refused a resource: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineError;

    #[test]
    fn an_error_of_another_module_keeps_its_words_its_number_and_itself() {
        let error = Error::from(EngineError::ShutDown);
        assert_eq!(error.to_string(), EngineError::ShutDown.to_string());
        assert_eq!(error.exit_code(), FAILED);
        assert!(matches!(error.cause(), Some(EngineError::ShutDown)));
        assert!(Error::invalid("no").cause::<EngineError>().is_none());
    }
}

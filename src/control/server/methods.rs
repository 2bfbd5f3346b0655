//! What a request asks: found by its name, its params understood, its answer put into words.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::api::{Answer, Command, Error, Query};
use crate::base::nearest::nearest;
use crate::control::wire::{ErrorObject, INVALID_PARAMS, METHOD_NOT_FOUND, Outcome, SessionRequest};

/// The names of all methods: those of the connection, of commands and of queries.
pub const METHODS: [&[&str]; 3] = [SessionRequest::METHODS, Command::METHODS, Query::METHODS];

/// A request that is understood.
#[derive(Debug)]
pub(crate) enum Request {
    /// Something about the connection.
    Session(SessionRequest),
    /// Something to be done.
    Command(Command),
    /// Something to be told.
    Query(Query),
}

impl Request {
    /// Understands a request.
    ///
    /// # Errors
    /// There is no such method, or its params are not understood.
    pub(crate) fn read(method: &str, params: Option<&RawValue>) -> Result<Self, ErrorObject> {
        if SessionRequest::METHODS.contains(&method) {
            Ok(Self::Session(read(method, params)?))
        } else if Command::METHODS.contains(&method) {
            Ok(Self::Command(read(method, params)?))
        } else if Query::METHODS.contains(&method) {
            Ok(Self::Query(read(method, params)?))
        } else {
            let all = || METHODS.into_iter().flatten().copied();
            let hint = match nearest(method, all()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", all().collect::<Vec<_>>().join(", ")),
            };
            let shown: String = method.chars().take(100).collect();
            Err(ErrorObject::new(METHOD_NOT_FOUND, format!("there is no method {shown:?}; {hint}")))
        }
    }
}

/// Reads a request of one of the enums: without params as with empty ones.
fn read<T: DeserializeOwned>(method: &str, params: Option<&RawValue>) -> Result<T, ErrorObject> {
    #[derive(Serialize)]
    struct Whole<'a> {
        method: &'a str,
        params: &'a RawValue,
    }
    let invalid = |error: serde_json::Error| {
        // Its place is one in a text that nobody sent.
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        ErrorObject::new(INVALID_PARAMS, format!("the params of {method:?} are not understood: {what}"))
    };
    if params.is_some_and(|params| !params.get().starts_with('{')) {
        let text = format!("the params of {method:?} are not understood: they must be an object, by name");
        return Err(ErrorObject::new(INVALID_PARAMS, text));
    }
    let empty = RawValue::from_string("{}".to_owned()).map_err(invalid)?;
    let whole = serde_json::to_string(&Whole { method, params: params.unwrap_or(&empty) });
    serde_json::from_str(&whole.map_err(invalid)?).map_err(invalid)
}

/// What came of a request: a refusal carries the exit code of a verb that fails for the same reason.
pub(crate) fn in_words(outcome: Result<Answer, Error>) -> Outcome<Answer> {
    match outcome {
        Ok(answer) => Outcome::Result(answer),
        Err(error) => Outcome::Error(refusal(&error)),
    }
}

fn refusal(error: &Error) -> ErrorObject {
    ErrorObject::new(error.exit_code().into(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn every_method_is_understood_under_its_name() {
        for method in METHODS.into_iter().flatten() {
            match Request::read(method, None) {
                Ok(Request::Command(command)) => assert_eq!(command.method(), *method),
                Ok(Request::Query(query)) => assert_eq!(query.method(), *method),
                Ok(Request::Session(_)) => {}
                Err(error) => {
                    assert_eq!(error.code, INVALID_PARAMS);
                    assert!(error.message.contains("missing field"), "{method}: {}", error.message);
                }
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_would_be() {
        let error = Request::read("run.puase", None).unwrap_err();
        assert_eq!(error.code, METHOD_NOT_FOUND);
        assert_eq!(error.message, "there is no method \"run.puase\"; did you mean \"run.pause\"?");
        for (method, params, expected) in [
            ("run.pause", r#"{"run":"r"}"#, "unknown field `run`, expected `run_id`"),
            ("run.pause", r#"{"run_id":"../r"}"#, "is malformed"),
            ("run.start", r#"{"paramz":{}}"#, "unknown field `paramz`"),
            ("run.list", r#"{"limit":"all"}"#, "invalid type: string"),
            ("engine.status", "[1]", "must be an object"),
            ("engine.shutdown", r#"{"kind":"now"}"#, "unknown variant `now`"),
        ] {
            let error = Request::read(method, Some(&raw(params))).expect_err("it is not understood");
            assert_eq!(error.code, INVALID_PARAMS);
            assert!(error.message.contains(expected), "{method} {params}: {}", error.message);
        }
    }
}

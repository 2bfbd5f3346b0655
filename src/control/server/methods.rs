//! The methods: a request is found by its name, and its params are parsed.

use serde_json::value::RawValue;

use super::Handler;
use crate::api;
use crate::api::Understood;
use crate::base::nearest::nearest;
use crate::control::wire::{ErrorObject, INVALID_PARAMS, METHOD_NOT_FOUND, SessionRequest};

/// The names of all methods: those of the connection, and those of the engine.
pub const METHODS: [&[&str]; 2] = [SessionRequest::METHODS, api::METHODS];

/// A parsed request.
pub(crate) enum Request<'a> {
    /// About the connection.
    Session(SessionRequest),
    /// For the handler.
    Engine(Understood<'a>),
}

impl<'a> Request<'a> {
    /// Parses a request.
    ///
    /// # Errors
    /// The method is unknown, or its params can't be parsed.
    pub(crate) fn read(
        handler: &'a dyn Handler,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Self, ErrorObject> {
        if !METHODS.into_iter().flatten().any(|known| *known == method) {
            return Err(unknown(method));
        }
        let invalid = |what: &str| {
            ErrorObject::new(INVALID_PARAMS, format!("the params of {method:?} are not understood: {what}"))
        };
        let params = params.map_or("{}", RawValue::get);
        if !params.starts_with('{') {
            return Err(invalid("they must be an object, by name"));
        }
        let understood = match handler.understand(method, params) {
            Some(request) => request.map(Self::Engine),
            None => SessionRequest::read(method, params).map(Self::Session),
        };
        understood.map_err(|error| {
            // The position in the error is of a text that the client did not send.
            let text = error.to_string();
            invalid(text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what))
        })
    }
}

fn unknown(method: &str) -> ErrorObject {
    let all = || METHODS.into_iter().flatten().copied();
    let hint = match nearest(method, all()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are {}", all().collect::<Vec<_>>().join(", ")),
    };
    let shown: String = method.chars().take(100).collect();
    ErrorObject::new(METHOD_NOT_FOUND, format!("there is no method {shown:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EngineId, Error, Handles, ProcessKind};

    struct Refuses;

    impl<R: api::Request> Handles<R> for Refuses {
        fn handle(&self, _: R) -> Result<R::Answer, Error> {
            Err(Error::impossible(R::METHOD))
        }
    }

    impl Handler for Refuses {
        fn understand(&self, method: &str, params: &str) -> Option<serde_json::Result<Understood<'_>>> {
            api::understand(self, method, params)
        }

        fn engine_id(&self) -> EngineId {
            EngineId { pid: 1, face: ProcessKind::Library, epoch: 1, fires_jobs: None }
        }
    }

    #[test]
    fn every_method_is_understood_under_its_name() {
        for method in METHODS.into_iter().flatten() {
            match Request::read(&Refuses, method, None) {
                Ok(Request::Engine(carry_out)) => assert_eq!(carry_out().unwrap_err().to_string(), *method),
                Ok(Request::Session(_)) => assert!(SessionRequest::METHODS.contains(method)),
                Err(error) => {
                    assert_eq!(error.code, INVALID_PARAMS);
                    assert!(error.message.contains("missing field"), "{method}: {}", error.message);
                }
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_would_be() {
        let read = |method: &str, params: Option<&str>| {
            let params = params.map(|text| RawValue::from_string(text.to_owned()).unwrap());
            Request::read(&Refuses, method, params.as_deref()).err().expect("it is not understood")
        };
        let error = read("run.puase", None);
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
            let error = read(method, Some(params));
            assert_eq!(error.code, INVALID_PARAMS);
            assert!(error.message.contains(expected), "{method} {params}: {}", error.message);
        }
    }
}

//! What an answer means: the one table from HTTP to done, reject, retry and fatal.
//!
//! | answer | outcome | had the attempt an effect? |
//! |---|---|---|
//! | 2xx | done | yes |
//! | 409 with `Retry-After` (the same key is still running), 408, 5xx | retry | unknown |
//! | 425, 429 | retry | no |
//! | not sent | retry, and it was no attempt | no |
//! | timeout, broken connection | retry | unknown |
//! | an answer that is too large to keep | fatal | unknown |
//! | 422 with the code of a reused idempotency key | fatal | unknown |
//! | other 409 and 422 | reject: a business no | no |
//! | everything else (other 4xx, 1xx, 3xx) | fatal | no |
//!
//! A 5xx counts as unknown, because a proxy that gives up says 502 or 504 while the participant
//! works on, and undoing what was never done is harmless with a barrier.

use std::time::Duration;

use serde_json::Value;

use crate::port::{Answered, CallResult};

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done {
        /// The HTTP status.
        status: u16,
        /// The answer's JSON; null if it had none.
        answer: Value,
    },
    /// A business no: repeating it cannot help, and nothing was done.
    Reject {
        /// The HTTP status.
        status: u16,
        /// The participant's code, or `http-409` if it gave none.
        code: String,
        /// Its explanation.
        detail: String,
    },
    /// A technical failure: again, with backoff.
    Retry {
        /// Whether the attempt may have had its effect.
        effect: Effect,
        /// Not before this long from now.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// A mistake that only a person can mend.
    Fatal {
        /// Whether the attempt may have had its effect.
        effect: Effect,
        /// What happened.
        why: String,
    },
}

/// Whether an attempt that is not done had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Certainly not.
    Nothing,
    /// Certainly not: the request was never sent.
    NotSent,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// Reads the result of a call.
    pub fn of(result: &CallResult) -> Self {
        match result {
            CallResult::Answered(answered) => of_answer(answered),
            CallResult::NotSent { why, after } => Self::Retry {
                effect: Effect::NotSent,
                after: *after,
                why: format!("not sent: {why}"),
            },
            CallResult::Unknown { why } => Self::Retry {
                effect: Effect::Unknown,
                after: None,
                why: format!("no answer: {why}"),
            },
            // The same call has the same answer: another attempt cannot make it smaller.
            CallResult::TooLarge { why } => Self::Fatal {
                effect: Effect::Unknown,
                why: format!("the answer is too large to keep: {why}"),
            },
        }
    }
}

fn of_answer(answered: &Answered) -> Outcome {
    let status = answered.status;
    let retry_after = answered.header("retry-after");
    let retry = |effect| Outcome::Retry {
        effect,
        after: retry_after
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs),
        why: explanation(answered),
    };
    match status {
        200..=299 => Outcome::Done {
            status,
            answer: serde_json::from_slice(&answered.body).unwrap_or(Value::Null),
        },
        408 | 500..=599 => retry(Effect::Unknown),
        409 if retry_after.is_some() => retry(Effect::Unknown),
        425 | 429 => retry(Effect::Nothing),
        422 if member(answered, "code") == KEY_REUSED => Outcome::Fatal {
            effect: Effect::Unknown,
            why: explanation(answered),
        },
        409 | 422 => Outcome::Reject {
            status,
            code: Some(member(answered, "code"))
                .filter(|code| !code.is_empty())
                .unwrap_or_else(|| format!("http-{status}")),
            detail: member(answered, "detail"),
        },
        _ => Outcome::Fatal {
            effect: Effect::Nothing,
            why: explanation(answered),
        },
    }
}

/// `503: the database is away`, from problem details where there are any.
fn explanation(answered: &Answered) -> String {
    let code = member(answered, "code");
    let detail = member(answered, "detail");
    let text = match (code.is_empty(), detail.is_empty()) {
        (true, true) => member(answered, "title"),
        (false, true) => code,
        (true, false) => detail,
        (false, false) => format!("{code}: {detail}"),
    };
    match text.as_str() {
        "" => format!("answered {}", answered.status),
        text => format!("answered {}: {text}", answered.status),
    }
}

/// A text member of problem details, cut to a bound because it is stored.
fn member(answered: &Answered, name: &str) -> String {
    let body: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let text = body.get(name).and_then(Value::as_str).unwrap_or_default();
    text.chars().take(MAX_TEXT).collect()
}

/// The code by which a participant says that the key was used for another request.
const KEY_REUSED: &str = "idempotency-key-reused";

/// The longest text, in characters, that is kept from a participant's explanation.
const MAX_TEXT: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(status: u16, headers: &[(&str, &str)], body: &Value) -> Outcome {
        let mut answered = Answered::json(status, body);
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        answered.headers.extend(headers);
        Outcome::of(&CallResult::Answered(answered))
    }

    fn class(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Done { .. } => "done".to_owned(),
            Outcome::Reject { code, .. } => format!("reject {code}"),
            Outcome::Retry { effect, .. } => format!("retry {effect:?}"),
            Outcome::Fatal { effect, .. } => format!("fatal {effect:?}"),
        }
    }

    #[test]
    fn h23_a_business_no_is_told_from_a_technical_failure() {
        let declined = json!({"code": "payment-declined", "detail": "no funds"});
        let reused = json!({"code": "idempotency-key-reused"});
        let nothing = json!(null);
        let cases = [
            (200, &nothing, "done"),
            (204, &nothing, "done"),
            (409, &declined, "reject payment-declined"),
            (422, &declined, "reject payment-declined"),
            (409, &nothing, "reject http-409"),
            (422, &reused, "fatal Unknown"),
            (408, &nothing, "retry Unknown"),
            (425, &nothing, "retry Nothing"),
            (429, &nothing, "retry Nothing"),
            (500, &nothing, "retry Unknown"),
            (503, &declined, "retry Unknown"),
            (504, &nothing, "retry Unknown"),
            (400, &declined, "fatal Nothing"),
            (401, &nothing, "fatal Nothing"),
            (404, &nothing, "fatal Nothing"),
            (302, &nothing, "fatal Nothing"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(
                class(&outcome(status, &[], body)),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn h36_still_running_is_not_a_refusal() {
        let running = outcome(
            409,
            &[("retry-after", "2")],
            &json!({"code": "in-progress"}),
        );
        let Outcome::Retry { effect, after, .. } = running else {
            panic!("{running:?} is taken for an answer")
        };
        assert_eq!(effect, Effect::Unknown);
        assert_eq!(after, Some(Duration::from_secs(2)));
        let dated = outcome(
            409,
            &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")],
            &json!(null),
        );
        assert_eq!(class(&dated), "retry Unknown");
    }

    #[test]
    fn only_what_was_not_sent_had_certainly_no_effect() {
        let why = || "refused".to_owned();
        let after = Some(Duration::from_secs(3));
        let not_sent = Outcome::of(&CallResult::NotSent { why: why(), after });
        let unknown = Outcome::of(&CallResult::Unknown { why: why() });
        let too_large = Outcome::of(&CallResult::TooLarge { why: why() });
        assert_eq!(class(&not_sent), "retry NotSent");
        assert!(matches!(not_sent, Outcome::Retry { after: hint, .. } if hint == after));
        assert_eq!(class(&unknown), "retry Unknown");
        assert_eq!(class(&too_large), "fatal Unknown");
    }

    #[test]
    fn what_a_participant_says_is_kept_within_a_bound() {
        let long = json!({"code": "x", "detail": "가".repeat(5_000)});
        let Outcome::Reject { detail, .. } = outcome(409, &[], &long) else {
            panic!("not a reject")
        };
        assert_eq!(detail.chars().count(), MAX_TEXT);
    }
}

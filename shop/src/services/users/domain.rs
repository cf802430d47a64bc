//! What a user is: an event-sourced aggregate, decided without a database.

use std::fmt;

use ieum::base::redact;
use ieum::eventstore::Decider;
use serde::{Deserialize, Serialize};

/// What happened to a user. The type of the stored event is [`Event::kind`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum Event {
    /// Somebody signed up.
    #[serde(rename = "user.created")]
    Created {
        /// The address, as it was typed.
        email: String,
        /// The name.
        name: String,
    },
    /// The user changed.
    #[serde(rename = "user.updated")]
    Updated {
        /// The new address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
        /// The new name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The user left.
    #[serde(rename = "user.deleted")]
    Deleted {},
}

/// What somebody wants of a user.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Sign up.
    Create {
        /// The address.
        email: Email,
        /// The name.
        name: Name,
    },
    /// Change what is given.
    Update {
        /// The new address.
        email: Option<Email>,
        /// The new name.
        name: Option<Name>,
    },
    /// Leave.
    Delete,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Creating twice is an error (S1).
    Exists,
    /// There is no such user, or no more.
    NotFound,
}

/// The state of one user, folded from its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing happened yet.
    #[default]
    Nobody,
    /// Signed up.
    Active {
        /// The address.
        email: String,
        /// The name.
        name: String,
    },
    /// Left.
    Deleted,
}

/// The rules of a user's stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules;

impl Decider for Rules {
    type Command = Command;
    type Event = Event;
    type State = State;
    type Error = Refusal;

    fn initial(&self) -> State {
        State::Nobody
    }

    fn decide(&self, state: &State, command: &Command) -> Result<Vec<Event>, Refusal> {
        match (state, command) {
            (State::Nobody, Command::Create { email, name }) => Ok(vec![Event::Created {
                email: email.0.clone(),
                name: name.0.clone(),
            }]),
            (_, Command::Create { .. }) => Err(Refusal::Exists),
            (
                State::Active { email, name },
                Command::Update {
                    email: to,
                    name: named,
                },
            ) => {
                let to = to.as_ref().map(|to| to.0.clone()).filter(|to| to != email);
                let named = named
                    .as_ref()
                    .map(|named| named.0.clone())
                    .filter(|named| named != name);
                let changes = to.is_some() || named.is_some();
                let updated = Event::Updated {
                    email: to,
                    name: named,
                };
                Ok(changes.then_some(updated).into_iter().collect())
            }
            (State::Active { .. }, Command::Delete) => Ok(vec![Event::Deleted {}]),
            (_, Command::Update { .. } | Command::Delete) => Err(Refusal::NotFound),
        }
    }

    fn evolve(&self, state: State, event: &Event) -> State {
        match (state, event) {
            (_, Event::Created { email, name }) => State::Active {
                email: email.clone(),
                name: name.clone(),
            },
            (
                State::Active { email, name },
                Event::Updated {
                    email: to,
                    name: named,
                },
            ) => State::Active {
                email: to.clone().unwrap_or(email),
                name: named.clone().unwrap_or(name),
            },
            (state, Event::Updated { .. }) => state,
            (_, Event::Deleted {}) => State::Deleted,
        }
    }
}

impl Event {
    /// The type under which it is stored and published.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "user.created",
            Self::Updated { .. } => "user.updated",
            Self::Deleted {} => "user.deleted",
        }
    }
}

/// An e-mail address that could be delivered to: something, `@`, a domain; at most 254 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// Reads an address.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let wrong = "an e-mail address looks like name@example.com";
        let (local, domain) = text.rsplit_once('@').ok_or(wrong)?;
        let clean = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        let dotted = domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.');
        if local.is_empty() || !dotted || !clean || text.len() > 254 {
            return Err(wrong);
        }
        Ok(Self(text.to_owned()))
    }

    /// The form that is unique: case does not make another address.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name: 1 to 100 characters after trimming, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// Reads a name.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 100 || text.contains(char::is_control) {
            return Err("a name has 1 to 100 characters");
        }
        if redact::has_card_number(text) {
            return Err("a card number is no name; cards are entered at /payments/cards");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use ieum::eventstore::testing::given;

    use super::*;

    fn create() -> Command {
        Command::Create {
            email: Email::parse("kim@example.com").expect("valid"),
            name: Name::parse("김이음").expect("valid"),
        }
    }

    fn created() -> Event {
        Event::Created {
            email: "kim@example.com".into(),
            name: "김이음".into(),
        }
    }

    #[test]
    fn somebody_signs_up_once() {
        given(Rules, []).when(&create()).then([created()]);
        given(Rules, [created()])
            .when(&create())
            .refused(&Refusal::Exists);
        let left = [created(), Event::Deleted {}];
        given(Rules, left).when(&create()).refused(&Refusal::Exists);
    }

    #[test]
    fn an_update_says_only_what_changed() {
        let update = |name: &str| Command::Update {
            email: None,
            name: Some(Name::parse(name).expect("valid")),
        };
        let renamed = Event::Updated {
            email: None,
            name: Some("이이음".into()),
        };
        given(Rules, [created()])
            .when(&update("이이음"))
            .then([renamed.clone()]);
        given(Rules, [created()]).when(&update("김이음")).then([]);
        given(Rules, [created(), renamed])
            .when(&update("이이음"))
            .then([]);
    }

    #[test]
    fn nobody_can_be_changed_or_deleted() {
        let rename = Command::Update {
            email: None,
            name: None,
        };
        given(Rules, []).when(&rename).refused(&Refusal::NotFound);
        given(Rules, [])
            .when(&Command::Delete)
            .refused(&Refusal::NotFound);
        let left = [created(), Event::Deleted {}];
        given(Rules, left).when(&rename).refused(&Refusal::NotFound);
        given(Rules, [created()])
            .when(&Command::Delete)
            .then([Event::Deleted {}]);
    }

    #[test]
    fn an_address_has_a_name_and_a_domain() {
        let email = Email::parse(" Kim@Example.com ").expect("valid");
        assert_eq!(
            (email.to_string().as_str(), email.key().as_str()),
            ("Kim@Example.com", "kim@example.com")
        );
        for wrong in [
            "",
            "kim",
            "@example.com",
            "kim@",
            "kim@localhost",
            "a b@example.com",
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn events_are_stored_under_their_type() {
        let json = serde_json::to_value(created()).expect("json");
        assert_eq!(json["type"], created().kind());
    }
}

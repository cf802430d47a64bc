//! What a registration may be: the rules that need no catalog.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ieum_http::egress;

use crate::catalog::Node;
use crate::{CheckDefinition, CheckKind, Error, ErrorKind, Registration, Result};

/// How much a catalog takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most instances over all services; 10,000 by default.
    pub instances: usize,
    /// The most checks of one instance; 16 by default.
    pub checks: usize,
    /// The most tags, and the most pairs of metadata, of one instance; 64 by default, as in Consul.
    pub labels: usize,
    /// The most bytes of a name, an id or a tag; 255 by default.
    pub name_bytes: usize,
    /// The most bytes of a value of metadata or of a URL; 2,048 by default.
    pub value_bytes: usize,
    /// The most bytes of a check's output that are kept; 4,096 by default, as in Consul.
    pub output_bytes: usize,
    /// The addresses that may be registered; those that names resolve to are checked when they are
    /// called.
    pub egress: egress::Policy,
    /// How many services without instances are remembered with an index of their own; 1,024 by
    /// default.
    pub deleted: usize,
    /// The most nodes beside the platform's own; 1,024 by default.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances: 10_000,
            checks: 16,
            labels: 64,
            name_bytes: 255,
            value_bytes: 2_048,
            output_bytes: 4_096,
            egress: egress::Policy::default(),
            deleted: 1_024,
            nodes: 1_024,
        }
    }
}

impl Limits {
    /// Refuses a registration that breaks a rule.
    pub(crate) fn check(&self, registration: &Registration) -> Result<()> {
        let Registration { instance, checks } = registration;
        self.name("the id of an instance", &instance.id.0)?;
        self.name("the name of a service", &instance.service)?;
        self.name("the address of an instance", &instance.address)?;
        self.address(&instance.address)?;
        for tag in &instance.tags {
            self.name("a tag", tag)?;
        }
        for (key, value) in &instance.meta {
            self.name("a key of metadata", key)?;
            self.value("a value of metadata", value)?;
        }
        at_most("tags", instance.tags.len(), self.labels)?;
        at_most("pairs of metadata", instance.meta.len(), self.labels)?;
        at_most("checks", checks.len(), self.checks)?;
        for (place, check) in checks.iter().enumerate() {
            self.check_of(check)?;
            if checks[..place].iter().any(|other| other.id == check.id) {
                let why = format!("the check id `{}` is given twice", check.id);
                return Err(invalid(why));
            }
        }
        Ok(())
    }

    /// Refuses a node that breaks a rule.
    pub(crate) fn node(&self, node: &Node) -> Result<()> {
        self.name("the name of a node", &node.name)?;
        self.name("the address of a node", &node.address)?;
        self.value("the id of a node", &node.id)?;
        self.address(&node.address)?;
        for (key, value) in node.meta.iter().chain(&node.tagged_addresses) {
            self.name("a key of a node", key)?;
            self.value("a value of a node", value)?;
        }
        at_most("pairs of metadata", node.meta.len(), self.labels)?;
        at_most("tagged addresses", node.tagged_addresses.len(), self.labels)
    }

    fn check_of(&self, check: &CheckDefinition) -> Result<()> {
        let CheckDefinition {
            id, name, notes, ..
        } = check;
        self.name("the id of a check", &id.0)?;
        self.value("the name of a check", name)?;
        self.value("the notes of a check", notes)?;
        let (target, times) = match &check.kind {
            CheckKind::Http {
                url,
                interval,
                timeout,
                headers,
                body,
                ..
            } => {
                self.request(headers, body)?;
                (url.as_str(), vec![*interval, *timeout])
            }
            CheckKind::Tcp {
                address,
                interval,
                timeout,
            } => (address.as_str(), vec![*interval, *timeout]),
            CheckKind::Ttl { ttl } => ("", vec![*ttl]),
            CheckKind::Told => ("", Vec::new()),
            CheckKind::Elsewhere => {
                let why = format!("the check `{id}` does not say how it is run");
                return Err(invalid(why));
            }
        };
        self.value("the target of a check", target)?;
        if times.iter().any(|time| time.is_zero() || *time > LONGEST) {
            let why = format!("the times of check `{id}` must be above 0 and at most 1 day");
            return Err(invalid(why));
        }
        Ok(())
    }

    /// What an HTTP check sends.
    fn request(&self, headers: &BTreeMap<String, Vec<String>>, body: &str) -> Result<()> {
        at_most("fields of a check", headers.len(), self.labels)?;
        for (name, values) in headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(invalid(format!("`{name}` is not the name of a field")));
            }
            at_most("values of a check's field", values.len(), self.labels)?;
            for value in values {
                self.value("a field of a check", value)?;
                if HeaderValue::from_str(value).is_err() {
                    return Err(invalid(format!("`{value}` is not the value of a field")));
                }
            }
        }
        self.value("the body of a check", body)
    }

    fn name(&self, what: &str, text: &str) -> Result<()> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(invalid(format!(
                "{what} must not be empty or have control characters"
            )));
        }
        Self::within(what, text, self.name_bytes)
    }

    fn address(&self, text: &str) -> Result<()> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let Ok(address) = bare.parse() else {
            return Ok(());
        };
        let verdict = self.egress.check(address);
        verdict.map_err(|error| invalid(format!("the address of an instance: {error}")))
    }

    fn value(&self, what: &str, text: &str) -> Result<()> {
        Self::within(what, text, self.value_bytes)
    }

    fn within(what: &str, text: &str, most: usize) -> Result<()> {
        match text.len() {
            length if length <= most => Ok(()),
            length => Err(invalid(format!(
                "{what} has {length} bytes, more than {most}"
            ))),
        }
    }
}

fn at_most(what: &str, count: usize, most: usize) -> Result<()> {
    if count <= most {
        return Ok(());
    }
    Err(invalid(format!("{count} {what} are more than {most}")))
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, why)
}

/// The longest interval, timeout or TTL.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

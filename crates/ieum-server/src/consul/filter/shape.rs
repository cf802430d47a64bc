//! What the entries of answers look like: which selectors there are, and what they select.

/// What a selector selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consul) enum Shape {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Truth,
    /// A list of texts.
    Texts,
    /// Texts by name; any name may be selected.
    Map,
    /// Named parts.
    Parts(&'static [(&'static str, Self)]),
    /// A list of such parts; one of them must match.
    Each(&'static [(&'static str, Self)]),
}

impl Shape {
    /// What `path` selects, and whether its last name is one of a map's.
    pub(super) fn select(&self, path: &[String]) -> Option<Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(*self);
        };
        match self {
            Self::Map if rest.is_empty() => Some(Self::Text),
            Self::Parts(parts) | Self::Each(parts) => {
                let part = parts.iter().find(|(name, _)| name == first)?;
                part.1.select(rest)
            }
            _ => None,
        }
    }
}

/// A node.
pub(in crate::consul) const NODE: Shape = Shape::Parts(NODE_PARTS);

/// An instance as an agent describes it.
pub(in crate::consul) const AGENT_SERVICE: Shape = Shape::Parts(SERVICE_PARTS);

/// A check.
pub(in crate::consul) const CHECK: Shape = Shape::Parts(CHECK_PARTS);

/// An instance with its node and checks.
pub(in crate::consul) const ENTRY: Shape = Shape::Parts(&[
    ("Node", NODE),
    ("Service", AGENT_SERVICE),
    ("Checks", Shape::Each(CHECK_PARTS)),
]);

/// An instance as the catalog describes it.
pub(in crate::consul) const CATALOG_SERVICE: Shape = Shape::Parts(&[
    ("ID", Shape::Text),
    ("Node", Shape::Text),
    ("Address", Shape::Text),
    ("Datacenter", Shape::Text),
    ("TaggedAddresses", Shape::Map),
    ("NodeMeta", Shape::Map),
    ("ServiceKind", Shape::Text),
    ("ServiceID", Shape::Text),
    ("ServiceName", Shape::Text),
    ("ServiceTags", Shape::Texts),
    ("ServiceAddress", Shape::Text),
    ("ServiceMeta", Shape::Map),
    ("ServicePort", Shape::Number),
    ("ServiceWeights", Shape::Parts(WEIGHTS)),
    ("ServiceEnableTagOverride", Shape::Truth),
    ("ServiceConnect", Shape::Parts(CONNECT)),
]);

const NODE_PARTS: &[(&str, Shape)] = &[
    ("ID", Shape::Text),
    ("Node", Shape::Text),
    ("Address", Shape::Text),
    ("Datacenter", Shape::Text),
    ("TaggedAddresses", Shape::Map),
    ("Meta", Shape::Map),
];

const SERVICE_PARTS: &[(&str, Shape)] = &[
    ("Kind", Shape::Text),
    ("ID", Shape::Text),
    ("Service", Shape::Text),
    ("Tags", Shape::Texts),
    ("Meta", Shape::Map),
    ("Port", Shape::Number),
    ("Address", Shape::Text),
    ("Weights", Shape::Parts(WEIGHTS)),
    ("EnableTagOverride", Shape::Truth),
    ("Connect", Shape::Parts(CONNECT)),
];

const CHECK_PARTS: &[(&str, Shape)] = &[
    ("Node", Shape::Text),
    ("CheckID", Shape::Text),
    ("Name", Shape::Text),
    ("Status", Shape::Text),
    ("Notes", Shape::Text),
    ("Output", Shape::Text),
    ("ServiceID", Shape::Text),
    ("ServiceName", Shape::Text),
    ("ServiceTags", Shape::Texts),
];

const WEIGHTS: &[(&str, Shape)] = &[("Passing", Shape::Number), ("Warning", Shape::Number)];

const CONNECT: &[(&str, Shape)] = &[("Native", Shape::Truth)];

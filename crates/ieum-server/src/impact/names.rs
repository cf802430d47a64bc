//! Names: which service a message's source stands for, and which names are near a mistyped one.

use std::collections::BTreeSet;

use ieum_remote::wire::impact::Subject;

/// The most names that are suggested.
const SUGGESTIONS: usize = 5;
/// How like a name must be: 1 is the same.
const LIKENESS: f64 = 0.75;
/// The longest name that is compared, in bytes: what it costs grows with both names, and each known one
/// is compared.
const LONGEST: usize = 200;

/// The service that a CloudEvents `source` stands for: the first part of its path, or of its host, that
/// is the name of a known service. A source that fits none is shown as it is, without its slashes.
pub(super) fn service_of(source: &str, known: &BTreeSet<String>) -> String {
    let (host, path) = match source.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", source),
    };
    let host = host.split([':', '.']).next().unwrap_or_default();
    let mut parts = path.split(['/', ':']).filter(|part| !part.is_empty());
    let named = std::iter::once(host).chain(parts.clone());
    let mut named = named.filter(|part| known.contains(*part));
    match named.next() {
        Some(service) => service.to_owned(),
        None if source.starts_with('/') => parts.next().unwrap_or(source).to_owned(),
        None => source.to_owned(),
    }
}

/// The names that were perhaps meant, the nearest first.
pub(super) fn nearest(asked: &str, known: impl Iterator<Item = Subject>) -> Vec<Subject> {
    if asked.len() > LONGEST {
        return Vec::new();
    }
    let asked = asked.to_lowercase();
    let likeness = |subject: &Subject| {
        let name = subject.name.to_lowercase();
        let contains = name.contains(&asked) || asked.contains(&name);
        let alike = strsim::jaro_winkler(&asked, &name);
        if contains { alike.max(LIKENESS) } else { alike }
    };
    let mut near: Vec<_> = known
        .filter(|subject| subject.name.len() <= LONGEST)
        .map(|subject| (likeness(&subject), subject))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let names = near.into_iter().map(|(_, subject)| subject);
    names.take(SUGGESTIONS).collect()
}

#[cfg(test)]
mod tests {
    use ieum_remote::wire::impact::SubjectKind;

    use super::*;

    #[test]
    fn a_source_names_its_service_in_its_path_or_its_host() {
        let known: BTreeSet<_> = ["orders", "payments"].map(str::to_owned).into();
        for (source, service) in [
            ("/orders", "orders"),
            ("/orders/eu-1", "orders"),
            ("orders", "orders"),
            ("urn:shop:orders", "orders"),
            ("https://orders.shop.example/v1", "orders"),
            ("http://10.0.0.1:3003/payments", "payments"),
            ("/legacy/billing", "legacy"),
            ("urn:other:thing", "urn:other:thing"),
        ] {
            assert_eq!(service_of(source, &known), service, "{source}");
        }
    }

    #[test]
    fn a_mistyped_name_is_near_what_was_meant() {
        let subject = |name: &str| Subject {
            kind: SubjectKind::EventType,
            name: name.to_owned(),
        };
        let known = ["order.placed", "order.completed", "user.created"].map(subject);
        let near = nearest("order.plced", known.clone().into_iter());
        assert_eq!(near.first(), Some(&known[0]));
        assert!(nearest("zzz", known.clone().into_iter()).is_empty());
        let long = "order.placed".repeat(20);
        assert!(nearest(&long, known.into_iter()).is_empty());
        let long = [subject(&long)].into_iter();
        assert!(nearest("order.placed", long).is_empty());
    }
}

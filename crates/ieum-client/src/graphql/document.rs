//! What can be seen of a document without a schema: what it does, and under which name.
//!
//! This is no parser. It follows brackets and skips strings and comments, which is all that is needed
//! to find the words that definitions begin with (specification of October 2021, section 2).

/// What a call is called in its span: never the document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// `query`, `mutation` or `subscription`.
    pub(crate) kind: &'static str,
    /// The operation's name, if it has one.
    pub(crate) name: Option<String>,
}

/// The operations of a document, in its order.
pub(super) fn operations(document: &str) -> Vec<Label> {
    let mut operations = Vec::new();
    let mut depth = 0_usize;
    // Whether the next word begins a definition.
    let mut between = true;
    let mut tokens = Tokens(document).peekable();
    while let Some(token) = tokens.next() {
        if between {
            let kind = KINDS.into_iter().find(|kind| *kind == token);
            let kind = kind.or((token == "{").then_some(QUERY));
            operations.extend(kind.map(|kind| {
                let name = tokens.next_if(|next| token != "{" && is_name(next));
                let name = name.map(str::to_owned);
                Label { kind, name }
            }));
            between = false;
        }
        match token {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                between = depth == 0 && token == "}";
            }
            _ => {}
        }
    }
    operations
}

/// The one that `name` chooses, or the only one.
pub(super) fn chosen(operations: &[Label], name: Option<&str>) -> Option<Label> {
    let chosen = match (name, operations) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (name, all) => all.iter().find(|label| label.name.as_deref() == name),
    };
    chosen.cloned()
}

/// True if sending the document twice does no more than sending it once: nothing in it is anything
/// but a query, whatever is chosen.
pub(super) fn only_reads(operations: &[Label]) -> bool {
    !operations.is_empty() && operations.iter().all(|label| label.kind == QUERY)
}

/// Names and punctuation; what is ignored, strings and numbers are left out.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let first = self.0.chars().next()?;
            let length = match first {
                '#' => self.0.find(['\n', '\r']).unwrap_or(self.0.len()),
                '"' => string(self.0),
                _ if is_name(self.0.get(..1).unwrap_or_default()) => {
                    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                    self.0.find(ends).unwrap_or(self.0.len())
                }
                other => other.len_utf8(),
            };
            let (token, rest) = self.0.split_at(length);
            self.0 = rest;
            if is_name(token) || "{}()[]".contains(token) {
                return Some(token);
            }
        }
    }
}

/// The length of the string that `text` begins with; all of it if the string has no end.
fn string(text: &str) -> usize {
    let quote = if text.starts_with(BLOCK) { BLOCK } else { "\"" };
    let mut at = quote.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(quote) {
            return at + quote.len();
        }
        // In a block, a backslash counts only before the three quotes.
        let escaped = rest.strip_prefix('\\').map(|rest| match quote {
            BLOCK if rest.starts_with(BLOCK) => BLOCK.len(),
            BLOCK => 0,
            _ => rest.chars().next().map_or(0, char::len_utf8),
        });
        at += match escaped {
            Some(escaped) => 1 + escaped,
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    text.len()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

const QUERY: &str = "query";
const KINDS: [&str; 3] = [QUERY, "mutation", "subscription"];
const BLOCK: &str = "\"\"\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, expected: &[(&str, Option<&str>)]) {
        let found = operations(document);
        let found: Vec<_> = found
            .iter()
            .map(|label| (label.kind, label.name.as_deref()))
            .collect();
        assert_eq!(found, expected, "{document}");
    }

    #[test]
    fn operations_are_found_with_their_names() {
        check("{ a }", &[("query", None)]);
        check("query { a }", &[("query", None)]);
        check(
            "query A { a } mutation B { b }",
            &[("query", Some("A")), ("mutation", Some("B"))],
        );
        check(
            "\u{feff},,subscription S($a: [In!] = [{ b: 1 }]) @c(d: { e: 2 }) { f }",
            &[("subscription", Some("S"))],
        );
        check(
            "fragment F on Mutation { mutation } query A { ...F }",
            &[("query", Some("A"))],
        );
        check("{ query mutation { subscription } }", &[("query", None)]);
        check("", &[]);
    }

    #[test]
    fn what_strings_and_comments_say_is_no_operation() {
        check("# mutation M { a }\n{ a }", &[("query", None)]);
        check(r#"{ a(b: "} mutation M {") }"#, &[("query", None)]);
        check(r#"{ a(b: "\"} mutation M {\\") }"#, &[("query", None)]);
        check(
            r#"{ a(b: """ "} \""" mutation M { """) } mutation N { a }"#,
            &[("query", None), ("mutation", Some("N"))],
        );
        check(
            r#"{ a(b: "신발 never ends } mutation M { a }"#,
            &[("query", None)],
        );
    }

    #[test]
    fn only_a_document_of_queries_only_reads() {
        let reads = |document| only_reads(&operations(document));
        assert!(reads("{ a }") && reads("query A { a } query B { b }"));
        assert!(!reads("query A { a } mutation B { b }"));
        assert!(!reads("") && !reads("fragment F on A { a }"));
    }

    #[test]
    fn the_name_chooses_among_several() {
        let all = operations("query A { a } mutation B { b }");
        let kind = |name| chosen(&all, name).map(|label| label.kind);
        assert_eq!(kind(Some("B")), Some("mutation"));
        assert_eq!((kind(None), kind(Some("C"))), (None, None));
        assert_eq!(chosen(&all[..1], None), all.first().cloned());
    }
}

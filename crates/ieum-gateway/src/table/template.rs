//! The path of a composed part: text with `${user}`, `${path.NAME}` and `${query.NAME}`.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::Pattern;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    User,
    Path(Box<str>),
    Query(Box<str>),
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) pattern: &'a Pattern,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl Template {
    /// Reads a template whose path parameters are those of `route`.
    pub(crate) fn parse(text: &str, route: &Pattern) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("must begin with `/`".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after
                .split_once('}')
                .ok_or_else(|| "has `${` without `}`".to_owned())?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(variable(name, route)?);
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        let template = Self(pieces);
        let probe = template.text(|_| "x".to_owned());
        match probe.parse::<http::uri::PathAndQuery>() {
            Ok(_) if !probe.contains('#') => Ok(template),
            _ => Err("is no path".to_owned()),
        }
    }

    /// True if it needs to know the user.
    pub(crate) fn uses_user(&self) -> bool {
        self.0.contains(&Piece::User)
    }

    /// Fills it in; every value is encoded so that it stays within its place. `None` if a value is
    /// a dot segment, which leaves its place however it is encoded.
    pub(crate) fn fill(&self, values: &Values<'_>) -> Option<String> {
        let is_dots = |piece: &Piece| matches!(&*values.of(piece), "." | "..");
        let is_variable = |piece: &&Piece| !matches!(piece, Piece::Text(_));
        if self.0.iter().filter(is_variable).any(is_dots) {
            return None;
        }
        Some(self.text(|piece| utf8_percent_encode(&values.of(piece), ENCODED).to_string()))
    }

    fn text(&self, value: impl Fn(&Piece) -> String) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                variable => filled.push_str(&value(variable)),
            }
        }
        filled
    }
}

impl Values<'_> {
    /// The value of a piece, not encoded.
    fn of(&self, piece: &Piece) -> String {
        match piece {
            Piece::Text(text) => text.to_string(),
            Piece::User => self.user.unwrap_or_default().to_owned(),
            Piece::Path(name) => {
                let raw = self.pattern.capture(self.path, name).unwrap_or_default();
                percent_decode_str(raw).decode_utf8_lossy().into_owned()
            }
            Piece::Query(name) => query(self.query.unwrap_or_default(), name),
        }
    }
}

fn variable(name: &str, route: &Pattern) -> Result<Piece, String> {
    match name.split_once('.') {
        None if name == "user" => Ok(Piece::User),
        Some(("query", name)) if !name.is_empty() => Ok(Piece::Query(name.into())),
        Some(("path", name)) if route.parameters().any(|known| known == name) => {
            Ok(Piece::Path(name.into()))
        }
        Some(("path", name)) => Err(format!(
            "uses `${{path.{name}}}`, which the route's path does not have"
        )),
        _ => Err(format!(
            "uses `${{{name}}}`; there are `${{user}}`, `${{path.NAME}}` and `${{query.NAME}}`"
        )),
    }
}

/// The first parameter of that name, decoded.
fn query(query: &str, name: &str) -> String {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.find(|(key, _)| decode(key) == name);
    found.map_or_else(String::new, |(_, value)| decode(value))
}

/// Everything but unreserved characters.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'!')
    .add(b'"')
    .add(b'#')
    .add(b'$')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b'+')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, user: &str, path: &str, query: &str) -> String {
        try_fill(template, user, path, query).expect("no dot segment")
    }

    fn try_fill(template: &str, user: &str, path: &str, query: &str) -> Option<String> {
        let pattern = Pattern::parse("/teams/{team}").expect("valid");
        let template = Template::parse(template, &pattern).expect("valid");
        template.fill(&Values {
            user: Some(user),
            pattern: &pattern,
            path,
            query: Some(query),
        })
    }

    #[test]
    fn values_are_filled_in() {
        assert_eq!(fill("/users/${user}", "u-1", "/teams/7", ""), "/users/u-1");
        let filled = fill(
            "/t/${path.team}?p=${query.page}&u=${user}",
            "u",
            "/teams/7",
            "a=1&page=2",
        );
        assert_eq!(filled, "/t/7?p=2&u=u");
    }

    #[test]
    fn a_value_stays_within_its_place() {
        assert_eq!(
            fill("/users/${user}", "../admin?x=1#y", "/teams/7", ""),
            "/users/..%2Fadmin%3Fx%3D1%23y"
        );
        assert_eq!(try_fill("/users/${user}", "..", "/teams/7", ""), None);
        assert_eq!(
            fill("/s?q=${query.q}", "", "/teams/7", "q=%EC%8B%A0+a%26b"),
            "/s?q=%EC%8B%A0%20a%26b"
        );
        assert_eq!(fill("/s/${path.team}", "", "/teams/a%20b", ""), "/s/a%20b");
    }

    #[test]
    fn unknown_variables_are_refused() {
        let pattern = Pattern::parse("/teams/{team}").expect("valid");
        for text in [
            "users",
            "/${",
            "/${admin}",
            "/${path.other}",
            "/${query.}",
            "/a b",
        ] {
            assert!(Template::parse(text, &pattern).is_err(), "{text}");
        }
    }
}

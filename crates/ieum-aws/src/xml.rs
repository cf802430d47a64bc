//! Reading SNS' answers: elements and text, strictly. What else XML has (entities of its own,
//! comments, sections of raw text) these answers never have, and it is refused.

/// An element: its name, its text, what is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) inside: Vec<Element>,
}

impl Element {
    /// The first element called `name` within this one, at any depth.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        let mut inside = self.inside.iter();
        inside.find_map(|e| {
            if e.name == name {
                Some(e)
            } else {
                e.find(name)
            }
        })
    }

    /// The text of the first element called `name`; empty if there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.find(name).map_or("", |element| element.text.trim())
    }
}

/// Reads a document. The error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Element, String> {
    let mut rest = text.trim();
    if let Some(after) = rest.strip_prefix("<?xml") {
        let (_, after) = after.split_once("?>").ok_or("an XML head without an end")?;
        rest = after.trim_start();
    }
    // What is open, from the outermost on.
    let mut open = vec![Element::default()];
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        let inner = open.last_mut().ok_or("an element without a beginning")?;
        inner.text.push_str(&unescape(text)?);
        let (tag, after) = tag[1..].split_once('>').ok_or("a tag without an end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            close(&mut open, name.trim_end())?;
        } else {
            begin(&mut open, tag)?;
        }
    }
    let [document] = &mut open[..] else {
        return Err("an element without an end".to_owned());
    };
    if !rest.is_empty() || document.inside.len() != 1 || !document.text.trim().is_empty() {
        return Err("not one element".to_owned());
    }
    document.inside.pop().ok_or_else(|| "no element".to_owned())
}

/// `tag` opens, or is an element that has nothing in it. Its attributes are passed over.
fn begin(open: &mut Vec<Element>, tag: &str) -> Result<(), String> {
    let (tag, is_empty) = tag
        .strip_suffix('/')
        .map_or((tag, false), |tag| (tag, true));
    let name = tag.split_ascii_whitespace().next().unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    if name.is_empty() || tag.starts_with(' ') || !name.bytes().all(legal) {
        return Err(format!(
            "`<{}` is no element",
            tag.chars().take(40).collect::<String>()
        ));
    }
    if open.len() > DEEPEST {
        return Err(format!("more than {DEEPEST} elements within each other"));
    }
    open.push(Element {
        name: name.to_owned(),
        ..Element::default()
    });
    if is_empty { close(open, name) } else { Ok(()) }
}

fn close(open: &mut Vec<Element>, name: &str) -> Result<(), String> {
    let ended = open.pop().filter(|element| element.name == name);
    match (ended, open.last_mut()) {
        (Some(element), Some(outer)) => {
            outer.inside.push(element);
            Ok(())
        }
        _ => Err(format!("`</{name}>` ends nothing")),
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (entity, after) = part.split_once(';').ok_or("a `&` without its `;`")?;
        plain.push(character(entity).ok_or_else(|| format!("`&{entity};` is not known"))?);
        plain.push_str(after);
    }
    Ok(plain)
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// An answer of SNS has about five.
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let read = parse(
            "<?xml version=\"1.0\"?>\n<R xmlns=\"http://sns\"><A><Arn>a:b &amp; &#x263A;&#33;</Arn>\
             </A><None/></R>\n",
        );
        let read = read.expect("read");
        assert_eq!(read.text_of("Arn"), "a:b & ☺!");
        assert!(read.find("None").is_some() && read.find("Other").is_none());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for wrong in [
            "",
            "text",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&nbsp;</a>",
            "<a>&</a>",
            "<a",
            "<!-- x --><a/>",
            "<a/>x",
            "< a/>",
            &"<a>".repeat(99),
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}

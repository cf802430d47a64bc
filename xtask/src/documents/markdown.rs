//! A page of Markdown, as far as the checks look at it: headings, fenced blocks, tables, links.

/// What the checks know of a page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) headings: Vec<Heading>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) links: Vec<Link>,
    /// How many rows each table has, its head and its rule included.
    pub(crate) tables: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) level: usize,
    pub(crate) text: String,
    /// What a link to it has after `#`.
    pub(crate) anchor: String,
}

/// A fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of the fence that opens it, from 1.
    pub(crate) line: usize,
    /// All that stands after that fence.
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Block {
    /// The language: `sh` of `sh,not-run=needs-a-cluster`.
    pub(crate) fn language(&self) -> &str {
        self.info.split([',', ' ']).next().unwrap_or_default()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its line, from 1.
    pub(crate) line: usize,
    pub(crate) target: String,
}

impl Page {
    /// Reads a page; every text is one.
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut open: Option<(Block, String)> = None;
        let mut in_table = false;
        for (number, line) in (1..).zip(text.lines()) {
            if let Some((mut block, fence)) = open.take() {
                if line.trim().starts_with(&fence) && line.trim().trim_matches('`').is_empty() {
                    page.blocks.push(block);
                } else {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some((block, fence));
                }
                continue;
            }
            open = opened(number, line);
            if open.is_none() {
                page.read_prose(number, line, in_table);
            }
            in_table = open.is_none() && line.starts_with('|');
        }
        // A fence that nobody closes runs to the end, as every renderer shows it.
        page.blocks.extend(open.map(|(block, _)| block));
        page
    }

    fn read_prose(&mut self, number: usize, line: &str, in_table: bool) {
        if line.starts_with('|') {
            match self.tables.last_mut().filter(|_| in_table) {
                Some(rows) => *rows += 1,
                None => self.tables.push(1),
            }
        }
        let level = line.chars().take_while(|c| *c == '#').count();
        if let Some(text) = line[level..].strip_prefix(' ').filter(|_| level > 0) {
            self.push_heading(level, text.trim());
        }
        let prose = without_code(line);
        let targets = targets(&prose).map(|target| Link {
            line: number,
            target: target.to_owned(),
        });
        self.links.extend(targets);
    }

    fn push_heading(&mut self, level: usize, text: &str) {
        let anchor = anchor(text);
        let same = |heading: &&Heading| {
            heading.anchor == anchor
                || heading
                    .anchor
                    .strip_prefix(&anchor)
                    .and_then(|rest| rest.strip_prefix('-'))
                    .is_some_and(|rest| rest.parse::<usize>().is_ok())
        };
        let before = self.headings.iter().filter(same).count();
        let anchor = match before {
            0 => anchor,
            times => format!("{anchor}-{times}"),
        };
        let text = text.to_owned();
        self.headings.push(Heading {
            level,
            text,
            anchor,
        });
    }
}

/// The block that `line` opens, and its fence.
fn opened(number: usize, line: &str) -> Option<(Block, String)> {
    let trimmed = line.trim_start();
    let fence: String = trimmed.chars().take_while(|c| *c == '`').collect();
    let info = trimmed[fence.len()..].trim();
    if fence.len() < 3 || info.contains('`') {
        return None;
    }
    let block = Block {
        line: number,
        info: info.to_owned(),
        text: String::new(),
    };
    Some((block, fence))
}

/// The anchor that renderers give a heading: lower case, no punctuation, `-` for a space.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// A line without its code spans, which may hold what looks like a link.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    // An odd number of marks: the last one stands for itself.
    let spans = parts.len() - (parts.len() + 1) % 2;
    let kept = parts
        .iter()
        .enumerate()
        .filter(|(place, _)| place % 2 == 0 || *place >= spans);
    kept.map(|(_, part)| *part).collect()
}

/// Where a line points: `[text](target)`, `[name]: target`, and the attributes of HTML.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let definition = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target.trim());
    let attributes = ["src=\"", "srcset=\"", "href=\""];
    let html = attributes.into_iter().flat_map(|attribute| {
        line.split(attribute)
            .skip(1)
            .filter_map(|rest| rest.split_once('"').map(|(target, _)| target))
    });
    inline.chain(definition).chain(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# A `title`, of it
see [a](b.md#c) and [d](e), not `[f](g)`
```sh,not-run=no
# no heading [h](i)
```
| a | b |
|---|---|
## 하나, 둘
| c |
<img src=\"p.png\" alt=\"\">
[name]: q.md
## 하나, 둘
";

    #[test]
    fn a_page_has_headings_with_anchors() {
        let page = Page::parse(PAGE);
        let found = page.headings.iter();
        let found: Vec<_> = found.map(|h| (h.level, h.anchor.as_str())).collect();
        assert_eq!(
            found,
            [(1, "a-title-of-it"), (2, "하나-둘"), (2, "하나-둘-1")]
        );
    }

    #[test]
    fn links_of_text_and_html_are_found_and_those_of_code_are_not() {
        let page = Page::parse(PAGE);
        let found: Vec<_> = page.links.iter().map(|l| l.target.as_str()).collect();
        assert_eq!(found, ["b.md#c", "e", "p.png", "q.md"]);
    }

    #[test]
    fn blocks_and_tables_are_found() {
        let page = Page::parse(PAGE);
        assert_eq!(page.tables, [2, 1]);
        let block = &page.blocks[0];
        assert_eq!((block.language(), block.line), ("sh", 3));
        assert_eq!(block.text, "# no heading [h](i)\n");
        assert_eq!(Page::parse("````text\n```\n````\n").blocks[0].text, "```\n");
    }

    #[test]
    fn a_lonely_mark_is_no_code() {
        assert_eq!(without_code("a `b` c"), "a  c");
        assert_eq!(without_code("a ` [b](c)"), "a  [b](c)");
    }
}

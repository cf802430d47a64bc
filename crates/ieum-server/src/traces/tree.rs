//! A trace as one tree, as a person reads it.
//!
//! ```text
//! gateway  POST /api/v1/orders        +0.0 ms     12.4 ms
//! └─ orders  POST /orders             +0.9 ms     10.1 ms
//!    └─ payments  POST /payments      +4.0 ms      3.2 ms  ✗ declined
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use ieum_base::Timestamp;
use ieum_base::trace::SpanData;
use ieum_remote::wire::traces::Trace;

/// A trace whose spans are ordered as a tree.
#[derive(Debug)]
pub struct Tree<'a> {
    trace: &'a Trace,
    lines: Vec<Line<'a>>,
    start: Timestamp,
}

#[derive(Debug)]
struct Line<'a> {
    span: &'a SpanData,
    /// What is drawn in front: branches.
    branch: String,
    orphan: bool,
}

impl<'a> Tree<'a> {
    /// The tree of `trace`. A span whose parent was not recorded stands at the top, marked.
    pub fn new(trace: &'a Trace) -> Self {
        let known: HashSet<_> = trace.spans.iter().map(|span| span.span_id).collect();
        let mut children: HashMap<_, Vec<&SpanData>> = HashMap::new();
        let mut roots = Vec::new();
        for span in &trace.spans {
            match span.parent.filter(|parent| known.contains(parent)) {
                Some(parent) if parent != span.span_id => {
                    children.entry(parent).or_default().push(span);
                }
                _ => roots.push(span),
            }
        }
        let mut lines = Vec::with_capacity(trace.spans.len());
        let mut stack = Vec::new();
        for root in roots.into_iter().rev() {
            stack.push((root, String::new(), String::new()));
        }
        // Depth first without recursion: a trace may be deeper than a stack.
        while let Some((span, branch, indent)) = stack.pop() {
            let below = children.remove(&span.span_id).unwrap_or_default();
            for (i, child) in below.iter().enumerate().rev() {
                let last = i + 1 == below.len();
                let (turn, rest) = if last {
                    ("└─ ", "   ")
                } else {
                    ("├─ ", "│  ")
                };
                stack.push((child, format!("{indent}{turn}"), format!("{indent}{rest}")));
            }
            let orphan = branch.is_empty() && span.parent.is_some();
            lines.push(Line {
                span,
                branch,
                orphan,
            });
        }
        let start = trace.spans.iter().map(|span| span.start).min();
        Self {
            trace,
            lines,
            start: start.unwrap_or_default(),
        }
    }

    /// How many spans name a parent that was not recorded. A trace with one top that names one was
    /// begun by a caller who does not report here; that is no hole.
    pub fn orphans(&self) -> usize {
        let tops = self.lines.iter().filter(|line| line.branch.is_empty());
        let orphans = self.lines.iter().filter(|line| line.orphan).count();
        if tops.count() == 1 { 0 } else { orphans }
    }

    fn describe(&self, line: &Line<'_>) -> String {
        let Line { span, branch, .. } = line;
        format!("{branch}{}  {}", span.service, span.name)
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let described: Vec<_> = self.lines.iter().map(|line| self.describe(line)).collect();
        let width = described.iter().map(|text| text.chars().count()).max();
        let width = width.unwrap_or(0).min(100);
        let orphans = self.orphans();
        for (line, text) in self.lines.iter().zip(&described) {
            let span = line.span;
            let offset = millis(span.start.since(self.start));
            let duration = millis(span.end.since(span.start));
            let padding = " ".repeat(width.saturating_sub(text.chars().count()));
            write!(
                f,
                "{text}{padding}  {:>11}  {duration:>10}",
                format!("+{offset}")
            )?;
            if let Some(error) = &span.error {
                let why = if error.is_empty() { "failed" } else { error };
                write!(f, "  ✗ {why}")?;
            }
            if line.orphan && orphans > 0 {
                write!(f, "  (parent not recorded)")?;
            }
            writeln!(f)?;
        }
        let services: HashSet<_> = self.trace.spans.iter().map(|span| &span.service).collect();
        writeln!(
            f,
            "\ntrace {}: {} over {}{}",
            self.trace.trace_id,
            counted(self.trace.spans.len(), "span"),
            counted(services.len(), "service"),
            match orphans {
                0 => String::new(),
                n => format!(", {} (parent not recorded)", counted(n, "orphan")),
            }
        )
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn millis(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::span;
    use super::*;

    fn trace(spans: Vec<SpanData>) -> Trace {
        Trace {
            trace_id: spans[0].trace_id,
            spans,
            logs: Vec::new(),
            orphans: 0,
        }
    }

    #[test]
    fn children_stand_below_their_parent_in_order() {
        let mut charge = span(1, 3, Some(2), "charge", (4, 6));
        charge.error = Some("declined".into());
        let trace = trace(vec![
            span(1, 1, None, "POST /orders", (0, 12)),
            span(1, 2, Some(1), "place-order", (1, 11)),
            charge,
            span(1, 4, Some(1), "publish", (11, 12)),
        ]);
        let tree = Tree::new(&trace);
        assert_eq!(tree.orphans(), 0);
        let expected = "\
orders  POST /orders        +0.0 ms     12.0 ms
├─ orders  place-order      +1.0 ms     10.0 ms
│  └─ orders  charge        +4.0 ms      2.0 ms  ✗ declined
└─ orders  publish         +11.0 ms      1.0 ms

trace 00000000000000000000000000000001: 4 spans over 1 service
";
        assert_eq!(tree.to_string(), expected);
    }

    #[test]
    fn a_span_without_its_parent_is_an_orphan() {
        let trace = trace(vec![
            span(1, 1, None, "POST /orders", (0, 12)),
            span(1, 2, Some(9), "charge", (4, 6)),
        ]);
        let tree = Tree::new(&trace);
        assert_eq!(tree.orphans(), 1);
        let text = tree.to_string();
        assert!(text.contains("(parent not recorded)"), "{text}");
        assert!(text.contains("1 orphan"), "{text}");
    }

    #[test]
    fn a_trace_that_a_caller_began_has_no_hole() {
        let trace = trace(vec![
            span(1, 1, Some(7), "POST /orders", (0, 12)),
            span(1, 2, Some(1), "charge", (4, 6)),
        ]);
        assert_eq!(Tree::new(&trace).orphans(), 0);
    }

    #[test]
    fn a_span_that_is_its_own_parent_does_not_hang() {
        let trace = trace(vec![span(1, 1, Some(1), "loop", (0, 1))]);
        assert!(Tree::new(&trace).to_string().contains("loop"));
    }
}

//! What was found, for people.

use ieum_base::Level;

use super::{Diagnosis, Examined};

/// A block for each engine, the worst last in the summary.
pub fn render(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for engine in &diagnosis.engines {
        text.push_str(&block(engine));
        text.push('\n');
    }
    let count = |level: Level| {
        let findings = diagnosis.engines.iter().flat_map(|e| &e.findings);
        findings.filter(|finding| finding.level == level).count()
    };
    let engines = diagnosis.engines.len();
    text.push_str(&format!(
        "{engines} engine{}: {} fine, {} weak, {} broken",
        if engines == 1 { "" } else { "s" },
        count(Level::Fine),
        count(Level::Weak),
        count(Level::Broken)
    ));
    text
}

fn block(engine: &Examined) -> String {
    let Examined {
        part, engine: name, ..
    } = engine;
    let mut text = format!("{part}: {name} at {}\n", engine.url);
    for finding in &engine.findings {
        text.push_str(&format!("  {:<6}  {}\n", finding.level, finding.what));
        if let Some(advice) = &finding.advice {
            text.push_str(&format!("          → {advice}\n"));
        }
    }
    text
}

//! Tables as the commands print them.

use comfy_table::Table;

use crate::console::one_line;

/// The rows under `header`; a column is as wide as its longest cell, and a cell is one line.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| one_line(&cell).into_owned()));
    }
    table.to_string()
}

/// `text` in one line of at most `most` characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// What a cell shows where there is nothing to show.
pub(super) const NOTHING: &str = "–";

/// The text, or what stands for nothing.
pub(super) fn or_nothing(text: Option<&str>) -> String {
    text.unwrap_or(NOTHING).to_owned()
}

/// A share of 0 to 1 as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The word that the API has for a value.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    or_nothing(value.as_ref().and_then(serde_json::Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(short("주문이 거절되었습니다", 5), "주문이…");
        assert_eq!(short("one\ntwo", 9), "one");
    }

    #[test]
    fn a_name_cannot_make_a_row_of_its_own() {
        let text = table(["NAME"], [["a\nb\u{1b}[2J".to_owned()]]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

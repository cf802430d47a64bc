//! Names that others give: of services, endpoints, processes.
//!
//! A name is kept in many places, once for each line, edge or breaker. So it is cut where it is read:
//! what is bounded by number is bounded by bytes as well.

/// As much of `name` as is kept.
pub(crate) fn short_name(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}

/// The longest name, in bytes: as long as that of a host may be.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_at_a_character() {
        assert_eq!(short_name("orders"), "orders");
        let long = "주".repeat(1_000);
        assert_eq!(short_name(&long), "주".repeat(85));
    }
}

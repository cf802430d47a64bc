//! Text as people search it: case does not matter, and neither does how Hangul was typed.
//!
//! Some systems write 한 as one syllable (NFC), others as its letters ᄒ ᅡ ᆫ (NFD). Both are folded to
//! syllables here, by the arithmetic of the Unicode standard (section 3.12), so that one finds the
//! other.

const LEADS: (u32, u32) = (0x1100, 19);
const VOWELS: (u32, u32) = (0x1161, 21);
const TAILS: (u32, u32) = (0x11A7, 28);
const SYLLABLES: u32 = 0xAC00;

/// Lower case, Hangul composed to syllables.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match folded.pop() {
            Some(last) => match compose(last, letter) {
                Some(syllable) => folded.push(syllable),
                None => folded.extend([last, letter]),
            },
            None => folded.push(letter),
        }
    }
    folded
}

/// Joins a lead with a vowel, or a syllable without a tail with a tail.
fn compose(last: char, next: char) -> Option<char> {
    let (last, next) = (u32::from(last), u32::from(next));
    let within = |code: u32, (start, count): (u32, u32)| {
        code.checked_sub(start).filter(|index| *index < count)
    };
    if let (Some(lead), Some(vowel)) = (within(last, LEADS), within(next, VOWELS)) {
        return char::from_u32(SYLLABLES + (lead * VOWELS.1 + vowel) * TAILS.1);
    }
    let open = within(last, (SYLLABLES, LEADS.1 * VOWELS.1 * TAILS.1))?.is_multiple_of(TAILS.1);
    let tail = within(next, TAILS).filter(|tail| open && *tail > 0)?;
    char::from_u32(last + tail)
}

/// `text` as a pattern for SQL's `LIKE … ESCAPE '\'` that matches it anywhere.
pub(crate) fn like_anywhere(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_letters_become_syllables() {
        let letters = "\u{110B}\u{116E}\u{11AB}\u{1103}\u{1169}\u{11BC}\u{1112}\u{116A}";
        assert_eq!(fold(letters), "운동화");
        assert_eq!(fold("가죽운동화 Classic"), "가죽운동화 classic");
        assert_eq!(fold(""), "");
    }

    #[test]
    fn wildcards_are_searched_for_literally() {
        assert_eq!(like_anywhere("50%_\\"), "%50\\%\\_\\\\%");
    }
}

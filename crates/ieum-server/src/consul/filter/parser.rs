//! From words to an expression that makes sense for a shape.
//!
//! `or` binds less than `and`, that less than `not`; parentheses go before all.

use regex_lite::RegexBuilder;

use super::expression::{Expression, Test};
use super::lexer::{Token, Word, tokens, wrong};
use super::shape::Shape;

type Result<T, E = String> = std::result::Result<T, E>;

/// Reads `text` as an expression on entries of `shape`.
pub(super) fn parse(text: &str, shape: &Shape) -> Result<Expression> {
    if text.len() > MOST_BYTES {
        return Err(format!("the expression is longer than {MOST_BYTES} bytes"));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        shape,
    };
    let expression = parser.any_of()?;
    match parser.peek() {
        Word::End => Ok(expression),
        _ => Err(parser.expected("`and`, `or` or the end")),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    shape: &'a Shape,
}

/// What a word means between a selector and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    In,
    Empty,
    Matches,
}

impl Parser<'_> {
    fn any_of(&mut self) -> Result<Expression> {
        let mut one = self.all_of()?;
        while self.takes_name("or") {
            one = Expression::Or(Box::new(one), Box::new(self.all_of()?));
        }
        Ok(one)
    }

    fn all_of(&mut self) -> Result<Expression> {
        let mut one = self.not()?;
        while self.takes_name("and") {
            one = Expression::And(Box::new(one), Box::new(self.not()?));
        }
        Ok(one)
    }

    fn not(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("the expression is deeper than {MOST_DEPTH}"));
        }
        let expression = if self.takes_name("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.takes_sign("(") {
            let inner = self.any_of()?;
            self.needs_sign(")")?;
            inner
        } else {
            self.matching()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    /// `SELECTOR operator VALUE` or `VALUE in SELECTOR`.
    fn matching(&mut self) -> Result<Expression> {
        let begin = self.next;
        let value = self.value()?;
        if let Some(negated) = self.takes_in() {
            let path = self.selector()?;
            return self.expression(path, Operator::In, Some(value), negated);
        }
        self.next = begin;
        let path = self.selector()?;
        let (operator, negated) = self.operator()?;
        let value = match operator {
            Operator::Empty => None,
            _ => Some(self.value()?),
        };
        self.expression(path, operator, value, negated)
    }

    fn takes_in(&mut self) -> Option<bool> {
        let begin = self.next;
        let negated = self.takes_name("not");
        if self.takes_name("in") {
            return Some(negated);
        }
        self.next = begin;
        None
    }

    fn operator(&mut self) -> Result<(Operator, bool)> {
        if self.takes_sign("==") {
            return Ok((Operator::Equal, false));
        }
        if self.takes_sign("!=") {
            return Ok((Operator::Equal, true));
        }
        if self.takes_name("is") {
            let negated = self.takes_name("not");
            return match self.takes_name("empty") {
                true => Ok((Operator::Empty, negated)),
                false => Err(self.expected("`empty`")),
            };
        }
        let negated = self.takes_name("not");
        if self.takes_name("contains") {
            return Ok((Operator::In, negated));
        }
        if self.takes_name("matches") {
            return Ok((Operator::Matches, negated));
        }
        Err(self.expected("`==`, `!=`, `in`, `contains`, `is empty` or `matches`"))
    }

    fn selector(&mut self) -> Result<Vec<String>> {
        let mut path = vec![self.name("a selector")?];
        loop {
            if self.takes_sign(".") {
                path.push(self.name("a name")?);
            } else if self.takes_sign("[") {
                match self.take() {
                    Word::Text(key) => path.push(key),
                    _ => return Err(self.expected_before("a quoted name")),
                }
                self.needs_sign("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    /// A text, a number, or a selector that stands for itself.
    fn value(&mut self) -> Result<String> {
        match self.peek() {
            Word::Text(_) | Word::Number(_) => match self.take() {
                Word::Text(text) | Word::Number(text) => Ok(text),
                _ => Err(self.expected_before("a value")),
            },
            Word::Name(_) => Ok(self.selector()?.join(".")),
            _ => Err(self.expected("a value")),
        }
    }

    fn expression(
        &self,
        path: Vec<String>,
        operator: Operator,
        value: Option<String>,
        negated: bool,
    ) -> Result<Expression> {
        let shown = path.join(".");
        let Some(shape) = self.shape.select(&path) else {
            return Err(format!("Selector {shown:?} is not valid"));
        };
        let value = value.unwrap_or_default();
        let test = match (operator, shape) {
            (Operator::Equal, Shape::Text) => Test::Text(value),
            (Operator::Equal, Shape::Number) => Test::Number(coerced(&value, "a number")?),
            (Operator::Equal, Shape::Truth) => Test::Truth(truth(&value)?),
            (Operator::In, Shape::Text | Shape::Texts | Shape::Map) => Test::Has(value),
            (Operator::Empty, Shape::Texts | Shape::Map | Shape::Each(_)) => Test::Empty,
            (Operator::Matches, Shape::Text) => {
                let mut pattern = RegexBuilder::new(&value);
                let pattern = pattern.size_limit(MOST_PATTERN).build();
                let pattern = pattern.map_err(|error| {
                    format!("Failed to compile the regular expression {value:?}: {error}")
                })?;
                Test::Matches(pattern)
            }
            _ => {
                let name = name_of(operator, negated);
                return Err(format!(
                    "Invalid match operator {name:?} for selector {shown:?}"
                ));
            }
        };
        Ok(Expression::Match {
            path,
            test,
            negated,
        })
    }

    fn peek(&self) -> &Word {
        self.tokens
            .get(self.next)
            .map_or(&Word::End, |token| &token.word)
    }

    fn take(&mut self) -> Word {
        let word = self.peek().clone();
        self.next += 1;
        word
    }

    fn takes_name(&mut self, name: &str) -> bool {
        let taken = matches!(self.peek(), Word::Name(next) if next == name);
        self.next += usize::from(taken);
        taken
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let taken = matches!(self.peek(), Word::Sign(next) if *next == sign);
        self.next += usize::from(taken);
        taken
    }

    fn needs_sign(&mut self, sign: &str) -> Result<()> {
        match self.takes_sign(sign) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{sign}`"))),
        }
    }

    fn name(&mut self, what: &str) -> Result<String> {
        match self.take() {
            Word::Name(name) => Ok(name),
            _ => Err(self.expected_before(what)),
        }
    }

    fn expected(&self, what: &str) -> String {
        self.expected_at(self.next, what)
    }

    fn expected_before(&self, what: &str) -> String {
        self.expected_at(self.next.saturating_sub(1), what)
    }

    fn expected_at(&self, place: usize, what: &str) -> String {
        let token = self.tokens.get(place).or(self.tokens.last());
        let at = token.map_or(0, |token| token.at);
        wrong(at, &format!("no match found, expected: {what}"))
    }
}

fn coerced<T: std::str::FromStr>(value: &str, what: &str) -> Result<T> {
    let read = value.parse();
    read.map_err(|_| format!("Failed to coerce value {value:?} to {what}"))
}

fn truth(value: &str) -> Result<bool> {
    let read = crate::consul::wire::boolean(value);
    read.ok_or_else(|| format!("Failed to coerce value {value:?} to a truth value"))
}

const fn name_of(operator: Operator, negated: bool) -> &'static str {
    match (operator, negated) {
        (Operator::Equal, false) => "Equal",
        (Operator::Equal, true) => "Not Equal",
        (Operator::In, false) => "In",
        (Operator::In, true) => "Not In",
        (Operator::Empty, false) => "Is Empty",
        (Operator::Empty, true) => "Is Not Empty",
        (Operator::Matches, false) => "Matches",
        (Operator::Matches, true) => "Not Matches",
    }
}

/// The longest expression, the deepest nesting and the largest pattern that are taken.
const MOST_BYTES: usize = 4_096;
const MOST_DEPTH: usize = 64;
const MOST_PATTERN: usize = 256 << 10;

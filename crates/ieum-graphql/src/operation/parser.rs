//! Executable documents, from tokens to the syntax tree of `graphql-tools`.
//!
//! Why not that library's own parser: it panics on a block string that is indented with a character of
//! more than one byte, it refuses `1e9`, `"\u{1F600}"` and surrogate pairs, and it does not say where a
//! limit was passed. The tree is the library's, so that its validation and the planner understand it.
//! The recursion is bounded by [`scan`](super::lexer::scan), which has counted the brackets before.

use graphql_tools::parser::Pos;
use graphql_tools::static_graphql::query::{
    Definition, Directive, Document, Field, FragmentDefinition, FragmentSpread, InlineFragment,
    Mutation, OperationDefinition, Query, Selection, SelectionSet, Subscription, Type,
    TypeCondition, Value, VariableDefinition,
};

use super::lexer::{Lexer, Token};
use super::strings;
use super::syntax::SyntaxError;

type Result<T> = std::result::Result<T, SyntaxError>;

/// A parsed document, with what the library's tree has no place for.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) document: Document,
    /// Directives of variable definitions.
    pub(crate) variable_directives: Vec<Directive>,
}

/// Parses a document that [`scan`](super::lexer::scan) let pass.
pub(crate) fn parse(text: &str) -> Result<Parsed> {
    let mut parser = Parser::new(text)?;
    let mut definitions = Vec::new();
    while parser.token != Token::End {
        definitions.push(parser.definition()?);
    }
    if definitions.is_empty() {
        return Err(SyntaxError::new("the document is empty", parser.pos));
    }
    Ok(Parsed {
        document: Document { definitions },
        variable_directives: parser.variable_directives,
    })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    pos: Pos,
    variable_directives: Vec<Directive>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let mut lexer = Lexer::new(text);
        let (token, pos) = lexer.next()?;
        Ok(Self {
            lexer,
            token,
            pos,
            variable_directives: Vec::new(),
        })
    }

    fn step(&mut self) -> Result<()> {
        (self.token, self.pos) = self.lexer.next()?;
        Ok(())
    }

    fn expected(&self, what: &str) -> SyntaxError {
        SyntaxError::new(
            format!("expected {what}, found {}", self.token.describe()),
            self.pos,
        )
    }

    fn at(&self, punctuator: u8) -> bool {
        self.token == Token::Punctuator(punctuator)
    }

    /// Takes the punctuator if it is next.
    fn take(&mut self, punctuator: u8) -> Result<bool> {
        let found = self.at(punctuator);
        if found {
            self.step()?;
        }
        Ok(found)
    }

    fn expect(&mut self, punctuator: u8) -> Result<()> {
        if self.take(punctuator)? {
            return Ok(());
        }
        Err(self.expected(&Token::Punctuator(punctuator).describe()))
    }

    fn name(&mut self) -> Result<String> {
        let Token::Name(name) = self.token else {
            return Err(self.expected("a name"));
        };
        self.step()?;
        Ok(name.to_owned())
    }

    fn definition(&mut self) -> Result<Definition> {
        // A description (September 2025) documents what follows and has no meaning for execution.
        let described = matches!(self.token, Token::Text(_) | Token::Block(_));
        if described {
            self.step()?;
        }
        let pos = self.pos;
        match self.token {
            Token::Punctuator(b'{') if !described => Ok(Definition::Operation(
                OperationDefinition::SelectionSet(self.selection_set()?),
            )),
            Token::Name("fragment") => self.fragment(pos).map(Definition::Fragment),
            Token::Name(kind @ ("query" | "mutation" | "subscription")) => {
                self.operation(kind, pos).map(Definition::Operation)
            }
            _ => Err(self.expected("an operation or a fragment")),
        }
    }

    fn operation(&mut self, kind: &str, position: Pos) -> Result<OperationDefinition> {
        self.step()?;
        let name = match self.token {
            Token::Name(_) => Some(self.name()?),
            _ => None,
        };
        let variable_definitions = self.variable_definitions()?;
        let directives = self.directives(Variables::Allowed)?;
        let selection_set = self.selection_set()?;
        Ok(match kind {
            "mutation" => OperationDefinition::Mutation(Mutation {
                position,
                name,
                variable_definitions,
                directives,
                selection_set,
            }),
            "subscription" => OperationDefinition::Subscription(Subscription {
                position,
                name,
                variable_definitions,
                directives,
                selection_set,
            }),
            _ => OperationDefinition::Query(Query {
                position,
                name,
                variable_definitions,
                directives,
                selection_set,
            }),
        })
    }

    fn fragment(&mut self, position: Pos) -> Result<FragmentDefinition> {
        self.step()?;
        if self.token == Token::Name("on") {
            return Err(self.expected("the name of a fragment"));
        }
        let name = self.name()?;
        if self.token != Token::Name("on") {
            return Err(self.expected("\"on\""));
        }
        self.step()?;
        Ok(FragmentDefinition {
            position,
            name,
            type_condition: TypeCondition::On(self.name()?),
            directives: self.directives(Variables::Allowed)?,
            selection_set: self.selection_set()?,
        })
    }

    fn variable_definitions(&mut self) -> Result<Vec<VariableDefinition>> {
        let mut definitions = Vec::new();
        if !self.take(b'(')? {
            return Ok(definitions);
        }
        loop {
            if matches!(self.token, Token::Text(_) | Token::Block(_)) {
                self.step()?;
            }
            let position = self.pos;
            self.expect(b'$')?;
            let name = self.name()?;
            self.expect(b':')?;
            let var_type = self.type_reference()?;
            let default_value = match self.take(b'=')? {
                true => Some(self.value(Variables::Refused)?),
                false => None,
            };
            let directives = self.directives(Variables::Refused)?;
            self.variable_directives.extend(directives);
            definitions.push(VariableDefinition {
                position,
                name,
                var_type,
                default_value,
            });
            if self.take(b')')? {
                return Ok(definitions);
            }
        }
    }

    fn type_reference(&mut self) -> Result<Type> {
        let inner = if self.take(b'[')? {
            let element = self.type_reference()?;
            self.expect(b']')?;
            Type::ListType(Box::new(element))
        } else {
            Type::NamedType(self.name()?)
        };
        Ok(match self.take(b'!')? {
            true => Type::NonNullType(Box::new(inner)),
            false => inner,
        })
    }

    fn selection_set(&mut self) -> Result<SelectionSet> {
        let start = self.pos;
        self.expect(b'{')?;
        let mut items = Vec::new();
        loop {
            items.push(self.selection()?);
            let end = self.pos;
            if self.take(b'}')? {
                let span = (start, end);
                return Ok(SelectionSet { span, items });
            }
        }
    }

    fn selection(&mut self) -> Result<Selection> {
        let position = self.pos;
        if !self.take(b'.')? {
            return self.field().map(Selection::Field);
        }
        if let Token::Name(name) = self.token
            && name != "on"
        {
            return Ok(Selection::FragmentSpread(FragmentSpread {
                position,
                fragment_name: self.name()?,
                directives: self.directives(Variables::Allowed)?,
            }));
        }
        let mut type_condition = None;
        if self.token == Token::Name("on") {
            self.step()?;
            type_condition = Some(TypeCondition::On(self.name()?));
        }
        Ok(Selection::InlineFragment(InlineFragment {
            position,
            type_condition,
            directives: self.directives(Variables::Allowed)?,
            selection_set: self.selection_set()?,
        }))
    }

    fn field(&mut self) -> Result<Field> {
        let position = self.pos;
        let first = self.name()?;
        let (alias, name) = match self.take(b':')? {
            true => (Some(first), self.name()?),
            false => (None, first),
        };
        Ok(Field {
            position,
            alias,
            name,
            arguments: self.arguments(Variables::Allowed)?,
            directives: self.directives(Variables::Allowed)?,
            selection_set: match self.at(b'{') {
                true => self.selection_set()?,
                false => SelectionSet {
                    span: (position, position),
                    items: Vec::new(),
                },
            },
        })
    }

    fn arguments(&mut self, variables: Variables) -> Result<Vec<(String, Value)>> {
        let mut arguments = Vec::new();
        if !self.take(b'(')? {
            return Ok(arguments);
        }
        loop {
            let name = self.name()?;
            self.expect(b':')?;
            arguments.push((name, self.value(variables)?));
            if self.take(b')')? {
                return Ok(arguments);
            }
        }
    }

    fn directives(&mut self, variables: Variables) -> Result<Vec<Directive>> {
        let mut directives = Vec::new();
        while self.at(b'@') {
            let position = self.pos;
            self.step()?;
            directives.push(Directive {
                position,
                name: self.name()?,
                arguments: self.arguments(variables)?,
            });
        }
        Ok(directives)
    }

    fn value(&mut self, variables: Variables) -> Result<Value> {
        let pos = self.pos;
        let value = match self.token {
            Token::Punctuator(b'$') if variables == Variables::Allowed => {
                self.step()?;
                return Ok(Value::Variable(self.name()?));
            }
            Token::Punctuator(b'[') => return self.list(variables),
            Token::Punctuator(b'{') => return self.object(variables),
            Token::Int(source) => integer(source, pos)?,
            Token::Float(source) => float(source, pos)?,
            Token::Text(source) => Value::String(strings::decode(source, pos)?),
            Token::Block(source) => Value::String(strings::decode_block(source)),
            Token::Name("true") => Value::Boolean(true),
            Token::Name("false") => Value::Boolean(false),
            Token::Name("null") => Value::Null,
            Token::Name(name) => Value::Enum(name.to_owned()),
            _ => return Err(self.expected("a value")),
        };
        self.step()?;
        Ok(value)
    }

    fn list(&mut self, variables: Variables) -> Result<Value> {
        self.step()?;
        let mut elements = Vec::new();
        while !self.take(b']')? {
            elements.push(self.value(variables)?);
        }
        Ok(Value::List(elements))
    }

    fn object(&mut self, variables: Variables) -> Result<Value> {
        self.step()?;
        let mut fields = Vec::new();
        while !self.take(b'}')? {
            let name = self.name()?;
            self.expect(b':')?;
            fields.push((name, self.value(variables)?));
        }
        Ok(Value::Object(fields))
    }
}

/// Whether a value may contain variables: a constant may not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variables {
    Allowed,
    Refused,
}

fn integer(source: &str, pos: Pos) -> Result<Value> {
    let too_large = || SyntaxError::new("an integer has more than 64 bits", pos);
    let number: i64 = source.parse().map_err(|_| too_large())?;
    if let Ok(small) = i32::try_from(number) {
        return Ok(Value::Int(small.into()));
    }
    // The library's number of more than 32 bits can only be made by its parser.
    let carrier = format!("{{a(a:{number})}}");
    let Ok(document) = graphql_tools::parser::parse_query::<String>(&carrier) else {
        return Err(too_large());
    };
    match document.into_static().definitions.pop() {
        Some(Definition::Operation(OperationDefinition::SelectionSet(mut set))) => {
            match set.items.pop() {
                Some(Selection::Field(mut field)) => field.arguments.pop(),
                _ => None,
            }
        }
        _ => None,
    }
    .map(|(_, value)| value)
    .ok_or_else(too_large)
}

fn float(source: &str, pos: Pos) -> Result<Value> {
    match source.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(SyntaxError::new("a number is too large", pos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses, prints with the library's printer (in one line), and compares.
    fn check(text: &str, expected: &str) {
        let printed = match parse(text) {
            Ok(parsed) => {
                let printed = parsed.document.to_string();
                let words: Vec<&str> = printed.split_ascii_whitespace().collect();
                words.join(" ")
            }
            Err(error) => format!("{}:{} {error}", error.pos.line, error.pos.column),
        };
        assert_eq!(printed.trim(), expected, "{text}");
    }

    #[test]
    fn every_kind_of_selection_and_value_is_read() {
        check("{a}", "{ a }");
        check(
            "query Q($a: [Int!]! = [1], \"d\" $b: S @x(y: 1)) @d { b: a(x: $a, y: {z: [E, null, true]}) @include(if: $b) { c } ...F ... @skip(if: true) { d } ... on T { e } }",
            "query Q($a: [Int!]! = [1], $b: S) @d { b: a(x: $a, y: {z: [E, null, true]}) @include(if: $b) { c } ...F ... @skip(if: true) { d } ... on T { e } }",
        );
        check(
            "mutation M { a } fragment F on T { b }",
            "mutation M { a } fragment F on T { b }",
        );
        check("\"what it does\" query Q { a }", "query Q { a }");
        check(
            "{ a(x: 9007199254740993, y: -1.5e2, z: 1e0) }",
            "{ a(x: 9007199254740993, y: -150, z: 1) }",
        );
    }

    #[test]
    fn wrong_documents_say_what_was_expected_and_where() {
        check("", "1:1 the document is empty");
        check("{", "1:2 expected a name, found the end of the document");
        check("{}", "1:2 expected a name, found \"}\"");
        check("{ a(", "1:5 expected a name, found the end of the document");
        check("{ a() }", "1:5 expected a name, found \")\"");
        check(
            "query ($a: Int = $b) { a }",
            "1:18 expected a value, found \"$\"",
        );
        check(
            "fragment on on T { a }",
            "1:10 expected the name of a fragment, found name \"on\"",
        );
        check("fragment F { a }", "1:12 expected \"on\", found \"{\"");
        check(
            "type A { a: Int }",
            "1:1 expected an operation or a fragment, found name \"type\"",
        );
        check(
            "\"d\" { a }",
            "1:5 expected an operation or a fragment, found \"{\"",
        );
        check(
            "{ a }\n}",
            "2:1 expected an operation or a fragment, found \"}\"",
        );
        check(
            "{ a(x: 99999999999999999999) }",
            "1:8 an integer has more than 64 bits",
        );
        check("{ a(x: 1e999) }", "1:8 a number is too large");
        check(r#"{ a(x: "\q") }"#, "1:8 invalid escape in a string");
    }

    #[test]
    fn wide_white_space_in_a_block_string_is_harmless() {
        // The library's own parser slices such a line within a character and panics.
        let parsed = parse("{ a(x: \"\"\"x\n y\n\u{3000}z\"\"\") }").expect("it parses");
        let tree = format!("{:?}", parsed.document);
        assert!(tree.contains("String(\"x\\n y\\n\\u{3000}z\")"), "{tree}");
    }
}

//! Selections: types, conditions and names, and how values are written.

use serde_json::json;

use super::support::{Script, fetch, query, run, run_with, shop};
use crate::execute::{Config, Executable, Types, Variables, execute};
use crate::plan::{Condition, Node};

#[tokio::test]
async fn one_key_means_different_things_for_different_types() {
    let script = Script::new().answer(
        "search",
        r#"{"data":{"search":[{"__typename":"User","id":"1","x":"Ada"},{"__typename":"Book","x":7}]}}"#,
    );
    let plan = query(
        fetch("search", "search"),
        "search { ...User { x:name kind:__typename } ...Book { x:pages } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"search":[{"x":"Ada","kind":"User"},{"x":7}]}}"#
    );
}

#[tokio::test]
async fn selections_of_one_key_are_merged_with_their_conditions() {
    let script = || {
        Script::new().answer(
            "users",
            r#"{"data":{"user":{"id":"1","name":"Ada","age":3,"best":{"id":"2","name":"Bob"}}}}"#,
        )
    };
    let plan = query(
        fetch("users", "user"),
        "user @include:a { id best { id } } ... @skip:b { user { name best @include:c { name } } }",
    );
    let cases = [
        ((false, true, true), r#"{"data":{}}"#),
        (
            (true, true, true),
            r#"{"data":{"user":{"id":"1","best":{"id":"2"}}}}"#,
        ),
        ((false, false, false), r#"{"data":{"user":{"name":"Ada"}}}"#),
        (
            (true, false, true),
            r#"{"data":{"user":{"id":"1","best":{"id":"2","name":"Bob"},"name":"Ada"}}}"#,
        ),
    ];
    for ((a, b, c), expected) in cases {
        let variables = [("a", json!(a)), ("b", json!(b)), ("c", json!(c))];
        assert_eq!(
            run_with(&shop(), &plan, &variables, &script()).await,
            expected,
            "a {a}, b {b}, c {c}"
        );
    }
}

#[tokio::test]
async fn a_fetch_under_a_condition_is_made_only_if_it_holds() {
    for (flag, asked) in [(true, "yes"), (false, "no")] {
        let script = Script::new()
            .answer("yes", r#"{"data":{"user":{"id":"1"}}}"#)
            .answer("no", r#"{"data":{"user":{"id":"1"}}}"#);
        let condition = Condition {
            variable: "flag".to_owned(),
            then: Some(Box::new(fetch("yes", "user"))),
            otherwise: Some(Box::new(fetch("no", "user"))),
        };
        let plan = query(Node::Condition(condition), "user { id }");
        run_with(&shop(), &plan, &[("flag", json!(flag))], &script).await;
        let calls: Vec<String> = script.variables().into_iter().map(|(to, _)| to).collect();
        assert_eq!(calls, [asked]);
    }
}

#[tokio::test]
async fn scalars_are_answered_as_they_came() {
    let blob = r#"{"user":[1, 2.0,{"deep":null,"id":"😀 \ud83d\ude00 \u0000 \/"}],"n":123456789012345678901234567890}"#;
    let user = r#"{"id":42,"name":"\"\\\u00e9é\ud83d\ude00😀","score":1.0,"age":-0}"#;
    let body = format!(r#"{{"data":{{"blob":{blob},"user":{user}}}}}"#);
    let script = Script::new().answer("users", body);
    let plan = query(
        fetch("users", "user blob"),
        "blob user { id name score age }",
    );
    let expected = format!(
        r#"{{"data":{{"blob":{blob},"user":{{"id":"42","name":"\"\\\u00e9é\ud83d\ude00😀","score":1.0,"age":-0}}}}}}"#
    );
    assert_eq!(run(&shop(), &plan, &script).await, expected);
}

#[tokio::test]
async fn introspection_is_answered_beside_data() {
    let script = Script::new().answer("users", r#"{"data":{"user":{"id":"1"}}}"#);
    let plan = query(
        fetch("users", "user"),
        "user { id } kind:__type { name } __typename",
    );
    let plan = Executable::compile(&plan, &shop()).expect("a plan");
    let known = Some(r#"{"kind":{"name":"User"}}"#.into());
    let answer = execute(&plan, &Variables::new(), known, &script, &Config::default()).await;
    assert_eq!(
        answer.body,
        r#"{"data":{"user":{"id":"1"},"kind":{"name":"User"},"__typename":"Query"}}"#
    );
}

#[test]
fn a_plan_that_does_not_fit_the_schema_is_refused() {
    let plan = query(fetch("users", "user"), "user { salary }");
    let refused = Executable::compile(&plan, &shop()).expect_err("no such field");
    assert!(
        refused.to_string().contains("`salary` of `User`"),
        "{refused}"
    );
    let plan = query(fetch("users", "user"), "user { id }");
    assert!(Executable::compile(&plan, &Types::new()).is_err());
}

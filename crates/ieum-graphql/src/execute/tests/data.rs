//! Data: what is fetched, merged and answered when nothing fails.

use serde_json::json;

use super::support::{
    Script, answer, batch, entities, entity_fetch, fetch, path, query, rewrite, root_fetch, run,
    run_with, selected, shop,
};
use crate::execute::Config;
use crate::plan::{Change, Node, OperationKind, Plan};

#[tokio::test]
async fn a_plan_of_one_fetch_answers_what_was_selected_in_the_clients_order() {
    let script = Script::new().answer(
        "users",
        r#"{ "data": {"user":{"name":"Ada","id":"1","__typename":"User","secret":"x"}} }"#,
    );
    let plan = query(fetch("users", "user"), "user { id name } ");
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"user":{"id":"1","name":"Ada"}}}"#
    );
    assert_eq!(script.bodies(), [r#"{"query":"{user}"}"#]);
}

#[tokio::test]
async fn entities_are_asked_for_once_each_and_their_answers_go_to_every_place() {
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"users":[{"__typename":"User","id":"1"},{"__typename":"User","id":"2"},
                {"__typename":"User","id":"1"}]}}"#,
        )
        .answer(
            "orders",
            r#"{"data":{"_entities":[{"orders":[{"id":"a"}]},{"orders":[]}]}}"#,
        );
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "users"),
            entities("orders", "users.@", "...User{__typename id}", "orders"),
        ]),
        "users { orders { id } id }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"users":[{"orders":[{"id":"a"}],"id":"1"},{"orders":[],"id":"2"},{"orders":[{"id":"a"}],"id":"1"}]}}"#
    );
    let asked = json!({"representations": [
        {"__typename": "User", "id": "1"},
        {"__typename": "User", "id": "2"},
    ]});
    assert_eq!(script.variables()[1], ("orders".to_owned(), asked));
}

#[tokio::test]
async fn what_is_fetched_for_one_place_does_not_show_at_another() {
    // Both places have the same user, but only one place's best friend gets a name.
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"user":{"__typename":"User","id":"1"},"first":{"__typename":"User","id":"1"}}}"#,
        )
        .answer(
            "friends",
            r#"{"data":{"_entities":[{"best":{"__typename":"User","id":"9"}}]}}"#,
        )
        .answer("names", r#"{"data":{"_entities":[{"name":"Nine"}]}}"#);
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user first"),
            entities("friends", "user first", "...User{__typename id}", "best"),
            entities("names", "first.best", "...User{__typename id}", "name"),
        ]),
        "user { best { name } } first { best { name } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"user":{"best":{"name":null}},"first":{"best":{"name":"Nine"}}}}"#
    );
}

#[tokio::test]
async fn lists_in_lists_with_nulls_are_entered() {
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"user":{"friends":[[{"__typename":"User","id":"1"},null],null,[],
                [{"__typename":"User","id":"2"}]]}}}"#,
        )
        .answer("names", r#"{"data":{"_entities":[{"name":"One"},null]}}"#);
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user"),
            entities(
                "names",
                "user.friends.@.@",
                "...User{__typename id}",
                "name",
            ),
        ]),
        "user { friends { name } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"user":{"friends":[[{"name":"One"},null],null,[],[{"name":null}]]}}}"#
    );
}

#[tokio::test]
async fn an_entity_without_its_keys_is_not_asked_for() {
    let products = r#"{"data":{"user":{"orders":[{"items":[
        {"__typename":"Product","upc":null},
        {"__typename":"Product"},
        {"__typename":"Product","upc":"p","sku":null},
        null]}]}}}"#;
    let script = Script::new()
        .answer("orders", products)
        .answer("products", r#"{"data":{"_entities":[{"name":"P"}]}}"#);
    let plan = query(
        Node::Sequence(vec![
            fetch("orders", "user"),
            entities(
                "products",
                "user.orders.@.items.@",
                "...Product{__typename upc}",
                "name",
            ),
        ]),
        "user { orders { items { name } } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"user":{"orders":[{"items":[{"name":null},{"name":null},{"name":"P"},null]}]}}}"#
    );
    let asked = json!({"representations": [{"__typename": "Product", "upc": "p"}]});
    assert_eq!(script.variables()[1].1, asked);
}

#[tokio::test]
async fn nobody_is_asked_for_nothing() {
    let script = Script::new().answer("users", r#"{"data":{"users":[]}}"#);
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "users"),
            entities("orders", "users.@", "...User{__typename id}", "orders"),
        ]),
        "users { orders { id } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"users":[]}}"#
    );
    assert_eq!(script.bodies().len(), 1);
}

#[tokio::test]
async fn a_required_field_may_be_null_may_be_an_object_and_may_come_under_another_name() {
    let script = Script::new()
        .answer(
            "products",
            r#"{"data":{"product":{"__typename":"Product","upc":"1","price":1.0,"_alias_0":2.50,
                "sku":null,"maker":{"__typename":"Maker","id":"m","name":"skip"}}}}"#,
        )
        .answer("shipping", r#"{"data":{"_entities":[{"estimate":1e3}]}}"#);
    let plan = query(
        Node::Sequence(vec![
            fetch("products", "product"),
            entities(
                "shipping",
                "product",
                "...Product{__typename upc price:_alias_0 sku maker{id}}",
                "estimate",
            ),
        ]),
        "product { price estimate }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"product":{"price":1.0,"estimate":1e3}}}"#
    );
    assert!(
        script.bodies()[1].ends_with(
            r#""variables":{"representations":[{"__typename":"Product","upc":"1","price":2.50,"sku":null,"maker":{"id":"m"}}]}}"#
        ),
        "{}",
        script.bodies()[1]
    );
}

#[tokio::test]
async fn batches_of_one_fetch_keep_their_entities_apart() {
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"user":{"__typename":"User","id":"1"},"product":{"__typename":"Product","upc":"1"}}}"#,
        )
        .answer(
            "all",
            r#"{"data":{"_e1":[{"name":"Product 1"}],"_e0":[{"name":"User 1"}]}}"#,
        );
    let batches = vec![
        batch("_e0", "user", "...User{__typename id}", "name"),
        batch("_e1", "product", "...Product{__typename upc}", "name"),
    ];
    let mut fetched = entity_fetch("all", batches);
    fetched.variables = vec!["given".to_owned(), "absent".to_owned()];
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user product"),
            Node::Entities(fetched),
        ]),
        "user { name } product { name }",
    );
    let variables = [("given", json!({"a": [1, "é"]})), ("other", json!(1))];
    assert_eq!(
        run_with(&shop(), &plan, &variables, &script).await,
        r#"{"data":{"user":{"name":"User 1"},"product":{"name":"Product 1"}}}"#
    );
    assert_eq!(
        script.variables()[1].1,
        json!({
            "given": {"a": [1, "é"]},
            "representations0": [{"__typename": "User", "id": "1"}],
            "representations1": [{"__typename": "Product", "upc": "1"}],
        })
    );
}

#[tokio::test]
async fn the_plans_aliases_get_their_names_back() {
    let script = Script::new().answer(
        "media",
        r#"{"data":{"media":[{"__typename":"Book","id":"1","title":"B"},
            {"__typename":"Film","id":"2","_alias_0":"F","minutes":90}]}}"#,
    );
    let mut fetched = root_fetch("media", "media");
    fetched.output = vec![rewrite(
        "media.|Film._alias_0",
        Change::Rename("title".to_owned()),
    )];
    let plan = query(Node::Fetch(fetched), "media { title ...Film { minutes } }");
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"media":[{"title":"B"},{"title":"F","minutes":90}]}}"#
    );
}

#[tokio::test]
async fn an_interface_object_is_asked_for_by_the_interface() {
    let script = Script::new()
        .answer(
            "media",
            r#"{"data":{"media":[{"__typename":"Book","id":"1","pages":7},{"__typename":"Media","id":"2"}]}}"#,
        )
        .answer(
            "titles",
            r#"{"data":{"_entities":[{"__typename":"Media","title":"One"},{"title":"Two"}]}}"#,
        );
    let mut titles = batch(
        "_entities",
        "media.@.|Media",
        "...Media{__typename id}",
        "title",
    );
    titles.input = vec![rewrite(
        "|Media.__typename",
        Change::Set("Media".to_owned()),
    )];
    let plan = query(
        Node::Sequence(vec![
            fetch("media", "media"),
            Node::Entities(entity_fetch("titles", vec![titles])),
        ]),
        "media { id title ...Book { pages } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"media":[{"id":"1","title":"One","pages":7},{"id":"2","title":"Two"}]}}"#
    );
    assert_eq!(
        script.variables()[1].1,
        json!({"representations": [
            {"__typename": "Media", "id": "1"},
            {"__typename": "Media", "id": "2"},
        ]})
    );
}

#[tokio::test]
async fn paths_lead_through_objects_of_the_right_types_only() {
    let found = r#"{"data":{"search":[
        {"__typename":"User","id":"1","best":{"__typename":"User","id":"3"}},
        {"__typename":"Book","id":"2"}]}}"#;
    let script = Script::new()
        .answer("search", found)
        .answer("names", r#"{"data":{"_entities":[{"name":"Best"}]}}"#)
        .answer(
            "books",
            r#"{"data":{"_entities":[{"pages":7,"title":"T"}]}}"#,
        );
    let plan = query(
        Node::Sequence(vec![
            fetch("search", "search"),
            Node::Parallel(vec![
                entities(
                    "names",
                    "search.@.|User.best",
                    "...User{__typename id}",
                    "name",
                ),
                entities(
                    "books",
                    "search.@.|Media",
                    "...Media{__typename id}",
                    "title pages",
                ),
            ]),
        ]),
        "search { __typename ...User { best { name } } ...Media { title } ...Book { pages } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"search":[{"__typename":"User","best":{"name":"Best"}},{"__typename":"Book","title":"T","pages":7}]}}"#
    );
}

#[tokio::test]
async fn answers_of_two_fetches_for_one_object_are_merged_in_depth() {
    let script = Script::new()
        .answer("a", r#"{"data":{"user":{"orders":[{"id":"1"},{"id":"2"}],"best":{"id":"3"}}}}"#)
        .answer(
            "b",
            r#"{"data":{"user":{"orders":[{"total":1.5},{"total":2}],"best":{"name":"B"},"age":null}}}"#,
        );
    let plan = query(
        Node::Parallel(vec![fetch("a", "user"), fetch("b", "user")]),
        "user { orders { id total } best { id name } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"user":{"orders":[{"id":"1","total":1.5},{"id":"2","total":2}],"best":{"id":"3","name":"B"}}}}"#
    );
}

#[tokio::test]
async fn a_fetch_of_the_root_may_belong_deeper() {
    let script = Script::new()
        .answer("users", r#"{"data":{"user":{"best":{"id":"1"}}}}"#)
        .answer("names", r#"{"data":{"name":"Deep"}}"#);
    let mut deep = root_fetch("names", "name");
    deep.path = path("user.best");
    let plan = query(
        Node::Sequence(vec![fetch("users", "user"), Node::Fetch(deep)]),
        "user { best { id name } }",
    );
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"user":{"best":{"id":"1","name":"Deep"}}}}"#
    );
}

#[tokio::test]
async fn a_mutations_fields_run_one_after_the_other() {
    let script = Script::new()
        .answer("users", r#"{"data":{"add":{"id":"1"}}}"#)
        .answer("users", r#"{"data":{"remove":{"id":"1"}}}"#);
    let step = |field: &str| {
        let mut step = root_fetch("users", field);
        step.kind = OperationKind::Mutation;
        Node::Fetch(step)
    };
    let plan = Plan {
        kind: OperationKind::Mutation,
        root: Some(Node::Sequence(vec![step("add"), step("remove")])),
        response: selected("add { id __typename } remove { id } __typename"),
    };
    assert_eq!(
        run(&shop(), &plan, &script).await,
        r#"{"data":{"add":{"id":"1","__typename":"User"},"remove":{"id":"1"},"__typename":"Mutation"}}"#
    );
    assert_eq!(
        script.bodies(),
        [r#"{"query":"{add}"}"#, r#"{"query":"{remove}"}"#]
    );
}

#[tokio::test]
async fn an_answer_tells_what_it_took() {
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"users":[{"__typename":"User","id":"1"},{"__typename":"User","id":"1"}]}}"#,
        )
        .answer("orders", r#"{"data":{"_entities":[{"orders":null}]}}"#);
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "users"),
            entities("orders", "users.@", "...User{__typename id}", "orders"),
        ]),
        "users { orders { id } }",
    );
    let answer = answer(&shop(), &plan, &[], &script, &Config::default()).await;
    assert_eq!((answer.fetches, answer.entities, answer.errors), (2, 2, 0));
}

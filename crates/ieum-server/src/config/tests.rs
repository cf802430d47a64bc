//! What a person sees who made a mistake in `ieum.toml`.

use std::path::Path;

use super::{Config, Overrides, Report, Role, parse, parse_with};

fn read(text: &str) -> Result<Config, Report> {
    parse(Path::new("conf/ieum.toml"), text.to_owned())
}

/// The problems of `text` as `line:column message`.
fn problems(text: &str) -> Vec<String> {
    let report = match read(text) {
        Ok(_) => return Vec::new(),
        Err(report) => report,
    };
    let line = |problem: &super::Problem| match &problem.place {
        Some(place) => format!("{}:{} {}", place.line, place.column, problem.message),
        None => format!("- {}", problem.message),
    };
    report.problems().iter().map(line).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn an_empty_file_is_a_configuration() {
    let config = read("").expect("valid");
    assert_eq!(config.platform.listen, None);
    assert_eq!(config.platform.data_dir, Path::new("ieum-data"));
    assert_eq!(config.source.base(), Path::new("conf"));
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    check(
        "[platform]\nlisten = \"127.0.0.1:1\"\ndata-dri = \"x\"\n",
        &["3:1 unknown key `data-dri`, did you mean `data-dir`?"],
    );
    check(
        "[platform]\ndata_dir = \"x\"\n",
        &["2:1 unknown key `data_dir`, did you mean `data-dir`?"],
    );
    check(
        "[platfrom]\n",
        &["1:2 unknown key `platfrom`, did you mean `platform`?"],
    );
    check("zebra = 1\n", &["1:1 unknown key `zebra`"]);
}

#[test]
fn the_known_keys_are_listed() {
    let report = read("[log]\nurk = 1\n").expect_err("unknown").to_string();
    assert!(report.contains("help: the keys here are `url`"), "{report}");
    assert!(report.contains("conf/ieum.toml:2:1"), "{report}");
    assert!(report.contains("2 | urk = 1"), "{report}");
    assert!(report.contains("  | ^^^"), "{report}");
}

#[test]
fn all_errors_are_shown_at_once_in_the_order_of_the_file() {
    check(
        "[platform]\nlisten = 8500\nworker-threads = \"two\"\ndrain = \"30 sec\"\n\
         [telemetry.log]\nformat = \"jsn\"\ncolour = true\n\
         [[registry.instances]]\nservice = \"a\"\naddress = \"b\"\nport = 99999\n",
        &[
            "2:10 expected an address like \"127.0.0.1:8500\", found integer `8500`",
            "3:18 expected a whole number that is in range, found string \"two\"",
            "4:9 `30 sec` is not a duration; write it like \"250ms\", \"1.5s\", \"1m30s\" or \"2h\"",
            "6:10 unknown value `jsn`, did you mean `json`?",
            "7:1 unknown key `colour`",
            "11:8 expected a whole number that is in range, found integer `99999`",
        ],
    );
}

#[test]
fn a_missing_key_is_named_with_its_table() {
    check(
        "[[registry.instances]]\nservice = \"a\"\naddress = \"10.0.0.1\"\n",
        &["1:1 the key `port` is missing"],
    );
}

#[test]
fn what_is_not_toml_is_shown_where_it_stands() {
    let found = problems("[platform\nlisten = \"127.0.0.1:1\"\n");
    assert!(found[0].starts_with("1:10 this is not TOML"), "{found:?}");
    let found = problems("a = 1\na = 2\n");
    assert!(
        found[0].starts_with("2:1 this is not TOML: duplicate key"),
        "{found:?}"
    );
}

#[test]
fn a_duration_needs_its_unit() {
    check(
        "[platform]\ndrain = 30\n",
        &["2:9 expected a duration with its unit, like \"250ms\" or \"1m30s\", found integer `30`"],
    );
}

#[test]
fn a_missing_secret_names_its_key_and_what_to_do() {
    let text = "[platform]\ntoken-env = \"IEUM_TEST_NOT_SET\"\n";
    let report = read(text).expect_err("missing").to_string();
    assert!(report.contains("`platform.token-env`"), "{report}");
    assert!(report.contains("`IEUM_TEST_NOT_SET`"), "{report}");
    assert!(report.contains("help: set it before starting"), "{report}");
    assert!(report.contains(":2:"), "{report}");
}

#[test]
fn the_file_of_a_secret_is_looked_for_beside_the_configuration() {
    let text = "[platform]\ntoken-file = \"not-there\"\n";
    let report = read(text).expect_err("missing").to_string();
    let path = Path::new("conf").join("not-there");
    assert!(report.contains(&path.display().to_string()), "{report}");
}

#[test]
fn a_secret_in_the_configuration_is_refused_without_being_shown() {
    let report = read("[platform]\ntoken = \"hunter2\"\n")
        .expect_err("inline")
        .to_string();
    assert!(!report.contains("hunter2"), "{report}");
    assert!(
        report.contains("a secret is not written into the configuration"),
        "{report}"
    );
    assert!(report.contains("did you mean `token-env`?"), "{report}");
}

#[test]
fn an_api_off_loopback_needs_a_token() {
    let report = read("[platform]\nlisten = \"0.0.0.0:8500\"\n").expect_err("open");
    let [problem] = report.problems() else {
        panic!("{report}")
    };
    assert_eq!(problem.key, "platform.listen");
    assert!(
        problem.message.contains("off loopback, without a token"),
        "{report}"
    );
    assert!(problem.help.is_some());
    assert!(read("[platform]\nlisten = \"[::1]:8500\"\n").is_ok());
}

#[test]
fn rules_across_keys_are_checked() {
    check(
        "[platform]\nworker-threads = 0\n[log]\nurl = \"mysql://db\"\n\
         [telemetry.traces]\nsample = 1.5\n",
        &[
            "2:18 the number of threads must be 1 to 64",
            "4:7 there is no engine `mysql` for this",
            "6:10 the sampled share must be between 0 and 1",
        ],
    );
}

#[test]
fn a_folder_without_a_name_is_refused() {
    check(
        "[platform]\ndata-dir = \"\"\n",
        &["2:12 the data need a folder"],
    );
}

#[test]
fn an_instance_that_would_never_be_called_is_refused() {
    let instance = |address: &str, check: &str| {
        let text = format!(
            "[[registry.instances]]\nservice = \"a\"\nport = 80\naddress = \"{address}\"\n\
             check = \"http://{check}/health\"\n"
        );
        problems(&text)
    };
    for allowed in ["10.0.0.5", "127.0.0.1", "[::1]", "legacy.example"] {
        assert_eq!(instance(allowed, allowed), [""; 0], "{allowed}");
    }
    for refused in [
        "169.254.169.254",
        "0.0.0.0",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
    ] {
        let found = instance(refused, "legacy.example");
        assert!(
            found.len() == 1 && found[0].starts_with("4:11 "),
            "{found:?}"
        );
        let found = instance("legacy.example", refused);
        assert!(
            found.len() == 1 && found[0].starts_with("5:9 "),
            "{found:?}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_one_clear_error() {
    let report = super::load(Path::new("/nowhere/ieum.toml")).expect_err("missing");
    let text = report.to_string();
    assert!(text.contains("/nowhere/ieum.toml"), "{text}");
    assert!(text.contains("help:"), "{text}");
}

#[test]
fn the_example_is_valid() {
    let file = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/ieum.toml"
    ));
    let config = super::load(file).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.gateway.routes.len(), 9);
    assert_eq!(config.saga_definitions().expect("valid").len(), 1);
    assert_eq!(config.gateway.warnings(), []);
}

#[test]
fn the_examples_in_the_documentation_of_keys_are_valid() {
    let schema = serde_json::to_string(&schemars::schema_for!(Config)).expect("a schema");
    let blocks: Vec<_> = schema.split("```toml\\n").skip(1).collect();
    assert!(blocks.len() > 5, "{}", blocks.len());
    for block in blocks {
        let text = block.split("```").next().unwrap_or_default();
        let text: String = serde_json::from_str(&format!("\"{text}\"")).expect("a JSON text");
        // Only whole documents: a part of a table is no configuration of its own.
        if text.starts_with('[') {
            let lines = text.lines().count();
            let syntax = problems(&text);
            let broken = syntax
                .iter()
                .find(|p| p.contains("unknown") || p.contains("not TOML"));
            assert_eq!(broken, None, "{lines} lines: {text}");
        }
    }
}

#[test]
fn the_errors_of_the_gateway_show_their_lines() {
    let text = "[gateway.timeouts]\nrequest = \"0s\"\n\n[[gateway.routes]]\nname = \"a\"\n\
                path = \"/a\"\nauth = \"none\"\nservice = \"a\"\nurl = \"http://a\"\n\n\
                [[gateway.routes]]\nname = \"b\"\npath = \"b\"\nauth = \"jwt\"\nservice = \"b\"\n";
    let found = problems(text);
    let line = |start: &str| found.iter().any(|problem| problem.starts_with(start));
    assert!(line("2:"), "{found:?}");
    assert!(line("13:"), "{found:?}");
    assert!(
        found.iter().all(|problem| !problem.starts_with('-')),
        "{found:?}"
    );
}

#[test]
fn an_unknown_key_of_a_route_is_shown_in_its_table() {
    let text = "[[gateway.routes]]\nname = \"a\"\npath = \"/a\"\n\n[[gateway.routes]]\n\
                name = \"b\"\npath = \"/b\"\nservice = \"b\"\nauht = \"none\"\n";
    check(text, &["9:1 unknown key `auht`, did you mean `auth`?"]);
    let report = read(text).expect_err("unknown");
    assert_eq!(report.problems()[0].key, "gateway.routes[1].auht");
}

#[test]
fn a_missing_secret_of_the_gateway_names_its_key() {
    let text = "[gateway.jwt]\n\n[[gateway.jwt.keys]]\nalgorithm = \"HS256\"\n\
                secret-env = \"IEUM_TEST_NOT_SET\"\n";
    let report = read(text).expect_err("missing").to_string();
    assert!(
        report.contains("gateway.jwt.keys[0].secret-env"),
        "{report}"
    );
    assert!(report.contains("IEUM_TEST_NOT_SET"), "{report}");
    assert!(report.contains(":5:"), "{report}");
}

#[test]
fn a_secret_of_the_gateway_in_the_file_is_refused_without_being_shown() {
    let text = "[gateway.jwt]\n[[gateway.jwt.keys]]\nalgorithm = \"HS256\"\n\
                secret = \"hunter2-hunter2-hunter2-hunter2\"\n";
    let report = read(text).expect_err("inline").to_string();
    assert!(!report.contains("hunter2"), "{report}");
    assert!(report.contains("did you mean `secret-env`?") || report.contains("`secret-file`"));
}

#[test]
fn one_process_owns_the_log_and_gateways_follow_it() {
    let follow = |rest: &str| format!("[registry]\nurl = \"ieum://10.0.0.1:8500\"\n{rest}");
    check(&follow("[platform]\nroles = [\"gateway\"]\n"), &[]);
    check(
        &follow("[platform]\nroles = [\"gateway\", \"sagas\"]\n"),
        &[
            "4:1 the role `sagas` is not possible with a registry that is followed: sagas are run by \
           the process that owns the log",
        ],
    );
    check(
        &follow("[platform]\nroles = []\n"),
        &["4:1 a process that follows a registry and is no gateway has nothing to do"],
    );
    assert_eq!(problems(&follow("")).len(), 2, "the default is every role");
    check("[platform]\nroles = [\"registry\", \"sagas\"]\n", &[]);
    check(
        "[registry]\nurl = \"etcd://10.0.0.1\"\n",
        &["2:7 the registry cannot be kept in `etcd`"],
    );
    check(
        "[registry]\ntoken-env = \"HOME\"\n",
        &["2:13 a token is for a registry that is followed, and this one is our own"],
    );
}

#[test]
fn the_token_of_a_registry_is_not_written_into_its_url_and_not_shown() {
    let text =
        "[platform]\nroles = [\"gateway\"]\n[registry]\nurl = \"ieum://:hunter2@10.0.0.1:8500\"\n";
    let report = read(text).expect_err("refused").to_string();
    assert!(report.contains("registry.token-env"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn the_command_line_wins_and_is_blamed() {
    let overrides = Overrides {
        roles: Some(vec![Role::Sagas]),
        registry: Some("ieum://10.0.0.1:8500".to_owned()),
        ..Overrides::default()
    };
    let text = "[platform]\nroles = [\"gateway\"]\n".to_owned();
    let report = parse_with(Path::new("ieum.toml"), text, &overrides).expect_err("no log");
    let report = report.to_string();
    let expected = "= key: platform.roles (given on the command line)";
    assert!(report.contains(expected), "{report}");
    assert!(!report.contains("ieum.toml:2"), "{report}");
}

#[test]
fn a_route_that_cannot_work_is_refused() {
    let route = |rest: &str| {
        format!("[[gateway.routes]]\nname = \"a\"\npath = \"/a\"\nauth = \"none\"\n{rest}")
    };
    check(
        &route("methods = []\nurl = \"http://127.0.0.1:1\"\n"),
        &["5:11 `methods` must name at least one; leave it out for all"],
    );
    let found = problems(&route("url = \"http://169.254.169.254/\"\n"));
    assert!(
        found[0].starts_with("5:7 ") && found[0].contains("metadata"),
        "{found:?}"
    );
    let found = problems(&route(
        "url = \"http://127.0.0.1:1\"\nupload-timeout = \"0s\"\n",
    ));
    assert!(found[0].starts_with("6:"), "{found:?}");
}

#[test]
fn a_password_of_an_engine_is_not_written_into_the_file() {
    let text = "[log]\nurl = \"sqlite://u:s3cret@x/log.db\"\n";
    let report = read(text).expect_err("a password").to_string();
    assert!(
        report.contains("a password is not written into"),
        "{report}"
    );
    assert!(report.contains("`url-env`"), "{report}");
    assert!(!report.contains("s3cret"), "{report}");
}

#[test]
fn the_url_of_an_engine_may_come_from_a_file() {
    let folder = ieum_testkit::TempFolder::new().expect("a folder");
    let file = |content: &str| {
        folder.write("log.url", content).expect("written");
        let text = "[log]\nurl-file = \"log.url\"\n".to_owned();
        parse(&folder.path().join("ieum.toml"), text)
    };
    let config = file("sqlite://u:s3cret@log.db\n").expect("valid");
    let url = config.log_url().expect("a URL").expect("a URL");
    assert_eq!((url.rest(), url.password().is_some()), ("log.db", true));
    let report = file("s3cret").expect_err("no URL").to_string();
    assert!(report.contains("not the URL of an engine"), "{report}");
    assert!(!report.contains("s3cret"), "{report}");
}

#[test]
fn one_engine_has_one_url_and_a_mirror_has_a_broker() {
    check(
        "[log]\nurl = \"memory:\"\nurl-env = \"LOG\"\n",
        &["2:7 `log` has two URLs"],
    );
    check(
        "[topics]\nmirror = [\"order.events\"]\n",
        &["2:1 there is no broker to copy topics from"],
    );
    check(
        "[topics]\nurl = \"sqlite://x\"\n",
        &["2:7 there is no engine `sqlite` for this"],
    );
}

#[cfg(not(feature = "postgres"))]
#[test]
fn an_engine_that_is_not_built_in_names_its_feature() {
    let report = read("[log]\nurl = \"postgres://db/ieum\"\n").expect_err("not built in");
    let report = report.to_string();
    assert!(report.contains("PostgreSQL is not built into"), "{report}");
    assert!(report.contains("--features postgres"), "{report}");
}

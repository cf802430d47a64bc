//! What a transcoded route may say.

use ieum_testkit::TempFolder;

use super::stub;
use crate::support::config;

/// What is wrong with a route that has these lines, and this table.
fn wrong(route: &str, table: &str) -> Vec<String> {
    let folder = TempFolder::new().expect("a folder");
    let good = folder.path().join("good.binpb");
    std::fs::write(&good, stub::descriptors()).expect("written");
    let bad = folder.path().join("bad.binpb");
    std::fs::write(&bad, "no descriptors").expect("written");
    let table = table.replace("GOOD", &good.to_string_lossy());
    let table = table.replace("BAD", &bad.to_string_lossy());
    let settings = format!(
        "[[gateway.routes]]\nname = 'a'\npath = '/a'\nauth = 'none'\n{route}\ntranscode = {{ {table} }}"
    );
    let errors = config(&settings).validate();
    errors.iter().map(ToString::to_string).collect()
}

const GOOD: &str = "service = 'x', services = ['test.v1.Things'], descriptors = 'GOOD'";

#[test]
fn a_sensible_route_is_accepted() {
    assert_eq!(wrong("", GOOD), [""; 0]);
    let reflection =
        "url = 'http://127.0.0.1:1', services = ['a.B'], reflection = true, refresh = '5m'";
    assert_eq!(wrong("rewrite = '/'", reflection), [""; 0]);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_key() {
    for (route, table, path, why) in [
        ("service = 'y'", GOOD, ".transcode", "cannot go together"),
        (
            "fallback = { status = 200 }",
            GOOD,
            ".fallback",
            "has no effect",
        ),
        ("upgrade = true", GOOD, ".upgrade", "has no effect"),
        (
            "",
            "services = ['test.v1.Things'], descriptors = 'GOOD'",
            ".transcode",
            "exactly one of `service` and `url`",
        ),
        (
            "",
            "service = 'x', descriptors = 'GOOD'",
            ".transcode.services",
            "1 to 64",
        ),
        (
            "",
            "service = 'x', services = ['test.v1.Things']",
            ".transcode",
            "exactly one of `descriptors`",
        ),
        (
            "",
            "service = 'x', services = ['a.B'], descriptors = 'GOOD'",
            ".transcode.descriptors",
            "`a.B` is no service",
        ),
        (
            "",
            "service = 'x', services = ['a.B'], descriptors = 'BAD'",
            ".transcode.descriptors",
            "no descriptors",
        ),
        (
            "",
            "service = 'x', services = ['a.B'], descriptors = 'nowhere'",
            ".transcode.descriptors",
            "cannot be read",
        ),
        (
            "",
            "service = 'x', services = ['a.B'], reflection = true, refresh = '0s'",
            ".transcode.refresh",
            "1s to 24h",
        ),
    ] {
        let errors = wrong(route, table);
        let found = errors.iter().any(|error| {
            error.starts_with(&format!("`gateway.routes[0]{path}`")) && error.contains(why)
        });
        assert!(found, "{route} {table}: {errors:?}");
    }
    let with = |more: &str| wrong("", &format!("{GOOD}, {more}"));
    for (more, path) in [
        ("most-parameters = 0", ".transcode.most-parameters"),
        ("deepest = 101", ".transcode.deepest"),
        ("most-values = 0", ".transcode.most-values"),
        ("max-message = '1GiB'", ".transcode.max-message"),
        ("refresh = '1m'", ".transcode.refresh"),
    ] {
        let errors = with(more);
        assert!(
            errors.iter().any(|error| error.contains(path)),
            "{more}: {errors:?}"
        );
    }
}

//! No secret that ieum or the shop is given is ever in what they write: each place where one can be
//! has a canary, and everything that was written is searched for all of them.
//!
//! Where a secret may be is said in docs/reference/secrets.md.

mod canary;
mod platform;
mod shop;
mod world;

use anyhow::Result;
use ieum_testkit::Request;

use self::canary::Written;
use self::world::World;

/// What is put in each channel to see that the search is not blind.
const CONTROL: &str = "control-of-the-paths";

/// Puts secrets everywhere and searches what was written.
fn no_secret_is_written(format: &str) -> Result<()> {
    let mut world = World::start(format)?;
    platform::through_the_gateway(&mut world)?;
    platform::malformed(&mut world)?;
    platform::to_the_api(&mut world)?;
    platform::configurations(&mut world)?;
    platform::arguments(&mut world)?;
    world
        .through(&Request::new("GET", &format!("/open/{CONTROL}")))?
        .expect(200)?;
    let written = world.written()?;
    let places = world.canaries.count();
    println!("{places} places");
    assert!(places >= 30, "{places} places");
    let leaks = world.canaries.leaks(&written);
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
    assert_not_blind(&world, &written);
    Ok(())
}

/// Each channel holds something that was put there to be found.
#[track_caller]
fn assert_not_blind(world: &World, written: &[Written]) {
    let stored = world
        .canaries
        .found_in(platform::CONTROL_OF_THE_STORE, written);
    assert!(stored.iter().any(|by| by.contains("log.db")), "{stored:?}");
    assert!(stored.contains(&"the output of ieum events"), "{stored:?}");
    let channels = [
        ("the access log", CONTROL),
        ("the trace ", CONTROL),
        ("/metrics", "/open"),
        ("/api/v1/routes", "control-of-the-metrics"),
        ("the answer to GET /nowhere", "ieum-1010"),
        ("the output of ieum services", "canary"),
        ("the output of ieum check", "wrong.toml"),
        ("the log", "a try failed"),
    ];
    for (channel, control) in channels {
        let mut of_channel = written
            .iter()
            .filter(|written| written.by.starts_with(channel));
        assert!(
            of_channel.any(|written| written.contains(control)),
            "{channel} is searched"
        );
    }
}

#[test]
fn no_secret_is_written_with_log_lines_as_text() -> Result<()> {
    no_secret_is_written("text")
}

#[test]
fn no_secret_is_written_with_log_lines_as_json() -> Result<()> {
    no_secret_is_written("json")
}

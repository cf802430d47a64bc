//! The engines that the shop runs on, each chosen by a URL; SQLite and the platform's own topics where
//! nothing is said.
//!
//! An engine beyond those brings its client library, so it is a feature. A URL of one that is left out
//! is known all the same: the error says how to get it.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use ieum::base::EngineUrl;

/// The environment variable with the URL of a database.
pub(crate) const DATABASE: &str = "SHOP_DATABASE_URL";
/// The environment variable with the URL of a broker.
pub(crate) const BROKER: &str = "SHOP_BROKER_URL";

/// All variables that give a URL.
pub(crate) const VARIABLES: [&str; 4] = [
    DATABASE,
    BROKER,
    "SHOP_DATABASE_URL_FILE",
    "SHOP_BROKER_URL_FILE",
];

/// What a shop is given by URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engines {
    /// PostgreSQL, as `postgres://…/NAME`: each part has the database `NAME_PART`.
    pub(crate) database: Option<EngineUrl>,
    /// What carries the topics.
    pub(crate) broker: Option<EngineUrl>,
}

impl Engines {
    /// Refuses what cannot be used: another kind of engine, one that is not built in, a name that is
    /// none.
    pub(crate) fn validate(&self) -> Result<()> {
        if let Some(url) = &self.database {
            validate_database(url)?;
            check_name(url)?;
        }
        if let Some(url) = &self.broker {
            validate_broker(url)?;
        }
        Ok(())
    }

    /// The URL of the database of `part`: a service, `platform` or `plan`. In `data`, if no engine
    /// was named.
    pub(crate) fn database_of(&self, part: &str, data: &Path) -> Result<EngineUrl> {
        match &self.database {
            Some(url) => {
                let name = format!("{}_{part}", url.path());
                Ok(url.clone().with_path(&name))
            }
            None => sqlite(&data.join(format!("{part}.db"))),
        }
    }
}

/// Refuses what is no database, or one that is not built in.
pub(crate) fn validate_database(url: &EngineUrl) -> Result<()> {
    check(url, DATABASES)
}

/// Refuses what is no broker, or one that is not built in.
pub(crate) fn validate_broker(url: &EngineUrl) -> Result<()> {
    check(url, BROKERS)
}

/// The URL of a file of SQLite.
pub(crate) fn sqlite(file: &Path) -> Result<EngineUrl> {
    let Some(text) = file.to_str() else {
        bail!("{} is not UTF-8, as a URL must be", file.display());
    };
    // A first folder with an `@` in its name is no user.
    let here = if file.is_absolute() { "" } else { "./" };
    Ok(format!("sqlite://{here}{text}").parse()?)
}

/// An engine by the schemes of its URLs.
struct Engine {
    name: &'static str,
    schemes: &'static [&'static str],
    feature: &'static str,
    is_built_in: bool,
}

const DATABASES: &[Engine] = &[Engine {
    name: "PostgreSQL",
    schemes: &["postgres", "postgresql"],
    feature: "postgres",
    is_built_in: cfg!(feature = "postgres"),
}];

const BROKERS: &[Engine] = &[
    Engine {
        name: "RabbitMQ",
        schemes: &["amqp", "amqps"],
        feature: "rabbitmq",
        is_built_in: cfg!(feature = "rabbitmq"),
    },
    Engine {
        name: "NATS JetStream",
        schemes: &["nats"],
        feature: "nats",
        is_built_in: cfg!(feature = "nats"),
    },
    Engine {
        name: "Redis",
        schemes: &["redis", "rediss"],
        feature: "redis",
        is_built_in: cfg!(feature = "redis"),
    },
    Engine {
        name: "Kafka",
        schemes: &["kafka"],
        feature: "kafka",
        is_built_in: cfg!(feature = "kafka"),
    },
];

fn check(url: &EngineUrl, engines: &[Engine]) -> Result<()> {
    let scheme = url.scheme();
    let engine = engines.iter().find(|one| one.schemes.contains(&scheme));
    let Some(engine) = engine else {
        let known: Vec<_> = engines
            .iter()
            .flat_map(|one| one.schemes)
            .copied()
            .collect();
        bail!(
            "`{url}`: there is no engine `{scheme}` for this; the schemes are `{}`",
            known.join("`, `")
        );
    };
    let Engine { name, feature, .. } = engine;
    ensure!(
        engine.is_built_in,
        "`{url}`: {name} is not built into this program; build it with `cargo build --release -p shop \
         --features {feature}` (`engines` brings all of them)"
    );
    Ok(())
}

/// The longest name of a database that the longest part's name can follow: PostgreSQL cuts off what is
/// longer than 63 bytes.
const LONGEST: usize = 48;

fn check_name(url: &EngineUrl) -> Result<()> {
    let name = url.path();
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    ensure!(
        (1..=LONGEST).contains(&name.len()) && name.chars().all(legal),
        "`{url}`: the databases are named after its path, like postgres://USER@HOST/shop for shop_users, \
         shop_orders, …: 1 to {LONGEST} letters, digits, `_` or `-`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines(database: &str, broker: Option<&str>) -> Engines {
        Engines {
            database: Some(database.parse().expect("a URL")),
            broker: broker.map(|url| url.parse().expect("a URL")),
        }
    }

    /// What `engines` are refused with.
    fn refusal(engines: &Engines) -> String {
        format!("{:#}", engines.validate().expect_err("refused"))
    }

    #[test]
    fn each_part_has_a_database_of_its_own() {
        let engines = engines("postgres://app:secret@db:5432/shop?sslmode=require", None);
        let url = engines.database_of("users", Path::new("x")).expect("a URL");
        assert_eq!(
            url.to_string(),
            "postgres://app:***@db:5432/shop_users?sslmode=require"
        );
        let embedded = Engines::default().database_of("users", Path::new("x@y"));
        assert_eq!(embedded.expect("a URL").rest(), "./x@y/users.db");
    }

    #[test]
    fn what_is_no_database_or_no_broker_is_refused_without_its_password() {
        let text = refusal(&engines("mysql://app:secret@db/shop", None));
        assert!(text.contains("no engine `mysql`"), "{text}");
        assert!(text.contains("`postgres`"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        let broker = Engines {
            database: None,
            broker: Some("smtp://host".parse().expect("a URL")),
        };
        assert!(refusal(&broker).contains("`amqp`"));
    }

    #[cfg(not(feature = "postgres"))]
    #[test]
    fn an_engine_that_is_not_built_in_says_how_to_get_it() {
        let text = refusal(&engines("postgres://app:secret@db/shop", None));
        assert!(text.contains("--features postgres"), "{text}");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_name_that_leaves_no_room_for_the_parts_is_refused() {
        for name in ["", "a b", &"n".repeat(49)] {
            let text = refusal(&engines(&format!("postgres://db/{name}"), None));
            assert!(text.contains("named after its path"), "{text}");
        }
        let fine = engines(&format!("postgres://db/{}", "n".repeat(48)), None);
        fine.validate().expect("the longest");
    }
}

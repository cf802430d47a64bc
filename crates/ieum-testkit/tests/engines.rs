//! The servers of the test kit themselves: they serve, they come back, they leave nothing.

use ieum_testkit::engines::{Nats, Postgres, RabbitMq, Redis};

#[test]
fn postgres_keeps_its_data_over_a_crash_and_leaves_nothing() {
    let mut server = Postgres::start().expect("started");
    server
        .sql("ieum", "CREATE TABLE t AS SELECT 1 AS x")
        .expect("made");
    server.restart_immediately().expect("back");
    assert_eq!(server.sql("ieum", "SELECT x FROM t").expect("read"), "1");
    let folder = server.server().folder().to_owned();
    let id = server.server().id().expect("runs");
    drop(server);
    assert!(!folder.exists());
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
}

#[test]
fn the_brokers_come_back_on_the_same_port() {
    let mut redis = Redis::start().expect("started");
    redis.kill().expect("killed");
    redis.start_again().expect("back");
    let mut nats = Nats::start().expect("started");
    nats.kill().expect("killed");
    nats.start_again().expect("back");
    let mut rabbit = RabbitMq::start().expect("started");
    rabbit.kill().expect("killed");
    rabbit.start_again().expect("back");
    let folder = rabbit.server().folder().to_owned();
    drop(rabbit);
    assert!(!folder.exists());
}

//! Events by a broker: the services publish and subscribe there, and the platform copies what happens
//! into its log.

use std::cell::RefCell;

use anyhow::Result;
use ieum_testkit::TempFolder;
use ieum_testkit::engines::{Nats, RabbitMq, Redis};

use super::{CHAOS, MIX, Run, assert_balanced};
use crate::chaos::count_orders;

/// Runs a demo with the broker at `url`, which crashes meanwhile; every order is driven this way.
fn survive(url: &str, flow: &str, crash: impl FnMut() -> Result<()>) -> Result<()> {
    let folder = TempFolder::new()?;
    let run = Run {
        data: folder.path(),
        arguments: &[&CHAOS[..], &MIX, &["--flow", flow]].concat(),
        environment: &[("SHOP_BROKER_URL", url)],
    };
    let placed = || count_orders(folder.path());
    assert_balanced(&run.through_crashes(placed, crash)?);
    Ok(())
}

#[test]
fn the_books_balance_while_rabbitmq_crashes_and_processes_die() -> Result<()> {
    let server = RefCell::new(RabbitMq::start()?);
    let url = server.borrow().url();
    survive(&url, "orchestrated", || {
        let mut server = server.borrow_mut();
        server.kill()?;
        server.start_again()
    })
}

#[test]
fn the_books_balance_while_nats_crashes_and_processes_die() -> Result<()> {
    let server = RefCell::new(Nats::start()?);
    let url = server.borrow().url();
    survive(&url, "choreographed", || {
        let mut server = server.borrow_mut();
        server.kill()?;
        server.start_again()
    })
}

#[test]
fn the_books_balance_while_redis_crashes_and_processes_die() -> Result<()> {
    let server = RefCell::new(Redis::start()?);
    let url = server.borrow().url();
    survive(&url, "choreographed", || {
        let mut server = server.borrow_mut();
        server.kill()?;
        server.start_again()
    })
}

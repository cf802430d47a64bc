//! The services' place in the platform: registered, deregistered, traced, with a token where it asks
//! for one.

use std::process::Command;

use anyhow::{Context, Result};
use ieum_testkit::{Process, Request, TempFolder, binary, eventually};
use serde_json::Value;

use super::kit::{Call, DONATIONS, INVOICES, LOYALTY, Running, TOKEN};
use crate::platform::{self, Platform, SOON};

#[test]
fn each_service_registers_again_and_leaves_in_order() -> Result<()> {
    let platform = Platform::start("")?;
    for service in [LOYALTY, INVOICES, DONATIONS] {
        let mut running = Running::start(service, &platform.api)?;
        let target = format!("/v1/health/service/{}?passing", service.name);
        let ids = || -> Option<Vec<String>> {
            let list = platform.get(&target).ok()?;
            let ids = list.as_array()?.iter();
            ids.map(|entry| entry["Service"]["ID"].as_str().map(str::to_owned))
                .collect()
        };
        let id = format!("{}-{}", service.name, running.address.replace(':', "-"));
        let registered = || {
            eventually("it is registered", SOON, || {
                (ids()? == [id.clone()]).then_some(())
            })
        };
        registered()?;
        let forget = Request::new("PUT", &format!("/v1/agent/service/deregister/{id}"));
        forget.send(&platform.api)?.expect(200)?;
        registered()?;
        running.process.terminate()?;
        let health = Request::new("GET", "/health");
        eventually("it is not ready any more", SOON, || {
            let reply = health.send(&running.address).ok()?;
            (reply.status == 503 && ids()?.is_empty()).then_some(())
        })?;
        let late = Call {
            saga: "late",
            round: 1,
            epoch: 1,
            undo: false,
        }
        .send(&running)?;
        assert_eq!(late.status, 201, "who has not noticed yet is answered");
        assert_eq!(late.get("connection"), Some("close"), "{:?}", late.headers);
        let status = running.process.wait(SOON)?;
        assert_eq!(status.code(), Some(0), "{}", running.process.output());
    }
    Ok(())
}

#[test]
fn a_platform_that_asks_for_a_token_is_given_it() -> Result<()> {
    let folder = TempFolder::new()?;
    let (gateway, api) = (platform::address()?, platform::address()?);
    let with = "[platform]\ntoken-file = \"token\"";
    let config = platform::configuration(&gateway, &api, "").replace("[platform]", with);
    folder.write("ieum.toml", config)?;
    folder.write("token", TOKEN)?;
    let mut command = Command::new(binary("ieum")?);
    let up = command.args(["up", "-c", "ieum.toml"]);
    let _platform = Process::start(up.current_dir(folder.path()))?;
    let get = |target: &str| {
        let request = Request::new("GET", target).bearer(TOKEN);
        request.send(&api).ok()?.expect(200).ok()
    };
    for service in [LOYALTY, INVOICES, DONATIONS] {
        let (name, saga) = (service.name, format!("s-{}", service.name));
        let running = Running::start(service, &api)?;
        let target = format!("/v1/health/service/{name}?passing");
        let registered = || (get(&target)?.as_array()?.len() == 1).then_some(());
        eventually("it is registered", SOON, registered)?;
        let call = Call {
            saga: &saga,
            round: 1,
            epoch: 1,
            undo: false,
        };
        call.send(&running)?.expect(201)?;
        let target = format!("/api/v1/traces/{saga}");
        eventually("its spans are taken", SOON, || get(&target))?;
    }
    let refused = Request::new("GET", "/v1/agent/services").send(&api)?;
    assert_eq!(refused.status, 401, "the platform asks for its token");
    Ok(())
}

#[test]
fn a_malformed_traceparent_begins_a_new_trace_and_a_good_one_is_continued() -> Result<()> {
    let platform = Platform::start("")?;
    for (number, service) in (7..).zip([LOYALTY, INVOICES, DONATIONS]) {
        let running = Running::start(service, &platform.api)?;
        let traced = |saga: &str, headers: &[&str]| {
            let mut request = Call {
                saga,
                round: 1,
                epoch: 1,
                undo: false,
            }
            .request(service);
            for header in headers {
                request = request.header("traceparent", header);
            }
            request.send(&running.address)?.expect(201)?;
            let target = format!("/api/v1/traces/{saga}");
            let whole = || {
                let trace = platform.get(&target).ok()?;
                (trace["spans"].as_array()?.len() == 2).then_some(trace)
            };
            let trace = eventually("the trace", SOON, whole);
            top_and_below(&trace.with_context(|| running.process.output())?)
        };
        let id = |n: u32| format!("{n:032x}");
        let good = format!("00-{}-00f067aa0ba902b7-01", id(number));
        let name = service.name;
        let (trace, top, below) = traced(&format!("{name}-good"), &[&good])?;
        assert_eq!(trace, id(number));
        assert_eq!(top["parent"], "00f067aa0ba902b7", "{top}");
        assert_eq!(top["service"], name, "{top}");
        assert_eq!(below["parent"], top["spanId"], "{below}");
        let (short, upper) = (&good[..54], good.to_uppercase());
        let longer = format!("{good}-00");
        let zero = format!("00-{}-00f067aa0ba902b7-01", id(0));
        let malformed: [&[&str]; 6] = [
            &[short],
            &[&upper],
            &[&longer],
            &[&zero],
            &["ff-x"],
            &[&good, &good],
        ];
        for (n, headers) in malformed.into_iter().enumerate() {
            let (trace, top, _) = traced(&format!("{name}-{n}"), headers)?;
            assert!(
                trace != id(number) && trace != id(0),
                "{headers:?}: {trace}"
            );
            assert!(
                top.get("parent").is_none_or(Value::is_null),
                "{headers:?}: {top}"
            );
        }
    }
    Ok(())
}

/// The id of a trace of two spans, the upper one, and the lower one.
fn top_and_below(trace: &Value) -> Result<(String, Value, Value)> {
    let (one, other) = (&trace["spans"][0], &trace["spans"][1]);
    let is_below = one["parent"] == other["spanId"];
    let (top, below) = if is_below { (other, one) } else { (one, other) };
    let id = trace["traceId"].as_str().context("a trace id")?;
    Ok((id.to_owned(), top.clone(), below.clone()))
}

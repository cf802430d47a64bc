//! HTTP with JSON outside, gRPC inside.

mod calls;
mod reflection;
mod settings;
mod streams;
mod stub;

use ieum_testkit::{Reply, Request, TempFolder};
use serde_json::Value;

use crate::support::{World, gateway};

use stub::GrpcStub;

/// A gateway with a transcoded route at `/api` to a stub.
struct Fixture {
    world: World,
    _folder: TempFolder,
}

/// `route` is more of the route, `table` more of its `transcode`.
fn fixture(stub: &GrpcStub, route: &str, table: &str) -> Fixture {
    fixture_with(
        "",
        &format!("url = 'http://{}'", stub.address()),
        route,
        table,
    )
}

fn fixture_with(gateway_settings: &str, upstream: &str, route: &str, table: &str) -> Fixture {
    let folder = TempFolder::new().expect("a folder");
    let file = folder.path().join("test.binpb");
    std::fs::write(&file, stub::descriptors()).expect("written");
    let world = gateway(&format!(
        r#"
        {gateway_settings}
        [[gateway.routes]]
        name = "things"
        path = "/api"
        strip-prefix = "/api"
        auth = "none"
        {route}
        [gateway.routes.transcode]
        {upstream}
        services = ["test.v1.Things"]
        descriptors = "{}"
        {table}
        "#,
        file.display(),
    ));
    Fixture {
        world,
        _folder: folder,
    }
}

impl Fixture {
    fn get(&self, target: &str) -> Reply {
        self.world.get(target)
    }

    fn post(&self, target: &str, body: &Value) -> Reply {
        self.world.send(&Request::new("POST", target).json(body))
    }

    fn send(&self, request: &Request) -> Reply {
        self.world.send(request)
    }
}

//! The platform API against web pages of others: what a browser can be made to send from a page of
//! another origin is refused, changes nothing, and tells nothing.

use std::process::Command;

use anyhow::Result;
use ieum_testkit::{Process, Reply, Request, TempFolder, binary};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON, address, configuration};

/// What stands in the log and must never be in an answer to a page.
const TREASURE: &str = "treasure-7f3a91";
/// The token of a platform that others can reach.
const TOKEN: &str = "correct-horse-battery";
/// A stream with the treasure.
const STREAM: &str = "/api/v1/log/streams/secret-1";
/// What only the console's own page and programs may read.
const PRIVATE: [&str; 9] = [
    STREAM,
    "/api/v1/log?after=0",
    "/api/v1/services",
    "/api/v1/sagas",
    "/api/v1/traces",
    "/api/v1/dead-letters",
    "/api/openapi.json",
    "/v1/catalog/services",
    "/metrics",
];

fn treasure(platform: &Platform, token: Option<&str>) -> Result<()> {
    let event =
        json!({ "id": "0190a1b2-0000-7000-8000-000000000009", "type": TREASURE, "data": {} });
    let append = Request::new("POST", STREAM).json(&json!({ "expect": "any", "events": [event] }));
    let append = match token {
        Some(token) => append.bearer(token),
        None => append,
    };
    append.send(&platform.api)?.expect(201)?;
    Ok(())
}

/// The stream as its owner reads it.
fn contents(platform: &Platform, token: Option<&str>) -> Result<Value> {
    let read = Request::new("GET", STREAM);
    let read = match token {
        Some(token) => read.bearer(token),
        None => read,
    };
    read.send(&platform.api)?.expect(200)
}

/// Sends what a page can send; it must be refused with one of `statuses`, and tell nothing.
fn refused(platform: &Platform, request: &Request, statuses: &[u16]) -> Result<()> {
    let reply = request.send(&platform.api)?;
    let shown = format!("{request:?}\n{} {}", reply.status, reply.text());
    anyhow::ensure!(statuses.contains(&reply.status), "{shown}");
    anyhow::ensure!(!reply.text().contains(TREASURE), "{shown}");
    anyhow::ensure!(opens_to_nobody(&reply), "{shown}");
    Ok(())
}

/// True if no header lets a page of another origin read the answer.
fn opens_to_nobody(reply: &Reply) -> bool {
    let mut names = reply.headers.iter().map(|(name, _)| name);
    !names.any(|name| name.starts_with("access-control-"))
}

/// A form's post: what a page may send without being asked first (CORS-safelisted).
fn form(path: &str, content_type: &str) -> Request {
    let mut request = Request::new("POST", path).header("content-type", content_type);
    request.body = json!({ "expect": "any", "events": [{ "id":
        "0190a1b2-0000-7000-8000-00000000000a", "type": "forged", "data": {} }] })
    .to_string()
    .into_bytes();
    request
}

#[test]
fn a_page_of_another_origin_neither_reads_nor_acts() -> Result<()> {
    let platform = Platform::start("")?;
    treasure(&platform, None)?;
    let before = contents(&platform, None)?;
    for path in PRIVATE {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            for origin in [
                "https://evil.example",
                "null",
                "http://localhost:3000",
                "file://",
            ] {
                let request = Request::new(method, path).header("origin", origin);
                refused(&platform, &request, &[403])?;
            }
        }
        // <img src>, <script src>, <iframe src>, a link to the API itself.
        for (mode, dest) in [
            ("no-cors", "image"),
            ("no-cors", "script"),
            ("navigate", "iframe"),
            ("navigate", "document"),
        ] {
            for site in ["cross-site", "same-site"] {
                let request = Request::new("GET", path)
                    .header("sec-fetch-site", site)
                    .header("sec-fetch-mode", mode)
                    .header("sec-fetch-dest", dest);
                refused(&platform, &request, &[403])?;
            }
        }
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json",
    ] {
        let with_origin = form(STREAM, content_type).header("origin", "https://evil.example");
        refused(&platform, &with_origin, &[403])?;
        let with_site = form(STREAM, content_type)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        refused(&platform, &with_site, &[403])?;
    }
    // A form that names no origin at all, as no browser does, is no JSON and is refused for that.
    refused(&platform, &form(STREAM, "text/plain"), &[415])?;
    assert_eq!(contents(&platform, None)?, before);
    Ok(())
}

#[test]
fn a_name_that_was_pointed_here_is_refused_for_every_path() -> Result<()> {
    let platform = Platform::start("")?;
    treasure(&platform, None)?;
    for host in [
        "evil.example",
        "evil.example:8500",
        "127.0.0.1.evil.example",
        "localhost.",
        "a@b",
    ] {
        for path in PRIVATE
            .into_iter()
            .chain(["/", "/ui", "/ui/app.js", "/health"])
        {
            let request = Request::new("GET", path).header("host", host);
            refused(&platform, &request, &[400, 403])?;
            // The page's own origin, as the browser sees it: it is the rebound name.
            let origin = format!("http://{host}");
            let request = request.header("origin", &origin);
            refused(&platform, &request, &[400, 403])?;
        }
    }
    Ok(())
}

#[test]
fn a_preflight_is_granted_nothing() -> Result<()> {
    let platform = Platform::start("")?;
    for path in PRIVATE.into_iter().chain(["/ui", "/"]) {
        let preflight = Request::new("OPTIONS", path)
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "PUT")
            .header(
                "access-control-request-headers",
                "authorization, content-type",
            )
            .header("access-control-request-private-network", "true");
        refused(&platform, &preflight, &[403])?;
        refused(&platform, &Request::new("OPTIONS", path), &[404, 405])?;
    }
    Ok(())
}

#[test]
fn a_link_elsewhere_opens_the_console_and_nothing_below_it() -> Result<()> {
    let platform = Platform::start("")?;
    let visit = |method: &str, path: &str, dest: &str| {
        Request::new(method, path)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", dest)
            .send(&platform.api)
    };
    assert_eq!(visit("GET", "/ui", "document")?.status, 200);
    for (method, path, dest) in [
        ("GET", "/ui", "iframe"),
        ("POST", "/ui", "document"),
        ("GET", "/ui/app.js", "document"),
        ("GET", "/ui/../api/v1/services", "document"),
        ("GET", "/ui/%2e%2e/api/v1/services", "document"),
        ("GET", "/api/v1/services", "document"),
    ] {
        assert_eq!(
            visit(method, path, dest)?.status,
            403,
            "{method} {path} {dest}"
        );
    }
    Ok(())
}

#[test]
fn off_loopback_everything_but_the_empty_page_needs_the_token() -> Result<()> {
    let (gateway, api) = (address()?, address()?);
    let open = api.replace("127.0.0.1", "0.0.0.0");
    let config = configuration(&gateway, &open, "").replace(
        "[platform]\n",
        "[platform]\ntoken-file = \"token\"\nallowed-hosts = [\"ieum.example\"]\n",
    );
    let platform = Platform::start_as(gateway, api, &config, &[("token", TOKEN)])?;
    treasure(&platform, Some(TOKEN))?;
    let before = contents(&platform, Some(TOKEN))?;
    for path in PRIVATE {
        let get = || Request::new("GET", path);
        let in_query = format!(
            "{path}{}token={TOKEN}",
            if path.contains('?') { '&' } else { '?' }
        );
        let basic = "Basic OmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==";
        for request in [
            get(),
            get().bearer("wrong"),
            get().bearer(""),
            get().bearer(&TOKEN[1..]),
            get().bearer(&format!("{TOKEN}x")),
            get().header("authorization", TOKEN),
            get().header("authorization", basic),
            get().header("cookie", &format!("token={TOKEN}")),
            Request::new("GET", &in_query),
            Request::new("GET", &in_query.replace("token=", "access_token=")),
        ] {
            refused(&platform, &request, &[401])?;
        }
        let from_a_page = get().bearer(TOKEN).header("origin", "https://evil.example");
        refused(&platform, &from_a_page, &[403])?;
        let rebound = get().bearer(TOKEN).header("host", "evil.example");
        refused(&platform, &rebound, &[403])?;
    }
    refused(&platform, &form(STREAM, "application/json"), &[401])?;
    assert_eq!(contents(&platform, Some(TOKEN))?, before);
    for open in ["/ui", "/ui/app.js", "/health"] {
        let page = Request::new("GET", open).header("host", "ieum.example");
        let page = page.send(&platform.api)?;
        assert_eq!(page.status, 200, "{open}");
        assert!(!page.text().contains(TREASURE), "{open}");
    }
    Ok(())
}

#[test]
fn off_loopback_without_a_token_there_is_no_start() -> Result<()> {
    let (gateway, api) = (address()?, address()?);
    let port = api.rsplit(':').next().unwrap_or_default();
    let folder = TempFolder::new()?;
    folder.write("ieum.toml", configuration(&gateway, &api, ""))?;
    // Said on the command line, too: it wins over the file.
    for host in ["0.0.0.0", "[::]", "192.0.2.1"] {
        let mut command = Command::new(binary("ieum")?);
        let listen = format!("{host}:{port}");
        command
            .args(["up", "-c", "ieum.toml", "--listen", &listen])
            .current_dir(folder.path());
        let mut process = Process::start(&mut command)?;
        let status = process.wait(SOON)?;
        let printed = process.output();
        assert_eq!(status.code(), Some(1), "{host}: {printed}");
        assert!(printed.contains("without a token"), "{host}: {printed}");
        assert!(printed.contains("token-env"), "{host}: {printed}");
    }
    Ok(())
}

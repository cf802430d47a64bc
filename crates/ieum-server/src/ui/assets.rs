//! The files of the console, each as it is and compressed: what `console/dist` holds.

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: &'static str,
    /// Its `Content-Type`.
    pub(super) media_type: &'static str,
    /// Its bytes.
    pub(super) plain: &'static [u8],
    /// The same, compressed with gzip when the console was built.
    pub(super) gzip: &'static [u8],
}

macro_rules! assets {
    ($($path:literal = $file:literal $media_type:literal;)+) => {
        /// Every file.
        pub(super) const ASSETS: &[Asset] = &[$(Asset {
            path: $path,
            media_type: $media_type,
            plain: include_bytes!(concat!("../../../../console/dist/", $file)),
            gzip: include_bytes!(concat!("../../../../console/dist/", $file, ".gz")),
        }),+];
    };
}

assets! {
    "/ui" = "index.html" "text/html; charset=utf-8";
    "/ui/app.js" = "app.js" "text/javascript; charset=utf-8";
    "/ui/app.css" = "app.css" "text/css; charset=utf-8";
    "/ui/favicon.svg" = "favicon.svg" "image/svg+xml";
}

//! What tests of subgraphs need.

use async_graphql::{EmptySubscription, ObjectType, Request, SDLExportOptions, Schema};
use ieum::chassis::{ADMIN, Identity};

use super::Entities;
use super::answer::Caller;

/// The request as a member of staff makes it, for tests that execute a schema without HTTP.
pub(crate) fn by_staff(request: Request) -> Request {
    let staff = Identity {
        user_id: "boss".to_owned(),
        roles: vec![ADMIN.to_owned()],
    };
    request.data(Caller(Some(staff))).data(Entities::default())
}

/// The schema as it is written down in `shop/graph/`: what others compose, without what every subgraph
/// has.
pub(crate) fn written<Q, M>(schema: &Schema<Q, M, EmptySubscription>) -> String
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
{
    let options = SDLExportOptions::new()
        .federation()
        .prefer_single_line_descriptions()
        .use_space_ident()
        .indent_width(2);
    let sdl = schema.sdl_with_options(options);
    let own: Vec<_> = sdl
        .split("\n\n")
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.contains("directive @include"))
        .collect();
    format!("{}\n", own.join("\n\n"))
}

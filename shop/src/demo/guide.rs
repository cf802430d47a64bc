//! What the demo prints at its start: where things are, and a walk to try in a second terminal.

use super::house::Places;
use crate::services::users::STAFF;

/// Where things are.
pub(super) fn places(places: &Places) -> String {
    let mut text = format!("{:<14} http://{}/\n", "storefront", places.gateway);
    text.push_str(&format!("{:<14} http://{}/ui\n", "console", places.api));
    text.push_str(&format!("{:<14} http://{}\n", "gateway", places.gateway));
    text.push_str(&format!("{:<14} http://{}\n", "platform API", places.api));
    for (name, address) in &places.services {
        text.push_str(&format!("{name:<14} http://{address}\n"));
    }
    text.push_str(&format!(
        "{:<14} {}\n",
        "configuration",
        places.config.display()
    ));
    if let Some(logs) = &places.logs {
        text.push_str(&format!("{:<14} {}\n", "logs", logs.display()));
    }
    let password = places.password.expose();
    text.push_str(&format!("{:<14} {STAFF}, password {password}\n", "staff"));
    text
}

/// A walk with nothing but a shell and `curl`.
pub(super) fn walk(places: &Places) -> String {
    WALK.replace("GATEWAY", &format!("http://{}", places.gateway))
        .replace("PLATFORM", &format!("http://{}", places.api))
}

const WALK: &str = r#"
Try it, in a second terminal:

  GW=GATEWAY
  JSON='content-type: application/json'
  ME="me-$RANDOM$RANDOM@example.com"
  curl -sS $GW/api/v1/users -H "$JSON" -d '{"email":"'$ME'","name":"Me","password":"open sesame"}'; echo
  TOKEN=$(curl -sS $GW/api/v1/sessions -H "$JSON" -d '{"email":"'$ME'","password":"open sesame"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
  PRODUCT=$(curl -sS -G $GW/api/v1/products --data-urlencode 'q=운동화' | sed 's/.*"id":"\([^"]*\)".*/\1/')
  ORDER=$(curl -sS $GW/api/v1/orders -H "authorization: Bearer $TOKEN" -H "idempotency-key: $RANDOM$RANDOM" -H "$JSON" -d '{"items":[{"productId":"'$PRODUCT'","quantity":2}]}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
  sleep 1; curl -sS $GW/api/v1/orders/$ORDER -H "authorization: Bearer $TOKEN"; echo
  curl -sS "$GW/api/v1/payments?orderId=$ORDER" -H "authorization: Bearer $TOKEN"; echo
  curl -sS $GW/graphql -H "authorization: Bearer $TOKEN" -H "$JSON" -d '{"query":"{ me { name orders { id total status } } }"}'; echo
  curl -sS PLATFORM/api/v1/traces/$ORDER | head -c 300; echo
  cargo run -q -p ieum-server -- trace --platform PLATFORM $ORDER
"#;

//! Whatever comes, nothing panics, and what is understood is understood again.

use ieum_grpc::descriptors::reflection::Fetch;
use ieum_grpc::transcode::Settings;
use ieum_grpc::{Descriptors, http_rule::Template};
use proptest::prelude::*;

use crate::support::Door;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_message_or_refused(bytes: Vec<u8>) {
        let door = Door::new();
        let (found, _) = door.find("GET /v1/things");
        if let Ok(answer) = door.transcoder.answer(&found, &bytes) {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&answer.body);
            prop_assert!(json.is_ok());
        }
        let _ = Descriptors::from_set(&bytes);
        let _ = Fetch::new(&["a.B".to_owned()]).answered(&bytes);
    }

    #[test]
    fn any_text_is_a_body_or_refused(text in r#"([{}\[\]:,"\\ ]|"(text|inner|counts|at|free|packed|others|@type|1|a)"|null|true|-?[0-9]{1,3}|1e9){0,30}"#) {
        let _ = Door::new().request("POST /v1/things", &text);
    }

    #[test]
    fn any_text_is_a_query_and_a_template_or_refused(text in ".{0,60}") {
        let _ = Door::new().request(&format!("GET /v1/things?{text}"), "");
        if let Ok(template) = Template::parse(&text) {
            let again = Template::parse(&template.to_string());
            prop_assert_eq!(again.map(|again| again.to_string()), Ok(template.to_string()));
        }
    }

    #[test]
    fn what_is_answered_can_be_sent(small: i32, large: i64, text in ".{0,20}", precise in proptest::num::f64::NORMAL, flag: bool) {
        let brief = Settings { prints_defaults: false, ..Settings::default() };
        let door = Door::with(brief);
        let sent = serde_json::json!({
            "small": small, "large": large.to_string(), "text": text.as_str(), "flag": flag,
            "precise": precise, "maybeLarge": large.to_string(), "counts": { text.as_str(): small },
        });
        let (found, _) = door.find("POST /v1/things");
        let message = door.transcoder.request(&found, None, sent.to_string().as_bytes());
        let answer = door.transcoder.answer(&found, &message.expect("it fits"));
        let again = door.transcoder.request(&found, None, &answer.expect("an answer").body);
        let first = door.transcoder.request(&found, None, sent.to_string().as_bytes());
        prop_assert_eq!(again.expect("it fits"), first.expect("it fits"));
    }
}

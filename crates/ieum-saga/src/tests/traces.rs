//! A saga is one tree of spans, also over a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ieum_base::Rng;
use ieum_base::trace::{SpanData, SpanId, SpanSink, TraceContext};

use super::fixtures::{STEPS, input, order};
use crate::decide::Operation::Do;
use crate::testing::{Behaviour, Rig};

#[derive(Default)]
struct Collected(Mutex<Vec<SpanData>>);

impl SpanSink for Collected {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_called_after_a_restart_hangs_on_the_same_tree() {
    let collected = Arc::new(Collected::default());
    let mut rig = Rig::new();
    rig.spans = Some(Arc::clone(&collected) as Arc<dyn SpanSink>);
    rig.world
        .script("charge", Do, &[Behaviour::LoseRequest, Behaviour::Hang]);
    rig.world.script("ship", Do, &[Behaviour::Reject("no")]);
    let process = rig.boot().await.expect("open");
    process.handle.define(order()).await.expect("defined");
    let parent = TraceContext::root(&Rng::seeded(9), true);
    let start = crate::Start {
        definition: "place-order".to_owned(),
        key: "o-1".to_owned(),
        input: input(),
        trace: Some(parent.clone()),
    };
    let receipt = process.handle.start(start).await.expect("started");
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.life.end();
    let process = rig.boot().await.expect("open");
    process.handle.settled(receipt.id).await.expect("ends");

    let spans = collected.0.lock().expect("not poisoned").clone();
    let by_id: HashMap<SpanId, &SpanData> = spans.iter().map(|span| (span.span_id, span)).collect();
    assert_eq!(by_id.len(), spans.len(), "each span once");
    let saga = spans
        .iter()
        .find(|span| span.name == "saga place-order")
        .expect("recorded");
    assert_eq!(saga.parent, Some(parent.span_id));
    let saga_id = ("ieum.saga.id".into(), receipt.id.to_string().into());
    assert!(spans.iter().all(|span| span.attributes.contains(&saga_id)));
    for span in spans.iter().filter(|span| span.span_id != saga.span_id) {
        assert_eq!(span.parent, Some(saga.span_id), "{}", span.name);
        assert_eq!(span.trace_id, parent.trace_id);
        assert!(
            saga.start <= span.start && span.end <= saga.end,
            "{}",
            span.name
        );
    }
    // The parent of every call was recorded: no orphan.
    for call in rig.world.calls() {
        let parent = call.trace.as_ref().expect("traced").span_id;
        assert!(by_id.contains_key(&parent), "{}", call.path);
    }
    let steps = spans
        .iter()
        .filter(|span| span.name.starts_with("step "))
        .count();
    let undos = spans
        .iter()
        .filter(|span| span.name.starts_with("undo "))
        .count();
    assert_eq!((steps, undos), (4, 3));
    assert!(
        STEPS
            .iter()
            .take(4)
            .all(|step| { spans.iter().any(|span| span.name == format!("step {step}")) })
    );
}

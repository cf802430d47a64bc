//! A saga is one tree of spans, also over a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ieum_base::Rng;
use ieum_base::testing::pass;
use ieum_base::trace::{SpanData, SpanId, SpanSink, TraceContext};

use super::fixtures::{STEPS, begin, input, order};
use crate::decide::Operation::{Do, Undo};
use crate::state::Status;
use crate::testing::{Behaviour, Rig};

#[derive(Default)]
struct Collected(Mutex<Vec<SpanData>>);

impl SpanSink for Collected {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

impl Collected {
    /// Each span as it was recorded last.
    fn latest(&self) -> Vec<SpanData> {
        let spans = self.0.lock().expect("not poisoned").clone();
        let by_id: HashMap<_, _> = spans.into_iter().map(|span| (span.span_id, span)).collect();
        by_id.into_values().collect()
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
    pass(Duration::from_secs(1)).await;
    process.life.end();
    let process = rig.boot().await.expect("open");
    process.handle.settled(receipt.id).await.expect("ends");

    let spans = collected.latest();
    let by_id: HashMap<SpanId, &SpanData> = spans.iter().map(|span| (span.span_id, span)).collect();
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

/// Whoever looks at this saga finds the parent of each call and of each span.
fn check_connected(collected: &Collected, rig: &Rig) {
    let spans = collected.latest();
    let known = |id: SpanId| spans.iter().any(|span| span.span_id == id);
    for call in rig.world.calls() {
        let parent = call.trace.as_ref().expect("traced").span_id;
        assert!(known(parent), "{}", call.path);
    }
    let orphans = spans
        .iter()
        .filter(|span| !span.parent.is_none_or(known))
        .count();
    assert_eq!(orphans, 0, "{spans:?}");
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_goes_back_or_is_parked_is_one_tree() {
    let collected = Arc::new(Collected::default());
    let mut rig = Rig::new();
    rig.spans = Some(Arc::clone(&collected) as Arc<dyn SpanSink>);
    rig.config.undo_attempts = 40;
    rig.world.script("ship", Do, &[Behaviour::Fail(503); 12]);
    rig.world.always("ship", Do, Behaviour::Reject("no"));
    rig.world.always("charge", Undo, Behaviour::Fail(503));
    let (process, receipt) = begin(&rig, &order()).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&Status::Parked) {
        pass(Duration::from_secs(1)).await;
        check_connected(&collected, &rig);
        let saga = process.handle.get(receipt.id).await.expect("known");
        seen.push(saga.summary.status);
    }
    seen.dedup();
    assert_eq!(
        seen,
        [Status::Running, Status::Compensating, Status::Parked]
    );
    let spans = collected.latest();
    let error = |name: &str| spans.iter().find(|span| span.name == name)?.error.as_ref();
    assert!(error("saga place-order").is_some_and(|why| why.contains("could not be undone")));
    assert!(error("undo charge").is_some_and(|why| why.contains("503")));
}

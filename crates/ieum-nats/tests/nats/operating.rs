//! What an operator does about dead letters.

use std::time::Duration;

use ieum_messaging::{
    DeadLetterFilter, ErrorKind, Groups as _, Inspect as _, Operate as _, Publisher as _,
};

use crate::server::{client, engine, message, shared};

const TOPIC: &str = "things";
const GROUP: &str = "readers";

struct Scene {
    engine: ieum_nats::Engine,
    groups: ieum_nats::Groups,
}

/// Key `bad` gave up at 1, 3 waits behind it; 2 and 4 of `good` are done.
async fn scene(rest: &str) -> Scene {
    let engine = engine(shared(), rest).await;
    let keys = ["bad", "good", "bad", "good"];
    let batch: Vec<_> = (1_u32..)
        .zip(keys)
        .map(|(n, key)| message(&n.to_string(), key))
        .collect();
    engine
        .publisher()
        .publish(TOPIC, &batch)
        .await
        .expect("published");
    let groups = engine.groups();
    let epoch = groups.join(TOPIC, GROUP, "one").await.expect("joined");
    let read = groups
        .pull(TOPIC, GROUP, epoch, 9, Duration::ZERO)
        .await
        .expect("read");
    groups
        .dead_letter(TOPIC, GROUP, epoch, read[0].position, "no")
        .await
        .expect("given up");
    groups
        .ack(TOPIC, GROUP, epoch, read[3].position)
        .await
        .expect("acknowledged");
    let scene = Scene { engine, groups };
    assert_eq!(scene.letters().await, ["1", "3"]);
    scene
}

impl Scene {
    async fn letters(&self) -> Vec<String> {
        let letters = self
            .engine
            .inspect()
            .dead_letters(&DeadLetterFilter::default(), 9)
            .await;
        let letters = letters.expect("listed").into_iter();
        letters.map(|letter| letter.message.id).collect()
    }

    /// What the worker gets when it joins again.
    async fn again(&self) -> Vec<String> {
        let epoch = self.groups.join(TOPIC, GROUP, "one").await.expect("joined");
        let read = self
            .groups
            .pull(TOPIC, GROUP, epoch, 9, Duration::ZERO)
            .await;
        read.expect("read")
            .into_iter()
            .map(|d| d.message.id)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_dead_letters_are_delivered_again_with_what_came_later() {
    let scene = scene("/replay").await;
    let before = scene
        .groups
        .join(TOPIC, GROUP, "one")
        .await
        .expect("joined");
    let operate = scene.engine.operate();
    assert_eq!(
        operate.replay(TOPIC, GROUP, "bad").await.expect("replayed"),
        2
    );
    assert!(scene.letters().await.is_empty());
    let late = scene
        .groups
        .ack(TOPIC, GROUP, before, 4)
        .await
        .expect_err("a new term");
    assert_eq!(late.kind(), ErrorKind::Superseded, "{late}");
    assert_eq!(scene.again().await, ["1", "2", "3", "4"]);
    assert_eq!(
        operate.replay(TOPIC, GROUP, "bad").await.expect("nothing"),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replayed_and_given_up_again_is_a_dead_letter_again() {
    let scene = scene("/twice").await;
    scene
        .engine
        .operate()
        .replay(TOPIC, GROUP, "bad")
        .await
        .expect("replayed");
    let epoch = scene
        .groups
        .join(TOPIC, GROUP, "one")
        .await
        .expect("joined");
    let read = scene
        .groups
        .pull(TOPIC, GROUP, epoch, 9, Duration::ZERO)
        .await
        .expect("read");
    let at = read[0].position;
    scene
        .groups
        .dead_letter(TOPIC, GROUP, epoch, at, "again")
        .await
        .expect("given up");
    assert_eq!(scene.letters().await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_skipped_goes_on_with_what_comes_next() {
    let scene = scene("/skip").await;
    let operate = scene.engine.operate();
    assert_eq!(operate.skip(TOPIC, GROUP, "bad").await.expect("skipped"), 2);
    assert!(scene.letters().await.is_empty());
    let next = [message("5", "bad")];
    scene
        .engine
        .publisher()
        .publish(TOPIC, &next)
        .await
        .expect("published");
    assert_eq!(scene.again().await, ["5"]);
    assert_eq!(
        operate.skip(TOPIC, GROUP, "good").await.expect("nothing"),
        0
    );
    assert_eq!(
        operate.skip(TOPIC, "nobody", "bad").await.expect("nothing"),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_to_be_replayed_is_kept_and_told() {
    let scene = scene("/old").await;
    let context = async_nats::jetstream::new(client(shared()).await);
    let stream = context.get_stream("old-things").await.expect("there");
    stream
        .purge()
        .sequence(3)
        .await
        .expect("the first two are gone");
    let operate = scene.engine.operate();
    let error = operate
        .replay(TOPIC, GROUP, "bad")
        .await
        .expect_err("too old");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("`old-dead-things@readers`"),
        "{error}"
    );
    assert_eq!(scene.letters().await, ["1", "3"]);
}

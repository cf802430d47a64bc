//! Topics over HTTP: publish CloudEvents, work for a consumer group, look at groups and dead letters.
//!
//! Publishing takes the three modes of the CloudEvents HTTP binding: structured, batched, binary. An
//! answer of 202 means that the messages are durable.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ieum_base::Stop;
use ieum_messaging::http_binding::{self, BATCH, BindingError, STRUCTURED};
use ieum_messaging::{Groups, Inspect, Limits, Operate, Publisher};
use ieum_remote::wire::topics::{
    Ack, DeadLetterKey, DeadLetters, GiveUp, Groups as GroupList, Join, Joined, ListDeadLetters,
    Pull, Pulled, Settled, Topics as TopicList,
};

use super::extract::{Json, Path, Query};
use super::routes::{Operation, Routes};
use super::{limits, reserved};
use crate::errors::{self, ApiError, ApiResult};

/// What the routes of topics work on.
#[derive(Clone)]
pub(crate) struct Topics {
    /// Where messages are published.
    pub(crate) publisher: Arc<dyn Publisher>,
    /// The consumer groups.
    pub(crate) groups: Arc<dyn Groups>,
    /// What a message and a batch may be at most.
    pub(crate) limits: Limits,
    /// For what an operator does.
    pub(crate) operate: Arc<dyn Operate>,
    /// For lists.
    pub(crate) inspect: Arc<dyn Inspect>,
    /// Ends the waits.
    pub(crate) stop: Stop,
}

const WORKING: &[&errors::ErrorCode] = &[
    errors::GROUP_SUPERSEDED,
    errors::MESSAGE_INVALID,
    errors::TOPICS_UNAVAILABLE,
];

/// The routes of topics.
pub(crate) fn routes(topics: Topics) -> Routes {
    lists(operations(groups(Routes::new())))
        .add(
            Operation::post("/api/v1/topics/{topic}", "publish")
                .summary(
                    "Publishes CloudEvents (structured, batched, or binary with ce-* headers).",
                )
                .body_of(&[STRUCTURED, BATCH, "application/json"], "CloudEvents")
                .answers_empty(202, "published and durable")
                .refuses(&[
                    errors::MESSAGE_INVALID,
                    errors::TOPICS_FULL,
                    errors::TOPICS_UNAVAILABLE,
                    errors::MEDIA_TYPE,
                ]),
            publish,
        )
        .with_state(topics)
}

/// Working for a consumer group.
fn groups(routes: Routes<Topics>) -> Routes<Topics> {
    routes
        .add(
            Operation::post("/api/v1/topics/{topic}/groups/{group}/join", "joinGroup")
                .summary("Makes the caller the worker of a consumer group.")
                .body("Join")
                .answers(200, "the worker's term has begun", "Joined")
                .refuses(&[errors::GROUP_BUSY, errors::TOPICS_UNAVAILABLE]),
            join,
        )
        .add(
            Operation::post("/api/v1/topics/{topic}/groups/{group}/pull", "pull")
                .summary("Answers the messages behind the group's checkpoint and renews the lease.")
                .body("Pull")
                .answers(200, "messages; none means that none came in time", "Pulled")
                .refuses(WORKING),
            pull,
        )
        .add(
            Operation::post("/api/v1/topics/{topic}/groups/{group}/ack", "ack")
                .summary("Moves the group's checkpoint.")
                .body("Ack")
                .answers_empty(204, "acknowledged and durable")
                .refuses(WORKING),
            ack,
        )
        .add(
            Operation::post(
                "/api/v1/topics/{topic}/groups/{group}/dead-letters",
                "giveUp",
            )
            .summary("Sets a message aside; what follows on its key waits behind it.")
            .body("GiveUp")
            .answers_empty(204, "set aside and acknowledged")
            .refuses(WORKING),
            give_up,
        )
}

/// What an operator does about messages that were set aside.
fn operations(routes: Routes<Topics>) -> Routes<Topics> {
    routes
        .add(
            Operation::post(
                "/api/v1/topics/{topic}/groups/{group}/dead-letters/replay",
                "replayDeadLetters",
            )
            .summary("Goes back to the first dead letter of a key; inboxes know what came since.")
            .body("DeadLetterKey")
            .answers(200, "they are delivered again", "SettledDeadLetters")
            .refuses(&[errors::MESSAGE_INVALID, errors::TOPICS_UNAVAILABLE]),
            replay,
        )
        .add(
            Operation::post(
                "/api/v1/topics/{topic}/groups/{group}/dead-letters/skip",
                "skipDeadLetters",
            )
            .summary("Gives up the dead letters of a key for good; its later messages go on.")
            .body("DeadLetterKey")
            .answers(200, "they are forgotten", "SettledDeadLetters")
            .refuses(&[errors::MESSAGE_INVALID, errors::TOPICS_UNAVAILABLE]),
            skip,
        )
}

async fn replay(
    State(topics): State<Topics>,
    Path((topic, group)): Path<(String, String)>,
    Json(body): Json<DeadLetterKey>,
) -> ApiResult<Json<Settled>> {
    let messages = topics.operate.replay(&topic, &group, &body.key).await?;
    tracing::info!(topic, group, messages, "dead letters are delivered again");
    Ok(Json(Settled { messages }))
}

async fn skip(
    State(topics): State<Topics>,
    Path((topic, group)): Path<(String, String)>,
    Json(body): Json<DeadLetterKey>,
) -> ApiResult<Json<Settled>> {
    let messages = topics.operate.skip(&topic, &group, &body.key).await?;
    tracing::warn!(
        topic,
        group,
        messages,
        "dead letters were given up for good"
    );
    Ok(Json(Settled { messages }))
}

/// Looking.
fn lists(routes: Routes<Topics>) -> Routes<Topics> {
    routes
        .add(
            Operation::get("/api/v1/topics", "listTopics")
                .summary("Lists the topics with what they hold.")
                .answers(200, "the topics by name", "Topics"),
            list_topics,
        )
        .add(
            Operation::get("/api/v1/groups", "listGroups")
                .summary("Lists the consumer groups with their lag.")
                .answers(200, "the groups by topic and name", "Groups"),
            list_groups,
        )
        .add(
            Operation::get("/api/v1/dead-letters", "listDeadLetters")
                .summary("Lists messages that were given up or wait behind one.")
                .query("topic", "only of this topic")
                .query("group", "only of this group")
                .query("limit", "the most in the answer, 1 to 1000")
                .answers(200, "the dead letters", "DeadLetters"),
            list_dead_letters,
        )
}

async fn list_topics(State(topics): State<Topics>) -> ApiResult<Json<TopicList>> {
    let topics = topics.inspect.topics().await?;
    Ok(Json(TopicList { topics }))
}

async fn list_groups(State(topics): State<Topics>) -> ApiResult<Json<GroupList>> {
    let groups = topics.inspect.groups().await?;
    Ok(Json(GroupList { groups }))
}

async fn list_dead_letters(
    State(topics): State<Topics>,
    Query(query): Query<ListDeadLetters>,
) -> ApiResult<Json<DeadLetters>> {
    let limit = limits::page(query.limit)?;
    let found = topics.inspect.dead_letters(&query.filter(), limit).await?;
    Ok(Json(DeadLetters {
        dead_letters: found,
    }))
}

async fn publish(
    State(topics): State<Topics>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<StatusCode> {
    reserved::check_category(&topic)?;
    let messages = http_binding::parse(&headers, &body, &topics.limits);
    let messages = messages.map_err(|error| refuse(&error))?;
    topics.publisher.publish(&topic, &messages).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn join(
    State(topics): State<Topics>,
    Path((topic, group)): Path<(String, String)>,
    Json(body): Json<Join>,
) -> ApiResult<Json<Joined>> {
    let epoch = topics.groups.join(&topic, &group, &body.member).await?;
    Ok(Json(Joined { epoch }))
}

async fn pull(
    State(topics): State<Topics>,
    Path((topic, group)): Path<(String, String)>,
    Json(body): Json<Pull>,
) -> ApiResult<Json<Pulled>> {
    let max = body.max.min(limits::MAX_PAGE);
    let wait = limits::wait(Some(body.wait));
    let after = body.after.unwrap_or(0);
    let groups = &topics.groups;
    let pulling = groups.pull_after(&topic, &group, body.epoch, after, max, wait);
    let pulled = topics.stop.unless_requested(pulling).await.transpose()?;
    Ok(Json(Pulled {
        deliveries: pulled.unwrap_or_default(),
    }))
}

async fn ack(
    State(topics): State<Topics>,
    Path((topic, group)): Path<(String, String)>,
    Json(body): Json<Ack>,
) -> ApiResult<StatusCode> {
    let ack = topics.groups.ack(&topic, &group, body.epoch, body.up_to);
    ack.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn give_up(
    State(topics): State<Topics>,
    Path((topic, group)): Path<(String, String)>,
    Json(body): Json<GiveUp>,
) -> ApiResult<StatusCode> {
    let GiveUp {
        epoch,
        position,
        reason,
    } = body;
    let groups = &topics.groups;
    groups
        .dead_letter(&topic, &group, epoch, position, &reason)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A message that can never be sent is told apart from a way of sending that is not understood.
fn refuse(error: &BindingError) -> ApiError {
    let code = if error.status() == 415 {
        errors::MEDIA_TYPE
    } else {
        errors::MESSAGE_INVALID
    };
    code.problem(error.to_string()).into()
}

//! What `ieum doctor` finds out about a RabbitMQ server.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Finding};
use ieum_messaging::{ErrorKind, Result};
use lapin::BasicProperties;
use lapin::options::{
    BasicPublishOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::time::timeout;

use crate::config::{Config, Queues};
use crate::connection::{Link, virtual_host};
use crate::error::failed;
use crate::version::{Version, version};

/// Looks at the server at `url`: whether it is reached, its version, its alarms, and what its queues
/// promise. How many nodes a cluster has is not told over AMQP.
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    look(url).await.unwrap_or_else(|error| {
        let advice = match error.kind() {
            ErrorKind::Unavailable => "start the server, or correct host and port in the URL",
            _ => "correct the URL or the server, as it says",
        };
        vec![Finding::broken(error.to_string(), advice)]
    })
}

async fn look(url: &EngineUrl) -> Result<Vec<Finding>> {
    let config = Config::default().of(url)?;
    let link = Link::new(url.clone(), "doctor", config, Clock::system());
    let connection = link.connect().await?;
    let mut findings = vec![Finding::fine(format!(
        "`{url}` answers, virtual host `{}`",
        virtual_host(url)
    ))];
    findings.push(judge_version(
        version(url, config.connect_timeout).await,
        config.queues,
    ));
    let (channel, _) = link.channel().await?;
    // To publish is what a server with an alarm blocks. It goes nowhere: there is no such queue.
    let nowhere: ShortString = "ieum/doctor".into();
    let options = BasicPublishOptions::default();
    let nothing = BasicProperties::default();
    let published = channel.basic_publish(ShortString::default(), nowhere, options, b"", nothing);
    let published = published.await;
    published.map_err(|error| failed("publishing", error))?;
    // Behind what was published it reads nothing, hence answers nothing, while it has an alarm.
    let asked = channel.basic_qos(1, BasicQosOptions::default());
    let is_blocked = timeout(ALARM, asked).await.is_err() || connection.status().blocked();
    findings.push(if is_blocked {
        Finding::broken(
            "a memory or disk alarm: it takes no messages",
            "free disk or memory on the server, or raise `disk_free_limit` and \
             `vm_memory_high_watermark`; publishing goes on by itself",
        )
    } else {
        Finding::fine("no memory or disk alarm")
    });
    if is_blocked {
        return Ok(findings);
    }
    findings.push(may_declare(&link).await?);
    findings.push(queues(config.queues));
    Ok(findings)
}

fn judge_version(found: Option<Version>, queues: Queues) -> Finding {
    let Some(found) = found else {
        let advice = "it is told in the clear only; nothing is wrong with that";
        return Finding::weak("version unknown", advice);
    };
    let what = format!("version {found}");
    if found < Version(3, 10, 0) {
        Finding::broken(what, "update the server to 3.10 or newer")
    } else if found < Version(3, 13, 0) && queues == Queues::Quorum {
        Finding::weak(
            what,
            "a quorum queue that is used while its only node starts may never elect a leader \
             (rabbitmq-server#10070): update to 3.13, or use classic queues",
        )
    } else {
        Finding::fine(what)
    }
}

fn queues(queues: Queues) -> Finding {
    match queues {
        Queues::Classic => Finding::weak(
            "classic queues: written, not synced, and on one node each",
            "a power cut may lose the last messages, a lost disk all of them; on a cluster of three \
             nodes add `?queues=quorum` to the URL before the first group subscribes",
        ),
        Queues::Quorum => Finding::fine("quorum queues: synced on most of their nodes"),
    }
}

/// Whether the user may declare, publish and consume: what a group needs.
async fn may_declare(link: &Link) -> Result<Finding> {
    let (channel, _connection) = link.channel().await?;
    let own = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("classic".into()),
    );
    let name: ShortString = format!("ieum/doctor/{}", ieum_base::Uuid::new_v4()).into();
    let declared = timeout(
        link.config().answer_timeout,
        channel.queue_declare(name.clone(), own, arguments),
    );
    let refused = match declared.await {
        Ok(Ok(_)) => {
            let deleting = channel.queue_delete(name, QueueDeleteOptions::default());
            // It goes with the connection too.
            drop(timeout(link.config().answer_timeout, deleting).await);
            return Ok(Finding::fine("the user may declare queues"));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    Ok(Finding::broken(
        format!("the user may not declare queues: {refused}"),
        "give it configure, write and read permissions on `ieum.*` by `rabbitmqctl set_permissions`",
    ))
}

/// How long a server that has no alarm may take to answer.
const ALARM: Duration = Duration::from_millis(500);

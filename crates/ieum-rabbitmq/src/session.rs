//! One turn of a member at its group's queue: a channel, from its opening until it is lost.
//!
//! The queue has a single active consumer: whoever consumes first is given messages, others wait, and
//! the broker hands the queue on when the channel of the first ends, with what was not acknowledged
//! in front again. A member of the same name need not wait: it asks the one before to step down
//! through an exchange, and that one closes its channel. One that cannot hear it, because its process
//! is frozen or its network is gone, loses its channel by the missing heartbeats.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{FutureExt, StreamExt};
use ieum_base::{TaskKind, Tasks, Uuid};
use ieum_messaging::{Error, ErrorKind, Result};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Consumer};

use crate::connection::Link;
use crate::dead_letters::Parked;
use crate::error::{failed, superseded};
use crate::places::{Places, TURNS};
use crate::publisher::answered;
use crate::topology::{declare_group, declare_turns};

/// A member's turn. Dropping it closes its channel.
pub(crate) struct Session {
    link: Arc<Link>,
    connection: Arc<Connection>,
    channel: Channel,
    consumer: Consumer,
    /// Another member of the same name has asked this one to step down.
    stepped_down: Arc<AtomicBool>,
    queue: ShortString,
    /// What was delivered and is not in the window yet, in order.
    pub(crate) arrived: VecDeque<lapin::message::Delivery>,
    /// What the group has set aside; known from the first delivery on, when no other member works.
    pub(crate) parked: Option<Parked>,
    /// The position before the first that was given in this turn.
    pub(crate) begun_at: u64,
}

impl Session {
    /// Asks a member of the same name to step down, and begins to consume. Waits for no message.
    pub(crate) async fn open(
        link: &Arc<Link>,
        places: &Places,
        turn: &ShortString,
        begun_at: u64,
        tasks: &Tasks,
    ) -> Result<Self> {
        declare_group(link, places).await?;
        let (channel, connection) = link.channel().await?;
        let opening = open(&channel, link.config().window, places, turn);
        let opened = answered(link, &connection, "subscribing", opening).await?;
        let stepped_down = Arc::new(AtomicBool::new(false));
        let watching = watch(
            opened.control,
            opened.id,
            channel.clone(),
            Arc::clone(&stepped_down),
        );
        tasks.spawn(TaskKind::Request, "rabbitmq turn", watching);
        Ok(Self {
            link: Arc::clone(link),
            connection,
            channel,
            consumer: opened.consumer,
            stepped_down,
            queue: places.queue.clone(),
            arrived: VecDeque::new(),
            parked: None,
            begun_at,
        })
    }

    /// `Superseded` if another member has taken over, `Unavailable` if the channel was lost.
    pub(crate) fn check(&self) -> Result<()> {
        if self.stepped_down.load(Ordering::Acquire) {
            return Err(superseded(self.queue.as_str()));
        }
        if self.channel.status().connected() {
            return Ok(());
        }
        Err(self.lost())
    }

    /// Waits for one message, for ever. Cancel safe.
    pub(crate) async fn arrive(&mut self) -> Result<()> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => {
                self.arrived.push_back(delivery);
                Ok(())
            }
            Some(Err(error)) => self.check().and(Err(failed("consuming", error))),
            // The channel was closed, or somebody deleted the queue.
            None => self.check().and_then(|()| Err(self.lost())),
        }
    }

    /// Takes what is there already.
    pub(crate) fn collect(&mut self) -> Result<()> {
        while let Some(arrived) = self.arrive().now_or_never() {
            arrived?;
        }
        Ok(())
    }

    /// Acknowledges one delivery, or all up to it. It is on its way when the future was polled once.
    pub(crate) async fn ack(&self, tag: u64, multiple: bool) -> Result<()> {
        let acking = self.channel.basic_ack(tag, BasicAckOptions { multiple });
        answered(&self.link, &self.connection, "acknowledging", acking).await
    }

    /// Returns when the broker has seen everything that was sent before on this channel; an error if
    /// it had closed the channel by then.
    pub(crate) async fn settled(&self) -> Result<()> {
        let asking = self
            .channel
            .basic_qos(self.link.config().window, BasicQosOptions::default());
        let answer = answered(&self.link, &self.connection, "acknowledging", asking).await;
        answer.map_err(|error| self.check().err().unwrap_or(error))
    }

    fn lost(&self) -> Error {
        let doing = format!("queue `{}`: the channel was lost", self.queue);
        Error::new(ErrorKind::Unavailable, doing)
    }
}

impl Drop for Session {
    /// Closes the channel before its consumer ends: what is not acknowledged must be in front again
    /// before another consumer is given anything. The frame leaves when the future is polled once.
    fn drop(&mut self) {
        let closing = self.channel.close(REPLY_SUCCESS, "done".into());
        drop(closing.now_or_never());
    }
}

struct Opened {
    id: String,
    consumer: Consumer,
    control: Consumer,
}

async fn open(
    channel: &Channel,
    window: u16,
    places: &Places,
    turn: &ShortString,
) -> lapin::Result<Opened> {
    let id = Uuid::new_v4().to_string();
    let control = control(channel, turn).await?;
    // Whoever works under this name hears it; this one too, and knows its own id.
    let told = channel.basic_publish(
        TURNS.into(),
        turn.clone(),
        BasicPublishOptions::default(),
        id.as_bytes(),
        BasicProperties::default(),
    );
    told.await?;
    channel
        .basic_qos(window, BasicQosOptions::default())
        .await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    let consuming =
        channel.basic_consume(places.queue.clone(), tag, options, FieldTable::default());
    Ok(Opened {
        consumer: consuming.await?,
        id,
        control,
    })
}

/// A queue of this channel's connection, that hears what is said to members of the name.
async fn control(channel: &Channel, turn: &ShortString) -> lapin::Result<Consumer> {
    declare_turns(channel).await?;
    let own = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let none = FieldTable::default;
    let queue = channel.queue_declare(ShortString::default(), own, none());
    let queue = queue.await?.name().clone();
    let options = QueueBindOptions::default();
    let binding = channel.queue_bind(queue.clone(), TURNS.into(), turn.clone(), options, none());
    binding.await?;
    let no_ack = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    channel
        .basic_consume(queue, ShortString::default(), no_ack, none())
        .await
}

/// Closes the channel when a later member of the same name speaks. Ends with the channel.
async fn watch(
    mut control: Consumer,
    own: String,
    channel: Channel,
    stepped_down: Arc<AtomicBool>,
) {
    while let Some(Ok(told)) = control.next().await {
        if told.data != own.as_bytes() {
            stepped_down.store(true, Ordering::Release);
            let closed = channel.close(REPLY_SUCCESS, "another member takes over".into());
            if let Err(error) = closed.await {
                tracing::debug!(%error, "a channel that was to be closed is gone");
            }
            return;
        }
    }
}

/// AMQP's word for a close in good order.
const REPLY_SUCCESS: u16 = 200;

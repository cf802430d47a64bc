//! Subscriptions: what a member was given, and what becomes of it.

use std::sync::Arc;

use async_trait::async_trait;
use ieum_base::{Deadline, Rng, Tasks};
use ieum_messaging::{DeadLetterReason, Delivery, Error, ErrorKind, Message, Result, Window};
use lapin::types::ShortString;

use crate::binding;
use crate::connection::Link;
use crate::dead_letters::{Parked, letter};
use crate::error::superseded;
use crate::places::Places;
use crate::publisher::{Place, Publisher};
use crate::session::Session;
use crate::topology::declare_group;

/// Opens subscriptions, each on a channel of its own.
#[derive(Debug)]
pub struct Subscriber {
    link: Arc<Link>,
    publisher: Arc<Publisher>,
    tasks: Tasks,
}

impl Subscriber {
    pub(crate) const fn new(link: Arc<Link>, publisher: Arc<Publisher>, tasks: Tasks) -> Self {
        Self {
            link,
            publisher,
            tasks,
        }
    }
}

#[async_trait]
impl ieum_messaging::Subscriber for Subscriber {
    /// Declares the group at the broker, so that it gets what is published from now on. The member
    /// begins its turn with the first call of `next`.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn ieum_messaging::Subscription>> {
        let places = Places::of(topic, group)?;
        let turn = places.turn(member)?;
        declare_group(&self.link, &places).await?;
        Ok(Box::new(Subscription {
            link: Arc::clone(&self.link),
            publisher: Arc::clone(&self.publisher),
            tasks: self.tasks.clone(),
            rng: Rng::system(),
            window: Window::default(),
            session: None,
            places,
            turn,
        }))
    }
}

struct Subscription {
    link: Arc<Link>,
    publisher: Arc<Publisher>,
    tasks: Tasks,
    rng: Rng,
    places: Places,
    turn: ShortString,
    /// Each message with its delivery tag.
    window: Window<u64>,
    session: Option<Session>,
}

impl Subscription {
    /// One attempt: what is held, or what comes before the deadline.
    async fn try_next(&mut self, max: usize, deadline: Deadline) -> Result<Vec<Delivery>> {
        self.ensure_turn().await?;
        loop {
            self.take_in().await?;
            let held = self.window.deliveries(0, max);
            let Some(session) = self.session.as_mut().filter(|_| held.is_empty()) else {
                return Ok(held);
            };
            match tokio::time::timeout_at(deadline.instant(), session.arrive()).await {
                Ok(arrived) => arrived?,
                Err(_) => return Ok(held),
            }
        }
    }

    /// Begins a turn unless there is one. What the turn before was given will be given again.
    async fn ensure_turn(&mut self) -> Result<()> {
        if self.session.as_ref().is_some_and(|s| s.check().is_ok()) {
            return Ok(());
        }
        self.end_turn();
        let (link, begun_at) = (&self.link, self.window.last());
        let opening = Session::open(link, &self.places, &self.turn, begun_at, &self.tasks);
        self.session = Some(opening.await?);
        Ok(())
    }

    fn end_turn(&mut self) {
        self.session = None;
        self.window.clear();
    }

    /// Moves what has arrived into the window; what is no message, or waits behind a dead letter, is
    /// set aside. May be dropped and called again at any point.
    async fn take_in(&mut self) -> Result<()> {
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        session.collect()?;
        while let Some(front) = session.arrived.front() {
            if session.parked.is_none() {
                // Delivered to this member: no other one sets anything aside any more.
                let dead = &self.places.dead;
                session.parked = Some(Parked::read(&self.link, dead).await?);
                continue;
            }
            let read = binding::read(&front.properties, front.data.clone());
            let tag = front.delivery_tag;
            let parked = session.parked.get_or_insert_default();
            let aside = match &read {
                Ok(message) => parked.behind(message).map(DeadLetterReason::Behind),
                Err(error) => Some(DeadLetterReason::GaveUp(error.to_string())),
            };
            if let Some(reason) = aside {
                let as_it_came = (front.properties.clone(), front.data.clone());
                let known = read.as_ref().is_ok_and(|message| parked.holds(message));
                if !known {
                    let letter = vec![letter(as_it_came, &reason, self.link.clock())];
                    let place = Place::Queue(self.places.dead.clone());
                    self.publisher.deliver(&place, letter).await?;
                    if let Ok(message) = &read {
                        parked.add(message, 0);
                    }
                }
                session.arrived.pop_front();
                session.ack(tag, false).await?;
            } else if let Ok(message) = read {
                session.arrived.pop_front();
                self.window.push(message, tag);
            }
        }
        Ok(())
    }

    /// The turn in which `position` was given; `Superseded` if it is over.
    fn turn_of(&mut self, position: u64) -> Result<()> {
        self.window.check(position)?;
        let over = || superseded(self.places.queue.as_str());
        let session = self.session.as_ref().ok_or_else(over)?;
        // Whatever ended it, what was given in it is given again, to this member or another one.
        if session.check().is_err() || position <= session.begun_at {
            self.end_turn();
            return Err(superseded(self.places.queue.as_str()));
        }
        Ok(())
    }

    /// Sets a message aside unless it is; durable at return.
    async fn set_aside(&mut self, message: &Message, reason: &DeadLetterReason) -> Result<()> {
        let written = letter(binding::write(message)?, reason, self.link.clock());
        let place = Place::Queue(self.places.dead.clone());
        self.publisher.deliver(&place, vec![written]).await
    }

    /// Acknowledges what is held up to `position`, and sets aside what is passed on a key that waits.
    async fn settle(&mut self, position: u64) -> Result<()> {
        let parked = self.session.as_ref().and_then(|s| s.parked.as_ref());
        let passed = self.window.up_to(position).filter_map(|held| {
            let parked = parked.filter(|parked| !parked.holds(&held.message))?;
            let behind = parked.behind(&held.message)?;
            Some((held.position, held.message.clone(), behind))
        });
        for (position, message, behind) in passed.collect::<Vec<_>>() {
            let reason = DeadLetterReason::Behind(behind);
            self.set_aside(&message, &reason).await?;
            self.note_aside(&message, position);
        }
        let last = self.window.up_to(position).last().map(|held| held.token);
        let Some(session) = &self.session else {
            return Ok(());
        };
        if let Some(tag) = last {
            // From here to the first poll of `ack` nothing is awaited: it is sent, or it is held.
            self.window.take_up_to(position);
            session.ack(tag, true).await?;
        }
        session.settled().await
    }

    fn note_aside(&mut self, message: &Message, position: u64) {
        if let Some(session) = &mut self.session {
            let parked = session.parked.get_or_insert_default();
            parked.add(message, position);
        }
    }

    /// A turn that failed is over; the error of a turn that was taken over says so.
    fn noting_end<T>(&mut self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| {
            let lost = self.session.as_ref().and_then(|s| s.check().err());
            let Some(lost) = lost else { return error };
            self.end_turn();
            match lost.kind() {
                ErrorKind::Superseded => lost,
                _ => error,
            }
        })
    }

    /// Like [`noting_end`](Self::noting_end), for what concerns deliveries of the turn: when it is
    /// over, they are given again, whatever ended it.
    fn noting_end_of<T>(&mut self, answer: Result<T>) -> Result<T> {
        let answer = self.noting_end(answer);
        if self.session.is_some() {
            return answer;
        }
        answer.map_err(|error| superseded(self.places.queue.as_str()).caused_by(error))
    }
}

#[async_trait]
impl ieum_messaging::Subscription for Subscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let config = *self.link.config();
        let (wait, patience) = (
            Deadline::after(config.wait),
            Deadline::after(config.patience),
        );
        let mut attempt = 0;
        loop {
            let answer = self.try_next(max.max(1), wait).await;
            let error = match self.noting_end(answer) {
                Ok(deliveries) => return Ok(deliveries),
                Err(error) => error,
            };
            attempt += 1;
            let pause = config.backoff.delay(attempt, &self.rng);
            if !may_pass(&error) || patience.left() <= pause {
                return Err(error);
            }
            tracing::debug!(queue = self.places.queue.as_str(), %error, "asking again");
            self.link.clock().sleep(pause).await;
        }
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        self.turn_of(delivery.position)?;
        let settled = self.settle(delivery.position).await;
        self.noting_end_of(settled)
    }

    async fn dead_letter(&mut self, delivery: &Delivery, reason: &str) -> Result<()> {
        let position = delivery.position;
        self.turn_of(position)?;
        let Some(held) = self.window.get(position) else {
            return Ok(());
        };
        let message = held.message.clone();
        let parked = self.session.as_ref().and_then(|s| s.parked.as_ref());
        let (behind, known) = parked.map_or((None, false), |parked| {
            (parked.behind(&message), parked.holds(&message))
        });
        if !known {
            let gave_up = || DeadLetterReason::GaveUp(reason.to_owned());
            let reason = behind.map_or_else(gave_up, DeadLetterReason::Behind);
            let kept = self.set_aside(&message, &reason).await;
            self.noting_end_of(kept)?;
            self.note_aside(&message, position);
        }
        let settled = self.settle(position).await;
        self.noting_end_of(settled)
    }

    async fn ahead(&mut self, last: &Delivery, max: usize) -> Result<Vec<Delivery>> {
        self.turn_of(last.position)?;
        let taken = self.take_in().await;
        self.noting_end_of(taken)?;
        Ok(self.window.deliveries(last.position, max))
    }

    /// The client library's heartbeats say that the process lives; this finds out that the turn does.
    async fn keep(&mut self) -> Result<()> {
        let over = || superseded(self.places.queue.as_str());
        let session = self.session.as_ref().ok_or_else(over)?;
        let alive = session.check();
        self.noting_end_of(alive)
    }
}

fn may_pass(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Superseded | ErrorKind::Unavailable | ErrorKind::Full
    )
}

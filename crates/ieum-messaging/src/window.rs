//! What a member was given by a broker and has not acknowledged, in order.
//!
//! A broker hands a message over once and then waits for its acknowledgement, while a subscription
//! answers what is not acknowledged again. This is the difference between the two, and what makes
//! `next` cancel safe: a message is in the window before anybody is answered.

use std::collections::VecDeque;

use crate::{Delivery, Error, ErrorKind, Message, Result};

/// The messages that a member holds, each with what the broker wants to have back for it (`T`).
///
/// Positions are given in order of arrival and never used again, also after [`clear`](Self::clear):
/// a delivery of a session that is over is recognised. Its size is bounded by whoever fills it.
#[derive(Debug)]
pub struct Window<T> {
    last: u64,
    held: VecDeque<Held<T>>,
}

/// A message that is not acknowledged.
#[derive(Debug)]
pub struct Held<T> {
    /// Its place in the window, as its delivery says it.
    pub position: u64,
    /// The message.
    pub message: Message,
    /// What the broker wants to have back.
    pub token: T,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self {
            last: 0,
            held: VecDeque::new(),
        }
    }
}

impl<T> Window<T> {
    /// Adds a message behind all others, and answers the position that it was given.
    pub fn push(&mut self, message: Message, token: T) -> u64 {
        let position = self.last + 1;
        self.push_at(position, message, token);
        position
    }

    /// Adds a message at a position of the engine's, which must be behind all others; one that is
    /// not is held already, and ignored.
    pub fn push_at(&mut self, position: u64, message: Message, token: T) {
        if position > self.last {
            self.last = position;
            self.held.push_back(Held {
                position,
                message,
                token,
            });
        }
    }

    /// The first messages behind `after` (0: all), at most `max`.
    pub fn deliveries(&self, after: u64, max: usize) -> Vec<Delivery> {
        let behind = self.held.iter().skip(self.index_behind(after)).take(max);
        let deliveries = behind.map(|held| Delivery {
            position: held.position,
            message: held.message.clone(),
        });
        deliveries.collect()
    }

    /// The messages up to and including `position`, in order, which are held no longer.
    ///
    /// None if they were taken before, or the session that they were given in is over.
    pub fn take_up_to(&mut self, position: u64) -> Vec<Held<T>> {
        let end = self.index_behind(position);
        self.held.drain(..end).collect()
    }

    /// The messages up to and including `position`, in order.
    pub fn up_to(&self, position: u64) -> impl Iterator<Item = &Held<T>> {
        self.held.iter().take(self.index_behind(position))
    }

    /// The message at `position`, if it is held.
    pub fn get(&self, position: u64) -> Option<&Held<T>> {
        let index = self.held.binary_search_by_key(&position, |h| h.position);
        self.held.get(index.ok()?)
    }

    /// Lets go of everything: the session is over, the broker will hand it over again.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// The position that was given last; 0 if none was.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// How many messages are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// True if nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Refuses a position that this window never gave, as `Invalid`.
    pub fn check(&self, position: u64) -> Result<()> {
        if position <= self.last {
            return Ok(());
        }
        let why = format!("position {position} lies beyond what was delivered");
        Err(Error::new(ErrorKind::Invalid, why))
    }

    fn index_behind(&self, position: u64) -> usize {
        self.held.partition_point(|held| held.position <= position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(count: u64) -> Window<u64> {
        let mut window = Window::default();
        for n in 1..=count {
            let message = Message::new("/w", n.to_string(), "t", &n).expect("a message");
            assert_eq!(window.push(message, n * 10), n);
        }
        window
    }

    fn positions(deliveries: &[Delivery]) -> Vec<u64> {
        deliveries.iter().map(|d| d.position).collect()
    }

    #[test]
    fn what_is_held_is_answered_again_until_it_is_taken() {
        let mut window = window(4);
        assert_eq!(positions(&window.deliveries(0, 2)), [1, 2]);
        assert_eq!(positions(&window.deliveries(0, 2)), [1, 2]);
        assert_eq!(positions(&window.deliveries(2, 9)), [3, 4]);
        let taken: Vec<u64> = window.take_up_to(2).iter().map(|h| h.token).collect();
        assert_eq!(taken, [10, 20]);
        assert!(window.take_up_to(1).is_empty());
        assert_eq!(positions(&window.deliveries(0, 9)), [3, 4]);
        assert_eq!(window.up_to(3).count(), 1);
        assert_eq!(window.get(3).map(|h| h.token), Some(30));
        assert!(window.get(1).is_none());
        assert_eq!((window.len(), window.is_empty()), (2, false));
    }

    #[test]
    fn positions_are_never_used_again() {
        let mut window = window(2);
        window.clear();
        let message = Message::new("/w", "3", "t", &3).expect("a message");
        assert_eq!(window.push(message.clone(), 1), 3);
        window.push_at(3, message.clone(), 2);
        window.push_at(9, message, 3);
        assert_eq!(positions(&window.deliveries(0, 9)), [3, 9]);
        assert_eq!(window.last(), 9);
        assert!(window.check(9).is_ok());
        let beyond = window.check(10).expect_err("beyond").kind();
        assert_eq!(beyond, ErrorKind::Invalid);
    }
}

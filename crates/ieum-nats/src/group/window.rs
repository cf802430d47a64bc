//! What a member has read and not acknowledged: places and keys, not the messages.

use std::collections::BTreeMap;

use ieum_messaging::{DeadLetterReason, Message};

use super::record::{Aside, Key, Record};

/// The messages between the checkpoint and the end of what was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    seen: BTreeMap<u64, Seen>,
    /// Everything after the checkpoint up to here was read.
    read_to: u64,
    /// What the cursor handed out ends here, or nothing up to here was to be handed out.
    served: u64,
}

#[derive(Debug)]
struct Seen {
    stamp: i64,
    what: What,
}

#[derive(Debug)]
enum What {
    Message(Key),
    /// It is no CloudEvent, because of this.
    Unreadable(String),
}

impl Window {
    /// An empty window behind `checkpoint`.
    pub(super) fn behind(checkpoint: u64) -> Self {
        Self {
            seen: BTreeMap::new(),
            read_to: checkpoint,
            served: checkpoint,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) const fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Whether a cursor at `cursor` reads on behind `start` without leaving out or repeating anything.
    pub(super) const fn goes_on(&self, start: u64, cursor: u64) -> bool {
        self.served <= start && start <= cursor
    }

    /// Notes that everything behind `start` up to `end` was read.
    pub(super) fn read(&mut self, start: u64, end: u64) {
        if start <= self.read_to {
            self.read_to = self.read_to.max(end);
        }
    }

    /// Notes that the cursor handed out everything up to here.
    pub(super) const fn serve(&mut self, served: u64) {
        self.served = served;
    }

    /// Takes note of a message; whether it is to be handed out.
    pub(super) fn take(
        &mut self,
        position: u64,
        stamp: i64,
        message: Result<&Message, String>,
        record: &Record,
    ) -> bool {
        let what = match message {
            Ok(message) => What::Message(Key::new(message.ordering_key())),
            Err(why) => What::Unreadable(why),
        };
        let free = matches!(&what, What::Message(key) if !record.parked.contains_key(key));
        self.seen.insert(position, Seen { stamp, what });
        free
    }

    pub(super) fn stamp(&self, position: u64) -> Option<i64> {
        self.seen.get(&position).map(|seen| seen.stamp)
    }

    pub(super) fn key(&self, position: u64) -> Option<&Key> {
        match &self.seen.get(&position)?.what {
            What::Message(key) => Some(key),
            What::Unreadable(_) => None,
        }
    }

    pub(super) fn knows(&self, position: u64) -> bool {
        self.seen.contains_key(&position)
    }

    /// The last place such that nothing up to it is to be handed out; `None` if there is none.
    pub(super) fn idle_front(&self, record: &Record) -> Option<u64> {
        // What was read ahead may have something unread before it.
        let front = self.seen.range(..=self.read_to);
        let front = front.filter(|(at, _)| **at > record.checkpoint);
        let idle = front.take_while(|(_, seen)| match &seen.what {
            What::Message(key) => record.parked.contains_key(key),
            What::Unreadable(_) => true,
        });
        idle.last().map(|(at, _)| *at)
    }

    /// What becomes a dead letter when the checkpoint moves to `to`.
    pub(super) fn passed(&self, to: u64, record: &Record) -> Vec<Aside> {
        let passed = self.seen.range(..=to);
        let passed = passed.filter(|(at, _)| **at > record.checkpoint);
        let aside = passed.filter_map(|(position, seen)| {
            let reason = match &seen.what {
                What::Message(key) => DeadLetterReason::Behind(*record.parked.get(key)?),
                What::Unreadable(why) => DeadLetterReason::GaveUp(why.clone()),
            };
            Some(Aside {
                position: *position,
                reason,
            })
        });
        aside.collect()
    }

    /// Forgets what is read again, everything behind `start`.
    pub(super) fn rewind(&mut self, start: u64) {
        self.seen.split_off(&(start + 1));
        self.read_to = self.read_to.min(start);
    }

    /// Forgets what is done with.
    pub(super) fn forget(&mut self, checkpoint: u64) {
        self.seen = self.seen.split_off(&(checkpoint + 1));
        self.read_to = self.read_to.max(checkpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: &str) -> Message {
        Message::new("/s", "1", "t", &())
            .expect("JSON")
            .with_key(key)
    }

    #[test]
    fn what_an_ack_passes_on_a_parked_key_is_set_aside() {
        let mut record = Record::new("t", "g");
        let mut window = Window::behind(0);
        for (position, key) in [(1, "bad"), (2, "good"), (3, "bad"), (5, "good")] {
            assert!(window.take(position, 0, Ok(&message(key)), &record));
        }
        record.parked.insert(Key::new("bad"), 1);
        record.checkpoint = 1;
        let wanted = [Aside {
            position: 3,
            reason: DeadLetterReason::Behind(1),
        }];
        assert_eq!(window.passed(5, &record), wanted);
        assert_eq!(window.passed(2, &record), []);
        window.read(0, 5);
        assert_eq!(window.idle_front(&record), None);
        assert!(!window.take(7, 0, Ok(&message("bad")), &record));
        record.checkpoint = 5;
        window.forget(5);
        window.read(5, 6);
        assert_eq!((window.len(), window.idle_front(&record)), (1, None));
        window.read(6, 7);
        assert_eq!(window.idle_front(&record), Some(7));
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_with_the_reason() {
        let record = Record::new("t", "g");
        let mut window = Window::behind(0);
        assert!(!window.take(1, 0, Err("no JSON".to_owned()), &record));
        window.read(0, 1);
        let wanted = [Aside {
            position: 1,
            reason: DeadLetterReason::GaveUp("no JSON".to_owned()),
        }];
        assert_eq!(window.passed(9, &record), wanted);
        assert_eq!(window.idle_front(&record), Some(1));
    }

    #[test]
    fn a_cursor_goes_on_only_where_nothing_is_left_out_or_repeated() {
        let mut window = Window::behind(10);
        assert!(window.goes_on(10, 10));
        // Handed out up to 12; the cursor stands behind parked ones at 15.
        window.read(10, 15);
        window.serve(12);
        assert!(window.goes_on(12, 15) && window.goes_on(15, 15));
        assert!(!window.goes_on(10, 15), "what was not acknowledged");
        assert!(!window.goes_on(16, 15), "beyond the cursor");
        assert_eq!(window.read_to(), 15);
        // A look far ahead leaves unread what is between.
        window.read(20, 30);
        assert_eq!(window.read_to(), 15);
    }
}

//! The log over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::HumanDuration;
use ieum_eventstore::{
    Append, Appended, Error, ErrorKind, Event, EventStore, Filter, Head, Page, Position, Result,
    StreamName, Version,
};

use crate::api::{Api, Outcome, segment};
use crate::wire::log::{AppendToLog, ReadLog, ReadStream, StreamPage, WaitForHead};
use crate::wire::{MAX_PAGE, MAX_WAIT, paths};

/// A platform's log.
#[derive(Clone, Debug)]
pub(crate) struct RemoteLog(pub(crate) Api);

impl RemoteLog {
    async fn stream_page(&self, stream: &StreamName, query: &ReadStream) -> Outcome<StreamPage> {
        let path = format!("{}/{}", paths::STREAMS, segment(stream.as_str())?);
        self.0
            .get(&paths::with_query(&path, query), Duration::ZERO)
            .await
    }

    /// Reads until `limit` matching events are found or the log ends, page by page.
    async fn log_pages(&self, mut query: ReadLog, limit: usize) -> Outcome<Page> {
        let mut events: Vec<Event> = Vec::new();
        let mut most = MAX_PAGE;
        loop {
            query.limit = Some(most.min(limit - events.len()));
            let path = paths::with_query(paths::LOG, &query);
            let page: Page = match self.0.get(&path, Duration::ZERO).await {
                Ok(page) => page,
                Err(failure) if failure.is_too_large() && most > 1 => {
                    most /= 2;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            events.extend(page.events);
            let is_end = page.scanned_to >= page.head.position || page.scanned_to <= query.after;
            if events.len() >= limit || is_end {
                return Ok(Page { events, ..page });
            }
            query.after = page.scanned_to;
        }
    }
}

#[async_trait]
impl EventStore for RemoteLog {
    async fn append(&self, append: Append) -> Result<Appended> {
        let body = AppendToLog::from(append);
        let answer = self.0.post(paths::LOG, &body, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_log_error("appending to the log"))
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let limit = limit.min(Page::MAX_EVENTS);
        let mut events: Vec<Event> = Vec::new();
        let mut query = ReadStream { after, limit: None };
        let mut most = MAX_PAGE;
        while events.len() < limit {
            let asked = most.min(limit - events.len());
            query.limit = Some(asked);
            let page = match self.stream_page(stream, &query).await {
                Ok(page) => page.events,
                Err(failure) if failure.is_too_large() && most > 1 => {
                    most /= 2;
                    continue;
                }
                Err(failure) => {
                    return Err(failure.into_log_error(&format!("reading stream `{stream}`")));
                }
            };
            let is_end = page.len() < asked;
            query.after = page.last().map_or(query.after, |event| event.version);
            events.extend(page);
            if is_end {
                break;
            }
        }
        Ok(events)
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        let query = ReadLog {
            after,
            ..ReadLog::default()
        };
        let query = query.with_filter(filter).ok_or_else(|| {
            let why = "a filter with an empty name or a comma cannot be sent";
            Error::new(ErrorKind::Invalid, why)
        })?;
        if limit == 0 {
            return Ok(Page {
                events: Vec::new(),
                scanned_to: after,
                head: self.head().await?,
            });
        }
        let pages = self.log_pages(query, limit.min(Page::MAX_EVENTS)).await;
        pages.map_err(|failure| failure.into_log_error("reading the log"))
    }

    async fn head(&self) -> Result<Head> {
        self.wait(Position::START, Duration::ZERO).await
    }

    async fn wait(&self, after: Position, wait: Duration) -> Result<Head> {
        let wait = wait.min(MAX_WAIT);
        let query = WaitForHead {
            after,
            wait: Some(HumanDuration(wait)),
        };
        let path = paths::with_query(paths::LOG_HEAD, &query);
        let answer = self.0.get(&path, wait).await;
        answer.map_err(|failure| failure.into_log_error("waiting for the log"))
    }
}

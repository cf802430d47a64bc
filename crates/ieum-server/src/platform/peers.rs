//! The other platforms on the same log, asked over their APIs with the token that all of them have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use ieum_base::{Secret, Tasks, Uuid};
use ieum_discovery::peers::{Gathered, Heard, Peers};
use ieum_eventstore::ownership::{Handle, Member};
use ieum_http::HttpClient;
use ieum_remote::wire::paths;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

/// Asks the members that are alive.
pub(super) struct Others {
    members: Arc<dyn Fn() -> Vec<Member> + Send + Sync>,
    http: HttpClient,
    token: Option<Secret>,
    known: Mutex<Known>,
    /// The last answers: many checks may be due at once, and one round of questions serves all.
    last: AsyncMutex<Option<(Instant, Gathered)>>,
}

/// What came of the last round of questions.
#[derive(Debug, Default)]
struct Known {
    /// Who answered, and in which run.
    answered: BTreeMap<String, Uuid>,
    /// Who was to answer, and did not.
    silent: BTreeSet<String>,
    losses: u64,
}

impl Known {
    /// Learns of a round in which `asked` were asked. Answers how many losses there were by now: one
    /// more if a run that answered is over or silent, or somebody new does not answer.
    fn learn(&mut self, asked: BTreeSet<String>, answered: BTreeMap<String, Uuid>) -> u64 {
        let is_there = |(name, run): (&String, &Uuid)| answered.get(name) == Some(run);
        let silent: BTreeSet<String> = asked
            .into_iter()
            .filter(|name| !answered.contains_key(name))
            .collect();
        if !self.answered.iter().all(is_there) || !silent.is_subset(&self.silent) {
            self.losses += 1;
        }
        (self.answered, self.silent) = (answered, silent);
        self.losses
    }
}

impl Others {
    /// The members of `scope` beside this one.
    pub(super) fn new(scope: &Handle, token: Option<Secret>, tasks: &Tasks) -> Self {
        let scope = scope.clone();
        Self::of(Arc::new(move || scope.view().members), token, tasks)
    }

    fn of(
        members: Arc<dyn Fn() -> Vec<Member> + Send + Sync>,
        token: Option<Secret>,
        tasks: &Tasks,
    ) -> Self {
        Self {
            members,
            http: HttpClient::new(tasks.clone()),
            token,
            known: Mutex::default(),
            last: AsyncMutex::default(),
        }
    }

    async fn ask(&self, name: String) -> Option<(String, Heard)> {
        let mut request = Request::get(format!("http://{name}{}", paths::HEARD));
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(http_body_util::Full::default()).ok()?;
        let answer = self.http.request(request, PATIENCE).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(platform = name, %error, "another platform does not say what it heard");
        });
        let answer = answer.ok()?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            tracing::error!(
                platform = name,
                status,
                "another platform does not tell us what it heard: all on one log have one token"
            );
            return None;
        }
        let heard = serde_json::from_slice(answer.body()).ok()?;
        Some((name, heard))
    }
}

#[async_trait]
impl Peers for Others {
    async fn gather(&self) -> Gathered {
        let mut last = self.last.lock().await;
        if let Some((when, gathered)) = &*last
            && when.elapsed() < FRESH
        {
            return gathered.clone();
        }
        let members = (self.members)().into_iter();
        let others = members.filter(|member| !member.own && member.alive);
        let names: BTreeSet<String> = others.map(|member| member.name).collect();
        let asked = join_all(names.iter().map(|name| self.ask(name.clone()))).await;
        let answers: Vec<(String, Heard)> = asked.into_iter().flatten().collect();
        let runs = answers
            .iter()
            .map(|(name, heard)| (name.clone(), heard.run));
        let runs = runs.collect();
        let losses = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.learn(names, runs)
        };
        let gathered = Gathered {
            heard: answers.into_iter().map(|(_, heard)| heard).collect(),
            losses,
        };
        *last = Some((Instant::now(), gathered.clone()));
        gathered
    }
}

/// Who takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long an answer serves those who ask after it.
const FRESH: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;

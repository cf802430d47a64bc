//! What is known of services and how they hang together, and what follows for one of them.

use std::collections::BTreeSet;

use ieum_remote::wire::impact::{
    Consumer, ContractUse, Impact, Published, RouteUse, SagaUse, Seen, Subject, SubjectKind,
    TRIGGER,
};
use ieum_saga::definition::{Call, Definition, Undo};

use super::contracts::Contract;
use super::names::{nearest, service_of};
use super::publishers::Told;

/// Everything that is known, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Landscape {
    /// The registered services.
    pub(crate) services: BTreeSet<String>,
    /// The gateway's routes.
    pub(crate) routes: Vec<Route>,
    /// The topics.
    pub(crate) topics: BTreeSet<String>,
    /// The consumer groups, also those whose service is down.
    pub(crate) groups: Vec<Group>,
    /// The sagas.
    pub(crate) definitions: Vec<Definition>,
    /// The contracts.
    pub(crate) contracts: Vec<Contract>,
    /// What was published.
    pub(crate) told: Vec<Told>,
    /// How much of the log that is from.
    pub(crate) seen: Seen,
}

/// A route of the gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Its name.
    pub(crate) name: String,
    /// Its path.
    pub(crate) path: String,
    /// The services that answer, or a part of the answer.
    pub(crate) services: BTreeSet<String>,
    /// False if it only reads: nothing is published by calling it.
    pub(crate) writes: bool,
}

/// A consumer group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The topic that it hears.
    pub(crate) topic: String,
    /// Its name: that of the service which works for it.
    pub(crate) name: String,
}

/// Nothing is known by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// What was perhaps meant, the nearest first.
    pub(crate) nearest: Vec<Subject>,
}

impl Landscape {
    /// What depends on `name`, as a `kind` or as the first kind that is known by it.
    pub(crate) fn impact(&self, name: &str, kind: Option<SubjectKind>) -> Result<Impact, Unknown> {
        let published = self.published();
        let known = self.known(&published);
        let kinds: Vec<_> = SubjectKind::ALL
            .into_iter()
            .filter(|kind| known.contains(&subject(*kind, name)))
            .collect();
        let wanted = kinds
            .iter()
            .find(|found| kind.is_none_or(|kind| kind == **found));
        let Some(&kind) = wanted else {
            let nearest = nearest(name, known.into_iter());
            return Err(Unknown { nearest });
        };
        let look = View {
            all: self,
            published: &published,
        };
        let mut impact = match kind {
            SubjectKind::EventType => look.of_event(name),
            SubjectKind::Topic => look.of_topic(name),
            SubjectKind::Service => look.of_service(name),
            SubjectKind::Route => look.of_route(name),
        };
        impact.subject = subject(kind, name);
        impact.also = kinds.into_iter().filter(|other| *other != kind).collect();
        impact.seen = self.seen;
        Ok(impact)
    }

    /// What is published, by the services that the sources stand for.
    fn published(&self) -> BTreeSet<Published> {
        let mut known = self.services.clone();
        known.extend(self.groups.iter().map(|group| group.name.clone()));
        known.extend(self.routes.iter().flat_map(|route| route.services.clone()));
        known.extend(self.contracts.iter().map(|c| c.told.provider.clone()));
        let published = self.told.iter().map(|told| Published {
            service: service_of(&told.source, &known),
            kind: told.kind.clone(),
            topic: told.topic.clone(),
        });
        published.collect()
    }

    /// Everything that has a name.
    fn known(&self, published: &BTreeSet<Published>) -> BTreeSet<Subject> {
        let mut events: BTreeSet<&str> = published.iter().map(|one| one.kind.as_str()).collect();
        let mut topics: BTreeSet<&str> = self.topics.iter().map(String::as_str).collect();
        let mut services: BTreeSet<&str> = self.services.iter().map(String::as_str).collect();
        services.extend(published.iter().map(|one| one.service.as_str()));
        for definition in &self.definitions {
            if let Some(on) = &definition.on {
                events.insert(&on.kind);
                topics.insert(&on.topic);
            }
            services.extend(calls(definition).map(|(_, call)| call.service.as_str()));
        }
        for contract in &self.contracts {
            events.extend(contract.events.iter().map(String::as_str));
            services.extend(parties(&contract.told));
        }
        for group in &self.groups {
            topics.insert(&group.topic);
            services.insert(&group.name);
        }
        let routes = self.routes.iter();
        services.extend(
            routes
                .clone()
                .flat_map(|route| &route.services)
                .map(String::as_str),
        );
        let routes = routes.map(|route| route.name.as_str()).collect();
        let sets = [events, topics, services, routes];
        let named = SubjectKind::ALL.into_iter().zip(sets);
        named
            .flat_map(|(kind, names)| names.into_iter().map(move |name| subject(kind, name)))
            .collect()
    }
}

/// A landscape with what is published in it.
struct View<'a> {
    all: &'a Landscape,
    published: &'a BTreeSet<Published>,
}

impl View<'_> {
    fn of_event(&self, kind: &str) -> Impact {
        let matching = |one: &&Published| one.kind == kind;
        let triggers = self.all.definitions.iter().filter_map(|d| d.on.as_ref());
        let triggers = triggers
            .filter(|on| on.kind == kind)
            .map(|on| on.topic.as_str());
        let published = self.published.iter().filter(matching);
        let topics = published
            .map(|one| one.topic.as_str())
            .chain(triggers)
            .collect();
        let contracts = self.all.contracts.iter();
        let contracts = contracts.filter(|contract| contract.events.contains(kind));
        self.of_messages(&[kind].into(), &topics, contracts)
    }

    fn of_topic(&self, topic: &str) -> Impact {
        let in_topic = self.published.iter().filter(|one| one.topic == topic);
        let mut kinds: BTreeSet<_> = in_topic.map(|one| one.kind.as_str()).collect();
        let triggers = self.all.definitions.iter().filter_map(|d| d.on.as_ref());
        let triggers = triggers.filter(|on| on.topic == topic);
        kinds.extend(triggers.map(|on| on.kind.as_str()));
        let contracts = self.all.contracts.iter();
        let about =
            |contract: &&Contract| contract.events.iter().any(|e| kinds.contains(e.as_str()));
        self.of_messages(&kinds, &[topic].into(), contracts.filter(about))
    }

    /// What depends on messages of `kinds` in `topics`.
    fn of_messages<'c>(
        &self,
        kinds: &BTreeSet<&str>,
        topics: &BTreeSet<&str>,
        contracts: impl Iterator<Item = &'c Contract>,
    ) -> Impact {
        let is_one = |one: &&Published| {
            kinds.contains(one.kind.as_str()) && topics.contains(one.topic.as_str())
        };
        let contracts: Vec<_> = contracts.map(|contract| contract.told.clone()).collect();
        let mut publishers: BTreeSet<String> = self
            .published
            .iter()
            .filter(is_one)
            .map(|one| one.service.clone())
            .collect();
        // Who promised it publishes it, also if the log has no message of it any more.
        publishers.extend(contracts.iter().map(|contract| contract.provider.clone()));
        let consumers = self.consumers(topics);
        let started = self.started(kinds, topics);
        let called: BTreeSet<String> = started
            .iter()
            .flat_map(|definition| calls(definition))
            .map(|(_, call)| call.service.clone())
            .collect();
        let hearing: BTreeSet<String> = consumers.iter().map(|c| c.service.clone()).collect();
        let touched: BTreeSet<String> = publishers.union(&hearing).cloned().collect();
        let mut services: BTreeSet<String> = touched.union(&called).cloned().collect();
        services.extend(contracts.iter().flat_map(parties).map(str::to_owned));
        let next = hearing.union(&called).cloned().collect();
        let next = self.published_by(&next).filter(|one| !is_one(one));
        Impact {
            publishers: publishers.into_iter().collect(),
            routes: self.routes_to(&touched),
            sagas: started.into_iter().flat_map(whole).collect(),
            next: next.cloned().collect(),
            consumers,
            contracts: sorted(contracts),
            services: services.into_iter().collect(),
            ..nothing()
        }
    }

    fn of_service(&self, service: &str) -> Impact {
        let own = [service.to_owned()].into();
        let events: Vec<_> = self.published_by(&own).cloned().collect();
        let groups = self.all.groups.iter().filter(|group| group.name == service);
        let heard: BTreeSet<_> = groups.map(|group| group.topic.as_str()).collect();
        let told = self
            .published
            .iter()
            .filter(|one| heard.contains(one.topic.as_str()));
        let publishers: BTreeSet<_> = told
            .map(|one| one.service.clone())
            .filter(|s| s != service)
            .collect();
        let contracts = self.all.contracts.iter().map(|contract| &contract.told);
        let contracts = contracts.filter(|told| parties(told).any(|party| party == service));
        let impact = self.behind(&own, &events, contracts.cloned().collect());
        let called = self
            .all
            .definitions
            .iter()
            .flat_map(|d| steps_calling(d, service));
        let sagas = impact.sagas.iter().cloned().chain(called).collect();
        let mut services: BTreeSet<_> = impact.services.iter().cloned().collect();
        services.extend(publishers.iter().cloned());
        services.remove(service);
        Impact {
            publishers: publishers.into_iter().collect(),
            routes: self.routes_to(&own),
            sagas: sorted(sagas),
            services: services.into_iter().collect(),
            ..impact
        }
    }

    fn of_route(&self, name: &str) -> Impact {
        let routes = self.all.routes.iter().filter(|route| route.name == name);
        let services: BTreeSet<_> = routes.clone().flat_map(|r| r.services.clone()).collect();
        let writes = routes.clone().any(|route| route.writes);
        let events = self.published_by(&services).filter(|_| writes);
        let contracts = self.all.contracts.iter().map(|contract| &contract.told);
        // What others hear of the services has nothing to do with who calls them by this route.
        let promised = contracts.filter(|told| services.contains(&told.provider));
        let impact = self.behind(
            &services,
            &events.cloned().collect::<Vec<_>>(),
            promised.cloned().collect(),
        );
        let mut touched: BTreeSet<_> = impact.services.iter().cloned().collect();
        touched.extend(services);
        Impact {
            routes: routes.flat_map(uses).collect(),
            services: touched.into_iter().collect(),
            ..impact
        }
    }

    /// What depends on `services` by the events that they publish, and by `contracts`.
    fn behind(
        &self,
        services: &BTreeSet<String>,
        events: &[Published],
        contracts: Vec<ContractUse>,
    ) -> Impact {
        let kinds = events.iter().map(|one| one.kind.as_str()).collect();
        let topics = events.iter().map(|one| one.topic.as_str()).collect();
        let consumers = self.consumers(&topics);
        let hearing: BTreeSet<_> = consumers.iter().map(|c| c.service.clone()).collect();
        let next = self
            .published_by(&hearing)
            .filter(|one| !services.contains(&one.service));
        let triggers = self.started(&kinds, &topics).into_iter().flat_map(trigger);
        let mut touched = hearing.clone();
        touched.extend(contracts.iter().flat_map(parties).map(str::to_owned));
        Impact {
            sagas: sorted(triggers.collect()),
            next: next.cloned().collect(),
            consumers,
            contracts: sorted(contracts),
            services: touched.into_iter().collect(),
            events: events.to_vec(),
            ..nothing()
        }
    }

    fn published_by(&self, services: &BTreeSet<String>) -> impl Iterator<Item = &Published> {
        self.published
            .iter()
            .filter(|one| services.contains(&one.service))
    }

    fn consumers(&self, topics: &BTreeSet<&str>) -> Vec<Consumer> {
        let hearing = self
            .all
            .groups
            .iter()
            .filter(|group| topics.contains(group.topic.as_str()));
        let consumers = hearing.map(|group| Consumer {
            service: group.name.clone(),
            group: group.name.clone(),
            topic: group.topic.clone(),
        });
        sorted(consumers.collect())
    }

    /// The sagas that a message of one of `kinds` in one of `topics` starts.
    fn started(&self, kinds: &BTreeSet<&str>, topics: &BTreeSet<&str>) -> Vec<&Definition> {
        let starts = |definition: &&Definition| {
            let on = definition.on.as_ref();
            on.is_some_and(|on| {
                kinds.contains(on.kind.as_str()) && topics.contains(on.topic.as_str())
            })
        };
        self.all.definitions.iter().filter(starts).collect()
    }

    fn routes_to(&self, services: &BTreeSet<String>) -> Vec<RouteUse> {
        let routes = self.all.routes.iter().flat_map(uses);
        sorted(
            routes
                .filter(|route| services.contains(&route.service))
                .collect(),
        )
    }
}

/// True if a contract is about what was found, for contracts that the platform does not know.
pub(crate) fn about(contract: &Contract, impact: &Impact) -> bool {
    let Subject { kind, name } = &impact.subject;
    match kind {
        SubjectKind::EventType => contract.events.contains(name),
        SubjectKind::Service => parties(&contract.told).any(|party| party == name),
        SubjectKind::Route => {
            let mut services = impact.routes.iter().map(|route| &route.service);
            services.any(|service| *service == contract.told.provider)
        }
        SubjectKind::Topic => {
            let publishes = impact.publishers.contains(&contract.told.provider);
            let mut consumers = impact.consumers.iter();
            let hears = consumers.any(|consumer| consumer.service == contract.told.consumer);
            publishes && hears && !contract.events.is_empty()
        }
    }
}

fn subject(kind: SubjectKind, name: &str) -> Subject {
    let name = name.to_owned();
    Subject { kind, name }
}

fn parties(told: &ContractUse) -> impl Iterator<Item = &str> {
    let parties = [told.consumer.as_str(), told.provider.as_str()].into_iter();
    parties.filter(|party| *party != "*")
}

fn uses(route: &Route) -> impl Iterator<Item = RouteUse> {
    route.services.iter().map(|service| RouteUse {
        name: route.name.clone(),
        path: route.path.clone(),
        service: service.clone(),
    })
}

/// The calls of a saga, those that undo as well, with their steps.
fn calls(definition: &Definition) -> impl Iterator<Item = (&str, &Call)> {
    definition.steps.iter().flat_map(|step| {
        let undo = match &step.undo {
            Some(Undo::Call(call)) => Some(call),
            _ => None,
        };
        let all = std::iter::once(&step.call).chain(undo);
        all.map(|call| (step.name.as_str(), call))
    })
}

fn steps_calling(definition: &Definition, service: &str) -> Vec<SagaUse> {
    let calls = calls(definition).filter(|(_, call)| call.service == service);
    calls
        .map(|(step, call)| step_of(definition, step, call))
        .collect()
}

fn step_of(definition: &Definition, step: &str, call: &Call) -> SagaUse {
    SagaUse {
        definition: definition.name.clone(),
        step: step.to_owned(),
        call: format!("{} {}{}", call.method, call.service, call.path),
    }
}

/// A saga's beginning.
fn trigger(definition: &Definition) -> Option<SagaUse> {
    let on = definition.on.as_ref()?;
    Some(SagaUse {
        definition: definition.name.clone(),
        step: TRIGGER.to_owned(),
        call: format!("{} in {}", on.kind, on.topic),
    })
}

/// A saga's beginning and its steps, in their order.
fn whole(definition: &Definition) -> Vec<SagaUse> {
    let steps = definition.steps.iter();
    let steps = steps.map(|step| step_of(definition, &step.name, &step.call));
    trigger(definition).into_iter().chain(steps).collect()
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all.dedup();
    all
}

fn nothing() -> Impact {
    Impact {
        subject: subject(SubjectKind::EventType, ""),
        also: Vec::new(),
        publishers: Vec::new(),
        consumers: Vec::new(),
        routes: Vec::new(),
        contracts: Vec::new(),
        sagas: Vec::new(),
        services: Vec::new(),
        events: Vec::new(),
        next: Vec::new(),
        seen: Seen::default(),
    }
}

#[cfg(test)]
mod tests;

//! Which command asks what the console asks: each list has a twin on the command line.

/// Operations of the API, by their ids, and the command that shows the same with `--json`. The
/// description of the API tells it as `x-ieum-command`.
const TWINS: &[(&str, &str)] = &[
    ("getOverview", "overview"),
    ("listServices", "services"),
    ("listRoutes", "routes"),
    ("listBreakers", "breakers"),
    ("listSagas", "sagas"),
    ("getSaga", "sagas {id}"),
    ("listSagaDefinitions", "sagas definitions"),
    ("sagaLiveness", "sagas stalled"),
    ("listStreams", "streams"),
    ("listTopics", "topics"),
    ("listGroups", "groups"),
    ("listDeadLetters", "dead-letters"),
    ("listTraces", "traces"),
    ("getTrace", "trace {id}"),
    ("getImpact", "impact {subject}"),
    ("listPlatforms", "platforms"),
];

/// The command that shows what the operation `id` answers.
pub(crate) fn twin(id: &str) -> Option<&'static str> {
    let found = TWINS.iter().find(|(operation, _)| *operation == id);
    found.map(|(_, command)| *command)
}

#[cfg(test)]
mod tests;

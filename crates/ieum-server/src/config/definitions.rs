//! The saga definitions that a configuration names: files and inline, read and checked.

use std::path::{Path, PathBuf};

use ieum_saga::definition::{Definition, Plan};

use super::Config;
use super::report::Problem;

impl Config {
    /// The definitions, those of files first; or everything that is wrong with them.
    pub fn saga_definitions(&self) -> Result<Vec<Definition>, Vec<Problem>> {
        let mut definitions = Vec::new();
        let mut problems = Vec::new();
        for (index, pattern) in self.sagas.definitions.iter().enumerate() {
            let key = format!("sagas.definitions[{index}]");
            match files(&self.resolve(Path::new(pattern))) {
                Ok(files) => {
                    for file in files {
                        match read(&file) {
                            Ok(definition) => definitions.push((key.clone(), definition)),
                            Err(why) => problems.push(Problem::new(why).key(&key)),
                        }
                    }
                }
                Err(why) => problems.push(
                    Problem::new(why)
                        .key(key)
                        .help("write a path, with `*` in the file's name for several files"),
                ),
            }
        }
        for (index, definition) in self.sagas.inline.iter().enumerate() {
            definitions.push((format!("sagas.inline[{index}]"), definition.clone()));
        }
        for (key, definition) in &definitions {
            if let Err(invalid) = Plan::new(definition.clone()) {
                problems.push(Problem::new(invalid.to_string()).key(key));
            }
        }
        for (i, (key, definition)) in definitions.iter().enumerate() {
            let mut earlier = definitions[..i].iter();
            if earlier.any(|(_, other)| other.name == definition.name) {
                let what = format!("the saga `{}` is defined twice", definition.name);
                problems.push(Problem::new(what).key(key));
            }
        }
        if problems.is_empty() {
            let definitions = definitions.into_iter().map(|(_, definition)| definition);
            Ok(definitions.collect())
        } else {
            Err(problems)
        }
    }
}

/// The files that `pattern` means, in order of their names.
fn files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("`{}` is not a file's path", pattern.display()))?;
    let Some((before, after)) = name.split_once('*') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let folder = pattern.parent().unwrap_or_else(|| Path::new(""));
    let shown = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = std::fs::read_dir(shown)
        .map_err(|error| format!("the folder `{}` cannot be read: {error}", shown.display()))?;
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| {
                let long_enough = name.len() >= before.len() + after.len();
                long_enough && name.starts_with(before) && name.ends_with(after)
            })
        })
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(format!("no file matches `{}`", pattern.display()));
    }
    Ok(found)
}

fn read(file: &Path) -> Result<Definition, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    if file
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return toml::from_str(&text)
            .map_err(|error| format!("`{shown}` is not a saga: {}", error.message()));
    }
    serde_json::from_str(&text).map_err(|error| format!("`{shown}` is not a saga: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const SAGA: &str = r#"{"name":"greet","steps":[
        {"name":"hello","call":{"service":"greeter","path":"/hello"},"undo":"none"}]}"#;

    fn folder(name: &str) -> std::path::PathBuf {
        let name = format!("ieum-definitions-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn definitions_are_read_from_files_beside_the_configuration() {
        let folder = folder("good");
        std::fs::write(folder.join("greet.json"), SAGA).expect("written");
        std::fs::write(folder.join("notes.txt"), "not a saga").expect("written");
        let text = "[sagas]\ndefinitions = [\"*.json\"]\n";
        let config = parse(&folder.join("ieum.toml"), text.to_owned()).expect("valid");
        let definitions = config.saga_definitions().expect("valid");
        assert_eq!(definitions.len(), 1);
        assert_eq!(definitions[0].name, "greet");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn every_broken_definition_is_named_with_its_file() {
        let folder = folder("bad");
        std::fs::write(folder.join("a.json"), "{").expect("written");
        std::fs::write(folder.join("b.json"), SAGA.replace("greet\"", "\"")).expect("written");
        let text = "[sagas]\ndefinitions = [\"*.json\", \"none-*.json\"]\n";
        let report = parse(&folder.join("ieum.toml"), text.to_owned()).expect_err("broken");
        let report = report.to_string();
        assert!(report.contains("a.json` is not a saga"), "{report}");
        assert!(report.contains("no file matches"), "{report}");
        assert!(report.contains(":2:"), "{report}");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}

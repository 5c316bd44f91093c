//! Options from a TOML file: they become options of the command line, so that one parser and one set of messages serves
//! both.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A file with options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::command) enum ConfigError {
    #[error("--config {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--config {}: {source}", path.display())]
    Syntax { path: PathBuf, source: toml::de::Error },
    #[error("--config {}: there is no option {key:?}; the keys are the names of the options without --, such as {}",
        path.display(), known.join(", "))]
    UnknownKey { path: PathBuf, key: String, known: Vec<String> },
    #[error("--config {}: {key} is {found}; expected {expected}", path.display())]
    WrongType { path: PathBuf, key: String, found: &'static str, expected: &'static str },
}

/// `args` with what the file at `path` adds to them: every option of `command` that was not given.
pub(in crate::command) fn expand(
    args: &[OsString],
    command: &Command,
    matches: &ArgMatches,
    path: &Path,
) -> Result<Vec<OsString>, ConfigError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let table: Table =
        text.parse().map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })?;
    let mut all = args.to_vec();
    for (key, value) in &table {
        let Some(option) = options_of(command).find(|arg| arg.get_long() == Some(key)) else {
            let known = options_of(command).filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
            return Err(ConfigError::UnknownKey { path: path.to_owned(), key: key.clone(), known });
        };
        if matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        // What was given takes the place of what it excludes.
        let is_given =
            |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        if options_of(command).filter(is_given).any(|given| exclude_each_other(command, given, option)) {
            continue;
        }
        let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
        let is_boolean = is_flag || option.get_possible_values().iter().any(|it| it.get_name() == "true");
        let wrong = |found, expected| ConfigError::WrongType {
            path: path.to_owned(),
            key: key.clone(),
            found,
            expected,
        };
        if is_boolean {
            let is_on = value.as_bool().ok_or_else(|| wrong(value.type_str(), "true or false"))?;
            let text = if is_flag { format!("--{key}") } else { format!("--{key}={is_on}") };
            all.extend((is_on || !is_flag).then(|| text.into()));
            continue;
        }
        match value {
            Value::Array(values) => {
                for value in values {
                    let text =
                        scalar(value).ok_or_else(|| wrong("a list of lists or tables", "a list of texts"))?;
                    all.push(format!("--{key}={text}").into());
                }
            }
            other @ (Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_)) => {
                let text = scalar(other).ok_or_else(|| wrong(other.type_str(), "a text or a number"))?;
                all.push(format!("--{key}={text}").into());
            }
        }
    }
    Ok(all)
}

/// Those that a file can have.
fn options_of(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_of_files = |arg: &&Arg| !matches!(arg.get_long(), Some("config" | "help" | "version" | "verbose"));
    command.get_arguments().filter(is_of_files)
}

fn exclude_each_other(command: &Command, one: &Arg, other: &Arg) -> bool {
    let excludes = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|excluded| excluded.get_id() == other.get_id())
    };
    excludes(one, other) || excludes(other, one)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("ec2")
            .arg(Arg::new("region").long("region"))
            .arg(Arg::new("driver").long("driver").action(ArgAction::Append))
            .arg(Arg::new("spot").long("spot").action(ArgAction::SetTrue))
            .arg(Arg::new("keep").long("keep").num_args(0..=1).value_parser(clap::value_parser!(bool)))
            .arg(Arg::new("stack").long("stack"))
            .arg(Arg::new("file").long("file").conflicts_with("stack"))
            .arg(Arg::new("repeat").long("repeat").value_parser(clap::value_parser!(u32)))
            .arg(Arg::new("config").long("config"))
    }

    fn expanded(args: &[&str], file: &str) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let matches = command().try_get_matches_from(&args).unwrap();
        let all = expand(&args, &command(), &matches, &path).map_err(|error| error.to_string())?;
        Ok(all.into_iter().map(|arg| arg.into_string().unwrap()).collect())
    }

    #[test]
    fn what_is_given_on_the_command_line_wins() {
        let file = "region = 'eu-west-1'\ndriver = ['tcp', 's2n-quic']\nspot = true\nkeep = false\nrepeat = 3\nstack = 's'\n";
        let given = ["ec2", "--region", "us-east-1", "--file", "f"];
        let all = expanded(&given, file).unwrap();
        // The stack would exclude the file.
        let added = ["--driver=tcp", "--driver=s2n-quic", "--keep=false", "--repeat=3", "--spot"];
        assert_eq!(all, [&given[..], &added].concat());
        assert!(command().try_get_matches_from(all).is_ok());
        assert_eq!(expanded(&["ec2", "--stack", "s"], "file = 'f'").unwrap(), ["ec2", "--stack", "s"]);
    }

    #[test]
    fn what_is_not_an_option_is_refused_by_name() {
        for (file, expected) in [
            ("regoin = 'x'", "there is no option \"regoin\"; the keys are"),
            ("config = 'other.toml'", "there is no option \"config\""),
            ("help = true", "there is no option \"help\""),
            ("spot = 'yes'", "spot is string; expected true or false"),
            ("keep = 'yes'", "keep is string; expected true or false"),
            ("region = true", "region is boolean; expected a text or a number"),
            ("region = { a = 1 }", "region is table; expected a text or a number"),
            ("driver = [['a']]", "driver is a list of lists"),
            ("region = ", "run.toml: "),
        ] {
            let error = expanded(&["ec2"], file).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}

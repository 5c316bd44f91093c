//! A command line, cut into words.

use russula_proto::{Group, Milestone};
use sim::HostId;
use std::time::Duration;

/// The words of a line, taken from the front.
pub(super) struct Words(std::collections::VecDeque<String>);

impl Words {
    pub(super) fn of(line: &str) -> Result<Self, String> {
        let mut words = std::collections::VecDeque::new();
        let (mut word, mut quoted, mut any) = (String::new(), false, false);
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => (quoted, any) = (!quoted, true),
                '\\' if quoted => match chars.next() {
                    Some('r') => word.push('\r'),
                    Some('n') => word.push('\n'),
                    Some(c) => word.push(c),
                    None => return Err("nothing after the last '\\'".into()),
                },
                ' ' if !quoted => {
                    if any {
                        words.push_back(std::mem::take(&mut word));
                    }
                    any = false;
                }
                c => {
                    word.push(c);
                    any = true;
                }
            }
        }
        if quoted {
            return Err("a '\"' is missing".into());
        }
        if any {
            words.push_back(word);
        }
        Ok(Self(words))
    }

    pub(super) fn next(&mut self, what: &str) -> Result<String, String> {
        self.0.pop_front().ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self, what: &str) -> Result<N, String> {
        number(&self.next(what)?)
    }

    pub(super) fn group(&mut self) -> Result<Group, String> {
        let name = self.next("a group")?;
        let group = Group::ALL.into_iter().find(|group| group.name() == name);
        group.ok_or_else(|| format!("{name:?} is no group"))
    }

    pub(super) fn host(&mut self) -> Result<HostId, String> {
        Ok(HostId { group: self.group()?, index: self.number("a host's index")? })
    }

    pub(super) fn milestone(&mut self) -> Result<Milestone, String> {
        let name = self.next("a milestone")?;
        match name.as_str() {
            "ready" => Ok(Milestone::Ready),
            "workers-running" => Ok(Milestone::WorkersRunning),
            "done" => Ok(Milestone::Done),
            other => Err(format!("{other:?} is no milestone")),
        }
    }

    /// The options that are left: words, or `key=value`.
    pub(super) fn options(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter().map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (word, String::new()),
        })
    }

    pub(super) fn end(self) -> Result<(), String> {
        match self.0.front() {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }
}

pub(super) fn number<N: std::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("{word:?} is not such a number"))
}

/// `5us`, `5ms`, `5s`.
pub(super) fn duration(word: &str) -> Result<Duration, String> {
    let units = [("us", 1), ("ms", 1_000), ("s", 1_000_000)];
    for (unit, micros) in units {
        if let Some(Ok(amount)) = word.strip_suffix(unit).map(str::parse::<u64>) {
            return Ok(Duration::from_micros(amount * micros));
        }
    }
    Err(format!("{word:?} is no duration, as in 5ms"))
}

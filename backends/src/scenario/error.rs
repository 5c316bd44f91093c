//! Why a scenario cannot be run: what was found, what was expected, what to do.

use super::{MAX_FILE_BYTES, MAX_HOSTS_PER_GROUP};
use std::{fmt, io, path::PathBuf};

/// A scenario file cannot be run.
///
/// The message is one line and names the file. The text of a message stays as it is once released, since
/// scripts match on it.
#[derive(Debug)]
pub struct ScenarioError {
    /// The file as the user gave it.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scenario {}: {}", self.file.display(), self.problem)
    }
}

impl std::error::Error for ScenarioError {
    /// The problem is part of the message already, so the chain goes on behind it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

/// What is wrong with a scenario file.
///
/// Places in the file are written like `clients[0].connections[2].ops[5]`, counting from 0 as the ids in the
/// file do.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no such file.
    #[error(
        "no such file; give the path of a netbench scenario, for instance one that s2n-netbench-scenarios wrote"
    )]
    Missing(#[source] io::Error),
    /// The path leads to something that is no file.
    #[error("this is {found}, a scenario is a JSON file")]
    NotAFile {
        /// What is there, with its article.
        found: &'static str,
    },
    /// The file is there and cannot be read. The reason is part of the message, so it is no further source.
    #[error("the file cannot be read ({0}); check its permissions")]
    Unreadable(io::Error),
    /// The file is over [`MAX_FILE_BYTES`].
    #[error(
        "the file has {found_bytes} bytes, at most {MAX_FILE_BYTES} are allowed; is this really a scenario?"
    )]
    TooLarge {
        /// Size of the file, in bytes.
        found_bytes: u64,
    },
    /// There is nothing in the file.
    #[error("the file is empty, a netbench scenario in JSON was expected")]
    Empty,
    /// The text ends in the middle of the JSON.
    #[error("the JSON ends too early, at line {line} column {column}; the file seems to be cut off")]
    CutOff {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The text is no JSON.
    #[error("not JSON: {detail}")]
    NotJson {
        /// What the JSON parser says, with line and column.
        detail: String,
    },
    /// JSON, but something else than an object.
    #[error(
        "JSON, but no netbench scenario: found {found}, expected an object with the keys id, clients and servers"
    )]
    NotAnObject {
        /// The kind of value found, with its article.
        found: &'static str,
    },
    /// A key that has to be there is not.
    #[error("JSON, but no netbench scenario: the key \"{key}\" is missing in {at}")]
    MissingKey {
        /// Where the key belongs.
        at: String,
        /// The key.
        key: &'static str,
    },
    /// A value has a form that drivers refuse.
    #[error("JSON, but no netbench scenario: {at}: {detail}")]
    Malformed {
        /// Where the value is.
        at: String,
        /// What was found there and what was expected.
        detail: String,
    },
    /// An operation that netbench does not know.
    #[error("{at}: unknown operation \"{operation}\", expected one of {}", known.join(", "))]
    UnknownOperation {
        /// Where it is.
        at: String,
        /// Its name.
        operation: String,
        /// The operations that are known in this place.
        known: &'static [&'static str],
    },
    /// The list of a group is empty.
    #[error("there are no {group}; a run needs at least one client and one server")]
    NoHosts {
        /// The group that is empty.
        group: &'static str,
    },
    /// A group has more than [`MAX_HOSTS_PER_GROUP`] hosts.
    #[error("there are {found} {group}, at most {MAX_HOSTS_PER_GROUP} are supported")]
    TooManyHosts {
        /// The group.
        group: &'static str,
        /// How many the file has.
        found: usize,
    },
    /// An id or index leads nowhere.
    #[error("{at}: {}", missing_target(*target, *id, *count))]
    NoSuch {
        /// Where the id is.
        at: String,
        /// What the id stands for.
        target: Target,
        /// The id.
        id: u64,
        /// How many there are.
        count: usize,
    },
    /// A client connects through a router.
    #[error(
        "{at}: connects through router {router_id}, but routers are not supported yet; \
         remove \"router_id\" to connect directly"
    )]
    RouterUnsupported {
        /// Where the operation is.
        at: String,
        /// The router.
        router_id: u64,
    },
}

/// What an id in a scenario stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An entry of `servers`.
    Server,
    /// An entry of `connections` of the server that the client connects to.
    ServerConnection,
    /// An entry of `connections` of the client itself.
    ClientConnection,
    /// An entry of `routers`.
    Router,
    /// An entry of `certificates`.
    Certificate,
}

fn missing_target(target: Target, id: u64, count: usize) -> String {
    let wanted = match target {
        Target::Server => format!("server {id}"),
        Target::ServerConnection => format!("connection {id} at that server"),
        Target::ClientConnection => format!("connection {id} at this client"),
        Target::Router => format!("router {id}"),
        Target::Certificate => format!("certificate {id}"),
    };
    match count {
        0 => format!("there is no {wanted}, nor any other"),
        1 => format!("there is no {wanted}, only 0"),
        _ => format!("there is no {wanted}, only 0 to {}", count - 1),
    }
}

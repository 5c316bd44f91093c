//! Drivers in temporary directories, and a program that plays cargo.

use super::install::{COLLECTOR, InstallError, install, install_within};
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

/// A directory each for `--driver-dir`, the cache and `PATH`.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["given", "cache/drivers/bin", "first", "second"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn paths(&self) -> DriverPaths {
        DriverPaths {
            driver_dir: Some(self.at("given")),
            cache: Cache::new(self.at("cache")),
            path: std::env::join_paths([
                self.at("first"),
                PathBuf::new(),
                self.at("second"),
                self.at("none"),
            ])
            .unwrap(),
        }
    }

    /// Puts a program into `dir`, for one role.
    fn put(&self, dir: &str, role: Role, driver: &str) -> PathBuf {
        self.put_file(dir, &role.program(&name(driver)))
    }

    fn put_file(&self, dir: &str, file: &str) -> PathBuf {
        let path = self.at(dir).join(file);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn put_both(&self, dir: &str, driver: &str) {
        for role in Role::ALL {
            self.put(dir, role, driver);
        }
    }

    /// The message for a driver that cannot be used, with the directory of this test as `ROOT`.
    fn error(&self, driver: &str) -> String {
        self.shown(&self.paths().find(&name(driver)).unwrap_err())
    }

    fn shown(&self, error: &dyn std::error::Error) -> String {
        error.to_string().replace(&self.root.path().display().to_string(), "ROOT")
    }
}

fn name(name: &str) -> DriverName {
    name.parse().expect(name)
}

/// A `PATH` with nothing but a program that plays cargo.
fn fake_cargo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-cargo")
}

fn ignore(_line: &str) {}

#[test]
fn names() {
    for good in ["tcp", "s2n-quic", "0", "a-", &"a".repeat(64)] {
        assert_eq!(name(good).as_str(), good);
    }
    for bad in ["", "-tcp", "TCP", "a/b", "a.b", "a b", "ü", "tcp\n", &"a".repeat(65)] {
        assert!(bad.parse::<DriverName>().is_err(), "{bad:?}");
    }
    assert_eq!(
        "a/b".parse::<DriverName>().unwrap_err().to_string(),
        "\"a/b\" is no driver name: expected 1 to 64 characters out of a-z, 0-9 and -, the first one not -, \
         for instance s2n-quic"
    );
}

#[test]
fn the_first_directory_with_a_driver_is_taken() {
    let world = World::new();
    let found_in = || {
        let driver = world.paths().find(&name("tcp")).unwrap();
        assert_eq!(driver.server.parent(), driver.client.parent());
        assert_eq!(driver.program(Role::Client), driver.client);
        (driver.source, driver.server.parent().unwrap().to_path_buf())
    };
    world.put_both("second", "tcp");
    assert_eq!(found_in(), (Source::Path, world.at("second")));
    world.put_both("first", "tcp");
    assert_eq!(found_in(), (Source::Path, world.at("first")));
    world.put_both("cache/drivers/bin", "tcp");
    assert_eq!(found_in(), (Source::Cache, world.at("cache/drivers/bin")));
    world.put_both("given", "tcp");
    assert_eq!(found_in(), (Source::DriverDir, world.at("given")));
}

#[test]
fn relative_directories_become_absolute() {
    let world = World::new();
    let paths = DriverPaths { driver_dir: Some(PathBuf::from(".")), ..world.paths() };
    assert!(paths.places().unwrap().iter().all(|place| place.dir.is_absolute()));
}

#[test]
fn an_unknown_driver_is_answered_with_the_known_ones() {
    let world = World::new();
    assert_eq!(
        world.error("quik"),
        "unknown driver quik; known: embedded; to install it: runner driver install quik"
    );
    world.put_both("first", "tcp");
    world.put_both("cache/drivers/bin", "s2n-quic");
    world.put_both("second", "s2n-quic");
    world.put("second", Role::Server, "half");
    assert_eq!(
        world.error("quik"),
        "unknown driver quik; known: embedded, s2n-quic (driver cache ROOT/cache/drivers/bin), \
         tcp (PATH ROOT/first); to install it: runner driver install quik"
    );
}

#[test]
fn both_halves_have_to_be_in_one_directory() {
    let world = World::new();
    world.put("first", Role::Client, "tcp");
    world.put_both("second", "tcp");
    assert_eq!(
        world.error("tcp"),
        "ROOT/first/s2n-netbench-driver-server-tcp is missing, although there is \
         ROOT/first/s2n-netbench-driver-client-tcp; both have to be in the same directory"
    );
    world.put("given", Role::Server, "tcp");
    assert_eq!(
        world.error("tcp"),
        "ROOT/given/s2n-netbench-driver-client-tcp is missing, although there is \
         ROOT/given/s2n-netbench-driver-server-tcp; both have to be in the same directory"
    );
}

#[test]
fn programs_that_cannot_be_started() {
    let world = World::new();
    let server = world.put("first", Role::Server, "tcp");
    let client = world.put("first", Role::Client, "tcp");
    assert!(world.paths().find(&name("tcp")).is_ok());

    fs::set_permissions(&client, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        world.error("tcp"),
        "ROOT/first/s2n-netbench-driver-client-tcp cannot be started: it is not executable, chmod +x may help"
    );
    fs::remove_file(&server).unwrap();
    fs::create_dir(&server).unwrap();
    assert_eq!(
        world.error("tcp"),
        "ROOT/first/s2n-netbench-driver-server-tcp cannot be started: it is a directory"
    );
    fs::remove_dir(&server).unwrap();
    symlink(world.at("nowhere"), &server).unwrap();
    assert_eq!(
        world.error("tcp"),
        "ROOT/first/s2n-netbench-driver-server-tcp cannot be started: it is a link to something that is not there"
    );
    fs::remove_file(&server).unwrap();
    symlink("/dev/null", &server).unwrap();
    assert_eq!(
        world.error("tcp"),
        "ROOT/first/s2n-netbench-driver-server-tcp cannot be started: it is not a file"
    );
}

#[test]
fn a_driver_directory_has_to_be_one() {
    let world = World::new();
    let message = |dir: &str| {
        let paths = DriverPaths { driver_dir: Some(world.at(dir)), ..world.paths() };
        world.shown(&paths.find(&name("tcp")).unwrap_err())
    };
    world.put_file("given", "file");
    assert_eq!(
        message("nowhere"),
        "--driver-dir ROOT/nowhere: no such directory, expected a directory with driver programs"
    );
    assert_eq!(
        message("given/file"),
        "--driver-dir ROOT/given/file: not a directory, expected a directory with driver programs"
    );
}

#[test]
fn the_list_shows_everything_and_what_hides_what() {
    let world = World::new();
    world.put_both("second", "tcp");
    world.put_both("first", "tcp");
    world.put_both("cache/drivers/bin", "s2n-quic");
    world.put("given", Role::Server, "half");
    world.put_file("first", "s2n-netbench-driver-server-BAD");
    world.put_file("first", "something-else");
    fs::write(
        world.at("cache/drivers/.crates2.json"),
        r#"{"installs": {"s2n-netbench-driver-s2n-quic 0.1.3 (registry+https://example.test)": {}}}"#,
    )
    .unwrap();
    let list = world.paths().list().unwrap();
    let seen: Vec<_> = list
        .iter()
        .map(|listed| (listed.name.as_str(), listed.source, listed.shadowed, listed.is_chosen()))
        .collect();
    assert_eq!(
        seen,
        [
            ("half", Source::DriverDir, false, false),
            ("s2n-quic", Source::Cache, false, true),
            ("tcp", Source::Path, false, true),
            ("tcp", Source::Path, true, false),
        ]
    );
    assert_eq!((list[0].server, list[0].client), (Half::Usable, Half::Missing));
    assert_eq!(list[1].version.as_deref(), Some("0.1.3"));
    assert_eq!((list[2].dir.as_path(), list[3].dir.as_path()), (&*world.at("first"), &*world.at("second")));
}

#[test]
fn a_cache_on_the_path_is_listed_once() {
    let world = World::new();
    world.put_both("cache/drivers/bin", "tcp");
    let paths = DriverPaths { path: world.at("cache/drivers/bin").into(), ..world.paths() };
    assert_eq!(paths.list().unwrap().len(), 1);
}

#[test]
fn the_collector_is_found_like_a_driver() {
    let world = World::new();
    let paths = world.paths();
    assert_eq!(
        paths.find_collector().unwrap_err().to_string(),
        "s2n-netbench-collector was not found; to install it: runner driver install collector"
    );
    let on_path = world.put_file("second", COLLECTOR_PROGRAM);
    assert_eq!(paths.find_collector().unwrap(), on_path);
    let cached = world.put_file("cache/drivers/bin", COLLECTOR_PROGRAM);
    assert_eq!(paths.find_collector().unwrap(), cached);
    fs::set_permissions(&cached, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(paths.find_collector(), Err(DriverError::Unusable { flaw: Flaw::NotExecutable, .. })));
}

#[test]
fn where_the_cache_is() {
    let cache = |variables: &[(&str, &str)]| {
        let lookup = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        Cache::from_variables(lookup).map(|cache| cache.root().to_path_buf()).ok()
    };
    let all = [("RUNNER_CACHE_DIR", "/r"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
    assert_eq!(cache(&all), Some(PathBuf::from("/r")));
    assert_eq!(cache(&all[1..]), Some(PathBuf::from("/x/netbench-runner")));
    assert_eq!(cache(&all[2..]), Some(PathBuf::from("/h/.cache/netbench-runner")));
    assert_eq!(cache(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]), cache(&all[2..]));
    assert_eq!(cache(&[("RUNNER_CACHE_DIR", ""), ("HOME", "/h")]), cache(&all[2..]));
    assert_eq!(cache(&[("RUNNER_CACHE_DIR", "r")]), Some(std::env::current_dir().unwrap().join("r")));
    assert_eq!(cache(&[("HOME", "")]), None);
}

#[test]
fn installing_calls_cargo_as_it_has_to_be_called() {
    let world = World::new();
    let cache = Cache::new(world.at("new"));
    let mut lines = Vec::new();
    let installed = install(&name("tcp"), None, &cache, fake_cargo().as_os_str(), &mut |line| {
        lines.push(line.to_string())
    })
    .unwrap();

    assert_eq!(installed.crate_name, "s2n-netbench-driver-tcp");
    assert_eq!(installed.version.as_deref(), Some("0.1.7"));
    let root = cache.install_root().display().to_string();
    assert_eq!(
        lines,
        [format!("cargo install --locked --root {root} s2n-netbench-driver-tcp --version 0.1.0")]
    );
    let target = cache.target_dir().display().to_string();
    let called = fs::read_to_string(cache.install_root().join("called")).unwrap();
    assert_eq!(
        called.lines().collect::<Vec<_>>(),
        [
            "install",
            "--locked",
            "--root",
            &root,
            "s2n-netbench-driver-tcp",
            "--version",
            "0.1.0",
            &format!("target={target}"),
            &format!("directory={}", fs::canonicalize(cache.root()).unwrap().display()),
        ]
    );
    let found = DriverPaths { driver_dir: None, cache, path: OsString::new() }.find(&name("tcp")).unwrap();
    assert_eq!((found.source, vec![found.server, found.client]), (Source::Cache, installed.programs));
}

#[test]
fn the_collector_is_a_crate_of_its_own() {
    let world = World::new();
    let paths = DriverPaths { driver_dir: None, ..world.paths() };
    let installed =
        install(&name(COLLECTOR), None, &paths.cache, fake_cargo().as_os_str(), &mut ignore).unwrap();
    assert_eq!(installed.crate_name, "s2n-netbench-collector");
    assert_eq!(installed.programs, [paths.find_collector().unwrap()]);
}

#[test]
fn a_source_that_is_given_is_taken() {
    let world = World::new();
    let cache = Cache::new(world.at("cache"));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (driver, source, expected) in [
        ("tcp", None, "s2n-netbench-driver-tcp --version 0.1.0"),
        ("mine", None, "s2n-netbench-driver-mine"),
        (
            "mine",
            Some(format!("git:https://h/a@{commit}#s2n-netbench-driver-mine")),
            &format!("s2n-netbench-driver-mine --git https://h/a --rev {commit}"),
        ),
    ] {
        let source = source.map(|text| text.parse().unwrap());
        install(&name(driver), source.as_ref(), &cache, fake_cargo().as_os_str(), &mut ignore).unwrap();
        let called = fs::read_to_string(cache.install_root().join("called")).unwrap();
        let args: Vec<_> = called.lines().skip(4).take_while(|line| !line.contains('=')).collect();
        assert_eq!(args.join(" "), expected);
    }
}

#[test]
fn installations_that_fail() {
    let world = World::new();
    let cache = Cache::new(world.at("cache"));
    let message = |driver: &str, path: &Path| {
        let error = install(&name(driver), None, &cache, path.as_os_str(), &mut ignore).unwrap_err();
        world.shown(&error)
    };
    assert_eq!(
        message("embedded", &fake_cargo()),
        "the driver embedded is part of this program, there is nothing to install"
    );
    assert_eq!(
        message("tcp", &world.at("first")),
        "cargo was not found on PATH; install Rust from https://rustup.rs"
    );
    assert_eq!(
        message("s2n-quic", &fake_cargo()),
        "building s2n-netbench-driver-s2n-quic needs cmake, which was not found on PATH; \
         install it, for instance with apt install cmake, dnf install cmake or brew install cmake"
    );
    assert_eq!(
        message("breaks", &fake_cargo()),
        "cargo could not install s2n-netbench-driver-breaks (exit status: 101), its messages say why"
    );
    assert_eq!(
        message("forgets", &fake_cargo()),
        "cargo installed s2n-netbench-driver-forgets, but \
         ROOT/cache/drivers/bin/s2n-netbench-driver-server-forgets is not there; \
         is it a crate of a netbench driver?"
    );
    world.put_file("given", "file");
    let error = install(
        &name("tcp"),
        None,
        &Cache::new(world.at("given/file")),
        fake_cargo().as_os_str(),
        &mut ignore,
    );
    assert!(matches!(error, Err(InstallError::Cache { .. })), "{error:?}");
}

#[test]
fn a_build_that_hangs_meets_its_deadline() {
    let world = World::new();
    let cache = Cache::new(world.at("cache"));
    let deadline = Duration::from_millis(50);
    let error = install_within(deadline, &name("hangs"), None, &cache, fake_cargo().as_os_str(), &mut ignore);
    assert!(matches!(error, Err(InstallError::Deadline { .. })), "{error:?}");
}

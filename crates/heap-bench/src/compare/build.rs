//! Finds what is installed and builds the peers' programs into `peers` beside
//! this executable's own directory, which under cargo is `target/peers`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peer::{Peer, Program};
use crate::args::PeerName;

/// Builds a peer, or says why it cannot be.
pub(super) fn find(name: PeerName) -> Result<Peer, String> {
    eprint!("\r\x1b[Kbuilding {}", super::peer::label(name));
    let found = match name {
        PeerName::Heap => this_heap(),
        PeerName::Go => go(),
        PeerName::JavaParallel => java("-XX:+UseParallelGC"),
        PeerName::JavaG1 => java("-XX:+UseG1GC"),
        PeerName::JavaZ => java("-XX:+UseZGC"),
        PeerName::JavaSerial => java("-XX:+UseSerialGC"),
        PeerName::Bdwgc => bdwgc(),
        PeerName::GcArena => rust("peer-gc-arena", Some("gc-arena")),
        PeerName::Dumpster => rust("peer-dumpster", Some("dumpster")),
        PeerName::Box => rust("peer-box", None),
    };
    eprint!("\r\x1b[K");
    let (version, program) = found?;
    Ok(Peer { name, version, program })
}

/// What a finder returns: the version, and how to start it.
type Found = Result<(String, Program), String>;

fn this_heap() -> Found {
    let path = std::env::current_exe().map_err(|e| e.to_string())?;
    Ok((env!("CARGO_PKG_VERSION").to_owned(), Program::Binary(path)))
}

fn go() -> Found {
    let go = tool("GO", "go");
    let version = output(Command::new(&go).arg("version"))?;
    let binary = target_dir()?.join("peer-go");
    output(
        Command::new(&go).args(["build", "-o"]).arg(&binary).arg(".").current_dir(source("go")),
    )?;
    let version = version.split_whitespace().nth(2).unwrap_or("go").trim_start_matches("go");
    Ok((version.to_owned(), Program::Binary(binary)))
}

fn java(collector: &'static str) -> Found {
    let java = tool("JAVA", "java");
    let version = output(Command::new(&java).arg("--version"))?;
    let classes = target_dir()?.join("java");
    create(&classes)?;
    let sources = sources("java", "java")?;
    output(Command::new(tool("JAVAC", "javac")).arg("-d").arg(&classes).args(sources))?;
    // Not every build of the JVM has every collector.
    output(Command::new(&java).arg(collector).arg("--version"))?;
    let version = version.split_whitespace().nth(1).unwrap_or("?").to_owned();
    Ok((version, Program::Jvm { java, classes, collector }))
}

fn bdwgc() -> Found {
    let cc = tool("CC", "gcc");
    let binary = target_dir()?.join("peer-bdwgc");
    let mut command = Command::new(cc);
    command.args(["-std=gnu11", "-O2", "-o"]).arg(&binary).args(sources("c", "c")?);
    output(command.args(["-lgc", "-lpthread"]))?;
    let version = output(Command::new(&binary).arg("version"))?;
    Ok((version.trim().to_owned(), Program::Binary(binary)))
}

fn rust(binary: &str, krate: Option<&str>) -> Found {
    let cargo = tool("CARGO", "cargo");
    let target = target_dir()?.join("rust");
    let manifest = source("rust").join("Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--quiet", "--bin", binary]);
    command.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&target);
    // These would be meant for the heap's own build.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    output(&mut command)?;
    let version = match krate {
        Some(krate) => {
            let lock = manifest.with_file_name("Cargo.lock");
            let lock = std::fs::read_to_string(lock).map_err(|e| e.to_string())?;
            locked_version(&lock, krate).unwrap_or("?").to_owned()
        }
        None => "the system's malloc".to_owned(),
    };
    Ok((version, Program::Binary(target.join("release").join(binary))))
}

/// The version of a crate in a lock file.
fn locked_version<'a>(lock: &'a str, krate: &str) -> Option<&'a str> {
    let name = format!("name = \"{krate}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// A tool from the environment variable, or by its name from the path.
fn tool(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from)
}

/// The directory of a peer's sources.
fn source(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(peer)
}

/// The source files of a peer with the given extension.
fn sources(peer: &str, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(source(peer)).map_err(|e| e.to_string())?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() == Some(OsStr::new(extension)))
        .collect();
    files.sort();
    Ok(files)
}

fn target_dir() -> Result<PathBuf, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = exe.parent().and_then(Path::parent).ok_or("no target directory")?;
    let peers = target.join("peers");
    create(&peers)?;
    Ok(peers)
}

fn create(dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))
}

/// What a command prints, if it succeeds; else why not, in a line.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.output().map_err(|e| format!("{program}: {e}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&done.stderr);
    let first = errors.lines().find(|l| l.contains("error")).or_else(|| errors.lines().next());
    Err(format!("{program}: {}: {}", done.status, first.unwrap_or("no message").trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"gc-arena-derive\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"gc-arena\"\nversion = \"0.7.0\"\n";
        assert_eq!(locked_version(lock, "gc-arena"), Some("0.7.0"));
        assert_eq!(locked_version(lock, "dumpster"), None);
    }

    #[test]
    fn failures_are_told_in_a_line() {
        let why = output(&mut Command::new("no-such-program-anywhere"));
        assert!(why.is_err_and(|why| why.starts_with("no-such-program-anywhere: ")));
    }
}

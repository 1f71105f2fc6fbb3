//! [`Process`]: a program that the shell runs, with a pipe to or from it.
//!
//! * PR1: closing a process closes its pipe and waits for it to end. One that is dropped instead (its file
//!   was garbage) is not waited for, because destructors must not block: it goes to the [`Children`]
//!   that are waited for when the next one is started.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::path;

/// The processes of an interpreter that nothing waits for.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<Mutex<Vec<Child>>>);

impl Children {
    fn add(&self, child: Child) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    }

    /// Takes note of those that have ended, so that the system forgets them (PR1).
    fn reap(&self) {
        let mut children = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

/// This process's end of the pipe.
#[derive(Debug)]
enum Pipe {
    FromChild(ChildStdout),
    ToChild(ChildStdin),
}

/// A running program.
#[derive(Debug)]
pub(super) struct Process {
    pipe: Option<Pipe>,
    child: Option<Child>,
    children: Children,
}

/// What a script does with the pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PipeMode {
    Read,
    Write,
}

impl Process {
    /// Has the shell run `command`.
    pub(super) fn start(
        command: &[u8],
        mode: PipeMode,
        children: &Children,
    ) -> io::Result<Process> {
        children.reap();
        let mut shell = shell(command);
        match mode {
            PipeMode::Read => shell.stdout(Stdio::piped()),
            PipeMode::Write => shell.stdin(Stdio::piped()),
        };
        let mut child = shell.spawn()?;
        let from = child.stdout.take().map(Pipe::FromChild);
        let pipe = from.or_else(|| child.stdin.take().map(Pipe::ToChild));
        Ok(Process { pipe, child: Some(child), children: children.clone() })
    }

    /// Closes the pipe and waits for the program to end.
    pub(super) fn close(mut self) -> io::Result<ExitStatus> {
        self.pipe = None;
        match self.child.take() {
            Some(mut child) => child.wait(),
            None => unreachable!("only this takes it, and the process with it"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.pipe = None;
        if let Some(mut child) = self.child.take()
            && matches!(child.try_wait(), Ok(None))
        {
            self.children.add(child);
        }
    }
}

impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.pipe {
            Some(Pipe::FromChild(pipe)) => pipe.read(buffer),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Write for Process {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.pipe {
            Some(Pipe::ToChild(pipe)) => pipe.write(bytes),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The command that has the system's shell run `command`.
pub(in crate::stdlib) fn shell(command: &[u8]) -> Command {
    let (name, option) = if cfg!(windows) { ("cmd", "/C") } else { ("/bin/sh", "-c") };
    let mut shell = Command::new(name);
    shell.arg(option).arg(path(command));
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // As C's `system` calls it, which can be seen in its messages.
        shell.arg0("sh");
    }
    shell
}

/// How a process ended: "exit" or "signal", and the number.
pub(in crate::stdlib) fn ending(status: ExitStatus) -> (&'static str, i64) {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return ("signal", i64::from(signal));
        }
    }
    ("exit", status.code().map_or(-1, i64::from))
}

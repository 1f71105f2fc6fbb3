//! [`LuaFile`], the foreign part of a file userdata, and how files come to be and go.

use core::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use heap_api::{Gc, GcCell, Opaque};

use super::stream::{Buffering, Device, Direction, Stream};
use crate::error::NoMemory;
use crate::state::{Ctx, Host};
use crate::table::Table;
use crate::userdata::{Content, UserData};
use crate::value::Value;

/// A userdata that is a file.
#[derive(Clone, Copy)]
pub(super) struct FileHandle<'gc> {
    data: Gc<'gc, UserData<'gc>>,
    file: &'gc LuaFile,
}

impl<'gc> FileHandle<'gc> {
    /// The file that a value is, if it is one.
    pub(super) fn of(value: Value<'gc>) -> Option<FileHandle<'gc>> {
        let Value::UserData(data) = value else { return None };
        match &data.as_ref().content.0 {
            Content::File(file) => Some(FileHandle { data, file }),
            Content::Host(_) => None,
        }
    }

    /// The file as a value.
    pub(super) fn value(self) -> Value<'gc> {
        Value::UserData(self.data)
    }

    /// The stream; `None` if the file is closed.
    pub(super) fn lock(self) -> MutexGuard<'gc, Option<Stream>> {
        self.file.lock()
    }
}

/// The foreign part of a file userdata.
pub struct LuaFile {
    stream: Arc<Mutex<Option<Stream>>>,
}

impl LuaFile {
    /// The stream; `None` if the file is closed.
    fn lock(&self) -> MutexGuard<'_, Option<Stream>> {
        // A panic cannot leave a stream in a state that matters.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files that an interpreter has opened and not closed, to be flushed when the process ends.
#[derive(Default)]
pub struct OpenFiles {
    files: RefCell<Vec<Weak<Mutex<Option<Stream>>>>>,
}

impl OpenFiles {
    fn add(&self, file: &LuaFile) {
        let mut files = self.files.borrow_mut();
        // Entries of files that are gone are dropped before the list grows.
        if files.len() == files.capacity() {
            files.retain(|file| file.strong_count() > 0);
        }
        files.push(Arc::downgrade(&file.stream));
    }

    /// Passes on what has been written to the files and is still in a buffer.
    pub fn flush_all(&self) {
        for file in self.files.borrow().iter().filter_map(Weak::upgrade) {
            let mut stream = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(stream) = &mut *stream {
                // The process ends: no caller is left to report an error to.
                let _ = stream.write_out();
            }
        }
    }
}

pub(super) fn new_file<'gc>(
    ctx: Ctx<'gc>,
    metatable: Gc<'gc, Table<'gc>>,
    stream: Stream,
) -> Result<FileHandle<'gc>, NoMemory> {
    let file = new_closed_file(ctx, metatable)?;
    with_stream(ctx, file, |place| *place = Some(stream));
    Ok(file)
}

/// A file that is going to be opened.
pub(super) fn new_closed_file<'gc>(
    ctx: Ctx<'gc>,
    metatable: Gc<'gc, Table<'gc>>,
) -> Result<FileHandle<'gc>, NoMemory> {
    let external = ctx.cx.try_external_bytes::<LuaFile>(0)?;
    let file = LuaFile { stream: Arc::new(Mutex::new(None)) };
    ctx.host.files.add(&file);
    let data = ctx.cx.try_alloc(UserData {
        metatable: GcCell::new(Some(metatable)),
        has_finalizer: Cell::new(false),
        content: Opaque(Content::File(file)),
        external,
    })?;
    let value = Value::UserData(data);
    ctx.host.finalizers.register(ctx, value, Some(metatable))?;
    FileHandle::of(value).ok_or(NoMemory)
}

// ---- opening ----

/// A file name as the system wants it.
pub(in crate::stdlib) fn path(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(std::ffi::OsStr::from_bytes(name))
    }
    #[cfg(not(unix))]
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

/// How a mode string opens a file; `None` if the string is not a mode.
pub(super) fn open_mode(mode: &[u8]) -> Option<(OpenOptions, Direction)> {
    let (kind, rest) = mode.split_first()?;
    let (update, rest) = match rest {
        [b'+', rest @ ..] => (true, rest),
        _ => (false, rest),
    };
    if rest.iter().any(|&byte| byte != b'b') {
        return None;
    }
    let mut options = OpenOptions::new();
    let direction = match kind {
        b'r' => {
            options.read(true).write(update);
            Direction::Input
        }
        b'w' => {
            options.read(update).write(true).create(true).truncate(true);
            Direction::Output
        }
        b'a' => {
            options.read(update).append(true).create(true);
            Direction::Output
        }
        _ => return None,
    };
    Some((options, if update { Direction::Both } else { direction }))
}

/// A new file in the directory for temporary ones, with its name.
pub(in crate::stdlib) fn create_temporary() -> io::Result<(File, PathBuf)> {
    use std::hash::{BuildHasher, RandomState};
    const ATTEMPTS: u32 = 100;
    let mut result = Err(io::ErrorKind::AlreadyExists.into());
    for attempt in 0..ATTEMPTS {
        // The hasher's keys are random.
        let unique = RandomState::new().hash_one(attempt) & 0xffff_ffff;
        let name = std::env::temp_dir().join(format!("lua_{unique:08x}"));
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&name);
        result = opened.map(|file| (file, name));
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            break;
        }
    }
    result
}

// ---- use ----

/// Runs `body` with the stream of a file, `None` if that is closed, and charges what the file owns
/// then.
pub(super) fn with_stream<'gc, R>(
    ctx: Ctx<'gc>,
    file: FileHandle<'gc>,
    body: impl FnOnce(&mut Option<Stream>) -> R,
) -> R {
    let mut stream = file.lock();
    let result = body(&mut stream);
    let bytes = stream.as_ref().map_or(0, Stream::owned_bytes);
    if bytes != file.data.external.get() {
        file.data.external.set(ctx.cx, bytes);
    }
    result
}

/// What has been closed.
pub(super) enum Closed {
    File,
    /// A process, which has ended.
    Process(ExitStatus),
    /// Nothing: one of the interpreter's own files, or one that is closed.
    Standard,
}

/// Closes a file unless it is one of the interpreter's own.
pub(super) fn close_stream<'gc>(ctx: Ctx<'gc>, file: FileHandle<'gc>) -> io::Result<Closed> {
    with_stream(ctx, file, |stream| {
        match stream {
            Some(Stream { device: Device::File(_) | Device::Process(_), .. }) => {}
            _ => return Ok(Closed::Standard),
        }
        match stream.take() {
            Some(stream) => Ok(stream.close()?.map_or(Closed::File, Closed::Process)),
            None => Ok(Closed::Standard),
        }
    })
}

/// Passes on what has been written; the interpreter's output is its own stream's.
pub(super) fn flush_stream(host: &Host, stream: &mut Stream) -> io::Result<()> {
    match stream.device {
        Device::Stdout => host.output.borrow_mut().flush(),
        _ => stream.write_out(),
    }
}

/// Writes to a stream; the interpreter's output is its own stream's.
pub(super) fn write_bytes(host: &Host, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    if !matches!(stream.device, Device::Stdout) {
        return stream.write(bytes);
    }
    let mut output = host.output.borrow_mut();
    output.write_all(bytes)?;
    match stream.buffering {
        Buffering::None => output.flush(),
        Buffering::Line if bytes.contains(&b'\n') => output.flush(),
        Buffering::Line | Buffering::Full => Ok(()),
    }
}

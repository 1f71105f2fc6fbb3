//! [`Libraries`]: which of the standard libraries scripts get.

/// A library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of Lua's libraries")]
pub enum Library {
    /// The basic functions, among them `load`.
    Base,
    Coroutine,
    Io,
    Debug,
    Math,
    Os,
    /// With `require`.
    Package,
    String,
    Table,
    Utf8,
}

/// How much of a library there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing.
    Closed,
    /// What a script that is not trusted may have: see [`Libraries::safe`].
    Safe,
    /// All of it.
    Full,
}

impl Library {
    /// In the order in which they are opened.
    pub(super) const ALL: [Library; 10] = [
        Library::Base,
        Library::Coroutine,
        Library::Io,
        Library::Debug,
        Library::Math,
        Library::Os,
        Library::Package,
        Library::String,
        Library::Table,
        Library::Utf8,
    ];

    /// The library's name in `package.loaded`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Library::Base => "_G",
            Library::Coroutine => "coroutine",
            Library::Io => "io",
            Library::Debug => "debug",
            Library::Math => "math",
            Library::Os => "os",
            Library::Package => "package",
            Library::String => "string",
            Library::Table => "table",
            Library::Utf8 => "utf8",
        }
    }

    /// Whether a script that is not trusted may have a field of the library.
    pub(super) fn is_safe(self, field: &[u8]) -> bool {
        match self {
            Library::Base => !matches!(field, b"dofile" | b"loadfile"),
            Library::Debug => field == b"traceback",
            Library::Os => matches!(field, b"clock" | b"date" | b"difftime" | b"time"),
            Library::String => field != b"dump",
            Library::Io | Library::Package => false,
            Library::Coroutine | Library::Math | Library::Table | Library::Utf8 => true,
        }
    }
}

/// Which of the standard libraries scripts get. See [`Config::libraries`](crate::Config::libraries).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    access: [Access; Library::ALL.len()],
}

impl Libraries {
    /// All libraries in full.
    #[must_use]
    pub fn all() -> Libraries {
        Libraries { access: [Access::Full; Library::ALL.len()] }
    }

    /// None at all, not even the basic functions.
    #[must_use]
    pub fn none() -> Libraries {
        Libraries { access: [Access::Closed; Library::ALL.len()] }
    }

    /// For scripts that are not trusted: what computes, and nothing that reaches the file system, the
    /// process, other modules, or the inside of other functions. There is no `io` and no `package`; `os` has
    /// the time and `debug` the traceback; `load` takes source text only. A script can still use as much
    /// memory and time as the host lets it.
    #[must_use]
    pub fn safe() -> Libraries {
        Libraries::all()
            .with(Library::Base, Access::Safe)
            .with(Library::Debug, Access::Safe)
            .with(Library::Os, Access::Safe)
            .with(Library::String, Access::Safe)
            .with(Library::Io, Access::Closed)
            .with(Library::Package, Access::Closed)
    }

    /// The same choice except for one library. The safe part of [`Library::Io`] and
    /// [`Library::Package`] is empty.
    ///
    /// ```
    /// use lua::{Access, Libraries, Library};
    ///
    /// let libraries = Libraries::safe().with(Library::Os, Access::Closed);
    /// assert_eq!(libraries.access(Library::Os), Access::Closed);
    /// ```
    #[must_use]
    pub fn with(mut self, library: Library, access: Access) -> Libraries {
        self.access[library as usize] = access;
        self
    }

    /// How much there is of a library.
    #[must_use]
    pub fn access(&self, library: Library) -> Access {
        self.access[library as usize]
    }
}

impl Default for Libraries {
    fn default() -> Libraries {
        Libraries::all()
    }
}

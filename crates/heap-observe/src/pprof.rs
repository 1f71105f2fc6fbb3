//! The format of `go tool pprof`: `profile.proto` of the repository google/pprof.
//!
//! The four values of a sample are those of Go's heap profile, in its order. pprof also reads
//! profiles that are not compressed, so there is no compressor here. Locations have no addresses;
//! the only mapping says that all names are present, which keeps pprof from looking them up.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::profile::{AllocationProfile, AllocationSite, Frame};
use crate::protobuf::Message;

/// Field numbers of `Profile`.
mod profile {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// Field numbers of `ValueType`.
mod value_type {
    pub(super) const TYPE: u32 = 1;
    pub(super) const UNIT: u32 = 2;
}

/// Field numbers of `Sample`.
mod sample {
    pub(super) const LOCATION_ID: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const LABEL: u32 = 3;
}

/// Field numbers of `Label`.
mod label {
    pub(super) const KEY: u32 = 1;
    pub(super) const STR: u32 = 2;
    pub(super) const NUM: u32 = 3;
    pub(super) const NUM_UNIT: u32 = 4;
}

/// Field numbers of `Mapping`.
mod mapping {
    pub(super) const ID: u32 = 1;
    pub(super) const FILENAME: u32 = 5;
    pub(super) const HAS_FUNCTIONS: u32 = 7;
    pub(super) const HAS_FILENAMES: u32 = 8;
    pub(super) const HAS_LINE_NUMBERS: u32 = 9;
}

/// Field numbers of `Location`.
mod location {
    pub(super) const ID: u32 = 1;
    pub(super) const MAPPING_ID: u32 = 2;
    pub(super) const LINE: u32 = 4;
}

/// Field numbers of `Line`.
mod line {
    pub(super) const FUNCTION_ID: u32 = 1;
    pub(super) const LINE: u32 = 2;
}

/// Field numbers of `Function`.
mod function {
    pub(super) const ID: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const FILENAME: u32 = 4;
    pub(super) const START_LINE: u32 = 5;
}

/// What the values of a sample are, and their units.
const VALUES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// What pprof shows unless it is told otherwise.
const DEFAULT_VALUE: &str = "inuse_space";

/// The only mapping.
const MAPPING_ID: u64 = 1;

impl AllocationProfile {
    /// Writes the profile in the format of `go tool pprof`: the sample types are `alloc_objects`,
    /// `alloc_space`, `inuse_objects` and `inuse_space` (live as of the last completed collection);
    /// the type and the slot size of the objects are labels, `type` and `bytes`. Objects without a
    /// stack trace are shown as allocated by a function with the name of their type.
    ///
    /// # Errors
    ///
    /// If writing to `out` fails.
    pub fn write_pprof(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&Encoder::default().encode(self))
    }
}

/// A function as a frame describes it.
type FunctionKey = (u64, u64, u32);

#[derive(Debug, Default)]
struct Encoder {
    profile: Message,
    strings: HashMap<String, u64>,
    string_list: Vec<String>,
    functions: HashMap<FunctionKey, u64>,
    /// By function and line.
    locations: HashMap<(u64, u32), u64>,
}

impl Encoder {
    fn encode(mut self, profile: &AllocationProfile) -> Vec<u8> {
        // The format requires the empty string to be the first.
        self.string("");
        for (name, unit) in VALUES {
            let value_type = self.value_type(name, unit);
            self.profile.message(profile::SAMPLE_TYPE, &value_type);
        }
        self.mapping();
        for site in &profile.sites {
            self.sample(site);
        }
        let period_type = self.value_type("space", "bytes");
        self.profile.message(profile::PERIOD_TYPE, &period_type);
        self.profile.integer(profile::PERIOD, profile.sample_bytes);
        if profile.lost_samples > 0 {
            let text = format!("{} samples were lost for want of memory", profile.lost_samples);
            let comment = self.string(&text);
            self.profile.integers(profile::COMMENT, [comment]);
        }
        let default = self.string(DEFAULT_VALUE);
        self.profile.integer(profile::DEFAULT_SAMPLE_TYPE, default);
        for text in &self.string_list {
            self.profile.string(profile::STRING_TABLE, text);
        }
        self.profile.into_bytes()
    }

    /// The index of a string.
    fn string(&mut self, text: &str) -> u64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.string_list.len() as u64;
        self.string_list.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn value_type(&mut self, name: &str, unit: &str) -> Message {
        let mut message = Message::default();
        message.integer(value_type::TYPE, self.string(name));
        message.integer(value_type::UNIT, self.string(unit));
        message
    }

    fn mapping(&mut self) {
        let mut message = Message::default();
        message.integer(mapping::ID, MAPPING_ID);
        message.integer(mapping::FILENAME, self.string("heap"));
        message.integer(mapping::HAS_FUNCTIONS, 1);
        message.integer(mapping::HAS_FILENAMES, 1);
        message.integer(mapping::HAS_LINE_NUMBERS, 1);
        self.profile.message(profile::MAPPING, &message);
    }

    fn sample(&mut self, site: &AllocationSite) {
        let mut locations: Vec<u64> =
            site.frames.iter().map(|frame| self.location(frame)).collect();
        if locations.is_empty() {
            let (function, file) = (site.type_name.clone(), "".into());
            locations.push(self.location(&Frame { function, file, line: 0, first_line: 0 }));
        }
        let mut message = Message::default();
        message.integers(sample::LOCATION_ID, locations);
        let (allocated, live) = (site.allocated, site.live);
        let values = [allocated.objects, allocated.bytes, live.objects, live.bytes];
        // The format's values have a sign.
        message.integers(sample::VALUE, values.map(|value| value.min(i64::MAX as u64)));
        let mut label = Message::default();
        label.integer(label::KEY, self.string("type"));
        label.integer(label::STR, self.string(&site.type_name));
        message.message(sample::LABEL, &label);
        let mut label = Message::default();
        label.integer(label::KEY, self.string("bytes"));
        label.integer(label::NUM, site.slot_bytes);
        label.integer(label::NUM_UNIT, self.string("bytes"));
        message.message(sample::LABEL, &label);
        self.profile.message(profile::SAMPLE, &message);
    }

    /// The number of a location, which is written when it is first seen.
    fn location(&mut self, frame: &Frame) -> u64 {
        let function = self.function(frame);
        let next = self.locations.len() as u64 + 1;
        let id = *self.locations.entry((function, frame.line)).or_insert(next);
        if id == next {
            let mut line = Message::default();
            line.integer(line::FUNCTION_ID, function);
            line.integer(line::LINE, frame.line.into());
            let mut message = Message::default();
            message.integer(location::ID, id);
            message.integer(location::MAPPING_ID, MAPPING_ID);
            message.message(location::LINE, &line);
            self.profile.message(profile::LOCATION, &message);
        }
        id
    }

    /// The number of a function, which is written when it is first seen.
    fn function(&mut self, frame: &Frame) -> u64 {
        let (name, file) = (self.string(&frame.function), self.string(&frame.file));
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry((name, file, frame.first_line)).or_insert(next);
        if id == next {
            let mut message = Message::default();
            message.integer(function::ID, id);
            message.integer(function::NAME, name);
            // No system name: if it were equal to the name, pprof would take the name for one of
            // C++ and remove the text between brackets.
            message.integer(function::FILENAME, file);
            message.integer(function::START_LINE, frame.first_line.into());
            self.profile.message(profile::FUNCTION, &message);
        }
        id
    }
}

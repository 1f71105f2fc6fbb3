//! Reads what `write_pprof` writes, with a decoder of its own, and checks the structure that `go
//! tool pprof` relies on.

use std::collections::BTreeMap;

use heap_observe::{AllocationProfile, AllocationSite, Frame};

/// A field of a message.
#[derive(Clone, Debug)]
enum Value {
    Integer(u64),
    Bytes(Vec<u8>),
}

impl Value {
    fn integer(&self) -> u64 {
        match self {
            Value::Integer(value) => *value,
            Value::Bytes(_) => panic!("bytes where a number belongs"),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Integer(_) => panic!("a number where bytes belong"),
        }
    }
}

/// A message by field numbers, each with its values in order.
type Fields = BTreeMap<u64, Vec<Value>>;

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number of more than ten bytes");
}

fn decode(mut bytes: &[u8]) -> Fields {
    let mut fields = Fields::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Integer(varint(&mut bytes)),
            2 => {
                let len = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(len);
                bytes = rest;
                Value::Bytes(value.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.entry(tag >> 3).or_default().push(value);
    }
    fields
}

/// The value of a field that may be missing: then it is zero.
fn number(fields: &Fields, field: u64) -> u64 {
    match fields.get(&field).map(Vec::as_slice) {
        None => 0,
        Some([value]) => value.integer(),
        Some(values) => panic!("{} values in field {field}", values.len()),
    }
}

fn packed(fields: &Fields, field: u64) -> Vec<u64> {
    let Some(values) = fields.get(&field) else { return Vec::new() };
    let mut numbers = Vec::new();
    for value in values {
        let mut bytes = value.bytes();
        while !bytes.is_empty() {
            numbers.push(varint(&mut bytes));
        }
    }
    numbers
}

fn messages(fields: &Fields, field: u64) -> Vec<Fields> {
    fields.get(&field).into_iter().flatten().map(|value| decode(value.bytes())).collect()
}

/// A sample as a reader sees it.
#[derive(Debug, PartialEq)]
struct Read {
    /// Function, file, line, first line.
    stack: Vec<(String, String, u64, u64)>,
    values: Vec<u64>,
    type_name: String,
    slot_bytes: u64,
}

/// Reads a file, and checks that everything that it refers to is there.
fn read(file: &[u8]) -> (Fields, Vec<Read>) {
    let profile = decode(file);
    let strings: Vec<String> = profile[&6]
        .iter()
        .map(|value| String::from_utf8(value.bytes().to_vec()).expect("UTF-8"))
        .collect();
    assert_eq!(strings[0], "", "the first string is the empty one");
    let string = |index: u64| strings[index as usize].clone();
    let types: Vec<(String, String)> = messages(&profile, 1)
        .iter()
        .map(|value_type| (string(number(value_type, 1)), string(number(value_type, 2))))
        .collect();
    let pair = |name: &str, unit: &str| (name.to_owned(), unit.to_owned());
    assert_eq!(
        types,
        [
            pair("alloc_objects", "count"),
            pair("alloc_space", "bytes"),
            pair("inuse_objects", "count"),
            pair("inuse_space", "bytes"),
        ]
    );
    assert_eq!(string(number(&profile, 14)), "inuse_space");
    let period_type = &messages(&profile, 11)[0];
    let period = [1, 2].map(|field| string(number(period_type, field)));
    assert_eq!(period, ["space", "bytes"]);
    let [mapping] = &messages(&profile, 3)[..] else { panic!("one mapping") };
    for has in [7, 8, 9] {
        assert_eq!(number(mapping, has), 1, "or pprof looks for names itself");
    }
    let mut functions = BTreeMap::new();
    for function in messages(&profile, 5) {
        let [id, name, system, file, line] = [1, 2, 3, 4, 5].map(|field| number(&function, field));
        assert_eq!(system, 0, "or pprof removes what is between brackets");
        let known = functions.insert(id, (string(name), string(file), line));
        assert!(id != 0 && known.is_none(), "function ids are distinct and not zero");
    }
    let mut locations = BTreeMap::new();
    for location in messages(&profile, 4) {
        let id = number(&location, 1);
        assert_eq!(number(&location, 2), number(mapping, 1));
        let [line] = &messages(&location, 4)[..] else { panic!("one line") };
        let (name, file, first_line) = functions[&number(line, 1)].clone();
        let known = locations.insert(id, (name, file, number(line, 2), first_line));
        assert!(id != 0 && known.is_none(), "location ids are distinct and not zero");
    }
    let samples = messages(&profile, 2).into_iter().map(|sample| {
        let [type_label, bytes_label] = &messages(&sample, 3)[..] else { panic!("two labels") };
        assert_eq!(string(number(type_label, 1)), "type");
        assert_eq!(string(number(bytes_label, 1)), "bytes");
        assert_eq!(string(number(bytes_label, 4)), "bytes");
        Read {
            stack: packed(&sample, 1).iter().map(|id| locations[id].clone()).collect(),
            values: packed(&sample, 2),
            type_name: string(number(type_label, 2)),
            slot_bytes: number(bytes_label, 3),
        }
    });
    let samples = samples.collect();
    (profile, samples)
}

fn frame(function: &str, file: &str, line: u32, first_line: u32) -> Frame {
    Frame { function: function.into(), file: file.into(), line, first_line }
}

fn site(type_name: &str, slot_bytes: u64, frames: Vec<Frame>) -> AllocationSite {
    let profile = AllocationProfile::new(1);
    AllocationSite {
        type_name: type_name.into(),
        slot_bytes,
        frames,
        allocated: profile.count(slot_bytes, 1_000_000),
        live: profile.count(slot_bytes, 3),
    }
}

fn file(profile: &AllocationProfile) -> Vec<u8> {
    let mut file = Vec::new();
    profile.write_pprof(&mut file).expect("memory");
    file
}

#[test]
fn everything_that_was_written_is_read() {
    let mut profile = AllocationProfile::new(4096);
    let main = frame("main", "a.lua", 200, 0);
    profile.sites = vec![
        site("Node", 32, vec![frame("build", "a.lua", 12, 10), main.clone()]),
        // The same function on another line; a function of the same name elsewhere.
        site("Node", 48, vec![frame("build", "a.lua", 13, 10), main.clone()]),
        site("Näme", 1 << 40, vec![frame("build", "a.lua", 12, 11), main.clone(), main]),
        site("tiny", 16, vec![]),
    ];
    let (fields, samples) = read(&file(&profile));
    assert_eq!(number(&fields, 12), 4096);
    assert_eq!(samples.len(), profile.sites.len());
    for (sample, site) in samples.iter().zip(&profile.sites) {
        let frames = site.frames.iter().map(|frame| {
            let (function, file) = (frame.function.to_string(), frame.file.to_string());
            (function, file, frame.line.into(), frame.first_line.into())
        });
        let mut stack: Vec<_> = frames.collect();
        if stack.is_empty() {
            stack.push((site.type_name.to_string(), String::new(), 0, 0));
        }
        let bytes = [1_000_000, 3].map(|objects| objects * site.slot_bytes);
        assert_eq!(
            *sample,
            Read {
                stack,
                values: vec![1_000_000, bytes[0], 3, bytes[1]],
                type_name: site.type_name.to_string(),
                slot_bytes: site.slot_bytes,
            }
        );
    }
    assert_eq!(messages(&fields, 5).len(), 4, "functions that are the same are one");
    assert_eq!(messages(&fields, 4).len(), 5, "and so are locations");
}

#[test]
fn an_empty_profile_is_one_and_lost_samples_are_told() {
    let mut profile = AllocationProfile::new(512 << 10);
    let (fields, samples) = read(&file(&profile));
    assert!(samples.is_empty() && !fields.contains_key(&13));
    profile.lost_samples = 7;
    let (fields, _) = read(&file(&profile));
    let comment = packed(&fields, 13)[0] as usize;
    assert_eq!(fields[&6][comment].bytes(), b"7 samples were lost for want of memory");
}

#[test]
fn a_writer_that_fails_is_an_error() {
    let profile = AllocationProfile::new(1);
    let mut too_small = [0; 10];
    assert!(profile.write_pprof(&mut too_small[..]).is_err());
}

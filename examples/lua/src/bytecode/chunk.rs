//! Binary chunks: compiled functions as bytes, and back.
//!
//! The header is that of PUC-Rio Lua 5.4, so that programs which look at it find a chunk of Lua 5.4. What
//! follows is this interpreter's own, and neither reads the other's chunks: the header and the
//! number of upvalues are followed, where PUC Lua expects the length of a name, by bytes that it
//! refuses as too large a number. Then come a signature, the version of the format, and a
//! fingerprint of the table of instructions: a chunk is for one build of the instruction set.
//!
//! ```text
//! chunk    = header, upvalues: byte, GUARD, SIGNATURE, VERSION, fingerprint: 8 bytes, function
//! function = source, line defined, last line, parameters: byte, flags: byte, registers: byte,
//!            instructions, constants, upvalues, lines, variables, functions (each a list: length, items)
//! ```
//!
//! Numbers are in groups of seven bits, the lowest first; signed ones are zigzag encoded. Input is
//! checked in two steps: [`read_chunk`] accepts only well-formed bytes, then
//! [`verify`](super::verify()) checks the rules that the virtual machine relies on.

use std::sync::Arc;

use super::{
    Child, Const, Constant, Count, Dst, Jump, LocalVar, Op, ProtoData, Reg, ShortConst, Up,
    UpvalDesc, UpvalSource,
};

/// What every chunk begins with.
const HEADER: &[&[u8]] = &[
    b"\x1bLua",                          // signature
    b"\x54",                             // version 5.4
    b"\x00",                             // the official format
    b"\x19\x93\r\n\x1a\n",               // spoilt by transfers as text
    b"\x04\x08\x08",                     // sizes of instructions, integers, floats
    b"\x78\x56\x00\x00\x00\x00\x00\x00", // an integer
    b"\x00\x00\x00\x00\x00\x28\x77\x40", // a float
];

/// The length of a name that PUC Lua calls an "integer overflow".
const GUARD: [u8; 10] = [0x7f; 10];

const SIGNATURE: &[u8] = b"heap-lua";

/// Changes when the format does.
const VERSION: u8 = 1;

/// Functions may nest this deep, as in source text.
const MAX_DEPTH: usize = 200;

/// Why bytes are not a valid chunk. The texts stand in "bad binary format (...)".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The bytes end too early.
    #[error("truncated chunk")]
    Truncated,
    /// The header is not that of a chunk of Lua 5.4.
    #[error("not a chunk of Lua 5.4")]
    Header,
    /// It is a chunk of another interpreter, or of another version of this one.
    #[error("version mismatch")]
    Version,
    /// The bytes are malformed.
    #[error("corrupted chunk: {0}")]
    Malformed(&'static str),
    /// An instruction breaks a rule that the compiler always keeps.
    #[error("corrupted chunk: {what} at instruction {at}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
        /// Number of the instruction, from 0.
        at: usize,
    },
}

/// A hash of the instruction set's table (FNV-1a).
const fn fingerprint(table: &str) -> u64 {
    let (bytes, mut hash, mut i) = (table.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x100_0000_01b3);
        i += 1;
    }
    hash
}

const FINGERPRINT: u64 = fingerprint(Op::TABLE);

// ---- bytes ----

/// The rest of a chunk.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, ChunkError> {
        let (first, rest) = self.0.split_first().ok_or(ChunkError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], ChunkError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(ChunkError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Reads bytes that must equal the given ones.
    fn expect(&mut self, expected: &[u8], otherwise: ChunkError) -> Result<(), ChunkError> {
        for byte in expected {
            if self.byte()? != *byte {
                return Err(otherwise);
            }
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u64, ChunkError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ChunkError::Malformed("too large a number"))
    }

    /// How many items follow, each of which takes a byte at least.
    fn length(&mut self) -> Result<usize, ChunkError> {
        let length = usize::try_from(self.number()?).map_err(|_| ChunkError::Truncated)?;
        if length > self.0.len() { Err(ChunkError::Truncated) } else { Ok(length) }
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, ChunkError>,
    ) -> Result<Vec<T>, ChunkError> {
        (0..self.length()?).map(|_| item(self)).collect()
    }

    fn text(&mut self) -> Result<Box<[u8]>, ChunkError> {
        let length = self.length()?;
        Ok(self.bytes(length)?.into())
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// How an operand is encoded in a chunk.
pub(super) trait Coded: Sized {
    fn write(self, out: &mut Vec<u8>);
    fn read(input: &mut Input<'_>) -> Result<Self, ChunkError>;
}

macro_rules! unsigned {
    ($($type:ty),*) => {
        $(impl Coded for $type {
            fn write(self, out: &mut Vec<u8>) {
                write_number(out, self.into());
            }
            fn read(input: &mut Input<'_>) -> Result<Self, ChunkError> {
                let number = input.number()?;
                number.try_into().map_err(|_| ChunkError::Malformed("too large an operand"))
            }
        })*
    };
}

macro_rules! signed {
    ($($type:ty),*) => {
        $(impl Coded for $type {
            fn write(self, out: &mut Vec<u8>) {
                let number = i64::from(self);
                write_number(out, ((number << 1) ^ (number >> 63)) as u64);
            }
            fn read(input: &mut Input<'_>) -> Result<Self, ChunkError> {
                let number = input.number()?;
                let number = (number >> 1) as i64 ^ -((number & 1) as i64);
                number.try_into().map_err(|_| ChunkError::Malformed("too large an operand"))
            }
        })*
    };
}

macro_rules! wrappers {
    ($($type:ident($inner:ty)),*) => {
        $(impl Coded for $type {
            fn write(self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
            fn read(input: &mut Input<'_>) -> Result<Self, ChunkError> {
                <$inner>::read(input).map($type)
            }
        })*
    };
}

unsigned!(u8, u16, u32);
signed!(i16, i32, i64);
wrappers!(Reg(u8), Dst(Reg), Const(u32), ShortConst(u16), Up(u8), Child(u32), Jump(i32), Count(u8));

impl Coded for bool {
    fn write(self, out: &mut Vec<u8>) {
        out.push(self.into());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, ChunkError> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ChunkError::Malformed("a flag that is neither true nor false")),
        }
    }
}

// ---- writing ----

/// Writes what precedes the main function, which has that many upvalues.
pub fn write_header(out: &mut Vec<u8>, upvalues: u8) {
    for part in HEADER {
        out.extend_from_slice(part);
    }
    out.push(upvalues);
    out.extend_from_slice(&GUARD);
    out.extend_from_slice(SIGNATURE);
    out.push(VERSION);
    out.extend_from_slice(&FINGERPRINT.to_le_bytes());
}

/// Writes a function without those inside it, `children` in number, which are to follow one by one.
/// `parent`: the source of the function around it. Stripped, it has no debug information.
pub fn write_function(
    out: &mut Vec<u8>,
    data: &ProtoData,
    parent: Option<&str>,
    children: usize,
    strip: bool,
) {
    if strip || parent == Some(&*data.source) {
        out.push(0);
    } else {
        out.push(1);
        write_text(out, data.source.as_bytes());
    }
    write_number(out, data.line_defined.into());
    write_number(out, data.last_line.into());
    out.push(data.num_params);
    data.is_vararg.write(out);
    out.push(data.max_stack);
    write_number(out, data.code.len() as u64);
    for op in &data.code {
        op.write(out);
    }
    write_number(out, data.constants.len() as u64);
    for constant in &data.constants {
        write_constant(out, constant);
    }
    write_number(out, data.upvalues.len() as u64);
    for upvalue in &data.upvalues {
        let (kind, index) = match upvalue.source {
            UpvalSource::ParentRegister(register) => (0, register.0),
            UpvalSource::ParentUpvalue(upvalue) => (1, upvalue.0),
        };
        out.extend_from_slice(&[kind, index]);
        write_text(out, if strip { b"" } else { &upvalue.name });
    }
    let lines: &[u32] = if strip { &[] } else { &data.line_info };
    write_number(out, lines.len() as u64);
    let mut last = i64::from(data.line_defined);
    for line in lines {
        (i64::from(*line) - last).write(out);
        last = i64::from(*line);
    }
    let variables: &[LocalVar] = if strip { &[] } else { &data.local_vars };
    write_number(out, variables.len() as u64);
    for variable in variables {
        write_text(out, &variable.name);
        write_number(out, variable.start_pc.into());
        write_number(out, variable.end_pc.into());
        out.push(variable.register.0);
    }
    write_number(out, children as u64);
}

fn write_constant(out: &mut Vec<u8>, constant: &Constant) {
    match constant {
        Constant::Nil => out.push(0),
        Constant::Bool(false) => out.push(1),
        Constant::Bool(true) => out.push(2),
        Constant::Int(integer) => {
            out.push(3);
            integer.write(out);
        }
        Constant::Float(float) => {
            out.push(4);
            out.extend_from_slice(&float.to_bits().to_le_bytes());
        }
        Constant::Str(text) => {
            out.push(5);
            write_text(out, text);
        }
    }
}

// ---- reading ----

/// The main function of a chunk. It is well-formed, but not verified. What follows it is ignored, as in
/// real Lua.
///
/// # Errors
///
/// If the bytes are no chunk of this interpreter.
pub fn read_chunk(bytes: &[u8]) -> Result<ProtoData, ChunkError> {
    let mut input = Input(bytes);
    for part in HEADER {
        input.expect(part, ChunkError::Header)?;
    }
    let upvalues = input.byte()?;
    input.expect(&GUARD, ChunkError::Version)?;
    input.expect(SIGNATURE, ChunkError::Version)?;
    input.expect(&[VERSION], ChunkError::Version)?;
    input.expect(&FINGERPRINT.to_le_bytes(), ChunkError::Version)?;
    let main = read_function(&mut input, &Arc::from("=?"), 0)?;
    if main.upvalues.len() != usize::from(upvalues) {
        return Err(ChunkError::Malformed("two numbers of upvalues"));
    }
    Ok(main)
}

fn read_function(
    input: &mut Input<'_>,
    parent: &Arc<str>,
    depth: usize,
) -> Result<ProtoData, ChunkError> {
    if depth > MAX_DEPTH {
        return Err(ChunkError::Malformed("functions nest too deep"));
    }
    let source = if bool::read(input)? {
        Arc::from(String::from_utf8_lossy(&input.text()?))
    } else {
        Arc::clone(parent)
    };
    let line_defined = u32::read(input)?;
    let last_line = u32::read(input)?;
    let num_params = input.byte()?;
    let is_vararg = bool::read(input)?;
    let max_stack = input.byte()?;
    let code = input.list(|input| {
        let number = input.byte()?;
        Op::read(number, input)
    })?;
    let constants = input.list(read_constant)?;
    let upvalues = input.list(|input| {
        let (kind, index) = (input.byte()?, input.byte()?);
        let source = match kind {
            0 => UpvalSource::ParentRegister(Reg(index)),
            1 => UpvalSource::ParentUpvalue(Up(index)),
            _ => return Err(ChunkError::Malformed("an upvalue from nowhere")),
        };
        Ok(UpvalDesc { source, name: input.text()? })
    })?;
    let mut last = i64::from(line_defined);
    let line_info = input.list(|input| {
        last = last.checked_add(i64::read(input)?).ok_or(LINE)?;
        u32::try_from(last).map_err(|_| LINE)
    })?;
    let local_vars = input.list(|input| {
        Ok(LocalVar {
            name: input.text()?,
            start_pc: u32::read(input)?,
            end_pc: u32::read(input)?,
            register: Reg::read(input)?,
        })
    })?;
    let protos = input.list(|input| read_function(input, &source, depth + 1))?;
    Ok(ProtoData {
        code,
        line_info,
        constants,
        protos,
        upvalues,
        num_params,
        is_vararg,
        max_stack,
        source,
        line_defined,
        last_line,
        local_vars,
    })
}

const LINE: ChunkError = ChunkError::Malformed("no number of a line");

fn read_constant(input: &mut Input<'_>) -> Result<Constant, ChunkError> {
    Ok(match input.byte()? {
        0 => Constant::Nil,
        1 => Constant::Bool(false),
        2 => Constant::Bool(true),
        3 => Constant::Int(i64::read(input)?),
        4 => {
            let bits = input.bytes(8)?.try_into().map_err(|_| ChunkError::Truncated)?;
            Constant::Float(f64::from_bits(u64::from_le_bytes(bits)))
        }
        5 => Constant::Str(input.text()?),
        _ => return Err(ChunkError::Malformed("a constant of no type")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(Input(&out).number(), Ok(number));
        }
        for number in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            number.write(&mut out);
            assert_eq!(i64::read(&mut Input(&out)), Ok(number));
        }
        let too_large = ChunkError::Malformed("too large a number");
        assert_eq!(Input(&[0xff; 11]).number(), Err(too_large.clone()));
        assert_eq!(
            Input(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(),
            Err(too_large)
        );
        assert_eq!(Input(&[0x80]).number(), Err(ChunkError::Truncated));
        assert!(u8::read(&mut Input(&[0x80, 2])).is_err());
        // A list cannot be longer than what follows.
        assert_eq!(Input(&[3, 0, 0]).length(), Err(ChunkError::Truncated));
    }
}

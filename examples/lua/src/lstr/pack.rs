//! Binary packing behind `string.pack`, `string.unpack` and `string.packsize`.
//!
//! The caller converts Lua values to and from [`PackValue`]; the functions here read the format,
//! lay the bytes out and read them back.
//!
//! Invariants:
//! * native sizes are those of a 64-bit C implementation: `int` 4, `long`, `size_t`,
//!   `lua_Integer` and `lua_Number` 8, greatest alignment 8. Only the byte order follows the host.
//! * sizes are at most [`MAX_INTEGER_SIZE`] for integers and `i32::MAX` for fixed strings and
//!   whole formats, as in the reference implementation.

use std::borrow::Cow;

use super::{NoRoom, Output};

/// The widest integer that can be packed, in bytes.
pub const MAX_INTEGER_SIZE: usize = 16;

/// The width of a Lua integer, in bytes.
const INTEGER_SIZE: usize = 8;

/// The alignment that a bare `!` asks for.
const NATIVE_ALIGNMENT: usize = 8;

/// The longest size that `packsize` reports.
const MAX_FORMAT_SIZE: usize = i32::MAX as usize;

/// A value to pack or one just unpacked.
#[derive(Debug, Clone, PartialEq)]
pub enum PackValue<'a> {
    /// A Lua integer.
    Int(i64),
    /// A Lua float.
    Float(f64),
    /// A Lua string.
    Str(Cow<'a, [u8]>),
}

/// What kind of value an option packs; the caller converts its argument to that kind or raises its
/// own type error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// [`PackValue::Int`].
    Int,
    /// [`PackValue::Float`].
    Float,
    /// [`PackValue::Str`].
    Str,
}

/// Which argument an error is about. The reference implementation prefixes those with `bad argument
/// #n to 'f'`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// None: a plain error.
    Nothing,
    /// The format, argument 1.
    Format,
    /// For `pack`, the value being packed; for `unpack`, the data, argument 2.
    Value,
    /// The initial position given to `unpack`, argument 3.
    Position,
}

/// What went wrong; the texts are those of Lua 5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// An unknown option.
    #[error("invalid format option '{}'", char::from(*.0))]
    InvalidOption(u8),
    /// An integer size outside 1 to 16.
    #[error("integral size ({0}) out of limits [1,16]")]
    IntegralSize(usize),
    /// `c` without a size.
    #[error("missing size for format option 'c'")]
    MissingSize,
    /// `X` followed by something that has no alignment.
    #[error("invalid next option for option 'X'")]
    InvalidAlignOption,
    /// An alignment that is not a power of two.
    #[error("format asks for alignment not power of 2")]
    AlignmentNotPowerOfTwo,
    /// `s` or `z` given to `packsize`.
    #[error("variable-length format")]
    VariableLength,
    /// A format whose size `packsize` cannot report.
    #[error("format result too large")]
    ResultTooLarge,
    /// A signed integer that its size cannot hold.
    #[error("integer overflow")]
    IntegerOverflow,
    /// An unsigned integer that its size cannot hold.
    #[error("unsigned overflow")]
    UnsignedOverflow,
    /// A string too long for `c`.
    #[error("string longer than given size")]
    StringTooLong,
    /// A string too long for the length prefix of `s`.
    #[error("string length does not fit in given size")]
    LengthOverflow,
    /// A zero byte in a string for `z`.
    #[error("string contains zeros")]
    ContainsZeros,
    /// The data ends inside an item.
    #[error("data string too short")]
    DataTooShort,
    /// No zero byte ends a `z` string.
    #[error("unfinished string for format 'z'")]
    UnfinishedString,
    /// An initial position beyond the data.
    #[error("initial position out of string")]
    PositionOutOfString,
    /// A wide integer whose value needs more than 64 bits.
    #[error("{0}-byte integer does not fit into Lua Integer")]
    IntegerTooWide(usize),
}

impl PackError {
    /// Which argument the error is about.
    pub fn blame(self) -> Blame {
        match self {
            PackError::InvalidOption(_)
            | PackError::IntegralSize(_)
            | PackError::MissingSize
            | PackError::IntegerTooWide(_) => Blame::Nothing,
            PackError::InvalidAlignOption
            | PackError::AlignmentNotPowerOfTwo
            | PackError::VariableLength
            | PackError::ResultTooLarge => Blame::Format,
            PackError::IntegerOverflow
            | PackError::UnsignedOverflow
            | PackError::StringTooLong
            | PackError::LengthOverflow
            | PackError::ContainsZeros
            | PackError::DataTooShort
            | PackError::UnfinishedString => Blame::Value,
            PackError::PositionOutOfString => Blame::Position,
        }
    }
}

/// Byte order of multi-byte items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endian {
    Little,
    Big,
}

impl Endian {
    const NATIVE: Endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };
}

/// Whether an integer item is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Signed,
    Unsigned,
}

/// One option of a format, after its size is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer(Sign),
    Float,
    Double,
    /// `c`: exactly this many bytes.
    Fixed,
    /// `s`: a length of this many bytes, then the string.
    Prefixed,
    /// `z`: a string and a zero byte.
    ZeroTerminated,
    /// `x`: one byte of padding.
    Padding,
    /// `X`: alignment only.
    AlignOnly,
    /// Endianness, maximum alignment, blanks.
    Setting,
}

/// An option together with its size and the padding in front of it.
#[derive(Debug, Clone, Copy)]
struct Item {
    kind: Kind,
    size: usize,
    padding: usize,
}

/// Reads the options of a format one by one; byte order and maximum alignment are its state.
#[derive(Debug)]
struct Reader<'f> {
    format: &'f [u8],
    endian: Endian,
    max_alignment: usize,
}

impl<'f> Reader<'f> {
    fn new(format: &'f [u8]) -> Self {
        Reader { format, endian: Endian::NATIVE, max_alignment: 1 }
    }

    /// The next option, for an item that would start at `offset`.
    fn next(&mut self, offset: usize) -> Result<Option<Item>, PackError> {
        if self.format.is_empty() {
            return Ok(None);
        }
        let (kind, size) = self.option()?;
        let alignment = match kind {
            Kind::AlignOnly => {
                if self.format.is_empty() {
                    return Err(PackError::InvalidAlignOption);
                }
                match self.option()? {
                    (Kind::Fixed, _) | (_, 0) => return Err(PackError::InvalidAlignOption),
                    (_, size) => size,
                }
            }
            Kind::Integer(_) | Kind::Float | Kind::Double | Kind::Prefixed => size,
            Kind::Fixed | Kind::ZeroTerminated | Kind::Padding | Kind::Setting => 1,
        };
        let alignment = alignment.min(self.max_alignment);
        let padding = if alignment <= 1 {
            0
        } else if alignment.is_power_of_two() {
            offset.wrapping_neg() & (alignment - 1)
        } else {
            return Err(PackError::AlignmentNotPowerOfTwo);
        };
        Ok(Some(Item { kind, size, padding }))
    }

    /// Takes one option and its size off the format, which is not empty.
    fn option(&mut self) -> Result<(Kind, usize), PackError> {
        let letter = self.format[0];
        self.format = &self.format[1..];
        Ok(match letter {
            b'b' => (Kind::Integer(Sign::Signed), 1),
            b'B' => (Kind::Integer(Sign::Unsigned), 1),
            b'h' => (Kind::Integer(Sign::Signed), 2),
            b'H' => (Kind::Integer(Sign::Unsigned), 2),
            b'i' => (Kind::Integer(Sign::Signed), self.integer_size(4)?),
            b'I' => (Kind::Integer(Sign::Unsigned), self.integer_size(4)?),
            b'l' | b'j' => (Kind::Integer(Sign::Signed), 8),
            b'L' | b'J' | b'T' => (Kind::Integer(Sign::Unsigned), 8),
            b'f' => (Kind::Float, 4),
            b'd' | b'n' => (Kind::Double, 8),
            b's' => (Kind::Prefixed, self.integer_size(8)?),
            b'c' => (Kind::Fixed, self.number().ok_or(PackError::MissingSize)?),
            b'z' => (Kind::ZeroTerminated, 0),
            b'x' => (Kind::Padding, 1),
            b'X' => (Kind::AlignOnly, 0),
            other => {
                match other {
                    b' ' => {}
                    b'<' => self.endian = Endian::Little,
                    b'>' => self.endian = Endian::Big,
                    b'=' => self.endian = Endian::NATIVE,
                    b'!' => self.max_alignment = self.integer_size(NATIVE_ALIGNMENT)?,
                    unknown => return Err(PackError::InvalidOption(unknown)),
                }
                (Kind::Setting, 0)
            }
        })
    }

    /// The number at the front of the format, if there is one. Digits that would overflow a C `int`
    /// are left standing.
    fn number(&mut self) -> Option<usize> {
        let mut value = None;
        while let Some((digit @ b'0'..=b'9', rest)) = self.format.split_first() {
            if value.is_some_and(|value| value > (MAX_FORMAT_SIZE - 9) / 10) {
                break;
            }
            value = Some(value.unwrap_or(0) * 10 + usize::from(digit - b'0'));
            self.format = rest;
        }
        value
    }

    fn integer_size(&mut self, default: usize) -> Result<usize, PackError> {
        match self.number().unwrap_or(default) {
            size @ 1..=MAX_INTEGER_SIZE => Ok(size),
            size => Err(PackError::IntegralSize(size)),
        }
    }
}

/// Packs the values that `argument` supplies, as `format` says, at the end of `out`.
///
/// `argument` is called once per value with the kind that the option wants. Errors that
/// [`PackError::blame`] puts on a value are about the argument fetched last.
///
/// # Errors
/// A [`PackError`], an error of `argument`, or if `out` has no room.
///
/// # Panics
/// If `argument` returns a value of another kind than it was asked for.
pub fn pack<'a, E: From<PackError> + From<NoRoom>>(
    format: &[u8],
    out: &mut impl Output,
    mut argument: impl FnMut(Want) -> Result<PackValue<'a>, E>,
) -> Result<(), E> {
    let mut out = Zeros { out, length: 0, owed: 0 };
    let mut reader = Reader::new(format);
    while let Some(Item { kind, size, padding }) = reader.next(out.length)? {
        out.owe(padding);
        match kind {
            Kind::Integer(sign) => {
                let value = integer(argument(Want::Int)?);
                check_range(value, size, sign)?;
                let fill = if value < 0 && sign == Sign::Signed { 0xff } else { 0 };
                push_integer(out.pay(size)?, value as u64, size, fill, reader.endian);
            }
            Kind::Float => {
                let bytes = (float(argument(Want::Float)?) as f32).to_le_bytes();
                push_ordered(out.pay(bytes.len())?, bytes, reader.endian);
            }
            Kind::Double => {
                let bytes = float(argument(Want::Float)?).to_le_bytes();
                push_ordered(out.pay(bytes.len())?, bytes, reader.endian);
            }
            Kind::Fixed => {
                let text = string(argument(Want::Str)?);
                let missing = size.checked_sub(text.len()).ok_or(PackError::StringTooLong)?;
                out.pay(text.len())?.extend_from_slice(&text);
                out.owe(missing);
            }
            Kind::Prefixed => {
                let text = string(argument(Want::Str)?);
                if size < INTEGER_SIZE && text.len() >> (8 * size) != 0 {
                    return Err(PackError::LengthOverflow.into());
                }
                let out = out.pay(size + text.len())?;
                push_integer(out, text.len() as u64, size, 0, reader.endian);
                out.extend_from_slice(&text);
            }
            Kind::ZeroTerminated => {
                let text = string(argument(Want::Str)?);
                if text.contains(&0) {
                    return Err(PackError::ContainsZeros.into());
                }
                out.pay(text.len())?.extend_from_slice(&text);
                out.owe(1);
            }
            Kind::Padding => out.owe(1),
            Kind::AlignOnly | Kind::Setting => {}
        }
    }
    out.pay(0)?;
    Ok(())
}

/// An output that writes zeros only when something else follows them: a short format can ask for
/// gigabytes, and then turn out to be malformed.
struct Zeros<'o, O: Output> {
    out: &'o mut O,
    /// Bytes so far, written or owed.
    length: usize,
    owed: usize,
}

impl<O: Output> Zeros<'_, O> {
    /// Appends zeros, later.
    fn owe(&mut self, zeros: usize) {
        self.owed += zeros;
        self.length += zeros;
    }

    /// The bytes, none owed any more, for the caller to append exactly `additional` bytes.
    fn pay(&mut self, additional: usize) -> Result<&mut Vec<u8>, NoRoom> {
        let bytes = self.out.room(self.owed + additional)?;
        bytes.resize(bytes.len() + self.owed, 0);
        self.owed = 0;
        self.length += additional;
        Ok(bytes)
    }
}

fn integer(value: PackValue<'_>) -> i64 {
    match value {
        PackValue::Int(value) => value,
        other => panic!("an integer was asked for, not {other:?}"),
    }
}

fn float(value: PackValue<'_>) -> f64 {
    match value {
        PackValue::Float(value) => value,
        other => panic!("a float was asked for, not {other:?}"),
    }
}

fn string(value: PackValue<'_>) -> Cow<'_, [u8]> {
    match value {
        PackValue::Str(value) => value,
        other => panic!("a string was asked for, not {other:?}"),
    }
}

fn check_range(value: i64, size: usize, sign: Sign) -> Result<(), PackError> {
    if size >= INTEGER_SIZE {
        return Ok(());
    }
    match sign {
        Sign::Signed => {
            let limit = 1i64 << (8 * size - 1);
            if (-limit..limit).contains(&value) { Ok(()) } else { Err(PackError::IntegerOverflow) }
        }
        Sign::Unsigned if (value as u64) >> (8 * size) == 0 => Ok(()),
        Sign::Unsigned => Err(PackError::UnsignedOverflow),
    }
}

/// Appends the low `size` bytes of `value`, extended with `fill` beyond eight.
fn push_integer(out: &mut Vec<u8>, value: u64, size: usize, fill: u8, endian: Endian) {
    let mut bytes = [fill; MAX_INTEGER_SIZE];
    bytes[..INTEGER_SIZE].copy_from_slice(&value.to_le_bytes());
    let start = out.len();
    out.extend_from_slice(&bytes[..size]);
    if endian == Endian::Big {
        out[start..].reverse();
    }
}

/// Appends little-endian `bytes` in the order of `endian`.
fn push_ordered<const N: usize>(out: &mut Vec<u8>, mut bytes: [u8; N], endian: Endian) {
    if endian == Endian::Big {
        bytes.reverse();
    }
    out.extend_from_slice(&bytes);
}

/// Unpacks `data` from the byte offset `start` as `format` says, giving each value to `sink`, and
/// returns the offset behind the last item.
///
/// # Errors
/// A [`PackError`], or an error of `sink`.
pub fn unpack<'d, E: From<PackError>>(
    format: &[u8],
    data: &'d [u8],
    start: usize,
    mut sink: impl FnMut(PackValue<'d>) -> Result<(), E>,
) -> Result<usize, E> {
    if start > data.len() {
        return Err(PackError::PositionOutOfString.into());
    }
    let mut at = start;
    let mut reader = Reader::new(format);
    while let Some(Item { kind, size, padding }) = reader.next(at)? {
        if data.len() - at < padding || data.len() - at - padding < size {
            return Err(PackError::DataTooShort.into());
        }
        at += padding;
        let field = &data[at..at + size];
        at += size;
        match kind {
            Kind::Integer(sign) => sink(PackValue::Int(read_integer(field, reader.endian, sign)?))?,
            Kind::Float => sink(PackValue::Float(f64::from(f32::from_le_bytes(ordered(
                field,
                reader.endian,
            )))))?,
            Kind::Double => {
                sink(PackValue::Float(f64::from_le_bytes(ordered(field, reader.endian))))?
            }
            Kind::Fixed => sink(PackValue::Str(Cow::Borrowed(field)))?,
            Kind::Prefixed => {
                let length = read_integer(field, reader.endian, Sign::Unsigned)? as u64;
                let text = usize::try_from(length)
                    .ok()
                    .and_then(|length| data[at..].get(..length))
                    .ok_or(PackError::DataTooShort)?;
                at += text.len();
                sink(PackValue::Str(Cow::Borrowed(text)))?;
            }
            Kind::ZeroTerminated => {
                let length = memchr::memchr(0, &data[at..]).ok_or(PackError::UnfinishedString)?;
                sink(PackValue::Str(Cow::Borrowed(&data[at..at + length])))?;
                at += length + 1;
            }
            Kind::Padding | Kind::AlignOnly | Kind::Setting => {}
        }
    }
    Ok(at)
}

/// The bytes of `field`, which has exactly `N`, in little-endian order.
fn ordered<const N: usize>(field: &[u8], endian: Endian) -> [u8; N] {
    let mut bytes: [u8; N] = field.try_into().expect("the option's size is the type's");
    if endian == Endian::Big {
        bytes.reverse();
    }
    bytes
}

fn read_integer(field: &[u8], endian: Endian, sign: Sign) -> Result<i64, PackError> {
    let mut bytes = [0; MAX_INTEGER_SIZE];
    let size = field.len();
    bytes[..size].copy_from_slice(field);
    if endian == Endian::Big {
        bytes[..size].reverse();
    }
    let (low, high) = bytes.split_at(INTEGER_SIZE);
    let value = i64::from_le_bytes(low.try_into().expect("split at eight bytes"));
    if size < INTEGER_SIZE {
        let unused = 64 - 8 * size as u32;
        return Ok(if sign == Sign::Signed { value << unused >> unused } else { value });
    }
    // The bytes beyond a Lua integer must repeat its sign.
    let fill = if sign == Sign::Signed && value < 0 { 0xff } else { 0 };
    if high[..size - INTEGER_SIZE].iter().all(|&byte| byte == fill) {
        Ok(value)
    } else {
        Err(PackError::IntegerTooWide(size))
    }
}

/// How many bytes `format` packs into.
///
/// # Errors
/// A [`PackError`]; strings of variable length are one.
pub fn pack_size(format: &[u8]) -> Result<usize, PackError> {
    let mut total = 0usize;
    let mut reader = Reader::new(format);
    while let Some(Item { kind, size, padding }) = reader.next(total)? {
        if matches!(kind, Kind::Prefixed | Kind::ZeroTerminated) {
            return Err(PackError::VariableLength);
        }
        let size = size + padding;
        if total > MAX_FORMAT_SIZE - size {
            return Err(PackError::ResultTooLarge);
        }
        total += size;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PackValue::{Float, Int};

    fn text(text: &'static str) -> PackValue<'static> {
        PackValue::Str(Cow::Borrowed(text.as_bytes()))
    }

    impl From<NoRoom> for PackError {
        fn from(_: NoRoom) -> Self {
            unreachable!("a vector has room")
        }
    }

    fn packed(format: &str, values: &[PackValue<'static>]) -> Result<Vec<u8>, PackError> {
        let mut out = b"kept".to_vec();
        let mut values = values.iter();
        pack(format.as_bytes(), &mut out, |want| {
            let value = values.next().expect("as many values as the format wants").clone();
            let fits = matches!(
                (want, &value),
                (Want::Int, Int(_)) | (Want::Float, Float(_)) | (Want::Str, PackValue::Str(_))
            );
            assert!(fits, "{want:?} {value:?}");
            Ok::<_, PackError>(value)
        })?;
        Ok(out.split_off(4))
    }

    fn unpacked(
        format: &str,
        data: &'static [u8],
        start: usize,
    ) -> Result<(Vec<PackValue<'static>>, usize), PackError> {
        let mut values = Vec::new();
        let end = unpack(format.as_bytes(), data, start, |value| {
            values.push(value);
            Ok::<_, PackError>(())
        })?;
        Ok((values, end))
    }

    #[test]
    fn layouts_match_the_reference_and_read_back() {
        let cases: &[(&str, &[PackValue<'static>], &'static [u8])] = &[
            ("<i4", &[Int(-2)], b"\xfe\xff\xff\xff"),
            (">i4", &[Int(-2)], b"\xff\xff\xff\xfe"),
            (">I3", &[Int(0x01_02_03)], b"\x01\x02\x03"),
            ("<bBhH", &[Int(-1), Int(255), Int(-2), Int(65_535)], b"\xff\xff\xfe\xff\xff\xff"),
            ("<j", &[Int(i64::MIN)], b"\0\0\0\0\0\0\0\x80"),
            (
                ">i16",
                &[Int(-3)],
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfd",
            ),
            ("<I16", &[Int(7)], b"\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            (">d", &[Float(1.5)], b"\x3f\xf8\0\0\0\0\0\0"),
            ("<f", &[Float(0.5)], b"\0\0\0\x3f"),
            ("<s1z", &[text("abc"), text("de")], b"\x03abcde\0"),
            (">s2", &[text("hi")], b"\0\x02hi"),
            ("c5", &[text("abc\0\0")], b"abc\0\0"),
            ("<!4 b i4", &[Int(1), Int(2)], b"\x01\0\0\0\x02\0\0\0"),
            ("<!b i8", &[Int(1), Int(2)], b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"),
            ("<!2 b i8", &[Int(1), Int(2)], b"\x01\0\x02\0\0\0\0\0\0\0"),
            ("<!8 b Xi4 b", &[Int(1), Int(2)], b"\x01\0\0\0\x02"),
            ("<bxb>h", &[Int(1), Int(2), Int(3)], b"\x01\0\x02\0\x03"),
            ("", &[], b""),
        ];
        for (format, values, bytes) in cases {
            assert_eq!(packed(format, values).as_deref(), Ok(*bytes), "{format}");
            assert_eq!(unpacked(format, bytes, 0), Ok((values.to_vec(), bytes.len())), "{format}");
        }
        assert_eq!(packed("c5", &[text("abc")]).as_deref(), Ok(&b"abc\0\0"[..]));
        assert_eq!(unpacked("<i2", b"..\x05\x00!", 2), Ok((vec![Int(5)], 4)));
    }

    #[test]
    fn sizes() {
        for (format, expected) in [
            ("i4", 4),
            ("!8 b d", 16),
            ("b d", 9),
            ("c10 x", 11),
            ("!4 b Xi8", 4),
            ("<>=! ", 0),
            ("lLjJTn", 48),
            ("iIhHbBf", 18),
        ] {
            assert_eq!(pack_size(format.as_bytes()), Ok(expected), "{format}");
        }
    }

    #[test]
    fn malformed_formats_have_the_reference_messages() {
        for (format, expected, blame) in [
            ("i17", "integral size (17) out of limits [1,16]", Blame::Nothing),
            ("i0", "integral size (0) out of limits [1,16]", Blame::Nothing),
            ("i99999999999999", "integral size (999999999) out of limits [1,16]", Blame::Nothing),
            ("!17", "integral size (17) out of limits [1,16]", Blame::Nothing),
            ("y", "invalid format option 'y'", Blame::Nothing),
            ("c", "missing size for format option 'c'", Blame::Nothing),
            ("c2147483648", "invalid format option '8'", Blame::Nothing),
            ("X", "invalid next option for option 'X'", Blame::Format),
            ("Xz", "invalid next option for option 'X'", Blame::Format),
            ("Xc3", "invalid next option for option 'X'", Blame::Format),
            ("X i", "invalid next option for option 'X'", Blame::Format),
            ("!4i3", "format asks for alignment not power of 2", Blame::Format),
            ("s", "variable-length format", Blame::Format),
            ("z", "variable-length format", Blame::Format),
            ("c2147483639i8c9", "format result too large", Blame::Format),
        ] {
            let error = pack_size(format.as_bytes()).expect_err(format);
            assert_eq!((error.to_string().as_str(), error.blame()), (expected, blame), "{format}");
        }
    }

    #[test]
    fn values_that_do_not_fit() {
        for (format, value, expected) in [
            ("b", Int(128), PackError::IntegerOverflow),
            ("b", Int(-129), PackError::IntegerOverflow),
            ("B", Int(256), PackError::UnsignedOverflow),
            ("I7", Int(-1), PackError::UnsignedOverflow),
            ("c2", text("abc"), PackError::StringTooLong),
            ("z", text("a\0"), PackError::ContainsZeros),
        ] {
            assert_eq!(packed(format, &[value]), Err(expected), "{format}");
        }
        let long = PackValue::Str(Cow::Owned(vec![b'x'; 256]));
        assert_eq!(packed("s1", &[long]), Err(PackError::LengthOverflow));
    }

    #[test]
    fn data_that_does_not_fit() {
        for (format, data, start, expected) in [
            ("i4", &b"abc"[..], 0, PackError::DataTooShort),
            ("<s4", b"\x09\0\0\0abc", 0, PackError::DataTooShort),
            ("<s8", b"\xff\xff\xff\xff\xff\xff\xff\xff", 0, PackError::DataTooShort),
            ("z", b"abc", 0, PackError::UnfinishedString),
            ("<i9", b"\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, PackError::IntegerTooWide(9)),
            ("<I9", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, PackError::IntegerTooWide(9)),
            ("b", b"abc", 4, PackError::PositionOutOfString),
        ] {
            assert_eq!(unpacked(format, data, start), Err(expected), "{format}");
        }
        assert_eq!(unpacked("c0", b"abc", 3), Ok((vec![text("")], 3)));
    }
}

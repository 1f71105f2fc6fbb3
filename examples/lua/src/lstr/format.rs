//! The formatter behind `string.format`: format strings into directives, and one writer per
//! conversion.
//!
//! The caller walks [`Directives`], fetches and converts the argument each [`Spec`] asks for, and
//! calls the writer for its [`Conversion`]; argument type errors are the caller's. Every writer
//! appends to the caller's buffer and allocates nothing of its own. Except for strings, it appends at
//! most [`ITEM_MAX`] bytes, for which the caller can make room.
//!
//! Invariants:
//! * a [`Spec`] handed out is valid for its conversion: width and precision are below 100 and
//!   its flags are allowed.
//! * writers produce what C's `printf` does for the same specification in the C locale.
//!
//! Decimal digits of floats come from the standard library's exact formatting; hexadecimal floats
//! are written here.

use std::fmt::Write as _;
use std::io::Write as _;

/// Most bytes that any conversion of a number or an address gives: `%99.99f` of the greatest float has
/// 309 digits, a sign, a point, and 99 decimals.
pub const ITEM_MAX: usize = 512;

/// Most bytes that [`push_decimal`] appends.
pub const DECIMAL_MAX: usize = 20;

/// The longest specification, without its `%`, that Lua accepts.
const MAX_SPEC: usize = 22;

/// What is wrong with a format string; the texts are those of Lua 5.4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The conversion letter is unknown or missing.
    #[error("invalid conversion '{0}' to 'format'")]
    UnknownConversion(String),
    /// Flags, width or precision do not suit the conversion.
    #[error("invalid conversion specification: '{0}'")]
    InvalidSpecification(String),
    /// The specification is absurdly long.
    #[error("invalid format (too long)")]
    TooLong,
    /// `%q` with flags, width or precision.
    #[error("specifier '%q' cannot have modifiers")]
    QuotedModifiers,
    /// A string with a zero byte was given to a modified `%s`; Lua reports it as an error of that
    /// argument.
    #[error("string contains zeros")]
    StringContainsZeros,
}

/// The flags of a specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// `-`: pad on the right.
    pub const LEFT: Flags = Flags(1);
    /// `+`: always write a sign.
    pub const PLUS: Flags = Flags(1 << 1);
    /// A space in the place of a plus sign.
    pub const SPACE: Flags = Flags(1 << 2);
    /// `#`: base prefixes, and a radix point always.
    pub const ALTERNATE: Flags = Flags(1 << 3);
    /// `0`: pad with zeros behind the sign.
    pub const ZERO: Flags = Flags(1 << 4);

    /// Whether all of `other` are set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and `other`.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    fn from_byte(byte: u8) -> Option<Flags> {
        Some(match byte {
            b'-' => Flags::LEFT,
            b'+' => Flags::PLUS,
            b' ' => Flags::SPACE,
            b'#' => Flags::ALTERNATE,
            b'0' => Flags::ZERO,
            _ => return None,
        })
    }
}

/// Upper or lower case of letters among the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `x`, `e`, `g`, `a`.
    Lower,
    /// `X`, `E`, `G`, `A`.
    Upper,
}

/// What a specification converts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// `%c`: an integer as one byte; see [`push_char`].
    Char,
    /// `%d`, `%i`: a signed integer; see [`push_integer`], as for the next three.
    Signed,
    /// `%u`: an unsigned integer.
    Unsigned,
    /// `%o`: an unsigned integer in octal.
    Octal,
    /// `%x`, `%X`: an unsigned integer in hexadecimal.
    Hex(Case),
    /// `%f`: a float; see [`push_float`], as for the next three.
    Fixed,
    /// `%e`, `%E`: a float with an exponent.
    Exponent(Case),
    /// `%g`, `%G`: a float in the shorter of the two styles.
    General(Case),
    /// `%a`, `%A`: a hexadecimal float.
    HexFloat(Case),
    /// `%p`: an address; see [`push_pointer`].
    Pointer,
    /// `%q`: a Lua literal; see [`push_quoted_string`], [`push_quoted_integer`] and
    /// [`push_quoted_float`].
    Quoted,
    /// `%s`: any value as a string; see [`push_string`].
    String,
}

impl Conversion {
    fn from_byte(byte: u8) -> Option<Conversion> {
        Some(match byte {
            b'c' => Conversion::Char,
            b'd' | b'i' => Conversion::Signed,
            b'u' => Conversion::Unsigned,
            b'o' => Conversion::Octal,
            b'x' => Conversion::Hex(Case::Lower),
            b'X' => Conversion::Hex(Case::Upper),
            b'f' => Conversion::Fixed,
            b'e' => Conversion::Exponent(Case::Lower),
            b'E' => Conversion::Exponent(Case::Upper),
            b'g' => Conversion::General(Case::Lower),
            b'G' => Conversion::General(Case::Upper),
            b'a' => Conversion::HexFloat(Case::Lower),
            b'A' => Conversion::HexFloat(Case::Upper),
            b'p' => Conversion::Pointer,
            b'q' => Conversion::Quoted,
            b's' => Conversion::String,
            _ => return None,
        })
    }

    /// The flags this conversion accepts.
    fn allowed_flags(self) -> Flags {
        let padding = Flags::LEFT.with(Flags::ZERO);
        match self {
            Conversion::Char | Conversion::Pointer | Conversion::String => Flags::LEFT,
            Conversion::Signed => padding.with(Flags::PLUS).with(Flags::SPACE),
            Conversion::Unsigned => padding,
            Conversion::Octal | Conversion::Hex(_) => padding.with(Flags::ALTERNATE),
            Conversion::Quoted => Flags::default(),
            Conversion::Fixed
            | Conversion::Exponent(_)
            | Conversion::General(_)
            | Conversion::HexFloat(_) => {
                padding.with(Flags::PLUS).with(Flags::SPACE).with(Flags::ALTERNATE)
            }
        }
    }

    fn takes_precision(self) -> bool {
        !matches!(self, Conversion::Char | Conversion::Pointer | Conversion::Quoted)
    }
}

/// One conversion specification: everything between a `%` and its letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The flags.
    pub flags: Flags,
    /// The least number of bytes to write.
    pub width: usize,
    /// The precision, whose meaning depends on the conversion.
    pub precision: Option<usize>,
    /// What to convert.
    pub conversion: Conversion,
}

impl Spec {
    /// A specification with nothing but its conversion.
    pub const fn plain(conversion: Conversion) -> Spec {
        Spec { flags: Flags(0), width: 0, precision: None, conversion }
    }

    fn is_plain(&self) -> bool {
        self.flags == Flags::default() && self.width == 0 && self.precision.is_none()
    }
}

/// A piece of a format string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive<'f> {
    /// Bytes to copy.
    Literal(&'f [u8]),
    /// An argument to convert.
    Spec(Spec),
}

/// The pieces of a format string, in order. It ends after the first error.
///
/// The reference implementation asks for the argument before it looks at the specification: on an
/// error, a caller that wants the same message reports a missing argument first.
#[derive(Debug, Clone)]
pub struct Directives<'f> {
    rest: &'f [u8],
}

impl<'f> Directives<'f> {
    /// The pieces of `format`.
    pub fn new(format: &'f [u8]) -> Self {
        Directives { rest: format }
    }
}

impl<'f> Iterator for Directives<'f> {
    type Item = Result<Directive<'f>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (after, literal) = match *self.rest {
            [] => return None,
            [b'%', b'%', ..] => (2, &self.rest[1..2]),
            [b'%', b'd', ..] => {
                self.rest = &self.rest[2..];
                return Some(Ok(Directive::Spec(Spec::plain(Conversion::Signed))));
            }
            [b'%', b's', ..] => {
                self.rest = &self.rest[2..];
                return Some(Ok(Directive::Spec(Spec::plain(Conversion::String))));
            }
            [b'%', ..] => {
                let parsed = parse_spec(&self.rest[1..]);
                self.rest = parsed.as_ref().map_or(&[], |&(_, length)| &self.rest[1 + length..]);
                return Some(parsed.map(|(spec, _)| Directive::Spec(spec)));
            }
            _ => {
                let run =
                    self.rest.iter().position(|&byte| byte == b'%').unwrap_or(self.rest.len());
                (run, &self.rest[..run])
            }
        };
        self.rest = &self.rest[after..];
        Some(Ok(Directive::Literal(literal)))
    }
}

/// Reads the specification at the start of `text`, behind its `%`, and returns it with its length.
fn parse_spec(text: &[u8]) -> Result<(Spec, usize), FormatError> {
    let modifiers = text
        .iter()
        .take_while(|byte| matches!(byte, b'-' | b'+' | b' ' | b'#' | b'.' | b'0'..=b'9'))
        .count();
    if modifiers + 1 >= MAX_SPEC {
        return Err(FormatError::TooLong);
    }
    // A C string in the reference implementation: a zero byte ends the text that the message shows.
    let letter = text.get(modifiers).copied().filter(|&byte| byte != 0);
    let shown = || {
        format!("%{}", String::from_utf8_lossy(&text[..modifiers + usize::from(letter.is_some())]))
    };
    let Some(conversion) = letter.and_then(Conversion::from_byte) else {
        return Err(FormatError::UnknownConversion(shown()));
    };
    if conversion == Conversion::Quoted && modifiers > 0 {
        return Err(FormatError::QuotedModifiers);
    }
    let mut spec = Spec::plain(conversion);
    let allowed = conversion.allowed_flags();
    let mut rest = &text[..modifiers];
    while let Some(flag) =
        rest.first().and_then(|&byte| Flags::from_byte(byte)).filter(|&flag| allowed.contains(flag))
    {
        spec.flags = spec.flags.with(flag);
        rest = &rest[1..];
    }
    if rest.first() != Some(&b'0') {
        spec.width = two_digits(&mut rest);
        if rest.first() == Some(&b'.') && conversion.takes_precision() {
            rest = &rest[1..];
            spec.precision = Some(two_digits(&mut rest));
        }
    }
    if rest.is_empty() {
        Ok((spec, modifiers + 1))
    } else {
        Err(FormatError::InvalidSpecification(shown()))
    }
}

/// Takes up to two decimal digits off the front of `text`.
fn two_digits(text: &mut &[u8]) -> usize {
    let mut value = 0;
    for _ in 0..2 {
        let Some((digit @ b'0'..=b'9', rest)) = text.split_first() else { break };
        value = value * 10 + usize::from(digit - b'0');
        *text = rest;
    }
    value
}

/// The two decimal digits of every number below 100, one after another.
static DIGIT_PAIRS: [[u8; 2]; 100] = digit_pairs();

const fn digit_pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
}

/// Writes `value` in decimal at the end of `buffer` and returns the position of its first digit.
fn decimal_digits(mut value: u64, buffer: &mut [u8; 24]) -> usize {
    let mut at = buffer.len();
    while value >= 100 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&DIGIT_PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value >= 10 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&DIGIT_PAIRS[value as usize]);
    } else {
        at -= 1;
        buffer[at] = b'0' + value as u8;
    }
    at
}

/// Appends `value` in decimal, as a plain `%d` does.
pub fn push_decimal(out: &mut Vec<u8>, value: i64) {
    let mut buffer = [0; 24];
    let mut at = decimal_digits(value.unsigned_abs(), &mut buffer);
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Appends `value` under an integer conversion: `%d`, `%i`, `%u`, `%o`, `%x` or `%X`. Unsigned
/// conversions show the two's complement.
///
/// # Panics
/// If the conversion of `spec` is not one of these.
pub fn push_integer(out: &mut Vec<u8>, spec: &Spec, value: i64) {
    if spec.conversion == Conversion::Signed && spec.is_plain() {
        return push_decimal(out, value);
    }
    let mut buffer = [0; 24];
    let start = out.len();
    let unsigned = value as u64;
    let at = match spec.conversion {
        Conversion::Signed => {
            push_sign(out, value < 0, spec.flags);
            decimal_digits(value.unsigned_abs(), &mut buffer)
        }
        Conversion::Unsigned => decimal_digits(unsigned, &mut buffer),
        Conversion::Octal => binary_digits(unsigned, 3, b"01234567", &mut buffer),
        Conversion::Hex(Case::Lower) => {
            binary_digits(unsigned, 4, b"0123456789abcdef", &mut buffer)
        }
        Conversion::Hex(Case::Upper) => {
            binary_digits(unsigned, 4, b"0123456789ABCDEF", &mut buffer)
        }
        other => panic!("{other:?} is not an integer conversion"),
    };
    let digits = match (spec.precision, value) {
        (Some(0), 0) => &[],
        _ => &buffer[at..],
    };
    let mut leading_zeros = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    if spec.flags.contains(Flags::ALTERNATE) {
        match spec.conversion {
            Conversion::Octal if digits.first() != Some(&b'0') => {
                leading_zeros = leading_zeros.max(1)
            }
            Conversion::Hex(Case::Lower) if value != 0 => out.extend_from_slice(b"0x"),
            Conversion::Hex(Case::Upper) if value != 0 => out.extend_from_slice(b"0X"),
            _ => {}
        }
    }
    let prefix = out.len() - start;
    out.resize(out.len() + leading_zeros, b'0');
    out.extend_from_slice(digits);
    let zero_fill = if spec.precision.is_some() { Fill::Spaces } else { Fill::Flagged { prefix } };
    pad(out, start, spec, zero_fill);
}

/// Writes `value` at the end of `buffer` in the base with `bits` per digit and returns the position
/// of its first digit.
fn binary_digits(mut value: u64, bits: u32, digits: &[u8], buffer: &mut [u8; 24]) -> usize {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = digits[(value & ((1 << bits) - 1)) as usize];
        value >>= bits;
        if value == 0 {
            return at;
        }
    }
}

fn push_sign(out: &mut Vec<u8>, negative: bool, flags: Flags) {
    if negative {
        out.push(b'-');
    } else if flags.contains(Flags::PLUS) {
        out.push(b'+');
    } else if flags.contains(Flags::SPACE) {
        out.push(b' ');
    }
}

/// What fills a field up to its width.
#[derive(Debug, Clone, Copy)]
enum Fill {
    /// Spaces, even with the flag `0`.
    Spaces,
    /// Zeros behind `prefix` bytes of sign and base if the flags say so.
    Flagged { prefix: usize },
}

/// Brings what was written from `start` on up to the width of `spec`.
fn pad(out: &mut Vec<u8>, start: usize, spec: &Spec, fill: Fill) {
    let length = out.len() - start;
    let Some(missing) = spec.width.checked_sub(length).filter(|&missing| missing > 0) else {
        return;
    };
    if spec.flags.contains(Flags::LEFT) {
        out.resize(out.len() + missing, b' ');
        return;
    }
    let (at, byte) = match fill {
        Fill::Flagged { prefix } if spec.flags.contains(Flags::ZERO) => (start + prefix, b'0'),
        _ => (start, b' '),
    };
    out.resize(out.len() + missing, byte);
    out[at..].rotate_right(missing);
}

/// Appends the low byte of `value`, as `%c` does.
pub fn push_char(out: &mut Vec<u8>, spec: &Spec, value: i64) {
    let start = out.len();
    out.push(value as u8);
    pad(out, start, spec, Fill::Spaces);
}

/// Appends `text` under `%s`, cut to the precision.
///
/// # Errors
/// [`FormatError::StringContainsZeros`] if `spec` has modifiers and `text` a zero byte.
pub fn push_string(out: &mut Vec<u8>, spec: &Spec, text: &[u8]) -> Result<(), FormatError> {
    if spec.is_plain() {
        out.extend_from_slice(text);
        return Ok(());
    }
    if text.contains(&0) {
        return Err(FormatError::StringContainsZeros);
    }
    let start = out.len();
    out.extend_from_slice(&text[..spec.precision.map_or(text.len(), |most| most.min(text.len()))]);
    pad(out, start, spec, Fill::Spaces);
    Ok(())
}

/// Appends an address under `%p`; values without one show as `(null)`.
pub fn push_pointer(out: &mut Vec<u8>, spec: &Spec, address: Option<usize>) {
    let start = out.len();
    match address {
        None => out.extend_from_slice(b"(null)"),
        Some(address) => {
            let mut buffer = [0; 24];
            let at = binary_digits(address as u64, 4, b"0123456789abcdef", &mut buffer);
            out.extend_from_slice(b"0x");
            out.extend_from_slice(&buffer[at..]);
        }
    }
    pad(out, start, spec, Fill::Spaces);
}

/// Appends `value` under a float conversion: `%f`, `%e`, `%E`, `%g`, `%G`, `%a` or `%A`.
///
/// # Panics
/// If the conversion of `spec` is not one of these.
pub fn push_float(out: &mut Vec<u8>, spec: &Spec, value: f64) {
    let start = out.len();
    push_sign(out, value.is_sign_negative(), spec.flags);
    let mut prefix = out.len() - start;
    let magnitude = value.abs();
    if !value.is_finite() {
        out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
    } else {
        match spec.conversion {
            Conversion::Fixed => {
                push_fixed(out, magnitude, spec.precision.unwrap_or(6), spec.flags)
            }
            Conversion::Exponent(_) => {
                push_exponent(out, magnitude, spec.precision.unwrap_or(6), spec.flags)
            }
            Conversion::General(_) => {
                push_general(out, magnitude, spec.precision.unwrap_or(6), spec.flags)
            }
            Conversion::HexFloat(_) => {
                prefix += 2;
                push_hex_float(out, magnitude, spec.precision, spec.flags);
            }
            other => panic!("{other:?} is not a float conversion"),
        }
    }
    if let Conversion::Exponent(Case::Upper)
    | Conversion::General(Case::Upper)
    | Conversion::HexFloat(Case::Upper) = spec.conversion
    {
        out[start..].make_ascii_uppercase();
    }
    pad(out, start, spec, if value.is_finite() { Fill::Flagged { prefix } } else { Fill::Spaces });
}

/// Appends `value` as `%.{precision}g` with `flags` does, for numbers that are not formatted
/// through a [`Spec`]. A precision above 99 counts as 99.
pub fn format_g(out: &mut Vec<u8>, value: f64, precision: usize, flags: Flags) {
    let spec = Spec {
        flags,
        width: 0,
        precision: Some(precision.min(99)),
        conversion: Conversion::General(Case::Lower),
    };
    push_float(out, &spec, value);
}

fn push_fixed(out: &mut Vec<u8>, magnitude: f64, precision: usize, flags: Flags) {
    write!(out, "{magnitude:.precision$}").expect("writing to a Vec does not fail");
    if precision == 0 && flags.contains(Flags::ALTERNATE) {
        out.push(b'.');
    }
}

fn push_exponent(out: &mut Vec<u8>, magnitude: f64, precision: usize, flags: Flags) {
    let digits = Scientific::new(magnitude, precision);
    let (first, rest) = digits.digits().split_at(1);
    out.extend_from_slice(first);
    if !rest.is_empty() || flags.contains(Flags::ALTERNATE) {
        out.push(b'.');
    }
    out.extend_from_slice(rest);
    push_decimal_exponent(out, digits.exponent);
}

fn push_decimal_exponent(out: &mut Vec<u8>, exponent: i32) {
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    push_decimal(out, i64::from(exponent.abs()));
}

fn push_general(out: &mut Vec<u8>, magnitude: f64, precision: usize, flags: Flags) {
    let precision = precision.max(1);
    let scientific = Scientific::new(magnitude, precision - 1);
    let mut digits = scientific.digits();
    let exponent = scientific.exponent;
    let fixed = -4 <= exponent && exponent < precision as i32;
    // The digits in front of the radix point; zero or less stands for leading zeros behind it.
    let integral = if fixed { exponent + 1 } else { 1 };
    if !flags.contains(Flags::ALTERNATE) {
        let keep = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        digits = &digits[..keep.max(integral.max(0) as usize)];
    }
    if integral <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + integral.unsigned_abs() as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let (whole, fraction) = digits.split_at(integral as usize);
        out.extend_from_slice(whole);
        if !fraction.is_empty() || flags.contains(Flags::ALTERNATE) {
            out.push(b'.');
        }
        out.extend_from_slice(fraction);
    }
    if !fixed {
        push_decimal_exponent(out, exponent);
    }
}

/// A magnitude rounded to a number of decimal digits, and the power of ten of the first one.
struct Scientific {
    buffer: [u8; Scientific::CAPACITY],
    length: usize,
    exponent: i32,
}

impl Scientific {
    /// One digit, the radix point, 99 more digits and an exponent like `e-324`.
    const CAPACITY: usize = 112;

    fn new(magnitude: f64, precision: usize) -> Scientific {
        let mut scientific =
            Scientific { buffer: [0; Scientific::CAPACITY], length: 0, exponent: 0 };
        write!(scientific, "{magnitude:.precision$e}")
            .expect("precision is below 100, so the digits fit");
        let text = &scientific.buffer[..scientific.length];
        let e =
            text.iter().rposition(|&byte| byte == b'e').expect("the exponent format writes an 'e'");
        let (negative, digits) = match &text[e + 1..] {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let exponent = digits.iter().fold(0, |value, &digit| value * 10 + i32::from(digit - b'0'));
        scientific.exponent = if negative { -exponent } else { exponent };
        // Close the gap that the radix point leaves.
        if precision > 0 {
            scientific.buffer.copy_within(2..e, 1);
        }
        scientific.length = precision + 1;
        scientific
    }

    fn digits(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl std::fmt::Write for Scientific {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.buffer
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Bits of the fraction of a float, and hexadecimal digits they make.
const FRACTION_BITS: u32 = 52;
const FRACTION_DIGITS: usize = 13;

fn push_hex_float(out: &mut Vec<u8>, magnitude: f64, precision: Option<usize>, flags: Flags) {
    let bits = magnitude.to_bits();
    let biased = (bits >> FRACTION_BITS) as i64;
    let exponent = match biased {
        0 if magnitude == 0.0 => 0,
        0 => -1022,
        _ => biased - 1023,
    };
    // The leading digit and the fraction as one integer, so that rounding carries from one into the
    // other.
    let fraction_mask = (1u64 << FRACTION_BITS) - 1;
    let mut significand = bits & fraction_mask | if biased == 0 { 0 } else { 1 << FRACTION_BITS };
    if let Some(digits) = precision.filter(|&digits| digits < FRACTION_DIGITS) {
        let dropped = 4 * (FRACTION_DIGITS - digits) as u32;
        let unit = 1u64 << dropped;
        let remainder = significand & (unit - 1);
        significand -= remainder;
        // Ties go to the even digit.
        if remainder > unit / 2 || (remainder == unit / 2 && significand & unit != 0) {
            significand += unit;
        }
    }
    let mut fraction = [0; FRACTION_DIGITS];
    for (index, digit) in fraction.iter_mut().enumerate() {
        let shift = FRACTION_BITS - 4 * (index as u32 + 1);
        *digit = b"0123456789abcdef"[(significand >> shift & 0xf) as usize];
    }
    let shortest = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
    let digits = precision.unwrap_or(shortest);
    out.extend_from_slice(b"0x");
    out.push(b'0' + (significand >> FRACTION_BITS) as u8);
    if digits > 0 || flags.contains(Flags::ALTERNATE) {
        out.push(b'.');
    }
    let written = digits.min(FRACTION_DIGITS);
    out.extend_from_slice(&fraction[..written]);
    out.resize(out.len() + digits - written, b'0');
    out.extend_from_slice(if exponent < 0 { b"p-" } else { b"p+" });
    push_decimal(out, exponent.abs());
}

/// Number of bytes that [`push_quoted_string`] appends, or a few more.
#[must_use]
pub fn quoted_length(text: &[u8]) -> usize {
    let special = |&&byte: &&u8| matches!(byte, b'"' | b'\\') || byte.is_ascii_control();
    text.len() + 3 * text.iter().filter(special).count() + 2
}

/// Appends `text` as a Lua string literal that reads back as the same bytes.
pub fn push_quoted_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            b'"' | b'\\' | b'\n' => out.extend_from_slice(&[b'\\', byte]),
            _ if byte.is_ascii_control() => {
                out.push(b'\\');
                // All three digits if the next byte would otherwise read as one of them.
                let code = i64::from(byte);
                if text.get(index + 1).is_some_and(u8::is_ascii_digit) {
                    let width =
                        Spec { flags: Flags::ZERO, width: 3, ..Spec::plain(Conversion::Signed) };
                    push_integer(out, &width, code);
                } else {
                    push_decimal(out, code);
                }
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends `value` as a Lua literal. The least integer has no decimal literal and is written in
/// hexadecimal.
pub fn push_quoted_integer(out: &mut Vec<u8>, value: i64) {
    if value == i64::MIN {
        out.extend_from_slice(b"0x8000000000000000");
    } else {
        push_decimal(out, value);
    }
}

/// Appends `value` as a Lua expression that evaluates to exactly that float.
pub fn push_quoted_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"(0/0)");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"1e9999" } else { b"-1e9999" });
    } else {
        push_float(out, &Spec::plain(Conversion::HexFloat(Case::Lower)), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Argument<'a> {
        Int(i64),
        Float(f64),
        Text(&'a str),
    }
    use Argument::{Float, Int, Text};

    /// Formats the same argument under every specification of `format`.
    fn show(format: &str, argument: Argument<'_>) -> String {
        let mut out = Vec::new();
        for directive in Directives::new(format.as_bytes()) {
            let spec = match directive {
                Err(error) => return error.to_string(),
                Ok(Directive::Literal(bytes)) => {
                    out.extend_from_slice(bytes);
                    continue;
                }
                Ok(Directive::Spec(spec)) => spec,
            };
            match (spec.conversion, argument) {
                (Conversion::Char, Int(value)) => push_char(&mut out, &spec, value),
                (Conversion::Pointer, Int(0)) => push_pointer(&mut out, &spec, None),
                (Conversion::Pointer, Int(address)) => {
                    push_pointer(&mut out, &spec, Some(address as usize))
                }
                (Conversion::Quoted, Int(value)) => push_quoted_integer(&mut out, value),
                (Conversion::Quoted, Float(value)) => push_quoted_float(&mut out, value),
                (Conversion::Quoted, Text(text)) => push_quoted_string(&mut out, text.as_bytes()),
                (_, Int(value)) => push_integer(&mut out, &spec, value),
                (_, Float(value)) => push_float(&mut out, &spec, value),
                (_, Text(text)) => {
                    if let Err(error) = push_string(&mut out, &spec, text.as_bytes()) {
                        return error.to_string();
                    }
                }
            }
        }
        String::from_utf8(out).expect("test arguments are text")
    }

    #[test]
    fn integers() {
        for (format, value, expected) in [
            ("%d", i64::MIN, "-9223372036854775808"),
            ("%d|%5d|%-5d|%05d|%+d|% d", 42, "42|   42|42   |00042|+42| 42"),
            ("%5.3d|%-6.3d|%06.3d", -7, " -007|-007  |  -007"),
            ("%.0d|%+.0d|%.d|%5.0d|%#.0o|%#x|%#o|%.0x", 0, "|+||     |0|0|0|"),
            (
                "%x|%X|%#x|%#X|%#10x|%-#10x|%#010x|%#.5x",
                0xbeef,
                "beef|BEEF|0xbeef|0XBEEF|    0xbeef|0xbeef    |0x0000beef|0x0beef",
            ),
            ("%o|%#o|%#.5o|%u", 8, "10|010|00010|8"),
            ("%x|%o|%u|%i", -1, "ffffffffffffffff|1777777777777777777777|18446744073709551615|-1"),
            ("%c|%3c|%-3c|%%", 65, "A|  A|A  |%"),
            ("%p|%10p|%-8p|", 0xab, "0xab|      0xab|0xab    |"),
            ("%p|%8p|", 0, "(null)|  (null)|"),
            ("%q", i64::MIN, "0x8000000000000000"),
            ("%q", -5, "-5"),
        ] {
            assert_eq!(show(format, Int(value)), expected, "{format} {value}");
        }
    }

    #[test]
    fn decimal_floats() {
        for (format, value, expected) in [
            (
                "%f|%.0f|%#.0f|%.3f|%10.2f|%-10.2f|%010.2f|%+.1f|% .1f",
                2.5,
                "2.500000|2|2.|2.500|      2.50|2.50      |0000002.50|+2.5| 2.5",
            ),
            ("%.0f|%.0e", 3.5, "4|4e+00"),
            ("%.1f|%.2f", 0.125, "0.1|0.12"),
            ("%.1f", 0.25, "0.2"),
            ("%.0e|%.1e", 12_345.0, "1e+04|1.2e+04"),
            ("%.20f", 0.1, "0.10000000000000000555"),
            ("%.0f", 1e23, "99999999999999991611392"),
            (
                "%e|%E|%.0e|%#.0e|%12.1e|%012.1e",
                1.5e-7,
                "1.500000e-07|1.500000E-07|1e-07|1.e-07|     1.5e-07|000001.5e-07",
            ),
            ("%e", 1e100, "1.000000e+100"),
            ("%e|%g|%f|%#g", 0.0, "0.000000e+00|0|0.000000|0.00000"),
            ("%g|%.3g|%.10g|%#g|%.0g|%G", 100_000.0, "100000|1e+05|100000|100000.|1e+05|100000"),
            ("%g|%.14g|%.17g", 0.1, "0.1|0.1|0.10000000000000001"),
            ("%g|%g", 0.0001, "0.0001|0.0001"),
            ("%g|%G", 0.000_012_5, "1.25e-05|1.25E-05"),
            ("%g|%.6g", 999_999.5, "1e+06|1e+06"),
            ("%.3g|%#.3g", 99.95, "100|100."),
            ("%.14g", 1e15, "1e+15"),
            ("%.14g", 123_456_789_012_345.0, "1.2345678901234e+14"),
            ("%.99g", 0.5, "0.5"),
            ("%5.1f|%+g", -0.0, " -0.0|-0"),
            ("%f|%5.1f|%05g|%-5f|%E|%+a", f64::INFINITY, "inf|  inf|  inf|inf  |INF|+inf"),
            ("%f|%G|%06f", f64::NEG_INFINITY, "-inf|-INF|  -inf"),
            ("%f|%5g|%+e", f64::NAN.copysign(1.0), "nan|  nan|+nan"),
            ("%f", f64::NAN.copysign(-1.0), "-nan"),
        ] {
            assert_eq!(show(format, Float(value)), expected, "{format} {value:e}");
        }
        assert_eq!(show("%.99f", Float(5e-324)).len(), 101);
        assert_eq!(show("%.99e", Float(5e-324)).get(..12), Some("4.9406564584"));
        assert_eq!(show("%.99f", Float(f64::MAX)).len(), 309 + 100);
    }

    #[test]
    fn hexadecimal_floats() {
        for (format, value, expected) in [
            (
                "%a|%.0a|%.1a|%.3a|%A",
                3.7,
                "0x1.d99999999999ap+1|0x2p+1|0x1.ep+1|0x1.d9ap+1|0X1.D99999999999AP+1",
            ),
            (
                "%20.3a|%-20a|%020a",
                3.7,
                "          0x1.d9ap+1|0x1.d99999999999ap+1|0x1.d99999999999ap+1",
            ),
            (
                "%a|%.2a|%+a|% a|%#.0a|%012a",
                1.0,
                "0x1p+0|0x1.00p+0|+0x1p+0| 0x1p+0|0x1.p+0|0x0000001p+0",
            ),
            ("%.0a", 1.5, "0x2p+0"),
            ("%.1a", 1.97, "0x2.0p+0"),
            ("%a|%.3a", 0.0, "0x0p+0|0x0.000p+0"),
            ("%a|%.2a", 5e-324, "0x0.0000000000001p-1022|0x0.00p-1022"),
            ("%.16a", 0.5, "0x1.0000000000000000p-1"),
            ("%q", 0.1, "0x1.999999999999ap-4"),
            ("%q", -0.0, "-0x0p+0"),
            ("%q", f64::INFINITY, "1e9999"),
            ("%q", f64::NEG_INFINITY, "-1e9999"),
            ("%q", f64::NAN, "(0/0)"),
        ] {
            assert_eq!(show(format, Float(value)), expected, "{format} {value:e}");
        }
    }

    #[test]
    fn strings() {
        assert_eq!(
            show("%s|%6s|%-6s|%.2s|%5.1s|%.s|", Text("abc")),
            "abc|   abc|abc   |ab|    a||"
        );
        assert_eq!(show("%s", Text("a\0b")), "a\0b");
        assert_eq!(show("%5s", Text("a\0b")), "string contains zeros");
        assert_eq!(
            show("%q", Text("a\"\\\n\r\0\x011\x7f2\u{e9}")),
            "\"a\\\"\\\\\\\n\\13\\0\\0011\\1272\u{e9}\""
        );
    }

    #[test]
    fn malformed_formats_have_the_reference_messages() {
        for (format, expected) in [
            ("%y", "invalid conversion '%y' to 'format'"),
            ("%", "invalid conversion '%' to 'format'"),
            ("%5%", "invalid conversion '%5%' to 'format'"),
            ("%F", "invalid conversion '%F' to 'format'"),
            ("%ld", "invalid conversion '%l' to 'format'"),
            ("%\0d", "invalid conversion '%' to 'format'"),
            ("%10123d", "invalid conversion specification: '%10123d'"),
            ("%.123s", "invalid conversion specification: '%.123s'"),
            ("%#d", "invalid conversion specification: '%#d'"),
            ("%+x", "invalid conversion specification: '%+x'"),
            ("%05s", "invalid conversion specification: '%05s'"),
            ("%.3c", "invalid conversion specification: '%.3c'"),
            ("%..5f", "invalid conversion specification: '%..5f'"),
            ("%5.3.2f", "invalid conversion specification: '%5.3.2f'"),
            ("%.3q", "specifier '%q' cannot have modifiers"),
            ("%-+ #0-+ #0-+ #0-+ #0-+d", "invalid format (too long)"),
        ] {
            assert_eq!(show(format, Int(97)), expected, "{format:?}");
        }
        assert_eq!(show("%00000000000000000005d", Int(97)), "00097", "flags may repeat");
        let mut after_error = Directives::new(b"%y rest");
        assert!(after_error.next().is_some_and(|first| first.is_err()));
        assert_eq!(after_error.next(), None);
    }

    #[test]
    fn general_format_without_a_specification() {
        let mut out = Vec::new();
        format_g(&mut out, 1.0 / 3.0, 14, Flags::default());
        format_g(&mut out, 2.0, 500, Flags::PLUS);
        assert_eq!(out, b"0.33333333333333+2");
    }
}

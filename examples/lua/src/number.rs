//! Numbers: text to number, number to text, and the integer and float operations whose result
//! differs from Rust's.
//!
//! The lexer, the constant folder, the VM and the standard library all use these functions, so
//! that `tonumber("0x10")`, the literal `0x10` and a folded `8 + 8` agree.
//!
//! # Invariants
//! * [`parse_number`] accepts exactly what C Lua's `lua_stringtonumber` accepts in the "C"
//!   locale: surrounding white space, a sign, decimal or hexadecimal integers and floats.
//! * [`format_float`] prints what C's `printf("%.14g")` prints, plus `.0` where the result
//!   would read as an integer.

/// A Lua number: two representations of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
}

/// Significant digits that `tostring` prints.
const TOSTRING_DIGITS: usize = 14;

/// White space as C's `isspace` sees it.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Converts text to a number as Lua does for literals, `tonumber` and string arithmetic.
///
/// Hexadecimal integers wrap around, decimal integers that do not fit become floats.
pub fn parse_number(text: &[u8]) -> Option<Number> {
    let text = trim(text);
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if let [b'0', b'x' | b'X', hex @ ..] = digits {
        return parse_hex(hex, negative);
    }
    parse_decimal(digits, negative)
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

fn parse_decimal(digits: &[u8], negative: bool) -> Option<Number> {
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        if let Some(value) = decimal_integer(digits, negative) {
            return Some(Number::Int(value));
        }
    } else if !is_decimal_float(digits) {
        return None;
    }
    let value: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Number::Float(if negative { -value } else { value }))
}

/// The value of a string of digits, unless it overflows.
fn decimal_integer(digits: &[u8], negative: bool) -> Option<i64> {
    // Accumulating with the final sign admits the smallest integer.
    digits.iter().try_fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    })
}

/// `digits [. digits] [e [sign] digits]` with at least one digit in the mantissa. Rust's own parser
/// would also take `inf` and `nan`.
fn is_decimal_float(text: &[u8]) -> bool {
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let points = mantissa.iter().filter(|b| **b == b'.').count();
    let digits = mantissa.iter().filter(|b| b.is_ascii_digit()).count();
    digits > 0
        && points <= 1
        && points + digits == mantissa.len()
        && exponent.is_none_or(is_exponent)
}

fn is_exponent(text: &[u8]) -> bool {
    let digits = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The part after `0x`.
fn parse_hex(text: &[u8], negative: bool) -> Option<Number> {
    if !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit) {
        let value = text.iter().fold(0i64, |value, b| value << 4 | hex_digit(*b) as i64);
        return Some(Number::Int(if negative { value.wrapping_neg() } else { value }));
    }
    let (digits, exponent) = match text.iter().position(|b| matches!(b, b'p' | b'P')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (mut mantissa, mut scale, mut any, mut point) = (0u64, exponent, false, false);
    for byte in digits {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {
                any = true;
                let digit = hex_digit(*byte);
                if mantissa >> 60 == 0 {
                    mantissa = mantissa << 4 | digit;
                    scale -= if point { 4 } else { 0 };
                } else {
                    // Out of room: later digits only decide between "exact" and "a bit more".
                    mantissa |= u64::from(digit != 0);
                    scale += if point { 0 } else { 4 };
                }
            }
            _ => return None,
        }
    }
    let value = scale_binary(mantissa, scale);
    any.then_some(Number::Float(if negative { -value } else { value }))
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    if !is_exponent(text) {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    // Far outside any double, and far from overflowing when digits are counted in.
    let limit = 1 << 40;
    let value = digits.iter().fold(0i64, |v, b| (v * 10 + i64::from(b - b'0')).min(limit));
    Some(if negative { -value } else { value })
}

fn hex_digit(byte: u8) -> u64 {
    u64::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    })
}

/// `mantissa * 2^scale`, rounded once, to nearest even.
fn scale_binary(mantissa: u64, scale: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    // The value is 1.xxx * 2^exponent.
    let exponent = scale - i64::from(shift) + 63;
    if exponent > 1023 {
        return f64::INFINITY;
    }
    let subnormal = (-1022 - exponent).clamp(0, 64) as u32;
    let dropped = 11 + subnormal;
    let (kept, rest, half) = if dropped > 64 {
        (0, 0, 1)
    } else if dropped == 64 {
        (0, mantissa, 1 << 63)
    } else {
        (mantissa >> dropped, mantissa & ((1 << dropped) - 1), 1 << (dropped - 1))
    };
    let rounded = kept + u64::from(rest > half || rest == half && kept & 1 == 1);
    // Adding instead of or-ing lets a carry out of the mantissa step up the exponent.
    let biased = if subnormal > 0 { 0 } else { (exponent + 1022) as u64 };
    f64::from_bits((biased << 52) + rounded)
}

/// `tostring` of a float.
pub fn format_float(value: f64) -> String {
    // Whole numbers of at most 14 digits are common and need no general algorithm.
    if value.trunc() == value && value.abs() < 1e14 && (value != 0.0 || value.is_sign_positive()) {
        return format!("{}.0", value as i64);
    }
    let mut text = format_general(value, TOSTRING_DIGITS);
    if text.bytes().all(|b| b == b'-' || b.is_ascii_digit()) {
        text.push_str(".0");
    }
    text
}

/// `tostring` of any number.
pub fn format_number(value: Number) -> String {
    match value {
        Number::Int(value) => value.to_string(),
        Number::Float(value) => format_float(value),
    }
}

/// C's `%.{precision}g`: the shorter of scientific and positional notation, without trailing zeros.
pub fn format_general(value: f64, precision: usize) -> String {
    if let Some(text) = format_non_finite(value) {
        return text;
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} prints an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} prints a decimal exponent");
    if exponent < -4 || exponent >= precision as i32 {
        return format!("{}{}", strip_zeros(mantissa), c_exponent(exponent));
    }
    let decimals = (precision as i32 - 1 - exponent) as usize;
    strip_zeros(&format!("{value:.decimals$}")).to_owned()
}

/// C's `%.{precision}e`.
pub fn format_scientific(value: f64, precision: usize) -> String {
    if let Some(text) = format_non_finite(value) {
        return text;
    }
    let scientific = format!("{value:.precision$e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} prints an exponent");
    let exponent = exponent.parse().expect("{:e} prints a decimal exponent");
    format!("{mantissa}{}", c_exponent(exponent))
}

/// `inf` and `nan` with their sign, as glibc prints them.
pub fn format_non_finite(value: f64) -> Option<String> {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_nan() {
        Some(format!("{sign}nan"))
    } else if value.is_infinite() {
        Some(format!("{sign}inf"))
    } else {
        None
    }
}

/// C prints a sign and at least two digits.
fn c_exponent(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

fn strip_zeros(text: &str) -> &str {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.')
}

/// The integer with the same value as `value`, if there is one.
#[inline]
pub fn float_to_integer(value: f64) -> Option<i64> {
    // 2^63 itself is out of range; the comparison is also false for NaN.
    let limit = 9_223_372_036_854_775_808.0;
    let in_range = value >= -limit && value < limit;
    (in_range && value.trunc() == value).then_some(value as i64)
}

/// `lhs // rhs` on integers; `None` for a zero divisor.
#[inline]
pub fn integer_floor_div(lhs: i64, rhs: i64) -> Option<i64> {
    if rhs == 0 {
        return None;
    }
    let quotient = lhs.wrapping_div(rhs);
    let inexact = lhs.wrapping_rem(rhs) != 0;
    Some(if inexact && (lhs ^ rhs) < 0 { quotient - 1 } else { quotient })
}

/// `lhs % rhs` on integers, with the sign of the divisor; `None` for a zero divisor.
#[inline]
pub fn integer_modulo(lhs: i64, rhs: i64) -> Option<i64> {
    if rhs == 0 {
        return None;
    }
    let remainder = lhs.wrapping_rem(rhs);
    Some(if remainder != 0 && (remainder ^ rhs) < 0 { remainder + rhs } else { remainder })
}

/// `lhs // rhs` on floats.
#[inline]
pub fn float_floor_div(lhs: f64, rhs: f64) -> f64 {
    (lhs / rhs).floor()
}

/// `lhs % rhs` on floats, with the sign of the divisor.
#[inline]
pub fn float_modulo(lhs: f64, rhs: f64) -> f64 {
    let remainder = lhs % rhs;
    let other_sign = remainder > 0.0 && rhs < 0.0 || remainder < 0.0 && rhs > 0.0;
    if other_sign { remainder + rhs } else { remainder }
}

/// `value << count`: logical, negative counts shift right, large counts give 0.
#[inline]
pub fn shift_left(value: i64, count: i64) -> i64 {
    let bits = value as u64;
    (match count {
        0..=63 => bits << count,
        -63..=-1 => bits >> -count,
        _ => 0,
    }) as i64
}

/// `value >> count`, the mirror image of [`shift_left`].
#[inline]
pub fn shift_right(value: i64, count: i64) -> i64 {
    shift_left(value, count.wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_c_prints_them() {
        let expected = [
            (1e15, "1e+15"),
            (9007199254740992.0, "9.007199254741e+15"),
            (1e14, "1e+14"),
            (99999999999999.0, "99999999999999.0"),
            (123456789012345.0, "1.2345678901234e+14"),
            (12345678901235.5, "12345678901236.0"),
            (12345678901234.5, "12345678901234.0"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (-1e-5, "-1e-05"),
            (0.0001, "0.0001"),
            (1e100, "1e+100"),
            (5e-324, "4.9406564584125e-324"),
            (f64::MAX, "1.7976931348623e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
            (std::f64::consts::PI, "3.1415926535898"),
            (99999999999999.9, "1e+14"),
        ];
        for (value, text) in expected {
            assert_eq!(format_float(value), text, "{value:e}");
        }
        assert_eq!(format_general(100.0, 3), "100");
        assert_eq!(format_general(1000.0, 3), "1e+03");
        assert_eq!(format_general(0.5, 0), "0.5");
        assert_eq!(format_scientific(12345.678, 3), "1.235e+04");
    }

    #[test]
    fn numerals_convert_as_in_c_lua() {
        use Number::{Float, Int};
        let expected: &[(&str, Option<Number>)] = &[
            ("0", Some(Int(0))),
            (" \t-12\n", Some(Int(-12))),
            ("9223372036854775807", Some(Int(i64::MAX))),
            ("9223372036854775808", Some(Float(9223372036854775808.0))),
            ("-9223372036854775808", Some(Int(i64::MIN))),
            ("0x10", Some(Int(16))),
            ("-0xff", Some(Int(-255))),
            ("0xffffffffffffffff", Some(Int(-1))),
            ("0x1ffffffffffffffff", Some(Int(-1))),
            ("1e2", Some(Float(100.0))),
            (".5", Some(Float(0.5))),
            ("5.", Some(Float(5.0))),
            ("+.5e-1", Some(Float(0.05))),
            ("1e999", Some(Float(f64::INFINITY))),
            ("0x.8", Some(Float(0.5))),
            ("0xA.8p1", Some(Float(21.0))),
            ("0x1p-1074", Some(Float(5e-324))),
            ("0x1p-1075", Some(Float(0.0))),
            ("0x1.8p-1075", Some(Float(5e-324))),
            ("0x1p1024", Some(Float(f64::INFINITY))),
            ("0x1.fffffffffffff8p0", Some(Float(2.0))),
            ("0x1.00000000000008p0", Some(Float(1.0))),
            ("0x1.000000000000080000000001p0", Some(Float(1.0000000000000002))),
            ("0x1p99999999999999999999", Some(Float(f64::INFINITY))),
            ("", None),
            (" ", None),
            ("-", None),
            (".", None),
            ("0x", None),
            ("0x.", None),
            ("0x.p1", None),
            ("0x1p", None),
            ("1e", None),
            ("1e+", None),
            ("1 2", None),
            ("- 1", None),
            ("--1", None),
            ("inf", None),
            ("nan", None),
            ("1.2.3", None),
            ("0x1.2.3", None),
            ("1\0", None),
        ];
        for (text, number) in expected {
            assert_eq!(parse_number(text.as_bytes()), *number, "{text:?}");
        }
    }

    #[test]
    fn division_rounds_towards_minus_infinity() {
        assert_eq!(integer_floor_div(-7, 2), Some(-4));
        assert_eq!(integer_floor_div(7, -2), Some(-4));
        assert_eq!(integer_floor_div(i64::MIN, -1), Some(i64::MIN));
        assert_eq!(integer_floor_div(1, 0), None);
        assert_eq!(integer_modulo(-7, 2), Some(1));
        assert_eq!(integer_modulo(7, -2), Some(-1));
        assert_eq!(integer_modulo(i64::MIN, -1), Some(0));
        assert_eq!(float_modulo(-1.0, f64::INFINITY), f64::INFINITY);
        assert_eq!(float_modulo(5.5, -2.0), -0.5);
        assert_eq!(float_modulo(-6.0, -4.0), -2.0);
        assert_eq!(float_floor_div(-7.0, 2.0), -4.0);
    }

    #[test]
    fn shifts_are_logical_and_never_overflow() {
        assert_eq!(shift_left(1, 63), i64::MIN);
        assert_eq!(shift_left(1, 64), 0);
        assert_eq!(shift_left(-1, -63), 1);
        assert_eq!(shift_left(-1, -64), 0);
        assert_eq!(shift_right(-1, 1), i64::MAX);
        assert_eq!(shift_right(1, i64::MIN), 0);
    }

    #[test]
    fn only_whole_floats_in_range_are_integers() {
        assert_eq!(float_to_integer(3.0), Some(3));
        assert_eq!(float_to_integer(-0.0), Some(0));
        assert_eq!(float_to_integer(3.5), None);
        assert_eq!(float_to_integer(-9223372036854775808.0), Some(i64::MIN));
        assert_eq!(float_to_integer(9223372036854775808.0), None);
        assert_eq!(float_to_integer(f64::NAN), None);
    }
}

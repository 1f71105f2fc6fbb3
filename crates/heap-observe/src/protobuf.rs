//! [`Message`]: an encoder for protocol buffers, restricted to the part of the wire format that is
//! used here. (Source: the encoding page of protobuf.dev.)
//!
//! Fields with the value zero are left out, as a decoder takes them for zero.

/// The wire type of integers.
const VARINT: u64 = 0;
/// The wire type of fields that begin with their length.
const LENGTH_DELIMITED: u64 = 2;

/// A message, as far as it is encoded.
#[derive(Debug, Default)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Adds an integer.
    pub(crate) fn integer(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.tag(field, VARINT);
            self.varint(value);
        }
    }

    /// Adds a list of integers.
    pub(crate) fn integers(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        let mut packed = Message::default();
        values.into_iter().for_each(|value| packed.varint(value));
        if !packed.bytes.is_empty() {
            self.message(field, &packed);
        }
    }

    /// Adds an element of a list of strings, even if it is empty.
    pub(crate) fn string(&mut self, field: u32, text: &str) {
        self.delimited(field, text.as_bytes());
    }

    /// Adds a message, as a field or as an element of a list.
    pub(crate) fn message(&mut self, field: u32, message: &Message) {
        self.delimited(field, &message.bytes);
    }

    /// What was encoded.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn delimited(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn tag(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        let mut message = Message::default();
        message.integer(1, 150);
        assert_eq!(message.into_bytes(), [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.string(2, "testing");
        assert_eq!(message.into_bytes(), *b"\x12\x07testing");
        let mut message = Message::default();
        message.integers(6, [3, 270, 86_942]);
        assert_eq!(message.into_bytes(), [0x32, 6, 3, 0x8E, 2, 0x9E, 0xA7, 5]);
    }

    #[test]
    fn zero_is_left_out_and_the_largest_number_is_not() {
        let mut message = Message::default();
        message.integer(1, 0);
        message.integers(2, []);
        assert!(message.bytes.is_empty());
        message.integer(3, u64::MAX);
        assert_eq!(message.bytes, [&[0x18][..], &[0xFF; 9], &[1]].concat());
    }
}

//! The encoding of Kafka's protocol, before its flexible versions.

/// Reads an answer. Each method returns `None` at its end.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        Some(self.take(1)? != [0])
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Reads a text, which is empty if it is null.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.i16()?.max(0);
        let text = self.take(usize::try_from(length).ok()?)?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// Reads bytes, which are empty if they are null.
    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.i32()?.max(0);
        Some(self.take(usize::try_from(length).ok()?)?.to_vec())
    }

    /// Reads an array, which is empty if it is null.
    pub(super) fn array<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.i32()?.max(0);
        (0..count).map(|_| item(self)).collect()
    }
}

/// Writes the body of a request.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn bool(&mut self, value: bool) -> &mut Self {
        self.with_bytes(&[value.into()])
    }

    pub(super) fn i16(&mut self, value: i16) -> &mut Self {
        self.with_bytes(&value.to_be_bytes())
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.with_bytes(&value.to_be_bytes())
    }

    /// Writes a text, of which the protocol takes 32,767 bytes at most.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let text = &text.as_bytes()[..text.len().min(0x7fff)];
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX))
            .with_bytes(text)
    }

    /// Writes the number of the items that follow.
    pub(super) fn count(&mut self, items: usize) -> &mut Self {
        self.i32(i32::try_from(items).unwrap_or(i32::MAX))
    }

    pub(super) fn with_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Returns what was written, with these bytes at its end.
    pub(super) fn with(mut self, bytes: &[u8]) -> Vec<u8> {
        self.with_bytes(bytes);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::default();
        writer.i16(-1).i32(7).text("orders").bool(true).count(2);
        let bytes = writer.with(&[0, 3, 0, 4]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.i16(), Some(-1));
        assert_eq!(reader.i32(), Some(7));
        assert_eq!(reader.text().as_deref(), Some("orders"));
        assert_eq!(reader.bool(), Some(true));
        assert_eq!(reader.array(Reader::i16), Some(vec![3, 4]));
        assert_eq!(reader.i16(), None);
        assert_eq!(
            Reader::new(&i32::MAX.to_be_bytes()).array(Reader::i16),
            None
        );
        assert_eq!(Reader::new(&[0xff; 2]).text().as_deref(), Some(""));
    }
}

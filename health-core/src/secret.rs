use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, de};

/// A token, a password, or a URL that may contain one. Its `Debug` shows `***`, and it does not
/// implement `Display`. It can't be deserialized from an empty text, because an unset variable of a
/// script, or a file that is filled later, must not become a password.
///
/// ```
/// use health_core::Secret;
/// let token = Secret::from("hunter2");
/// assert_eq!(format!("{token:?}"), "***");
/// assert_eq!(token.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

thread_local! {
    /// The secrets that were read since [`Secret::collect`] was called on this thread.
    static READ: RefCell<Option<Vec<Secret>>> = const { RefCell::new(None) };
}

impl Secret {
    /// Returns the secret itself, for the client that needs it. Never print it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what `read` returns, and all secrets that it deserializes, wherever they are in its
    /// settings. `read` must not call this function.
    #[doc(hidden)]
    pub fn collect<T>(read: impl FnOnce() -> T) -> (T, Vec<Self>) {
        READ.set(Some(Vec::new()));
        let value = read();
        (value, READ.take().unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim().is_empty() {
            return Err(de::Error::custom("empty: give it a value, or leave it out"));
        }
        let secret = Self::from(text);
        READ.with_borrow_mut(|read| {
            if let Some(read) = read {
                read.push(secret.clone());
            }
        });
        Ok(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<S: Into<String>> From<S> for Secret {
    fn from(secret: S) -> Self {
        Self(secret.into().into())
    }
}

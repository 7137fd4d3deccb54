use tokio::runtime::Handle;

/// A runtime that checks can run on; see [`HealthBuilder::runtime`](crate::HealthBuilder::runtime).
/// A `tokio::runtime::Handle` converts into it.
#[derive(Debug, Clone)]
pub struct Runtime(pub(crate) Handle);

impl From<Handle> for Runtime {
    fn from(handle: Handle) -> Self {
        Self(handle)
    }
}

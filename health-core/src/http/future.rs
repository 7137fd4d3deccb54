use std::future::{Ready, ready};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either};

/// The future of an answer. An answer that is ready needs no allocation.
pub(super) type Answer<T> = Either<Ready<T>, BoxFuture<'static, T>>;

/// Returns the future of an answer that is ready.
pub(super) fn now<T>(answer: T) -> Answer<T> {
    Either::Left(ready(answer))
}

/// Returns the future of an answer that has to wait.
pub(super) fn later<T>(answer: impl Future<Output = T> + Send + 'static) -> Answer<T> {
    Either::Right(answer.boxed())
}

use std::future::{Ready, ready};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either};

/// The future of an answer: one that is there already needs no allocation.
pub(super) type Answer<T> = Either<Ready<T>, BoxFuture<'static, T>>;

/// Returns an answer that is there already.
pub(super) fn now<T>(answer: T) -> Answer<T> {
    Either::Left(ready(answer))
}

/// Returns an answer that has to wait.
pub(super) fn later<T>(answer: impl Future<Output = T> + Send + 'static) -> Answer<T> {
    Either::Right(answer.boxed())
}

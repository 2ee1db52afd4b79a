//! Picks the best that a type offers, without asking the user for a bound: methods of the same name on
//! `&&&Probe`, `&&Probe`, `&Probe` and `Probe`, of which method resolution takes the first that applies.
//! In a generic function it sees only the bounds that are written there. The methods have names that nobody else gives:
//! a trait of the user's that is there for every type would be found as well.

use std::{
    any::type_name,
    borrow::Cow,
    convert::Infallible,
    error::Error,
    fmt::{self, Debug, Display, Write},
    sync::{Arc, Mutex, RwLock},
};

use serde::Serialize;

use super::Captured;
use crate::{
    value::{MAX_TEXT_BYTES, Value, contain, mask_debug},
    wire::Scalar,
};

/// Wraps a reference so that capture methods can be found on it.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

/// First choice of `capture`: text, which is borrowed, and numbers.
pub trait ViaScalar<'a> {
    /// Captures the value.
    fn __honeyhive_capture(&self) -> Captured<'a>;
}

macro_rules! scalars {
    ($($scalar:ident($value:ident => $as:expr): $($type:ty),*;)*) => {$($(
        impl<'a> ViaScalar<'a> for &&&Probe<'a, $type> {
            #[inline]
            fn __honeyhive_capture(&self) -> Captured<'a> {
                let $value = self.0;
                Captured::scalar(Scalar::$scalar($as))
            }
        }
    )*)*};
}
scalars! {
    Text(text => text): str, &str, String, &String, &mut String, Box<str>, Arc<str>, Cow<'_, str>;
    Int(int => i64::from(*int)): i8, i16, i32, u8, u16, u32;
    Int(int => *int): i64;
    Bool(bool => *bool): bool;
}

/// Numbers that may be more than a number on the wire can be: these are captured as any other value.
macro_rules! wide {
    ($($type:ty: $value:ident => $scalar:expr;)*) => {$(
        impl<'a> ViaScalar<'a> for &&&Probe<'a, $type> {
            #[inline]
            fn __honeyhive_capture(&self) -> Captured<'a> {
                let $value = *self.0;
                match $scalar {
                    Some(scalar) => Captured::scalar(scalar),
                    None => Value::from($value).into(),
                }
            }
        }
    )*};
}
wide! {
    u64: int => i64::try_from(int).ok().map(Scalar::Int);
    usize: int => i64::try_from(int).ok().map(Scalar::Int);
    isize: int => i64::try_from(int).ok().map(Scalar::Int);
    f64: float => float.is_finite().then_some(Scalar::Float(float));
}

/// What is locked while somebody reads it: captured as `Debug` shows it, which does not wait for the lock, where
/// `Serialize` would.
macro_rules! locks {
    ($($lock:ident),*) => {$(
        impl<'a, T: Debug + ?Sized> ViaScalar<'a> for &&&Probe<'a, $lock<T>> {
            fn __honeyhive_capture(&self) -> Captured<'a> {
                ViaDebug::__honeyhive_capture(&&Probe(self.0))
            }
        }

        impl<'a, T: Debug + ?Sized> ViaScalar<'a> for &&&Probe<'a, &$lock<T>> {
            fn __honeyhive_capture(&self) -> Captured<'a> {
                ViaDebug::__honeyhive_capture(&&Probe(*self.0))
            }
        }

        impl<'a, T: Debug + ?Sized> ViaScalar<'a> for &&&Probe<'a, Arc<$lock<T>>> {
            fn __honeyhive_capture(&self) -> Captured<'a> {
                ViaDebug::__honeyhive_capture(&&Probe(&**self.0))
            }
        }
    )*};
}
locks!(Mutex, RwLock);

/// Second choice of `capture`: `Serialize`.
pub trait ViaSerialize<'a> {
    /// Captures the value.
    fn __honeyhive_capture(&self) -> Captured<'a>;
}

impl<'a, T: Serialize + ?Sized> ViaSerialize<'a> for &&Probe<'a, T> {
    fn __honeyhive_capture(&self) -> Captured<'a> {
        Value::capture(self.0).into()
    }
}

/// Third choice of `capture`: `Debug`. Last but one of `error`.
pub trait ViaDebug<'a> {
    /// Captures the value.
    fn __honeyhive_capture(&self) -> Captured<'a>;
    /// Names the error.
    fn __honeyhive_error(&self) -> ErrorText;
}

impl<'a, T: Debug + ?Sized> ViaDebug<'a> for &Probe<'a, T> {
    fn __honeyhive_capture(&self) -> Captured<'a> {
        contain::<T>(|| Value::text(mask_debug(&bounded(format_args!("{:?}", self.0))))).into()
    }

    fn __honeyhive_error(&self) -> ErrorText {
        ErrorText::of::<T>(contain::<T>(|| Value::text(mask_debug(&bounded(format_args!("{:?}", self.0))))))
    }
}

/// First choice of `error`: a box of any error.
pub trait ViaBoxed {
    /// Names the error.
    fn __honeyhive_error(&self) -> ErrorText;
}

macro_rules! boxed {
    ($($error:ty),*) => {$(
        impl<'e> ViaBoxed for &&&&Probe<'_, Box<$error>> {
            fn __honeyhive_error(&self) -> ErrorText {
                ErrorText::of::<Box<$error>>(contain::<Box<$error>>(|| Value::text(with_sources(&**self.0))))
            }
        }
    )*};
}
boxed!(dyn Error + 'e, dyn Error + Send + 'e, dyn Error + Send + Sync + 'e);

/// Second choice of `error`: what it says, and what its sources say.
pub trait ViaError {
    /// Names the error.
    fn __honeyhive_error(&self) -> ErrorText;
}

impl<T: Error> ViaError for &&&Probe<'_, T> {
    fn __honeyhive_error(&self) -> ErrorText {
        ErrorText::of::<T>(contain::<T>(|| Value::text(with_sources(self.0))))
    }
}

/// Most sources of an error that are told.
const MAX_SOURCES: usize = 16;

/// Returns the text of an error, and of each source that is not in it already: many say theirs themselves.
fn with_sources(error: &(dyn Error + '_)) -> String {
    let mut text = bounded(format_args!("{error}"));
    for source in std::iter::successors(error.source(), |&source| source.source()).take(MAX_SOURCES) {
        let said = bounded(format_args!("{source}"));
        if !text.contains(&said) {
            text = bounded(format_args!("{text}: {said}"));
        }
    }
    text
}

/// Third choice of `error`: `Display`, in the form in which those that keep their sources to themselves tell them.
pub trait ViaDisplay {
    /// Names the error.
    fn __honeyhive_error(&self) -> ErrorText;
}

impl<T: Display + ?Sized> ViaDisplay for &&Probe<'_, T> {
    fn __honeyhive_error(&self) -> ErrorText {
        ErrorText::of::<T>(contain::<T>(|| Value::text(bounded(format_args!("{:#}", self.0)))))
    }
}

/// Last choice: the name of the type.
pub trait ViaTypeName<'a> {
    /// Captures the value.
    fn __honeyhive_capture(&self) -> Captured<'a>;
    /// Names the error.
    fn __honeyhive_error(&self) -> ErrorText;
}

impl<'a, T: ?Sized> ViaTypeName<'a> for Probe<'a, T> {
    fn __honeyhive_capture(&self) -> Captured<'a> {
        Value::text(format!("<{}>", type_name::<T>())).into()
    }

    fn __honeyhive_error(&self) -> ErrorText {
        ErrorText::of::<T>(Value::text(type_name::<T>()))
    }
}

/// Type and text of an error.
#[derive(Debug)]
pub struct ErrorText {
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl ErrorText {
    fn of<T: ?Sized>(message: Value) -> Self {
        let message = match message {
            Value::Text(text) => text.into_owned(),
            other => other.to_json(),
        };
        Self { kind: type_name::<T>(), message }
    }

    /// Returns the text.
    pub fn into_value(self) -> Value {
        Value::text(self.message)
    }
}

/// First choice of `split`: a `Result`, by whatever alias.
pub trait SplitResult<'a> {
    /// Type of the good side.
    type Good;
    /// Type of the bad side.
    type Bad;
    /// Returns one of the two sides.
    ///
    /// # Errors
    ///
    /// The bad side.
    fn __honeyhive_split(&self) -> Result<&'a Self::Good, &'a Self::Bad>;
}

impl<'a, T, E> SplitResult<'a> for &Probe<'a, Result<T, E>> {
    type Good = T;
    type Bad = E;

    fn __honeyhive_split(&self) -> Result<&'a T, &'a E> {
        self.0.as_ref()
    }
}

/// Second choice of `split`: anything else is good.
pub trait SplitPlain<'a> {
    /// Type of the value.
    type Good: ?Sized;
    /// Returns the value.
    ///
    /// # Errors
    ///
    /// None.
    fn __honeyhive_split(&self) -> Result<&'a Self::Good, &'a Infallible>;
}

impl<'a, T: ?Sized> SplitPlain<'a> for Probe<'a, T> {
    type Good = T;

    fn __honeyhive_split(&self) -> Result<&'a T, &'a Infallible> {
        Ok(self.0)
    }
}

/// Formats at most [`MAX_TEXT_BYTES`] and stops the formatting there.
fn bounded(text: fmt::Arguments<'_>) -> String {
    struct Bounded(String);
    impl Write for Bounded {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            let left = MAX_TEXT_BYTES.saturating_sub(self.0.len());
            let mut end = piece.len().min(left);
            while !piece.is_char_boundary(end) {
                end -= 1;
            }
            self.0.push_str(&piece[..end]);
            if end < piece.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut out = Bounded(String::new());
    if out.write_fmt(text).is_err() {
        out.0.push_str("… [truncated]");
    }
    out.0
}

//! Output that somebody may stop to read, as `head` does: then there is nothing left to do.

use std::{
    fmt,
    io::{self, Write},
};

/// Writes to standard output; where nobody reads that any longer the program is over.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    if io::stdout().lock().write_fmt(text).is_err() {
        std::process::exit(0);
    }
}

/// Writes a line as `println!` does, which panics where nobody reads it.
macro_rules! line {
    ($($text:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use line;

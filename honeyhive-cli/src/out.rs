//! Output that somebody may stop to read, as `head` does: the rest is then for nobody, and what is done is done anyway.

use std::{
    fmt,
    io::{self, Write},
};

/// Writes to standard output, as long as somebody reads that; where it cannot be written the program fails.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("honeyhive: cannot write: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Writes a line as `println!` does, which panics where nobody reads it.
macro_rules! line {
    ($($text:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use line;

//! The server: takes OTLP over HTTP as fast as it can, counts spans without decoding them, and fails by
//! script.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How requests are answered, by their number and size.
#[derive(Clone)]
pub(crate) enum Mood {
    Good,
    /// The first so many get this status.
    First(u64, u16),
    /// What is larger gets 413.
    Above(usize),
    /// Each answer takes a while.
    Slow(Duration),
}

#[derive(Clone)]
pub(crate) struct Sink {
    url: String,
    spans: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    mood: Arc<Mutex<Mood>>,
}

impl Sink {
    pub(crate) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sink = Self { url, spans: Arc::default(), requests: Arc::default(), mood: Arc::new(Mutex::new(mood)) };
        let shared = sink.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = shared.clone();
                thread::spawn(move || drop(sink.serve(&stream)));
            }
        });
        sink
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }

    pub(crate) fn heal(&self) {
        *self.mood.lock().unwrap() = Mood::Good;
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(1 << 16, stream);
        let mut body = vec![];
        loop {
            let (mut line, mut len, mut traces) = (String::new(), 0, false);
            while reader.read_line(&mut line)? > 2 {
                traces |= line.contains("/traces");
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    len = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            if line.is_empty() {
                return Ok(());
            }
            body.resize(len, 0);
            reader.read_exact(&mut body)?;
            let status = if traces { self.judge(&body) } else { 200 };
            let location = format!("location: {}/elsewhere\r\n", self.url);
            let location = if status == 302 { location.as_str() } else { "" };
            let said = if traces { "" } else { r#"{"session_id":"8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b"}"# };
            let head = format!("HTTP/1.1 {status} S\r\n{location}content-length: {}\r\n\r\n{said}", said.len());
            (&mut &*stream).write_all(head.as_bytes())?;
        }
    }

    fn judge(&self, body: &[u8]) -> u16 {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::First(most, status) if number < most => return status,
            Mood::Above(bytes) if body.len() > bytes => return 413,
            Mood::Slow(wait) => thread::sleep(wait),
            _ => {}
        }
        self.spans.fetch_add(count(body), Ordering::Relaxed);
        200
    }
}

/// Counts the spans of a request by walking over lengths: field 1, then 2, then 2. JSON is looked through.
fn count(body: &[u8]) -> u64 {
    if body.starts_with(b"{") {
        return body.windows(8).filter(|window| window == b"\"spanId\"").count() as u64;
    }
    let scopes = fields(body, 1).flat_map(|resource| fields(resource, 2));
    scopes.map(|scope| fields(scope, 2).count() as u64).sum()
}

fn fields(mut bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let len = match tag & 7 {
                0 => {
                    varint(&mut bytes)?;
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => varint(&mut bytes)? as usize,
            };
            let (field, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            if tag >> 3 == wanted && tag & 7 == 2 {
                return Some(field);
            }
        }
        None
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

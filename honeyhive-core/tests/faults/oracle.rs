//! A server that misbehaves by script and knows independently what it took.
//! Plain sockets, one thread per connection; spans are decoded by `opentelemetry-proto`, not by ours.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::any_value::Value,
    trace::v1::Span,
};
use prost::Message;

/// What is done with a request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Takes it.
    Accept,
    /// Takes it, and sends this in the place of an OTLP answer.
    AcceptWith(u16, Vec<u8>),
    /// Sends this with status 200, the body perhaps late, and takes the spans or not.
    Answer {
        headers: Vec<(&'static str, String)>,
        late: Option<Duration>,
        body: Vec<u8>,
        takes: bool,
    },
    /// Takes all but so many, with a message.
    Partial(i64, String),
    Status(u16),
    With(u16, Vec<(&'static str, String)>),
    /// Closes after reading, without an answer; with an RST if asked.
    Close {
        reset: bool,
    },
    /// Sends half a head, or a head and half a body, and closes.
    HalfHead,
    HalfBody,
    /// Answers after a while.
    Slow(Duration),
    /// Takes it, and sends a body without an end.
    Endless,
    /// Sends what is no HTTP.
    Garbage(&'static [u8]),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) bytes: usize,
    pub(crate) ids: Vec<i64>,
}

type Rule = Box<dyn Fn(&Seen) -> Option<Step> + Send>;

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    rule: Option<Rule>,
    always: Option<Step>,
    seen: Vec<Seen>,
    /// How often a span was taken, by the number it carries.
    taken: HashMap<i64, u32>,
    /// Which number came with an id, and numbers that came with the id of another.
    ids: HashMap<Vec<u8>, i64>,
    shared_ids: Vec<i64>,
    /// Spans whose text is not what its number says, or that are not of one session.
    changed: Vec<i64>,
    cut: Vec<i64>,
    in_flight: u32,
    most_in_flight: u32,
    /// Bytes a second that are read, if that is limited.
    rate: Option<usize>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Oracle {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// Text that a span of a number carries.
pub(crate) fn text_of(number: i64) -> String {
    format!("text of {number} {}", "é".repeat((number % 60).unsigned_abs() as usize))
}

impl Oracle {
    pub(crate) fn start() -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// Starts on a port that was found before.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Self::listen(TcpListener::bind(address).unwrap())
    }

    fn listen(listener: TcpListener) -> Self {
        let oracle = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let shared = oracle.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let oracle = shared.clone();
                thread::spawn(move || drop(oracle.serve(&stream)));
            }
        });
        oracle
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does these next, in order.
    pub(crate) fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().script.extend(steps);
    }

    /// Does this until [`heal`](Self::heal), once the script is done.
    pub(crate) fn always(&self, step: Step) {
        self.lock().always = Some(step);
    }

    /// Decides by the request.
    pub(crate) fn rule(&self, rule: impl Fn(&Seen) -> Option<Step> + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    pub(crate) fn read_at(&self, bytes_a_second: usize) {
        self.lock().rate = Some(bytes_a_second);
    }

    /// From now on takes everything.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.script.clear();
        (state.rule, state.always, state.rate) = (None, None, None);
    }

    /// Returns the requests for traces.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.lock().seen.iter().filter(|seen| seen.path.ends_with("/traces")).cloned().collect()
    }

    pub(crate) fn all_requests(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Returns how many spans were taken, and how many of those more than once.
    pub(crate) fn taken(&self) -> (usize, usize) {
        let state = self.lock();
        (state.taken.len(), state.taken.values().filter(|times| **times > 1).count())
    }

    /// Returns how often a span was taken.
    pub(crate) fn times(&self, number: i64) -> u32 {
        self.lock().taken.get(&number).copied().unwrap_or(0)
    }

    pub(crate) fn has(&self, number: i64) -> bool {
        self.lock().taken.contains_key(&number)
    }

    pub(crate) fn numbers(&self) -> Vec<i64> {
        let mut numbers: Vec<i64> = self.lock().taken.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Returns the numbers of spans that came with the id of another.
    pub(crate) fn shared_ids(&self) -> Vec<i64> {
        self.lock().shared_ids.clone()
    }

    pub(crate) fn changed(&self) -> Vec<i64> {
        self.lock().changed.clone()
    }

    /// Returns the spans that came with a text that was cut.
    pub(crate) fn cut(&self) -> Vec<i64> {
        self.lock().cut.clone()
    }

    pub(crate) fn most_in_flight(&self) -> u32 {
        self.lock().most_in_flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let Some((path, headers, body)) = self.read(&mut reader)? else { return Ok(()) };
            let spans = decode(&headers, &body);
            let ids = spans.iter().map(number).collect();
            let seen = Seen { at: Instant::now(), path, headers, bytes: body.len(), ids };
            let step = self.note(&seen);
            if let Step::Slow(wait) = step {
                thread::sleep(wait);
            }
            self.lock().in_flight -= 1;
            if !self.answer(stream, &step, &seen, &spans)? {
                return Ok(());
            }
        }
    }

    #[allow(clippy::type_complexity, reason = "the parts of a request")]
    fn read(&self, reader: &mut impl BufRead) -> io::Result<Option<(String, HashMap<String, String>, Vec<u8>)>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let len: usize = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let mut body = vec![0; len];
        match self.lock().rate {
            Some(rate) => {
                for piece in body.chunks_mut((rate / 50).max(1)) {
                    reader.read_exact(piece)?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            None => reader.read_exact(&mut body)?,
        }
        Ok(Some((path, headers, body)))
    }

    fn note(&self, seen: &Seen) -> Step {
        let mut state = self.lock();
        state.seen.push(seen.clone());
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        if !seen.path.ends_with("/traces") {
            return Step::AcceptWith(200, b"{}".to_vec());
        }
        let ruled = state.rule.as_ref().and_then(|rule| rule(seen));
        ruled.or_else(|| state.script.pop_front()).or_else(|| state.always.clone()).unwrap_or(Step::Accept)
    }

    /// Does what the step says; tells whether the connection goes on.
    fn answer(&self, mut stream: &TcpStream, step: &Step, seen: &Seen, spans: &[Span]) -> io::Result<bool> {
        match step {
            Step::Accept | Step::Slow(_) => {
                self.take(spans);
                respond(stream, 200, &[], &[])?;
            }
            Step::AcceptWith(status, body) => {
                self.take(spans);
                respond(stream, *status, &[], body)?;
            }
            Step::Answer { headers, late, body, takes } => {
                self.take(if *takes { spans } else { &[] });
                stream.write_all(head(200, headers, body.len()).as_bytes())?;
                late.iter().for_each(|late| thread::sleep(*late));
                stream.write_all(body)?;
            }
            Step::Partial(rejected, message) => {
                let rest = spans.get(usize::try_from(*rejected).unwrap_or(0)..).unwrap_or_default();
                self.take(rest);
                let partial = ExportTracePartialSuccess { rejected_spans: *rejected, error_message: message.clone() };
                let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
                let headers = [("content-type", "application/x-protobuf".to_owned())];
                respond(stream, 200, &headers, &answer.encode_to_vec())?;
            }
            Step::Status(status) => respond(stream, *status, &[], &[])?,
            Step::With(status, headers) => respond(stream, *status, headers, &[])?,
            Step::Close { reset } => {
                if *reset {
                    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
                }
                return Ok(false);
            }
            Step::HalfHead => {
                stream.write_all(b"HTTP/1.1 200 O")?;
                return Ok(false);
            }
            Step::HalfBody => {
                self.take(spans);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")?;
                return Ok(false);
            }
            Step::Endless => {
                self.take(spans);
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                while stream.write_all(format!("10000\r\n{}\r\n", "x".repeat(0x10000)).as_bytes()).is_ok() {}
                return Ok(false);
            }
            Step::Garbage(bytes) => {
                stream.write_all(bytes)?;
                return Ok(false);
            }
        }
        Ok(seen.headers.get("connection").is_none_or(|connection| connection != "close"))
    }

    fn take(&self, spans: &[Span]) {
        let mut state = self.lock();
        for span in spans {
            let number = number(span);
            *state.taken.entry(number).or_default() += 1;
            if *state.ids.entry(span.span_id.clone()).or_insert(number) != number {
                state.shared_ids.push(number);
            }
            if !is_of_one_session(span) {
                state.changed.push(number);
            }
            match text(span, "text") {
                Some(text) if text.contains("[truncated, ") => state.cut.push(number),
                Some(text) if text != text_of(number) && !text.starts_with("large") => state.changed.push(number),
                _ => {}
            }
        }
    }
}

/// Tells whether a span says of which session it is, once, under both names; that which it was made for, if it says so.
fn is_of_one_session(span: &Span) -> bool {
    let named =
        |name: &str| span.attributes.iter().filter(|pair| pair.key == name).map(|pair| &pair.value).collect::<Vec<_>>();
    let (session, made_for) = (named("honeyhive.session_id"), named("made for"));
    session.len() == 1
        && session == named("traceloop.association.properties.session_id")
        && (made_for.is_empty() || session == made_for)
}

fn respond(mut stream: &TcpStream, status: u16, headers: &[(&str, String)], body: &[u8]) -> io::Result<()> {
    stream.write_all(head(status, headers, body.len()).as_bytes())?;
    stream.write_all(body)
}

fn head(status: u16, headers: &[(&str, String)], len: usize) -> String {
    if status == 204 {
        return "HTTP/1.1 204 S\r\n\r\n".into();
    }
    let mut head = format!("HTTP/1.1 {status} S\r\ncontent-length: {len}\r\n");
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    head + "\r\n"
}

fn decode(headers: &HashMap<String, String>, body: &[u8]) -> Vec<Span> {
    let mut plain = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        plain.clear();
        let _ = flate2::read::GzDecoder::new(body).read_to_end(&mut plain);
    }
    let json = headers.get("content-type").is_some_and(|content_type| content_type == "application/json");
    let request = match json {
        true => serde_json::from_slice(&plain).unwrap_or_default(),
        false => ExportTraceServiceRequest::decode(plain.as_slice()).unwrap_or_default(),
    };
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn number(span: &Span) -> i64 {
    let found = span.attributes.iter().find(|pair| pair.key == "number");
    match found.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Value::IntValue(number)) => *number,
        _ => -1,
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

//! When a lane sends and when it waits, with a clock of the test's own.

use std::{
    sync::{Arc, Mutex},
    task::Waker,
};

use super::*;
use crate::{
    Durability, Exporting,
    export::backlog::{Backlog, Memory},
};

/// Answers by script; then takes everything, but what it is set against.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<Vec<Sent>>>, Option<Sent>);

const POISON: &[u8] = b"poison";

impl Exporter for Script {
    fn destination(&self) -> String {
        "a script".into()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        let mut script = self.0.lock().unwrap();
        let poisoned = batch.otlp().windows(POISON.len()).any(|part| part == POISON);
        let otherwise = self.1.clone().filter(|_| poisoned).unwrap_or(Sent::Done);
        let sent = if script.is_empty() { otherwise } else { script.remove(0) };
        Box::pin(std::future::ready(sent))
    }
}

const INTERVAL: Duration = Duration::from_secs(3600);

fn lane(script: Vec<Sent>) -> Lane {
    lane_to(Script(Arc::new(Mutex::new(script)), None))
}

fn lane_to(script: Script) -> Lane {
    let memory = Memory { all: 32 << 20, share: None };
    let backlog = Backlog::new(b"".as_slice().into(), Durability::Memory, memory, None);
    let waits = Waits { first: Duration::from_secs(1), most: Duration::from_secs(30) };
    let rules = Rules { batch_size: 100, interval: INTERVAL, waits, bisect: false };
    Lane::new(Box::new(script), "a script".into(), backlog, rules)
}

/// Sends once, if the lane does; tells whether it did.
fn send(lane: &mut Lane, now: Instant, urgent: bool) -> bool {
    lane.pump(now, urgent);
    let mut task = task::Context::from_waker(Waker::noop());
    match lane.poll_landing(&mut task) {
        Poll::Ready(landing) => {
            lane.landed(landing, now);
            true
        }
        Poll::Pending => false,
    }
}

fn retry(after: Option<u64>) -> Sent {
    Sent::Retry { after: after.map(Duration::from_secs), reason: "busy".into() }
}

#[test]
fn what_is_tried_again_is_tried_when_its_time_has_come() {
    let (mut lane, start) = (lane(vec![retry(None)]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, start);
    assert!(!send(&mut lane, start, false), "one span waits for more");
    assert!(send(&mut lane, start, true));
    let until = lane.next_time().unwrap();
    assert!(until > start && until < start + Duration::from_secs(2));
    assert!(!send(&mut lane, start, true), "not before its time, whoever waits");
    assert!(send(&mut lane, until, false), "and then at once, though the interval has not passed");
    assert_eq!(lane.next_time(), None);
}

#[test]
fn a_wait_of_nothing_is_no_invitation_to_a_storm() {
    let (mut lane, mut now) = (lane(vec![retry(Some(0)); 20]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, now);
    let (start, mut sent) = (now, 0);
    while send(&mut lane, now, true) {
        sent += 1;
        now = lane.next_time().unwrap_or(now);
    }
    assert_eq!(sent, 21);
    assert!(now - start > Duration::from_secs(100), "{:?}", now - start);
    let forever = Sent::Retry { after: Some(Duration::MAX), reason: "for ever".into() };
    let mut lane = super::tests::lane(vec![forever]);
    lane.push(Parts::whole(b"s", b"span"), 1, start);
    assert!(send(&mut lane, start, true));
    assert_eq!(lane.next_time(), Some(start + Duration::from_secs(600)));
}

#[test]
fn an_answer_to_the_old_key_does_not_stop_the_new_one() {
    let (mut lane, now) = (lane(vec![Sent::Blocked { reason: "401".into() }]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, now);
    lane.pump(now, true);
    lane.unblock(now);
    let Poll::Ready(landing) = lane.poll_landing(&mut task::Context::from_waker(Waker::noop())) else {
        panic!("the script answers at once")
    };
    lane.landed(landing, now);
    assert!(send(&mut lane, now, true) && lane.is_idle());
}

#[test]
fn what_is_blocked_is_tried_once_by_who_waits_and_after_a_while() {
    let blocked = || Sent::Blocked { reason: "404".into() };
    let (mut lane, start) = (lane(vec![blocked(), blocked(), blocked()]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, start);
    assert!(send(&mut lane, start, true) && lane.is_hopeless(true));
    let first = lane.next_time().unwrap() - start;
    assert!((5..=15).contains(&first.as_secs()), "{first:?}");
    let later = start + Duration::from_secs(2);
    lane.hurry(later);
    assert!(!lane.is_hopeless(true));
    assert!(send(&mut lane, later, true) && lane.is_hopeless(true));
    lane.hurry(later);
    assert!(lane.is_hopeless(true) && !send(&mut lane, later, true), "it was just tried");
    let after = lane.next_time().unwrap();
    assert!(send(&mut lane, after, true));
    let last = lane.next_time().unwrap();
    assert!(send(&mut lane, last, false));
    assert_eq!(lane.account().delivered, 1);
}

#[test]
fn who_takes_not_even_a_small_span_keeps_all_and_gets_whole_requests_afterwards() {
    let (mut lane, mut now) = (lane(vec![Sent::TooLarge; 20]), Instant::now());
    for _ in 0..400 {
        lane.push(Parts::whole(b"s", &[7; 300]), 1, now);
    }
    while send(&mut lane, now, true) {
        now = lane.next_time().unwrap_or(now);
    }
    let account = lane.account();
    assert_eq!((account.refused, account.delivered, account.requests), (0, 400, 20 + 4));
}

#[test]
fn a_limit_that_a_destination_has_shown_is_tried_again_after_a_while() {
    let (mut lane, start) = (lane(vec![Sent::TooLarge]), Instant::now());
    let requests_of = |lane: &mut Lane, now: Instant| {
        (0..100).for_each(|_| lane.push(Parts::whole(b"s", &[7; 300]), 1, now));
        let before = lane.account().requests;
        while send(lane, now, true) {}
        lane.account().requests - before
    };
    assert_eq!(requests_of(&mut lane, start), 1 + 2);
    assert_eq!(requests_of(&mut lane, start + Duration::from_secs(1)), 2);
    let later = start + Duration::from_secs(61);
    assert_eq!([(); 2].map(|()| requests_of(&mut lane, later)), [2, 1]);
}

/// Sends until nothing is left, or nothing before that time; returns when that was.
fn send_until(lane: &mut Lane, mut now: Instant, end: Instant) -> Instant {
    loop {
        while send(lane, now, true) {}
        let Some(next) = lane.next_time().filter(|next| *next <= end) else { return now };
        assert!(next > now, "something is due and does not go");
        now = next;
    }
}

fn unsure() -> Sent {
    Sent::Unsure { reason: "HTTP 500".into() }
}

#[test]
fn an_outage_costs_nothing_whatever_is_answered_meanwhile() {
    let blocked = || Sent::Blocked { reason: "403".into() };
    for answer in [unsure(), retry(None), blocked(), Sent::TimedOut] {
        let (mut lane, now) = (lane(vec![answer.clone(); 100]), Instant::now());
        (0..500).for_each(|_| lane.push(Parts::whole(b"s", b"span"), 1, now));
        send_until(&mut lane, now, now + 100 * INTERVAL);
        let account = lane.account();
        assert_eq!((account.refused, account.delivered, lane.is_idle()), (0, 500, true), "{answer:?}");
    }
}

#[test]
fn a_span_that_alone_does_not_arrive_holds_up_no_other() {
    let blocked = || Sent::Blocked { reason: "403".into() };
    let cases = [(unsure(), 1), (retry(None), 0), (blocked(), 0), (Sent::TimedOut, 0)];
    for (before, (answer, refused)) in
        [0, 1, 77, 150, 299].into_iter().flat_map(|at| cases.clone().map(|case| (at, case)))
    {
        let (mut lane, start) = (lane_to(Script(Arc::default(), Some(answer.clone()))), Instant::now());
        let span = |at| if at == before { POISON } else { b"a span" };
        (0..300).for_each(|at| lane.push(Parts::whole(b"s", span(at)), 1, start));
        let now = send_until(&mut lane, start, start + Duration::from_secs(1_000));
        let account = lane.account();
        assert_eq!((account.delivered, account.refused), (299, refused), "{answer:?} for {before}");
        assert_eq!((account.resting, lane.is_idle()), (1 - refused, refused == 1));
        assert!(account.requests < 80, "{} requests for {before} of {answer:?}", account.requests);
        assert!(lane.is_hopeless(false) || lane.is_idle(), "nobody waits for it");
        (0..50).for_each(|_| lane.push(Parts::whole(b"s", b"a span"), 1, now));
        let requests = lane.account().requests;
        assert!(send(&mut lane, now, true));
        assert_eq!((lane.account().delivered, lane.account().requests), (349, requests + 1), "what comes goes at once");
    }
}

#[test]
fn what_rests_is_tried_less_and_less_often_and_at_once_with_another_key() {
    let script = Script(Arc::default(), Some(Sent::Blocked { reason: "403".into() }));
    let (mut lane, start) = (lane_to(script), Instant::now());
    [POISON, b"a span"].iter().for_each(|span| lane.push(Parts::whole(b"s", span), 1, start));
    let mut now = start;
    while lane.account().resting == 0 {
        assert!(send(&mut lane, now, true));
        now = lane.next_time().unwrap().max(now);
    }
    let waits = [10, 20, 40, 80, 160, 300, 300].map(Duration::from_secs);
    for wait in waits.into_iter().skip(1) {
        assert!(!send(&mut lane, now - Duration::from_secs(1), true), "it rests");
        assert!(send(&mut lane, now, true));
        assert_eq!(lane.next_time(), Some(now + wait));
        now += wait;
    }
    lane.unblock(now - Duration::from_secs(1));
    assert!(send(&mut lane, now - Duration::from_secs(1), false));
}

#[test]
fn pieces_of_what_is_too_large_at_once_do_not_wait_for_each_other() {
    let (mut lane, start) = (lane(vec![Sent::TooLarge, Sent::TooLarge]), Instant::now());
    (0..64).for_each(|_| lane.push(Parts::whole(b"s", &[7; 1_000]), 1, start));
    let due = start + INTERVAL;
    let mut requests = 0;
    while send(&mut lane, due, false) {
        requests += 1;
    }
    assert_eq!((requests, lane.account().delivered), (2 + 4, 64), "64, 32, then four times 16");
    (0..3).for_each(|_| lane.push(Parts::whole(b"s", b"span"), 1, due));
    assert!(!send(&mut lane, due, false), "what came meanwhile waits for its own time");
}
